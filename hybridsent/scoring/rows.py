"""Rows of an input, and which of them a process scores: whole shards of answers.

The shards that are not done yet go to the processes in turn. Every process computes that by itself
from what was done at the start, so a later run may have another number of processes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from datasets_scripts.intake import as_row


class Row(NamedTuple):
    """A row and its place.

    Attributes:
        number: Position in the input, from 0, over all its files.
        id: As the input has it, as a string; None without one.
        text: None if it is missing.
        image: Path inside `folder`, or what else `load_image` takes; None if it is missing.
        folder: Where paths of images start, and which they may not leave; "hf://..." for what is
            streamed from the Hub.
        problem: Why the row cannot be scored, None if nothing is known.
    """

    number: int
    id: str | None
    text: str | None = None
    image: Any = None
    folder: str = "."
    problem: str | None = None


def row_of(number: int, cells: Mapping[str, Any], folder: str) -> Row:
    """Check the cells of a row that is in no file; see `datasets_scripts.intake.as_row`."""
    row = as_row(number, number, cells)
    return Row(number, row.id, row.text, row.image, folder, row.problem)


@dataclass(frozen=True)
class Assignment:
    """The rows of one process.

    Attributes:
        rows_per_shard: Shard k holds rows k * rows_per_shard up to the next shard's first.
        done: Numbers of the shards that were finished before, ascending.
        process: Number of this process, from 0.
        processes: How many there are.
    """

    rows_per_shard: int
    done: tuple[int, ...] = ()
    process: int = 0
    processes: int = 1

    def owns_shard(self, shard: int) -> bool:
        """Check whether this process writes the shard."""
        before = bisect_left(self.done, shard)
        is_done = before < len(self.done) and self.done[before] == shard
        return not is_done and (shard - before) % self.processes == self.process

    def owns(self, row: int) -> bool:
        """Check whether this process scores the row."""
        return self.owns_shard(row // self.rows_per_shard)

    def owns_any(self, start: int, stop: int) -> bool:
        """Check whether this process scores any of the rows from start up to, not including, stop."""
        shards = range(start // self.rows_per_shard, -(-stop // self.rows_per_shard))
        return any(map(self.owns_shard, shards))

    def count(self, total: int) -> int:
        """Count the rows that this process scores of an input with that many rows."""
        size = self.rows_per_shard
        starts = range(0, total, size)
        return sum(min(size, total - start) for start in starts if self.owns_shard(start // size))


class _NoRows(Assignment):
    """The assignment of a process that only counts."""

    def owns_any(self, start: int, stop: int) -> bool:
        """Return False."""
        return False


NO_ROWS = _NoRows(rows_per_shard=1)
