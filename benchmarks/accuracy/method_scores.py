"""Scores of finished runs: each method's means, and its accuracy less ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.comparison import compare
from benchmarks.accuracy.methods import METHODS, OURS
from benchmarks.accuracy.records import (
    DECISION,
    HELD_OUT,
    ONLY,
    columns_of,
)
from training_hybridsent.metrics import SentimentScores

SCORES = ("accuracy", "macro_f1", "weighted_f1", "nll", "ece")
Runs = list[tuple[dict[str, Any], pd.DataFrame]]  # figures and answers of each


def values_of(answers: pd.DataFrame, prefix: str, names: Sequence[str]) -> np.ndarray:
    """Return the columns of one kind of answer, (posts, names)."""
    return answers[columns_of(prefix, list(names))].to_numpy(dtype=np.float64)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities, 1e-12, 1.0))


def run_scores(
    figures: Mapping[str, Any], answers: pd.DataFrame, label_names: Sequence[str]
) -> dict[str, float]:
    """Score the held-out posts of one run.

    Args:
        figures: Of the run.
        answers: Of the run.
        label_names: Names of the labels by index.

    Returns:
        `SCORES`, `text_only` and `image_only`, the accuracies over the posts that have the modality
        (NaN where the method does not read it), and `seconds`.
    """
    held_out = answers[answers["part"] == HELD_OUT]
    labels = held_out["label"].to_numpy()
    scorer = SentimentScores(label_names)
    found = scorer.of_logits(_logits(values_of(held_out, DECISION, label_names)), labels)
    row = {name: found[name] for name in SCORES}
    for modality, prefix in ONLY.items():
        name = f"{modality}_only"
        row[name] = float("nan")
        if columns_of(prefix, list(label_names))[0] in held_out:
            alone = values_of(held_out, prefix, label_names)
            said = ~np.isnan(alone).any(axis=1)
            right = alone[said].argmax(axis=1) == labels[said]
            row[name] = float(right.mean()) if said.any() else float("nan")
    return {**row, "seconds": figures["seconds"]}


def share_right(tables: Sequence[pd.DataFrame], label_names: Sequence[str]) -> pd.Series:
    """Tell in which share of its runs a method is right on each held-out post.

    Args:
        tables: Answers of the method's runs.
        label_names: Names of the labels by index.

    Returns:
        Share by the post's id.
    """
    parts = []
    for answers in tables:
        held_out = answers[answers["part"] == HELD_OUT]
        best = values_of(held_out, DECISION, label_names).argmax(axis=1)
        parts.append(pd.Series(best == held_out["label"].to_numpy(), index=held_out["id"]))
    return pd.concat(parts).astype(float).groupby(level=0).mean()


def spread(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return mean and standard deviation (NaN for one run) of every figure."""
    table = pd.DataFrame(rows)
    means, deviations = table.mean(), table.std(ddof=1)
    return {**means.to_dict(), **{f"{name}_std": x for name, x in deviations.items()}}


def by_method(runs: Runs) -> dict[str, Runs]:
    """Sort runs by method, in the order in which the methods are listed."""
    found = {name: [run for run in runs if run[0]["method"] == name] for name in METHODS}
    return {name: members for name, members in found.items() if members}


def method_table(runs: Runs, label_names: Sequence[str]) -> pd.DataFrame:
    """Compare the methods.

    Args:
        runs: Figures and answers of all finished runs.
        label_names: Names of the labels by index.

    Returns:
        A row a method: means and standard deviations over its runs; `difference`, its accuracy less
        ours on the posts that both scored, with `low`, `high`, `p_value` and `posts` (NaN without runs
        of ours); `trainable_parameters`.
    """
    rows, methods = [], by_method(runs)
    ours = [answers for _, answers in methods.get(OURS, [])]
    ours = share_right(ours, label_names) if ours else None
    for name, members in methods.items():
        row = {"method": name, "runs": len(members)}
        row |= spread([run_scores(*run, label_names) for run in members])
        row |= dict.fromkeys(("difference", "low", "high", "p_value"), float("nan"))
        if ours is not None and name != OURS:
            theirs = share_right([answers for _, answers in members], label_names)
            common = theirs.index.intersection(ours.index)
            if len(common):
                found = compare(theirs[common].to_numpy(), ours[common].to_numpy())
                row |= {"difference": found.mean, **found._asdict()}
        row["trainable_parameters"] = members[0][0]["trainable_parameters"]
        rows.append(row)
    return pd.DataFrame(rows).drop(columns=["mean"], errors="ignore")
