"""Files: what is a table, how it is opened, and which images its rows may name."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .rows import Table, TableError

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
Source = Path | bytes | BinaryIO


def is_hidden(name: str | Path) -> bool:
    """Check whether a path has a part that systems put there unasked: ._posts.csv, __MACOSX."""
    parts = Path(name).parts
    return any(x == "__MACOSX" or (x.startswith(".") and x.strip(".") != "") for x in parts)


def ending_of(name: str | Path) -> str:
    """Return the ending of a file's name in small letters, such as ".csv"."""
    return os.path.splitext(name)[1].lower()


def open_table(source: Source, name: str | None = None) -> Table:
    """Open a file; reads no more than its header.

    Args:
        source: Path, content, or a binary stream that can be read again from its start.
        name: What it is called, if it is no path; the ending is its format.

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
    if ending == ".jsonl":
        from .json_file import JsonTable

        return JsonTable(source)
    from .csv_file import CsvTable

    return CsvTable(source)


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
    homes = {os.path.abspath(folder), os.path.realpath(folder)}
    if not follow_links and "\0" not in name:
        path, homes = os.path.realpath(path), {os.path.realpath(folder)}
    if "\0" in name or not any(Path(path).is_relative_to(home) for home in homes):
        raise ValueError(f"image leaves the folder: {name!r:.200}")
    if not os.path.isfile(path):
        raise ValueError(f"image does not exist: {name!r:.200}")
    return path


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open a source for one more reading; a stream of the caller stays open."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
        return
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    stream.seek(0)
    yield stream


class Lines:
    """Count the lines of a text and look ahead; they end with CR, LF or CRLF.

    Args:
        text: Opened with `newline=""`.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text, self.ahead = text, deque[str]()
        self.number = self.quotes = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self.ahead.popleft() if self.ahead else next(self.text)
        self.number += 1
        self.quotes += line.count('"')
        return line

    def peek(self, at: int) -> str | None:
        """Return the line so many after the next one; None after the end."""
        while len(self.ahead) <= at:
            line = next(self.text, None)
            if line is None:
                return None
            self.ahead.append(line)
        return self.ahead[at]


@contextmanager
def text_lines(source: Source) -> Iterator[Lines]:
    """Open a UTF-8 file; what is not UTF-8 becomes unpaired surrogates, for the rows to refuse.

    Raises:
        TableError: It is UTF-16.
    """
    with opened(source) as binary:
        start = binary.read(4)
        binary.seek(0)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
            raise TableError("not UTF-8 but UTF-16 or no text", ["line 1"], "Save it as UTF-8.")
        text = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield Lines(text)
        finally:
            text.detach()


def is_utf8(text: str) -> bool:
    """Check text of `text_lines` for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
