"""Tables of a comparison, made of the files of its finished runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.method_scores import method_table
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.records import Results
from benchmarks.accuracy.rule_scores import weight_table
from hybridsent.support.folders import write_whole

PERCENT = {"accuracy", "macro_f1", "weighted_f1", "ece", "text_only", "image_only"}
TITLES = {
    "accuracy": "acc",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "nll": "NLL",
    "ece": "ECE",
    "text_only": "acc, text only",
    "image_only": "acc, image only",
    "seconds": "seconds",
}


def _cell(row: Mapping[str, Any], name: str) -> str:
    """Print mean ± standard deviation, scores in percent but for the likelihood."""
    factor, digits = (100, 1) if name in PERCENT else (1, 3 if name == "nll" else 0)
    mean, deviation = factor * row[name], factor * row[f"{name}_std"]
    if np.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" + ("" if np.isnan(deviation) else f" ± {deviation:.{digits}f}")


def _difference(values: Sequence[float], digits: int) -> str:
    """Print a difference with the ends of its interval, or a dash for NaN."""
    if np.isnan(values[0]):
        return "-"
    mean, low, high = (f"{value:+.{digits}f}" for value in values)
    return f"{mean} [{low}, {high}]"


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _difference_to_ours(row: Mapping[str, Any]) -> list[str]:
    """Print what a row of either table has of accuracy and of macro F1 less ours, in percent."""
    scores = (("difference", "low", "high"), ("f1_difference", "f1_low", "f1_high"))
    return [_difference([100 * row[name] for name in names], 1) for names in scores]


def methods_as_markdown(methods: pd.DataFrame) -> str:
    """Print the result of `method_table`; scores in percent but NLL."""
    shown = ["accuracy", "macro_f1", "weighted_f1", "nll", "ece"]
    alone = ["text_only", "image_only", "seconds"]
    head = ["method", "runs", *(TITLES[x] for x in shown), "ECE, all posts (by chance)"]
    head += ["acc less ours, 95 %", "F1 less ours, 95 %", "p"]
    head += [*(TITLES[x] for x in alone), "trained parameters"]
    rows = [
        [
            METHODS[row["method"]].title,
            str(row["runs"]),
            *(_cell(row, x) for x in shown),
            f"{100 * row['ece_pooled']:.1f} ({100 * row['ece_by_chance']:.1f})",
            *_difference_to_ours(row),
            "-" if np.isnan(row["p_value"]) else f"{row['p_value']:.3f}",
            *(_cell(row, x) for x in alone),
            f"{row['trainable_parameters']:,}",
        ]
        for row in methods.to_dict("records")
    ]
    return _lines(head, rows)


def rules_as_markdown(rules: pd.DataFrame) -> str:
    """Print the result of `weight_table`; scores in percent but NLL."""
    shown = ["accuracy", "macro_f1", "nll", "ece"]
    head = ["decision by", "runs", *(TITLES[x] for x in shown)]
    head += ["acc less ours, 95 %", "F1 less ours, 95 %", "NLL less ours, 95 %"]
    rows = [
        [
            row["rule"],
            str(row["runs"]),
            *(_cell(row, x) for x in shown),
            *_difference_to_ours(row),
            _difference([row[x] for x in ("nll_difference", "nll_low", "nll_high")], 3),
        ]
        for row in rules.to_dict("records")
    ]
    return _lines(head, rows)


def write_tables(results: Results) -> str:
    """Write accuracy.md, accuracy.parquet and decision_weights.parquet.

    Args:
        results: The folder of the comparison.

    Returns:
        The Markdown.

    Raises:
        FileNotFoundError: The folder has no settings.
        ValueError: No run is finished.
    """
    names, runs = results.label_names(), results.finished()
    if not runs:
        raise ValueError(f"{results.folder} has no finished run to make tables of.")
    methods, rules = method_table(runs, names), weight_table(runs, names)
    methods.to_parquet(results.folder / "accuracy.parquet", index=False)
    if len(rules):
        rules.to_parquet(results.folder / "decision_weights.parquet", index=False)
    parts = [methods_as_markdown(methods), *([rules_as_markdown(rules)] if len(rules) else [])]
    text = "\n\n".join(parts) + "\n"
    write_whole(text, results.folder / "accuracy.md")
    return text
