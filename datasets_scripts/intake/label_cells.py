"""What a cell of labels says, by problem type: one name, several names, or a score."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence, Set

SINGLE, SEVERAL, SCORE = PROBLEM_TYPES = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)
SCORE_NAME = "score"  # the one label of a regression
SEPARATOR = "|"
GREATEST = 3.4e38  # what float32, in which a model computes, can hold


def without_fraction(name: str) -> str:
    """Return a whole number without ".0", as pandas writes it where the column has gaps."""
    return re.sub(r"\A(-?\d+)\.0+\Z", r"\1", name)


def names_in(cell: str) -> list[str]:
    """Return the names in a cell: a JSON list, or names with "|" between them.

    Raises:
        ValueError: It begins like a JSON list or object, but is no list of names.
    """
    if cell.startswith("{"):
        raise ValueError("labels must be names, got an object")
    if not is_list(cell):
        return [without_fraction(x.strip()) for x in cell.split(SEPARATOR) if x.strip()]
    found = json.loads(cell)
    if any(type(name) not in (str, int) or not str(name).strip() for name in found):
        raise ValueError("a list of labels must hold names alone")
    return [without_fraction(str(name).strip()) for name in found]


def is_list(cell: str) -> bool:
    """Check whether a cell begins like a JSON list."""
    return cell.startswith("[")


def score_in(cell: str) -> float | None:
    """Return the number in a cell; None if it is none, or not finite in float32."""
    try:
        score = float(cell)
    except ValueError:
        return None
    return score if abs(score) <= GREATEST else None  # not of NaN


def labels_in(
    cell: str, problem_type: str, index_of: Callable[[str], int | None]
) -> list[int] | float | int | None:
    """Return what a cell says; None if it is no label.

    Args:
        cell: Not empty.
        problem_type: One of `PROBLEM_TYPES`.
        index_of: Returns the index of a name; None if there is no such label.

    Returns:
        The index of a label; with several labels a post, those of all, each once; or the score.
    """
    if problem_type == SCORE:
        return score_in(cell)
    if problem_type == SINGLE:
        return index_of(cell)
    try:
        found = {index_of(name) for name in names_in(cell)}
    except (ValueError, RecursionError):
        return None
    return None if None in found else sorted(found)  # type: ignore[arg-type]


def wanted_of(cell: str, problem_type: str, names: Sequence[str]) -> str:
    """Return what a cell that is no label should be, for an error."""
    if problem_type == SCORE:
        return f"a number of at most {GREATEST}"
    if problem_type == SEVERAL:
        try:
            names_in(cell)
        except (ValueError, RecursionError):
            return 'names with "|" between them or a JSON list of names, such as ["joy", "fear"]'
    return f"a label of train: {', '.join(names)}"


def misread_labels(cells: Set[str], problem_type: str) -> tuple[str, list[str], str] | None:
    """Return what speaks against a problem type: the problem, its cells, and what to do; or None.

    Args:
        cells: All cells of labels, none empty.
        problem_type: The one they are to be read with.
    """
    lists = sorted(filter(is_list, cells))
    numbers = sorted(cell for cell in cells if score_in(cell) is not None)
    if problem_type == SINGLE:
        joint = [x for x in cells if SEPARATOR in x and cells >= {*x.split(SEPARATOR)}]
        if lists or joint:
            remedy = f"Read them as several labels a post: {_type_option(SEVERAL)}."
            return "labels are lists", lists or joint, remedy
        if len(numbers) == len(cells) and any(float(x) % 1 for x in numbers):
            remedy = (
                f"Read them as a score: {_type_option(SCORE)}. If they are names, give label_names."
            )
            return "labels are numbers with fractions", numbers, remedy
    if problem_type == SEVERAL and lists:
        remedy = 'Give the names of the labels that a post has, such as ["joy", "fear"].'
        if len(lists) == len(cells) and all(set(x) <= set("[01, ]") for x in lists):
            twice = [x for x in lists if x.count("0") > 1 or x.count("1") > 1]
            return ("labels are lists of 0 and 1", twice, remedy) if twice else None
        if numbers and not any(char.isdecimal() for x in lists for char in x):
            return "labels are lists in some rows, numbers in others", numbers, remedy
    return None


def _type_option(problem_type: str) -> str:
    option = json.dumps({"problem_type": problem_type})
    return f"--dataset_options '{option}' (hybridsent prepare: --problem_type {problem_type})"
