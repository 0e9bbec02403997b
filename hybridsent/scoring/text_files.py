"""Rows of CSV and JSON Lines files, one at a time; a broken row is a row with a problem."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from datasets_scripts.rows import HINT, require_distinct
from hybridsent.scoring.row import COLUMNS, Row, post_row
from hybridsent.scoring.share import Share
from hybridsent.support.errors import PostsError

LOOKED_AT = 100  # lines of a JSON Lines file that are searched for a column


def _open_text(file: Path) -> TextIO:
    """Open a file in which bytes that are no UTF-8 become lone surrogates, which `post_row` finds."""
    return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def csv_columns(file: Path) -> list[str]:
    """Read the header of a CSV file.

    Raises:
        PostsError: There is none, it is damaged, or a name stands twice.
    """
    try:
        with _open_text(file) as lines:
            columns = [name.strip() for name in next(csv.reader(lines, strict=True), [])]
        "".join(columns).encode()
    except (csv.Error, UnicodeEncodeError) as error:
        problem, remedy = "the header cannot be read", "Save it as well-formed CSV in UTF-8."
        raise PostsError.about(file, problem, [str(error)], remedy) from error
    require_distinct(file, columns)
    return columns


def csv_rows(file: Path, first: int, share: Share) -> Generator[Row, None, int]:
    """Read a CSV file.

    Args:
        file: With a header; UTF-8.
        first: Number of its first row.
        share: The rows to give; the others are passed over.

    Yields:
        The rows; empty lines are none.

    Returns:
        The number of the row after the last.
    """
    columns, folder = csv_columns(file), str(file.parent)
    with _open_text(file) as lines:
        reader = csv.reader(lines, strict=True)
        next(reader)
        number = first
        while (cells := _next_cells(reader)) is not None:
            if cells and share.owns(number):
                yield _csv_row(number, columns, cells, folder)
            number += bool(cells)
    return number


def _next_cells(reader: Any) -> list[str] | str | None:
    """Return the next row's cells, what is wrong with them, or None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        return f"not well-formed CSV near line {reader.line_num}: {error}"


def _csv_row(number: int, columns: list[str], cells: list[str] | str, folder: str) -> Row:
    if isinstance(cells, str):
        return Row(number, None, problem=cells)
    if len(cells) != len(columns):
        problem = f"{len(cells)} cells for {len(columns)} columns; {HINT}"
        return Row(number, None, problem=problem)
    return post_row(number, dict(zip(columns, cells, strict=True)), folder)


def jsonl_columns(file: Path) -> list[str]:
    """Return the fields of the first lines; lines that are no object have none."""
    found: dict[str, None] = {}
    with file.open("rb") as lines:
        for line in islice(lines, LOOKED_AT):
            fields = _parse(line)
            found.update(dict.fromkeys(fields if isinstance(fields, dict) else ()))
    return list(found)


def jsonl_rows(file: Path, first: int, share: Share) -> Generator[Row, None, int]:
    """Read a JSON Lines file; arguments and results as of `csv_rows`."""
    folder, number = str(file.parent), first
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                if share.owns(number):
                    fields = _parse(line)
                    yield (
                        Row(number, None, problem=fields)
                        if isinstance(fields, str)
                        else post_row(number, fields, folder)
                    )
                number += 1
    return number


def _parse(line: bytes) -> dict[str, Any] | str:
    """Parse one line; returns its fields, or what is wrong with it."""
    try:
        fields = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # the latter for brackets in brackets in brackets
        return f"not well-formed JSON: {error}"
    if not isinstance(fields, dict):
        return f"not a JSON object but a {type(fields).__name__}"
    return {name: fields[name] for name in COLUMNS if name in fields}
