"""Where the rows come from: a file, the files of a folder, or a data set of the Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from datasets_scripts.own_posts import IMAGE_FOLDER
from datasets_scripts.prepared import is_prepared
from datasets_scripts.rows import ENDINGS
from hybridsent.scoring.parquet_files import parquet_columns, parquet_rows
from hybridsent.scoring.row import Row
from hybridsent.scoring.share import NOTHING, Share
from hybridsent.scoring.text_files import csv_columns, csv_rows, jsonl_columns, jsonl_rows
from hybridsent.support.errors import PostsError

NEEDED = ("text", "image", "file_name")


class Kind(NamedTuple):
    """How to read files of one ending."""

    columns: Callable[[Path], list[str]]
    rows: Callable[[Path, int, Share], Generator[Row, None, int]]


KINDS = {
    ".csv": Kind(csv_columns, csv_rows),
    ".jsonl": Kind(jsonl_columns, jsonl_rows),
    ".parquet": Kind(parquet_columns, parquet_rows),
}


class Input(Protocol):
    """What a source of rows can do."""

    def identity(self) -> Any:
        """Return what is equal only for the same rows, as JSON has it."""

    def total(self) -> int | None:
        """Return the number of rows, None where nobody knows it beforehand."""

    def rows(self, share: Share) -> Iterator[Row]:
        """Yield the rows of a share in their order."""


class FileInput:
    """The rows of one or several files, one file after the other.

    Args:
        files: The files.
        folder: What their names are told relative to.

    Raises:
        PostsError: A file has neither texts nor pictures, or its header cannot be read.
    """

    def __init__(self, files: list[Path], folder: Path) -> None:
        self.files, self.folder = files, folder
        for file in files:
            columns = KINDS[file.suffix].columns(file)
            if not set(NEEDED) & set(columns):
                remedy = "Rename the columns with texts and paths of pictures: text, image."
                raise PostsError.about(
                    file, "neither a column 'text' nor 'image'", [f"found {columns}"], remedy
                )

    def identity(self) -> list[list[Any]]:
        """Return name, size in bytes and time of change of each file."""
        found = [(file.relative_to(self.folder), file.stat()) for file in self.files]
        return [[str(name), state.st_size, state.st_mtime_ns] for name, state in found]

    def total(self) -> int:
        """Count the rows, which reads text files once and of Parquet files the end only."""
        rows = self.rows(NOTHING)
        while True:
            try:
                next(rows)
            except StopIteration as end:
                return end.value

    def rows(self, share: Share) -> Generator[Row, None, int]:
        """Yield the rows of a share; returns the number of all rows."""
        number = 0
        for file in self.files:
            number = yield from KINDS[file.suffix].rows(file, number, share)
        return number


def find_files(folder: Path, split: str | None) -> list[Path]:
    """Find the files with posts in a folder.

    Args:
        folder: Files of posts, an ImageFolder with its `metadata`, or what `datasets_scripts` prepared.
        split: Only the files of this split, by the name of file or folder.

    Returns:
        The files in the order of their names.

    Raises:
        PostsError: There are none.
    """
    where = folder / "data" if is_prepared(folder) else folder
    described = [*where.glob(f"{IMAGE_FOLDER}.*"), *where.glob(f"*/{IMAGE_FOLDER}.*")]
    found = described or list(where.glob("*"))
    files = sorted(file for file in found if file.suffix in ENDINGS and file.is_file())
    if split:
        name = re.compile(rf"(.*-)?{re.escape(split)}(-.*)?")
        files = [file for file in files if name.fullmatch(file.stem) or file.parent.name == split]
    if not files:
        of_split = f" of split {split!r}" if split else ""
        problem = f"no file{of_split} that ends in {', '.join(ENDINGS)}"
        raise PostsError.about(where, problem, remedy="Give the file or folder that has the posts.")
    return files


def find_input(name: str, split: str | None = None, config: str | None = None) -> Input:
    """Find out what a user means.

    Args:
        name: File, folder, or id of a data set of the Hub.
        split: Of a folder or data set.
        config: Of a data set.

    Returns:
        The input; nothing but headers was read.

    Raises:
        PostsError: There is no such thing, or it cannot be read.
    """
    path = Path(os.path.realpath(name))
    if path.is_file() and path.suffix in ENDINGS and not split:
        return FileInput([path], path.parent)
    if path.is_dir():
        return FileInput(find_files(path, split), path)
    if path.exists() or path.suffix in ENDINGS or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        endings = ", ".join(ENDINGS)
        remedy = f"Give a file that ends in {endings}, without --split; a folder; or a Hub id."
        raise PostsError.about(name, "no such file or folder of posts", remedy=remedy)
    from hybridsent.scoring.hub_input import HubInput  # asks the network

    return HubInput(name, split, config)
