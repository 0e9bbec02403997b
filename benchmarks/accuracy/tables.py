"""Tables of a comparison, made of the files of its finished runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy import PROTOCOL
from benchmarks.accuracy.methods.listing import METHODS
from benchmarks.accuracy.protocol.layout import LAYOUT, Layout, read_layout
from benchmarks.accuracy.records import DECISION, Results, columns_of, write_table
from benchmarks.accuracy.statistics.method_scores import (
    Runs,
    by_method,
    difference_table,
    held_out_answers,
    method_table,
    pairs_with_controls,
    pairs_with_ours,
)
from benchmarks.accuracy.statistics.rule_scores import weight_table
from benchmarks.accuracy.statistics.sums import COMPARED
from hybridsent.support.folders import write_whole

ANSWERS = "answers.parquet"
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


def format_score(name: str, value: float, signed: bool = False) -> str:
    """Format a score or a difference, in percent but for the likelihood; a dash for NaN."""
    if np.isnan(value):
        return "-"
    factor, digits = (100, 1) if name in PERCENT else (1, 3 if name == "nll" else 0)
    return f"{factor * value:{'+' if signed else ''}.{digits}f}"


def _cell(row: Mapping[str, Any], name: str) -> str:
    """Format mean ± standard deviation."""
    cell = format_score(name, row[name])
    deviation = format_score(name, row[f"{name}_std"])
    return cell if "-" in (cell, deviation) else f"{cell} ± {deviation}"


def format_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown, numbers on the right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def format_ends(name: str, low: float, high: float, signed: bool = False) -> str:
    """Format the ends of an interval; a dash for NaN, as of folds of which there is one."""
    if np.isnan(low):
        return "-"
    return f"[{format_score(name, low, signed)}, {format_score(name, high, signed)}]"


def _ends(row: Mapping[str, Any], name: str, kind: str) -> str:
    return format_ends(name, row[f"{name}_{kind}low"], row[f"{name}_{kind}high"], signed=True)


def _difference(row: Mapping[str, Any], name: str) -> list[str]:
    """Format a difference with its two intervals and its adjusted p."""
    if np.isnan(row[f"{name}_difference"]):
        return ["-", "-", "-"]
    mean = format_score(name, row[f"{name}_difference"], signed=True)
    return [
        f"{mean} {_ends(row, name, '')}",
        _ends(row, name, "fold_"),
        f"{row[f'{name}_holm']:.3f}",
    ]


def _heads_of_differences() -> list[str]:
    kinds = ("difference, groups", "folds", "p (Holm)")
    return [f"{TITLES[name]} {kind}" for name in COMPARED for kind in kinds]


def methods_as_markdown(methods: pd.DataFrame) -> str:
    """Format the result of `method_table`; scores in percent but NLL."""
    shown = ["accuracy", "macro_f1", "weighted_f1", "nll"]
    alone = ["text_only", "image_only", "seconds"]
    head = ["method", "runs", *(TITLES[x] for x in shown), "ECE, all posts (by chance)"]
    head += [*(TITLES[x] for x in alone), "trained parameters"]
    rows = [
        [
            METHODS[row["method"]].title,
            str(row["runs"]),
            *(_cell(row, x) for x in shown),
            f"{100 * row['ece_pooled']:.1f} ({100 * row['ece_by_chance']:.1f})",
            *(_cell(row, x) for x in alone),
            f"{row['trainable_parameters']:,}",
        ]
        for row in methods.to_dict("records")
    ]
    return format_lines(head, rows)


def differences_as_markdown(differences: pd.DataFrame) -> str:
    """Format the result of `difference_table`."""
    rows = [
        [
            METHODS[row["method"]].title,
            METHODS[row["less"]].title,
            str(row["common_runs"]),
            *(cell for name in COMPARED for cell in _difference(row, name)),
        ]
        for row in differences.to_dict("records")
    ]
    return format_lines(["method", "less", "runs", *_heads_of_differences()], rows)


def rules_as_markdown(rules: pd.DataFrame) -> str:
    """Format the result of `weight_table`; scores in percent but NLL."""
    shown = ["accuracy", "macro_f1", "nll", "ece"]
    rows = [
        [
            row["rule"],
            str(row["runs"]),
            *(_cell(row, x) for x in shown),
            *(cell for name in COMPARED for cell in _difference(row, name)),
        ]
        for row in rules.to_dict("records")
    ]
    head = ["decision by", "runs", *(TITLES[x] for x in shown), *_heads_of_differences()]
    return format_lines(head, rows)


def answers_of(runs: Runs, layout: Layout) -> pd.DataFrame:
    """Join the probabilities of all methods, a row a method, run and post: ids and no texts."""
    held_out = pd.concat([held_out_answers(members) for members in by_method(runs).values()])
    columns = ["method", "run", "id", "label", *columns_of(DECISION, layout.label_names)]
    table = held_out[columns].assign(
        label=[layout.label_names[label] for label in held_out["label"]]
    )
    table.insert(0, "protocol", PROTOCOL)
    return table.reset_index(drop=True)


def write_tables(results: Results) -> str:
    """Write accuracy.md, a Parquet file for each of its tables, and one of all answers.

    Args:
        results: The folder of the comparison.

    Returns:
        The Markdown.

    Raises:
        FileNotFoundError: The folder has no settings.
        ValueError: No run is finished.
    """
    results.label_names()  # refuses a folder that is no comparison
    layout, runs = read_layout(results.folder / LAYOUT), results.finished()
    if not runs:
        raise ValueError(f"{results.folder} has no finished run to make tables of.")
    tables = {
        "accuracy": (methods_as_markdown, method_table(runs, layout)),
        "less_ours": (differences_as_markdown, difference_table(runs, layout, pairs_with_ours())),
        "less_control": (
            differences_as_markdown,
            difference_table(runs, layout, pairs_with_controls()),
        ),
        "decision_weights": (rules_as_markdown, weight_table(runs, layout)),
    }
    parts = []
    for name, (as_markdown, table) in tables.items():
        if len(table):
            write_table(table, results.folder / f"{name}.parquet")
            parts.append(as_markdown(table))
    write_table(answers_of(runs, layout), results.folder / ANSWERS)
    text = "\n\n".join(parts) + "\n"
    write_whole(text, results.folder / "accuracy.md")
    return text
