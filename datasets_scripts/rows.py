"""Rows of a CSV or JSON Lines file, every cell kept as the string it is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datasets_scripts.errors import PostsError


class Rows(NamedTuple):
    """Content of one file.

    Attributes:
        columns: Names of the columns.
        cells: Row number and cells by column; rows are counted as a spreadsheet or an editor
            counts them, so that the header of a CSV file is row 1.
    """

    columns: list[str]
    cells: list[tuple[int, dict[str, str]]]


def read_rows(file: Path, required: Sequence[str] = ()) -> Rows:
    """Read a `.csv` or `.jsonl` file in UTF-8; nothing is guessed, "NA" and "007" stay as they are.

    Args:
        file: The file.
        required: Columns it must have.

    Returns:
        The rows; an absent or null JSON field is an empty string.

    Raises:
        PostsError: If the file is not UTF-8 or not well-formed, or lacks a column.
    """
    text = _decode(file)
    rows = _parse_csv(file, text) if file.suffix == ".csv" else _parse_jsonl(file, text)
    missing = [f"column {name!r}" for name in required if name not in rows.columns]
    if missing:
        remedy = f"Found {rows.columns}. Needed: {', '.join(required)} (CSV: separated by commas)."
        raise PostsError.about(file, "columns are missing", missing, remedy)
    return rows


def _decode(file: Path) -> str:
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise PostsError.about(file, "not UTF-8", [f"line {line}"], "Save it as UTF-8.") from error


def _parse_csv(file: Path, text: str) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        lines = [(number, cells) for number, cells in enumerate(reader, start=2) if cells]
    except csv.Error as error:
        offender = f"line {reader.line_num}: {error}"
        raise PostsError.about(file, "not well-formed CSV", [offender], "Mend it.") from error
    bad = [f"column {name!r} stands twice" for name in set(columns) if columns.count(name) > 1]
    bad += [
        f"row {number}: {len(cells)} cells for {len(columns)} columns"
        for number, cells in lines
        if len(cells) != len(columns)
    ]
    if bad:
        remedy = "Put a text with commas, quotes or line breaks in double quotes."
        raise PostsError.about(file, "cells do not fit the header", bad, remedy)
    return Rows(
        columns, [(number, dict(zip(columns, cells, strict=True))) for number, cells in lines]
    )


def _parse_jsonl(file: Path, text: str) -> Rows:
    found, bad = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append((number, _parse_object(line)))
            except ValueError as error:
                bad.append(f"line {number}: {error}")
    if bad:
        remedy = "Each line is one JSON object whose fields are strings."
        raise PostsError.about(file, "not well-formed JSON Lines", bad, remedy)
    columns = list(dict.fromkeys(name for _, fields in found for name in fields))
    return Rows(
        columns,
        [(number, {name: fields.get(name, "") for name in columns}) for number, fields in found],
    )


def _parse_object(line: str) -> dict[str, str]:
    """Parse one line; a whole number, as ids often are, becomes its digits.

    Args:
        line: The line.

    Returns:
        The fields as strings.

    Raises:
        ValueError: If it is no JSON object, or has other values or half a character pair.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    for name, value in fields.items():
        if value is None:
            fields[name] = ""
        elif type(value) is int:
            fields[name] = str(value)
        elif not isinstance(value, str):
            raise ValueError(f"field {name!r} is not a string")
        fields[name].encode()  # a lone surrogate passes JSON but fits no table
    return fields
