"""What a cell of labels says, by problem type: one name, several names, or a score."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

SINGLE, SEVERAL, SCORE = PROBLEM_TYPES = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)
SCORE_NAME = "score"  # the one label of a regression
SEPARATOR = "|"


def without_fraction(name: str) -> str:
    """Return a whole number without ".0", as pandas writes it where the column has gaps."""
    return re.sub(r"\A(-?\d+)\.0+\Z", r"\1", name)


def names_in(cell: str) -> list[str]:
    """Return the names in a cell: a JSON list, or names with "|" between them.

    Raises:
        ValueError: It begins like a JSON list, but is none.
    """
    if not is_list(cell):
        return [without_fraction(x.strip()) for x in cell.split(SEPARATOR) if x.strip()]
    found = json.loads(cell)
    if any(isinstance(name, (list, dict)) or name is None for name in found):
        raise ValueError("a list within the list of labels")
    return [without_fraction(str(name).strip()) for name in found]


def is_list(cell: str) -> bool:
    """Check whether a cell begins like a JSON list."""
    return cell.startswith("[")


def score_in(cell: str) -> float | None:
    """Return the number in a cell; None if it is none, or not finite."""
    try:
        score = float(cell)
    except ValueError:
        return None
    return score if math.isfinite(score) else None


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
