"""Rows of a CSV, JSON Lines or Parquet file, nothing guessed: "NA" and "007" stay as they are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from datasets_scripts.parquet_rows import read_parquet
from datasets_scripts.post import Rejected
from hybridsent.support.errors import PostsError

ENDINGS = (".csv", ".jsonl", ".parquet")
BAD_ROW = "row is not well-formed"
HINT = "put a text with commas, quotes or line breaks in double quotes"

Cells = dict[str, "str | bytes"]


class Rows(NamedTuple):
    """Content of one file; len(cells) + len(rejected) rows were read.

    Attributes:
        columns: Names of the columns.
        cells: File with row number, and cells by column; rows are counted as a spreadsheet or an
            editor counts them, so that the header of a CSV file is row 1.
        rejected: Rows that cannot be read.
        label_names: Names of the labels, if the file itself has them, as Parquet files of `datasets`
            do.
    """

    columns: list[str]
    cells: list[tuple[str, Cells]]
    rejected: list[Rejected]
    label_names: list[str] | None = None


def read_rows(file: Path) -> Rows:
    """Read a `.csv`, `.jsonl` or `.parquet` file; text files are UTF-8.

    Args:
        file: The file.

    Returns:
        The rows; an absent or null field is an empty string.

    Raises:
        PostsError: The file as a whole cannot be read.
    """
    if file.suffix == ".parquet":
        columns, numbered, label_names = read_parquet(file)
        return _collect(file, columns, numbered)._replace(label_names=label_names)
    text = _decode(file)
    return _parse_csv(file, text) if file.suffix == ".csv" else _parse_jsonl(file, text)


def rename_columns(rows: Rows, names: Mapping[str, str]) -> Rows:
    """Return the rows with new names for columns, by their old names."""
    return rows._replace(
        columns=[names.get(name, name) for name in rows.columns],
        cells=[
            (where, {names.get(name, name): cell for name, cell in cells.items()})
            for where, cells in rows.cells
        ],
    )


def require_distinct(file: Path, columns: list[str]) -> None:
    """Raise PostsError if a column's name stands twice in the header of a file."""
    twice = [f"column {name!r} stands twice" for name in set(columns) if columns.count(name) > 1]
    if twice:
        raise PostsError.about(file, "the header is ambiguous", twice, "Rename one of them.")


def _collect(file: Path, columns: list[str], numbered: list[tuple[int, Cells | str]]) -> Rows:
    """Sort rows into those with cells and those with a problem instead."""
    rows = Rows(columns, [], [])
    for number, found in numbered:
        where = f"{file.name} row {number}"
        if isinstance(found, str):
            rows.rejected.append(Rejected(None, where, BAD_ROW, found))
        else:
            rows.cells.append((where, found))
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
    require_distinct(file, columns)
    numbered: list[tuple[int, Cells | str]] = [
        (number, dict(zip(columns, cells, strict=True)))
        if len(cells) == len(columns)
        else (number, f"{len(cells)} cells for {len(columns)} columns; {HINT}")
        for number, cells in lines
    ]
    return _collect(file, columns, numbered)


def _parse_jsonl(file: Path, text: str) -> Rows:
    numbered: list[tuple[int, Cells | str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                numbered.append((number, _parse_object(line)))
            except (ValueError, RecursionError) as error:  # the latter for brackets in brackets
                numbered.append((number, str(error)))
    objects = [fields for _, fields in numbered if not isinstance(fields, str)]
    columns = list(dict.fromkeys(name for fields in objects for name in fields))
    rows = _collect(file, columns, numbered)
    cells = [(w, {name: fields.get(name, "") for name in columns}) for w, fields in rows.cells]
    return rows._replace(cells=cells)


def _parse_object(line: str) -> Cells:
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
