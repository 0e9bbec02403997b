"""A stranger's table, read row by row within limits; no address in a row is ever fetched."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow
import pyarrow.parquet

from hybridsent_space.posts import RefusedError
from hybridsent_space.settings import Settings

COLUMNS = ("id", "text", "image")
MOST_COLUMNS = 1_000
# What a row holds, or why it cannot be read.
Record = dict[str, Any] | str
Finder = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        id: What the row's column `id` holds, else its number.
        text: What it holds as text.
        picture: Content of its picture's file, None where there is none.
        note: What the reader should know of it.
        error: Why it cannot be scored.
    """

    id: str
    text: Any = None
    picture: bytes | None = None
    note: str = ""
    error: str = ""


@dataclass(frozen=True)
class Table:
    """The rows of an upload.

    Attributes:
        count: Number of rows.
        rows: The rows; pictures are read when their row is reached.
    """

    count: int
    rows: Iterator[Row]


def read_table(name: str, content: bytes, find: Finder, settings: Settings) -> Table:
    """Read a table: CSV, JSONL or Parquet, told by its content.

    Args:
        name: Of the file; its ending tells a JSONL file that begins oddly.
        content: The file.
        find: Gives the content of a picture by the path that a row names, None if there is none.
        settings: Limits.

    Returns:
        The table.

    Raises:
        RefusedError: It is damaged or too large, or has no usable column.
    """
    if content[:4] == b"PAR1":
        count, records = _parquet_records(content, settings)
    else:
        found = _read_text(name, _decode(content), settings.max_table_rows)
        count, records = len(found), iter(found)
    if count == 0:
        raise RefusedError("The table has no rows.")
    if count > settings.max_table_rows:
        raise _too_many(settings.max_table_rows)
    return Table(count, (_as_row(i, record, find) for i, record in enumerate(records, start=1)))


def _decode(content: bytes) -> str:
    if not content.strip():
        raise RefusedError("The file is empty.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            "The file is no CSV, JSONL, Parquet or ZIP file: as a text it is not UTF-8 "
            f"(byte {error.start})."
        ) from error
    if "\0" in text:
        raise RefusedError("The file holds zero bytes; a CSV or JSONL file has none.")
    return text


def _too_many(most: int) -> RefusedError:
    return RefusedError(f"The table has more than {most:,} rows, which is the most here. Split it.")


def _read_text(name: str, text: str, most: int) -> list[Record]:
    """Read CSV or JSONL; stops as soon as there are too many rows to hold them."""
    start = text.lstrip()[:1]
    if start == "[":
        raise RefusedError("The file is a JSON list; write one object a line (JSONL).")
    is_json = start == "{" or name.lower().endswith(".jsonl")
    read = _json_records if is_json else _csv_records
    found: list[Record] = []
    for record in read(text):
        found.append(record)
        if len(found) > most:
            raise _too_many(most)
    if is_json and (keys := {key for x in found if isinstance(x, dict) for key in x}):
        _require_columns(keys)
    return found


def _require_columns(found: set[str]) -> None:
    if not {"text", "image"} & found:
        shown = ", ".join(sorted(str(name)[:40] for name in found)[:10])
        raise RefusedError(
            f"The table needs a column named text, one named image, or both; it has: {shown}."
        )


def _csv_records(text: str) -> Iterator[Record]:
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = reader.fieldnames or ()
        if len(columns) > MOST_COLUMNS:
            raise RefusedError(f"The table has more than {MOST_COLUMNS} columns.")
        _require_columns(set(columns))
        for record in reader:
            what = "has more fields than the header; put quotes around a text with commas"
            yield f"The row {what}." if record.pop(None, None) else record
    except csv.Error as error:
        raise RefusedError(f"The file is no CSV file: {error} (line {reader.line_num}).") from error


def _json_records(text: str) -> Iterator[Record]:
    for line in io.StringIO(text):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            yield f"The line is not JSON: {what}."
        else:
            yield record if isinstance(record, dict) else "The line holds no JSON object."


def _parquet_records(content: bytes, settings: Settings) -> tuple[int, Iterator[dict[str, Any]]]:
    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        names = set(file.schema_arrow.names)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
    except (pyarrow.ArrowException, OSError) as error:
        raise RefusedError(f"The Parquet file is damaged: {error}.") from error
    _require_columns(names)
    if size > settings.max_unpacked_bytes:
        raise RefusedError(
            f"Unpacked, the file has {size:,} bytes; {settings.max_unpacked_bytes:,} are allowed."
        )
    return file.metadata.num_rows, _parquet_rows(file, [name for name in COLUMNS if name in names])


def _parquet_rows(
    file: pyarrow.parquet.ParquetFile, columns: list[str]
) -> Iterator[dict[str, Any]]:
    try:
        for batch in file.iter_batches(batch_size=16, columns=columns):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise RefusedError(f"The Parquet file is damaged: {error}.") from error


def _as_row(number: int, record: Record, find: Finder) -> Row:
    if isinstance(record, str):
        return Row(str(number), error=record)
    given = record.get("id")
    name = str(number) if given in (None, "") else str(given)[:200]
    text, source = record.get("text"), record.get("image")
    if isinstance(source, Mapping) and set(source) == {"bytes", "path"}:
        source = source["bytes"] if source["bytes"] is not None else source["path"]
    if source is None or source in ("", b""):
        return Row(name, text)
    if isinstance(source, bytes):
        return Row(name, text, source)
    if not isinstance(source, str):
        return Row(name, text, error=f"Its image is a {type(source).__name__}, no path.")
    try:
        content = find(source)
    except RefusedError as error:
        return Row(name, text, error=str(error))
    if content is not None:
        return Row(name, text, content)
    is_address = "://" in source
    why = "addresses are not fetched" if is_address else "that file did not come with the table"
    return Row(name, text, note=f"Scored without its image {source[:80]!r}: {why}.")
