"""Parquet files, a few rows at a time; row groups that nobody wants are not even read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .label_cells import without_fraction
from .rows import LABELS, Fields, Record, Records, Source, TableError, Wants, chosen, opened

ROWS_AT_ONCE = 64  # images may stand in them
BUFFER = 1 << 20  # bytes; without it a whole column of a row group is read at once


class ParquetTable:
    """A Parquet file, as `datasets`, pandas and others write them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        with self._open() as file:
            try:
                self.columns = list(file.schema_arrow.names)
                self.class_names = _class_names(file.schema_arrow.metadata or {})
            except (pa.ArrowException, ValueError, AttributeError, TypeError) as error:
                raise _damaged(error) from error

    def records(self, fields: Fields, wants: Wants) -> Records:
        """Yield the rows, as `Table` says; a damaged row group costs its own rows only."""
        columns = chosen(self.columns, fields)
        start = 0
        with self._open() as file:
            for group in range(file.metadata.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                if wants(start, stop):
                    yield from self._group(file, group, columns, range(start, stop), wants)
                start = stop
        return start

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        native = isinstance(self.source, Path)
        with nullcontext(self.source) if native else opened(self.source) as source:
            try:
                file = pq.ParquetFile(source, buffer_size=BUFFER, pre_buffer=False)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(error) from error
            with file:
                yield file

    def _group(
        self,
        file: pq.ParquetFile,
        group: int,
        columns: dict[str, str],
        positions: range,
        wants: Wants,
    ) -> Iterator[Record]:
        position, names = positions.start, sorted(set(columns.values()))
        try:
            for batch in file.iter_batches(ROWS_AT_ONCE, [group], names, use_threads=False):
                for i in range(batch.num_rows):
                    if wants(position, position + 1):
                        yield position, position + 1, self._cells(batch, i, columns)
                    position += 1
        except (pa.ArrowException, OSError) as error:
            why = f"row group {group} is damaged: {str(error).splitlines()[0]}"
            for lost in range(position, positions.stop):
                if wants(lost, lost + 1):
                    yield lost, lost + 1, why

    def _cells(
        self, batch: pa.RecordBatch, i: int, columns: dict[str, str]
    ) -> dict[str, Any] | str:
        try:
            cells = {field: cell_of(batch, i, field, column) for field, column in columns.items()}
        except ValueError as error:
            return str(error)
        for field, column in columns.items():
            if field in LABELS and (names := self.class_names.get(column)):
                try:
                    given = cells[field]
                    several = isinstance(given, list)
                    named = [_name(x, names) for x in given] if several else _name(given, names)
                    cells[field] = named
                except ValueError as error:
                    return f"column {column!r} {error}"
        return cells


def cell_of(batch: pa.RecordBatch | pa.Table, i: int, field: str, column: str) -> Any:
    """Return a cell of a row as Python has it.

    Raises:
        ValueError: It cannot be read; the message names the column.
    """
    try:
        cell = batch.column(column)[i].as_py()
        # Some writers leave open that bytes are a text.
        return cell.decode() if isinstance(cell, bytes) and field != "image" else cell
    except UnicodeDecodeError as error:
        raise ValueError(f"column {column!r} is not UTF-8: {error.reason}") from error
    except Exception as error:  # times out of range, unknown zones: any library's error
        raise ValueError(f"column {column!r} cannot be read: {error!s:.200}") from error


def _name(index: Any, names: list[str]) -> str | None:
    if index is None or index == -1:  # the mark of `datasets` for "no label"
        return None
    if not isinstance(index, int) or not 0 <= index < len(names):
        raise ValueError(f"has {index!r}, which is not an index of {names}")
    return names[index]


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names that `datasets` wrote into a file, by column."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    found = {}
    for column, feature in features.items():
        inner = feature.get("feature") if isinstance(feature, dict) else None  # of a list
        kind = inner if isinstance(inner, dict) else feature
        is_class = isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
        if is_class and kind.get("names"):
            found[column] = [without_fraction(str(name)) for name in kind["names"]]
    return found


def _damaged(error: Exception) -> TableError:
    return TableError("not a Parquet file", [str(error)], "Write it again.")
