"""Scores of finished runs: each method's means, and its accuracy and macro F1 less ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.comparison import compare
from benchmarks.accuracy.methods import METHODS, OURS
from benchmarks.accuracy.records import DECISION, HELD_OUT, ONLY, columns_of
from hybridsent.evaluation.calibration import error_by_chance
from hybridsent.evaluation.metrics import SentimentScores, expected_calibration_error

SCORES = ("accuracy", "macro_f1", "weighted_f1", "nll", "ece")
COMPARED = (
    *("difference", "low", "high"),
    *("f1_difference", "f1_low", "f1_high"),
    *("p_value", "posts"),
)
Runs = list[tuple[dict[str, Any], pd.DataFrame]]  # figures and answers of each


def values_of(answers: pd.DataFrame, prefix: str, names: Sequence[str]) -> np.ndarray:
    """Return the columns of one kind of answer, (posts, names)."""
    return answers[columns_of(prefix, list(names))].to_numpy(dtype=np.float64)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities, 1e-12, 1.0))


def decision_scores(answers: pd.DataFrame, label_names: Sequence[str]) -> dict[str, float]:
    """Score the decisions of a table of answers: the values of `SCORES`.

    Args:
        answers: Of posts that have a label.
        label_names: Names of the labels by index.
    """
    logits = _logits(values_of(answers, DECISION, label_names))
    found = SentimentScores(label_names).of_logits(logits, answers["label"].to_numpy())
    return {name: found[name] for name in SCORES}


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
    row = decision_scores(held_out, label_names)
    for modality, prefix in ONLY.items():
        name = f"{modality}_only"
        row[name] = float("nan")
        if columns_of(prefix, list(label_names))[0] in held_out:
            alone = values_of(held_out, prefix, label_names)
            said = ~np.isnan(alone).any(axis=1)
            right = alone[said].argmax(axis=1) == labels[said]
            row[name] = float(right.mean()) if said.any() else float("nan")
    return {**row, "seconds": figures["seconds"]}


def pooled_calibration(
    tables: Sequence[pd.DataFrame], label_names: Sequence[str]
) -> dict[str, float]:
    """Return the expected calibration error of the held-out posts of all runs together.

    In a single fold chance dominates this error; over the posts of all folds it adds little.

    Args:
        tables: Answers of the method's runs.
        label_names: Names of the labels by index.

    Returns:
        `ece_pooled`, and `ece_by_chance`, were every probability right.
    """
    held_out = pd.concat([answers[answers["part"] == HELD_OUT] for answers in tables])
    probabilities = values_of(held_out, DECISION, label_names)
    return {
        "ece_pooled": expected_calibration_error(probabilities, held_out["label"].to_numpy()),
        "ece_by_chance": error_by_chance(_logits(probabilities), seed=0),
    }


def counts_by_post(tables: Sequence[pd.DataFrame], label_names: Sequence[str]) -> pd.DataFrame:
    """Count the decisions of a method's runs for each held-out post.

    Args:
        tables: Answers of the method's runs.
        label_names: Names of the labels by index.

    Returns:
        By the post's id the share of its runs that give a label rightly, that say it, and whether it is
        the true one: 3 * labels columns.
    """
    parts, one_hot = [], np.eye(len(label_names))
    for answers in tables:
        held_out = answers[answers["part"] == HELD_OUT]
        said = one_hot[values_of(held_out, DECISION, label_names).argmax(axis=1)]
        true = one_hot[held_out["label"]]
        counts = np.concatenate([said * true, said, true], axis=1)
        parts.append(pd.DataFrame(counts, index=held_out["id"]))
    return pd.concat(parts).groupby(level=0).mean()


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
        A row a method: means and standard deviations over its runs; what `pooled_calibration` gives of
        all of them; `difference`, its accuracy less ours on the posts that both scored in runs of the
        same numbers (more runs would have an unfair mean), with `low` and `high`; the same
        of macro F1, of all these posts together (`f1_difference`, ...); `p_value`, `posts` (all NaN
        without such runs of ours); `trainable_parameters`.
    """
    rows, methods = [], by_method(runs)
    ours = {figures["run"]: answers for figures, answers in methods.get(OURS, [])}
    for name, members in methods.items():
        row = {"method": name, "runs": len(members)}
        row |= spread([run_scores(*run, label_names) for run in members])
        tables = [answers for _, answers in members]
        row |= pooled_calibration(tables, label_names)
        row |= dict.fromkeys(COMPARED, float("nan"))
        both = [(x, ours[figures["run"]]) for figures, x in members if figures["run"] in ours]
        if both and name != OURS:
            counts, our_counts = (counts_by_post(x, label_names) for x in zip(*both, strict=True))
            common = counts.index.intersection(our_counts.index)
            if len(common):
                row |= difference_to_ours(counts.loc[common], our_counts.loc[common])
        row["trainable_parameters"] = members[0][0]["trainable_parameters"]
        rows.append(row)
    return pd.DataFrame(rows)


def difference_to_ours(counts: pd.DataFrame, our_counts: pd.DataFrame) -> dict[str, float]:
    """Compare what `counts_by_post` returns for the same posts: the values of `COMPARED`."""
    found = compare(*(x.to_numpy().reshape(len(x), 3, -1) for x in (counts, our_counts)))
    values = (*found.accuracy, *found.macro_f1, found.p_value, found.posts)
    return dict(zip(COMPARED, values, strict=True))
