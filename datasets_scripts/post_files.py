"""Files and folders of posts on this machine: which there are, and how they are opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_scripts.intake import (
    ENDINGS,
    FIELDS,
    TableError,
    chosen,
    ending_of,
    is_hidden,
    open_table,
)
from hybridsent.support.errors import PostsError

IMAGE_FOLDER = "metadata"  # name of the file in which an ImageFolder describes its images
SUMMARY = "summary.json"  # in a prepared folder


def is_prepared(folder: str | Path) -> bool:
    """Check whether a folder was written by `datasets_scripts.preparing.prepare`."""
    return (Path(folder) / SUMMARY).is_file()


def tables_in(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the tables of a folder by name; hidden files are not among them."""
    return sorted(
        file
        for file in folder.glob(pattern)
        if ending_of(file) in ENDINGS and file.is_file() and not is_hidden(file.relative_to(folder))
    )


@contextmanager
def errors_name(file: Path) -> Iterator[None]:
    """Raise what makes a whole file unreadable as a PostsError that names the file."""
    try:
        yield
    except TableError as error:
        raise PostsError.about(file, error.problem, error.details, error.remedy) from error


def open_posts(file: Path, fields: Any = FIELDS) -> Any:
    """Open a file of posts.

    Args:
        file: The file.
        fields: Columns by field, as of `read_rows`.

    Returns:
        Its table, for `read_rows`.

    Raises:
        PostsError: It cannot be read, or a column in use stands twice.
    """
    with errors_name(file):
        table = open_table(file)
        chosen(table.columns, fields)
        return table
