"""Judge a file of per-post probabilities, such as a stranger's, by the protocol."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.accuracy import PROTOCOL
from benchmarks.accuracy.methods.listing import OURS
from benchmarks.accuracy.protocol.layout import Layout, read_layout
from benchmarks.accuracy.records import DECISION, columns_of
from benchmarks.accuracy.statistics.comparison import compare, scores_with_intervals
from benchmarks.accuracy.statistics.method_scores import with_holm
from benchmarks.accuracy.statistics.sums import COMPARED, SCORES
from benchmarks.accuracy.tables import TITLES, format_ends, format_lines, format_score

DOCS = Path(__file__).parents[2] / "docs"
KEYS = ("protocol", "method", "run", "id", "label")
TOLERANCE = 1e-3  # of the sum of a post's probabilities


def read_answers(file: Path, layout: Layout, runs: Sequence[int] | None = None) -> pd.DataFrame:
    """Read a file of answers and check it.

    Args:
        file: Parquet, a row a method, run and post.
        layout: The posts and runs.
        runs: Judge these runs alone; None for all of the layout.

    Returns:
        The answers of these runs, labels as indices.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is not complete and right; the message names the first fault.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. Name a Parquet file of answers.")
    try:
        answers = pd.read_parquet(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a Parquet file ({error}).") from error
    wanted = [*KEYS, *columns_of(DECISION, layout.label_names)]
    if absent := [name for name in wanted if name not in answers]:
        raise ValueError(f"{file} has no column {absent[0]!r}; it needs {', '.join(wanted)}.")
    answers = answers[wanted]
    _require(file, answers["protocol"] == PROTOCOL, answers, f"is not of protocol {PROTOCOL}")
    _require(file, answers["run"].isin(list(layout.runs)), answers, "is of no run of the folds")
    chosen = list(layout.runs) if runs is None else list(runs)
    answers = answers[answers["run"].isin(chosen)]
    _check_posts(file, answers, layout)
    _check_completeness(file, answers, layout, chosen)
    _check_probabilities(file, answers, layout)
    indices = {name: i for i, name in enumerate(layout.label_names)}
    return answers.assign(label=answers["label"].map(indices).astype(int))


def _require(file: Path, fine: pd.Series, answers: pd.DataFrame, fault: str) -> None:
    """Raise a ValueError that names the first row that is not fine."""
    if not fine.all():
        row = answers[~fine].iloc[0]
        which = f"method {row['method']!r}, run {row['run']}, post {row['id']!r}"
        raise ValueError(f"{file}: {which} {fault}. {(~fine).sum()} rows have this fault.")


def _check_posts(file: Path, answers: pd.DataFrame, layout: Layout) -> None:
    """Check ids and labels of each row, and that no row comes twice."""
    _require(file, answers["id"].isin(layout.labels.keys()), answers, "is not a post of the folds")
    twice = answers.duplicated(["method", "run", "id"])
    _require(file, ~twice, answers, "is answered twice")
    held_out = {(run, post) for run, part in layout.runs.items() for post in part.held_out}
    pairs = zip(answers["run"], answers["id"], strict=True)
    inside = pd.Series([pair in held_out for pair in pairs], index=answers.index, dtype=bool)
    _require(file, inside, answers, "is not held out in this run")
    true = answers["id"].map({x: layout.label_names[i] for x, i in layout.labels.items()})
    _require(file, answers["label"] == true, answers, "has another label in the folds")


def _check_completeness(
    file: Path, answers: pd.DataFrame, layout: Layout, runs: Sequence[int]
) -> None:
    """Check that each method answers for all held-out posts of all runs."""
    if answers.empty:
        raise ValueError(f"{file} has no answers for runs {', '.join(map(str, runs))}.")
    for method, rows in answers.groupby("method", sort=False):
        for run in runs:
            there = set(rows.loc[rows["run"] == run, "id"])
            if absent := [post for post in layout.runs[run].held_out if post not in there]:
                raise ValueError(
                    f"{file}: method {method!r} lacks {len(absent)} posts of run {run}, first "
                    f"{absent[0]!r}. Answer for all of them, or name the whole runs with --runs."
                )


def _check_probabilities(file: Path, answers: pd.DataFrame, layout: Layout) -> None:
    """Check that the probabilities of each post are such and sum to 1."""
    columns = answers[columns_of(DECISION, layout.label_names)]
    if kinds := [x for x in columns if not pd.api.types.is_numeric_dtype(columns[x])]:
        raise ValueError(f"{file}: column {kinds[0]!r} is not of numbers.")
    values = columns.to_numpy(dtype=np.float64)
    inside = (np.isfinite(values) & (values >= 0) & (values <= 1)).all(axis=1)
    within = pd.Series(inside, index=answers.index)
    _require(file, within, answers, "has a probability that is not between 0 and 1")
    sums = pd.Series(np.abs(values.sum(axis=1) - 1) <= TOLERANCE, index=answers.index)
    _require(file, sums, answers, "has probabilities that do not sum to 1")


def scores_as_markdown(answers: pd.DataFrame, layout: Layout) -> str:
    """Format the scores of each method of a file, with intervals over groups and over folds."""
    rows = []
    for method, own in answers.groupby("method", sort=False):
        found = scores_with_intervals(own, layout)
        cells = [str(method), str(own["run"].nunique())]
        for name in SCORES:
            groups = found[name]["groups"]
            cells.append(f"{format_score(name, groups.mean)} {format_ends(name, *groups[1:])}")
            if name in COMPARED:
                cells.append(format_ends(name, *found[name]["folds"][1:]))
        rows.append(cells)
    head = ["method", "runs"]
    for name in SCORES:
        head += [f"{TITLES[name]}, groups", *(["folds"] if name in COMPARED else [])]
    return format_lines(head, rows)


def less_ours_as_markdown(answers: pd.DataFrame, ours: pd.DataFrame, layout: Layout) -> str:
    """Format what each method of a file has less ours, with p adjusted for all of the table."""
    others = [(m, own) for m, own in answers.groupby("method", sort=False) if m != OURS]
    table = with_holm(pd.DataFrame([{"m": m, **compare(own, ours, layout)} for m, own in others]))
    rows = [_cells_of_difference(row) for row in table.to_dict("records")]
    kinds = ("difference, groups", "folds", "p (Holm)")
    head = ["less ours", "runs", *(f"{TITLES[x]} {kind}" for x in COMPARED for kind in kinds)]
    return format_lines(head, rows)


def _cells_of_difference(row: dict[str, Any]) -> list[str]:
    cells = [str(row["m"]), str(row["common_runs"])]
    for name in COMPARED:
        for kind in ("", "fold_"):
            values = [row[f"{name}_{kind}{end}"] for end in ("difference", "low", "high")]
            mean = format_score(name, values[0], signed=True)
            cells.append(f"{mean} {format_ends(name, *values[1:], signed=True)}")
        cells.append(f"{row[f'{name}_holm']:.3f}")
    return cells


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `score`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy score",
        description=__doc__.splitlines()[0],
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, help="Parquet: protocol, method, run, id, label, p_...")
    parser.add_argument(
        "--folds_file",
        type=Path,
        default=DOCS / "accuracy_folds.json",
        help="posts and runs, as a comparison writes them to folds.json (%(default)s)",
    )
    parser.add_argument(
        "--ours",
        type=Path,
        default=DOCS / "accuracy_answers.parquet",
        help="answers of hybridsent, unless FILE has them (%(default)s, where it exists)",
    )
    parser.add_argument("--runs", type=int, nargs="+", help="judge these runs alone")
    return parser


def score(argv: Sequence[str]) -> None:
    """Run `score` and print its tables."""
    given = build_parser().parse_args(argv)
    layout = read_layout(given.folds_file)
    if absent := [run for run in given.runs or () if run not in layout.runs]:
        raise ValueError(f"--runs {absent[0]}: {given.folds_file} has no such run.")
    answers = read_answers(given.file, layout, given.runs)
    print(scores_as_markdown(answers, layout))
    ours = answers[answers["method"] == OURS]
    if ours.empty and given.ours.exists():
        ours = _answers_of_ours(given.ours, layout, given.runs)
    if len(ours) and set(answers["method"]) != {OURS}:
        print(f"\n{less_ours_as_markdown(answers, ours, layout)}")


def _answers_of_ours(file: Path, layout: Layout, runs: Sequence[int] | None) -> pd.DataFrame:
    answers = read_answers(file, layout, runs)
    return answers[answers["method"] == OURS]
