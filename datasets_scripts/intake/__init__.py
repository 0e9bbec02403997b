"""The one intake: each row of a CSV, JSON Lines or Parquet file is a row or a problem.

The folder works as a copy elsewhere: it needs pyarrow and `modeling_hybridsent.inputs_hybridsent`.
"""

from __future__ import annotations

import os
from pathlib import Path

from .label_cells import (
    PROBLEM_TYPES,
    SCORE,
    SCORE_NAME,
    SEVERAL,
    SINGLE,
    is_list,
    labels_in,
    misread_labels,
    names_in,
    score_in,
    wanted_of,
    without_fraction,
)
from .rows import (
    BROKEN_QUOTE,
    EMPTY,
    FIELDS,
    LABELS,
    NOT_READ,
    Row,
    Source,
    Table,
    TableError,
    as_row,
    chosen,
    misread,
    read_rows,
)

__all__ = [
    "BROKEN_QUOTE",
    "EMPTY",
    "ENDINGS",
    "FIELDS",
    "LABELS",
    "NOT_READ",
    "PROBLEM_TYPES",
    "SCORE",
    "SCORE_NAME",
    "SEVERAL",
    "SINGLE",
    "Row",
    "TableError",
    "as_row",
    "chosen",
    "ending_of",
    "find_image",
    "is_hidden",
    "is_list",
    "labels_in",
    "misread",
    "misread_labels",
    "names_in",
    "open_table",
    "read_rows",
    "score_in",
    "wanted_of",
    "without_fraction",
]

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


def is_hidden(name: str | Path) -> bool:
    """Check whether a path has a part that systems put there unasked: ._posts.csv, __MACOSX."""
    parts = Path(name).parts
    return any(x == "__MACOSX" or (x.startswith(".") and x.strip(".") != "") for x in parts)


def ending_of(name: str | Path) -> str:
    """Return the ending of a file's name in small letters, such as ".csv"."""
    return os.path.splitext(name)[1].lower()


def find_image(name: str, folder: str | Path, follow_links: bool) -> str:
    """Find an image by the path that a row names; URLs are never fetched.

    Args:
        name: The path, relative to the folder or absolute.
        folder: The folder that it may not leave.
        follow_links: Whether links in the folder may lead out of it: those that the owner of a
            local folder made. Never for archives, uploads and what strangers made.

    Returns:
        The path to open.

    Raises:
        ValueError: A URL, a path outside the folder, or no such file.
    """
    if "://" in name:
        raise ValueError(f"image is a URL, and images are read from the folder only: {name!r:.200}")
    # Links are followed after "..", so that "link/../x" cannot leave the folder.
    path = os.path.normpath(os.path.join(os.path.abspath(folder), name))
    real = os.path.realpath(folder)
    is_inside = follow_links and any(
        Path(path).is_relative_to(home) for home in (os.path.abspath(folder), real)
    )
    if not is_inside and "\0" not in name:  # the row may name the folder by another link
        path = os.path.realpath(path)
        is_inside = Path(path).is_relative_to(real)
    if not is_inside or "\0" in name:
        raise ValueError(f"image leaves the folder: {name!r:.200}")
    if not os.path.isfile(path):
        raise ValueError(f"image does not exist: {name!r:.200}")
    return path


def open_table(source: Source, name: str | None = None) -> Table:
    """Open a file; reads no more than its header.

    Args:
        source: Path, content, or a binary stream that can be read again from its start.
        name: What it is called, if it is not a path; the ending is its format.

    Raises:
        TableError: It is of another format, or damaged.
        OSError: It cannot be read.
    """
    ending = ending_of(name or str(source))
    if ending not in ENDINGS:
        formats = ", ".join(ENDINGS)
        raise TableError(
            f"unknown format: its name ends in {ending!r}", remedy=f"Give one of {formats}."
        )
    if ending == ".parquet":
        from .parquet_file import ParquetTable

        return ParquetTable(source)
    from .text_files import CsvTable, JsonTable

    return JsonTable(source) if ending == ".jsonl" else CsvTable(source)
