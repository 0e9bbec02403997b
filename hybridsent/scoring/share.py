"""Which rows a process scores: whole shards, each a fixed range of rows of the input.

The shards that are not done yet go to the processes in turn. Every process computes that by itself
from what was done at the start, so a later run may have another number of processes.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The part of one process.

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
        """Say whether this process writes the shard."""
        before = bisect_left(self.done, shard)
        is_done = before < len(self.done) and self.done[before] == shard
        return not is_done and (shard - before) % self.processes == self.process

    def owns(self, row: int) -> bool:
        """Say whether this process scores the row."""
        return self.owns_shard(row // self.rows_per_shard)

    def owns_any(self, start: int, stop: int) -> bool:
        """Say whether this process scores any of the rows from start up to, not including, stop."""
        shards = range(start // self.rows_per_shard, -(-stop // self.rows_per_shard))
        return any(map(self.owns_shard, shards))

    def count(self, total: int) -> int:
        """Count the rows that this process scores of an input with that many rows."""
        size = self.rows_per_shard
        starts = range(0, total, size)
        return sum(min(size, total - start) for start in starts if self.owns_shard(start // size))


class Nothing(Share):
    """The share of one that only counts."""

    def owns_shard(self, shard: int) -> bool:
        """Say no."""
        return False


NOTHING = Nothing(rows_per_shard=1)
