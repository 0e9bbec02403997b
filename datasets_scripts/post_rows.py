"""From rows of a user's own files to posts, or to the reasons why not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from datasets_scripts.post import Post, Rejected
from datasets_scripts.rows import Cells, Rows
from datasets_scripts.table import UNIMODAL_LABELS
from datasets_scripts.texts import text_or_none

LABELS = ("label", *UNIMODAL_LABELS)


def picture_problem(image: str, folder: Path) -> str | None:
    """Say why a picture may not or cannot be read from a folder.

    A row is data from anywhere: it may neither have a URL fetched nor reach a file elsewhere on
    this machine, be it by "..", an absolute path or a link.

    Args:
        image: Path relative to the folder.
        folder: The folder, with links resolved.

    Returns:
        What is wrong, or None.
    """
    if "://" in image:
        return f"image is a URL, and pictures are read from the folder only: {image!r}"
    outside = os.path.isabs(image) or "\0" in image
    if outside or not Path(os.path.realpath(folder / image)).is_relative_to(folder):
        return f"image leaves the folder: {image!r}"
    return None if os.path.isfile(folder / image) else f"image does not exist: {image!r}"


def string_cell(cells: Cells, column: str) -> str:
    """Return a cell without white space around it; empty if it is absent or no string."""
    cell = cells.get(column, "")
    return cell.strip() if isinstance(cell, str) else ""


def is_index(label: str) -> bool:
    """Say whether a label is a number that can be an index; Python reads no number of 5,000 digits."""
    return label.isdecimal() and len(label) < 10


class PostReader:
    """Turn rows into posts, over all files of a set.

    Args:
        names: Names of the labels.
        labels_may_be_indices: Whether the order of the names is known to be that of the indices.
    """

    def __init__(self, names: Sequence[str], labels_may_be_indices: bool) -> None:
        self.names = names
        self.labels_may_be_indices = labels_may_be_indices
        self.seen: dict[str, str] = {}
        self.rejected: list[Rejected] = []

    def read(self, prefix: str, file: Path, rows: Rows) -> list[Post]:
        """Return the posts of one file; rows that cannot be used join `rejected`."""
        self.rejected += rows.rejected
        posts = []
        for where, cells in rows.cells:
            number = where.rpartition(" ")[2]
            post_id = string_cell(cells, "id") if "id" in cells else f"{prefix}-{number}"
            problems = self._problems(post_id, cells, Path(os.path.realpath(file.parent)))
            self.seen.setdefault(post_id, where)
            if problems:
                detail = "; ".join(detail for _, detail in problems)
                self.rejected.append(Rejected(post_id or None, where, problems[0][0], detail))
            else:
                posts.append(self._post(post_id, where, cells, file.parent))
        return posts

    def _problems(self, post_id: str, cells: Cells, folder: Path) -> list[tuple[str, str]]:
        """Return what is wrong with a row: kinds, and what it is in this row."""
        problems = []
        if not post_id:
            problems.append(("id is empty",) * 2)
        elif post_id in self.seen:
            detail = f"id {post_id!r} stands in {self.seen[post_id]} already"
            problems.append(("id stands in the set twice", detail))
        for column in LABELS:
            label = string_cell(cells, column)
            if label and self._label(label) is None:
                detail = f"{column} {label!r} is not a label of train: {', '.join(self.names)}"
                problems.append((f"{column} is unknown", detail))
        if not string_cell(cells, "label"):
            problems.append(("label is empty",) * 2)
        if not isinstance(cells.get("text", ""), str):
            problems.append(("text is not a string",) * 2)
        image = cells.get("image", "")
        if not string_cell(cells, "text") and not (
            image.strip() if isinstance(image, str) else image
        ):
            problems.append(("neither text nor image",) * 2)
        path = image if isinstance(image, str) and image.strip() else None
        if path and (problem := picture_problem(path, folder)):
            problems.append(("picture cannot be found", problem))
        return problems

    def _label(self, label: str) -> str | None:
        """Return the name of a label given by name or index, None if it is neither."""
        if label in self.names:
            return label
        if self.labels_may_be_indices and is_index(label) and int(label) < len(self.names):
            return self.names[int(label)]
        return None

    def _post(self, post_id: str, where: str, cells: Cells, folder: Path) -> Post:
        image = cells.get("image") or None
        if isinstance(image, str):
            image = str(folder / image) if image.strip() else None
        label, *own = (self._label(string_cell(cells, column)) for column in LABELS)
        text = text_or_none(str(cells.get("text", "")))
        return Post(post_id, where, text, image, label, text_label=own[0], image_label=own[1])
