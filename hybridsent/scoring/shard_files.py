"""Answers as Parquet files, each a fixed range of rows that its name tells, whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DRAFT = ".draft-"  # how the names of unfinished files begin
_NAME = re.compile(r"rows-(\d{12})-(\d{12})\.parquet")


def shard_name(start: int, stop: int) -> str:
    """Name the file of the rows from start up to, not including, stop."""
    return f"rows-{start:012d}-{stop:012d}.parquet"


def finished_shards(folder: Path, rows_per_shard: int) -> tuple[int, ...]:
    """Return the numbers of the shards that are there, ascending."""
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return tuple(sorted(int(match[1]) // rows_per_shard for match in found if match))


class ShardWriter:
    """Write a stream of answers, shard by shard; a context that drops an unfinished shard.

    Args:
        folder: Where the files go.
        rows_per_shard: Rows of each but the last.
    """

    def __init__(self, folder: Path, rows_per_shard: int) -> None:
        self.folder, self.rows_per_shard = folder, rows_per_shard
        self.writer: pq.ParquetWriter | None = None
        self.start = self.stop = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.writer is not None and kind is None:
            self._finish()
        elif self.writer is not None:
            self.draft.unlink(missing_ok=True)  # first: a full disk may not let it be closed
            self.writer.close()

    @property
    def draft(self) -> Path:
        """The unfinished file, of a name that no other process of the run uses."""
        return self.folder / f"{DRAFT}{self.start:012d}"

    def write(self, answers: pa.Table) -> None:
        """Write the next answers.

        Args:
            answers: Rows in ascending order, whole shards of the input without a gap inside.
        """
        while answers.num_rows:
            first = answers["row"][0].as_py()
            if self.writer is None:
                self.start = self.stop = first
                self.writer = pq.ParquetWriter(self.draft, answers.schema)
            end = self.start + self.rows_per_shard
            part = answers.slice(0, end - first)
            self.writer.write_table(part)
            self.stop += part.num_rows
            answers = answers.slice(part.num_rows)
            if self.stop == end:
                self._finish()

    def _finish(self) -> None:
        """Give the shard its name, once it is on the disk."""
        assert self.writer is not None
        self.writer.close()
        with self.draft.open("rb") as file:
            os.fsync(file.fileno())
        self.draft.rename(self.folder / shard_name(self.start, self.stop))
        self.writer = None  # not before: a signal may end the run at any line
