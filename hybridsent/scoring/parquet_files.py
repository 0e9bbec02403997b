"""Rows of Parquet files, a few at a time; row groups of other processes are not even read."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hybridsent.scoring.row import COLUMNS, Row, post_row
from hybridsent.scoring.share import Share
from hybridsent.support.errors import PostsError

ROWS_AT_ONCE = 64  # pictures may stand in them
BUFFER = 1 << 20  # bytes; without it a whole column of a row group is read at once


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise PostsError.about(
            file, "not a Parquet file", [str(error)], "Write it anew."
        ) from error


def parquet_columns(file: Path) -> list[str]:
    """Return the names of the columns.

    Raises:
        PostsError: No Parquet file.
    """
    with _open(file) as opened:
        return list(opened.schema_arrow.names)


def parquet_rows(file: Path, first: int, share: Share) -> Generator[Row, None, int]:
    """Read a Parquet file; arguments and results as of `csv_rows`.

    The rows of a damaged row group become rows with a problem, for the file says how many there are.
    """
    with _open(file) as opened:
        columns = [name for name in opened.schema_arrow.names if name in COLUMNS]
        start = first
        for group in range(opened.metadata.num_row_groups):
            stop = start + opened.metadata.row_group(group).num_rows
            if share.owns_any(start, stop):
                yield from _group_rows(opened, group, columns, range(start, stop), share, file)
            start = stop
    return start


def _group_rows(
    opened: pq.ParquetFile,
    group: int,
    columns: list[str],
    numbers: range,
    share: Share,
    file: Path,
) -> Iterator[Row]:
    """Give the rows of one row group."""
    number, folder = numbers.start, str(file.parent)
    try:
        batches = opened.iter_batches(ROWS_AT_ONCE, [group], columns, use_threads=False)
        for batch in batches:
            for i in range(batch.num_rows):
                if share.owns(number):
                    yield _row(number, batch, i, folder)
                number += 1
    except (pa.ArrowException, OSError) as error:
        why = f"row group {group} of {file.name} is damaged: {str(error).splitlines()[0]}"
        for lost in range(number, numbers.stop):
            if share.owns(lost):
                yield Row(lost, None, problem=why)


def _row(number: int, batch: pa.RecordBatch, i: int, folder: str) -> Row:
    try:
        cells: dict[str, Any] = {
            name: column[i].as_py()
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
    except UnicodeDecodeError as error:
        return Row(number, None, problem=f"not UTF-8: {error.reason}")
    return post_row(number, cells, folder)
