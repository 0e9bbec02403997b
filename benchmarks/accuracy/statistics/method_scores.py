"""Scores of finished runs: each method's means, and what it has less ours and less its control."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from benchmarks.accuracy.methods.listing import METHODS, OURS
from benchmarks.accuracy.protocol.layout import Layout
from benchmarks.accuracy.records import DECISION, HELD_OUT, ONLY, columns_of
from benchmarks.accuracy.statistics.comparison import compare
from benchmarks.accuracy.statistics.inference import holm
from benchmarks.accuracy.statistics.sums import COMPARED, LEAST, values_of
from hybridsent.evaluation.calibration import error_by_chance
from hybridsent.evaluation.metrics import SentimentScores, expected_calibration_error

Runs = list[tuple[dict[str, Any], pd.DataFrame]]  # figures and answers of each
REPORTED = ("accuracy", "macro_f1", "weighted_f1", "nll", "ece")


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """Return the logarithms of probabilities, none below that of `LEAST`."""
    return np.log(np.clip(probabilities, LEAST, 1.0))


def decision_scores(answers: pd.DataFrame, label_names: Sequence[str]) -> dict[str, float]:
    """Score the decisions of a table of answers: the values of `REPORTED`.

    Args:
        answers: Of posts that have a label.
        label_names: Names of the labels by index.
    """
    logits = logits_of(values_of(answers, DECISION, label_names))
    found = SentimentScores(label_names).of_logits(logits, answers["label"].to_numpy())
    return {name: found[name] for name in REPORTED}


def run_scores(
    figures: Mapping[str, Any], answers: pd.DataFrame, label_names: Sequence[str]
) -> dict[str, float]:
    """Score the held-out posts of one run.

    Args:
        figures: Of the run.
        answers: Of the run.
        label_names: Names of the labels by index.

    Returns:
        `REPORTED`, `text_only` and `image_only`, the accuracies over the posts that have the modality
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


def pooled_calibration(held_out: pd.DataFrame, label_names: Sequence[str]) -> dict[str, float]:
    """Return the expected calibration error of the held-out posts of all runs together.

    In a single fold chance dominates this error; over the posts of all folds it adds little.

    Args:
        held_out: Answers of a method.
        label_names: Names of the labels by index.

    Returns:
        `ece_pooled`, and `ece_by_chance`, were every probability right.
    """
    probabilities = softmax(logits_of(values_of(held_out, DECISION, label_names)), axis=1)
    return {
        "ece_pooled": expected_calibration_error(probabilities, held_out["label"].to_numpy()),
        "ece_by_chance": error_by_chance(logits_of(probabilities), seed=0),
    }


def spread(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return mean and standard deviation (NaN for one run) of every figure."""
    table = pd.DataFrame(rows)
    means, deviations = table.mean(), table.std(ddof=1)
    return {**means.to_dict(), **{f"{name}_std": x for name, x in deviations.items()}}


def by_method(runs: Runs) -> dict[str, Runs]:
    """Sort runs by method, in the order in which the methods are listed."""
    found = {name: [run for run in runs if run[0]["method"] == name] for name in METHODS}
    return {name: members for name, members in found.items() if members}


def held_out_answers(runs: Runs) -> pd.DataFrame:
    """Join the answers of runs for their held-out posts."""
    return pd.concat([answers[answers["part"] == HELD_OUT] for _, answers in runs])


def method_table(runs: Runs, layout: Layout) -> pd.DataFrame:
    """Score the methods.

    Args:
        runs: Figures and answers of all finished runs.
        layout: The posts and runs.

    Returns:
        A row a method: means and standard deviations over its runs, what `pooled_calibration` gives of
        all of them, and `trainable_parameters`.
    """
    rows, names = [], layout.label_names
    for name, members in by_method(runs).items():
        row = {"method": name, "runs": len(members)}
        row |= spread([run_scores(*run, names) for run in members])
        row |= pooled_calibration(held_out_answers(members), names)
        row["trainable_parameters"] = members[0][0]["trainable_parameters"]
        rows.append(row)
    return pd.DataFrame(rows)


def difference_table(runs: Runs, layout: Layout, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Compare pairs of methods.

    Args:
        runs: Figures and answers of all finished runs.
        layout: The posts and runs.
        pairs: Names of a method and of what it is compared with; pairs without a common run are left
            out.

    Returns:
        A row a pair: `method`, `less`, what `compare` gives, and for each score NAME `NAME_holm`, its p
        adjusted for the number of all p of the table.
    """
    answers = {name: held_out_answers(members) for name, members in by_method(runs).items()}
    rows = [
        {"method": one, "less": other, **compare(answers[one], answers[other], layout)}
        for one, other in pairs
        if one in answers and other in answers
    ]
    return with_holm(pd.DataFrame([row for row in rows if row["common_runs"]]))


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Add to the p-values of a table those adjusted for the number of all of them."""
    if table.empty:
        return table
    columns = [f"{name}_p" for name in COMPARED]
    adjusted = holm(table[columns].to_numpy().ravel()).reshape(len(table), -1)
    return table.assign(**{f"{name}_holm": adjusted[:, i] for i, name in enumerate(COMPARED)})


def pairs_with_ours() -> list[tuple[str, str]]:
    """Return each other method and ours."""
    return [(name, OURS) for name in METHODS if name != OURS]


def pairs_with_controls() -> list[tuple[str, str]]:
    """Return each method whose control is not ours, and that control."""
    return [
        (name, method.control)
        for name, method in METHODS.items()
        if method.control not in (OURS, name)
    ]
