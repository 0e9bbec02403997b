"""Shards belong to exactly one process, whatever was done before and by how many."""

import itertools
import random

import pytest

from hybridsent.scoring.rows import NO_ROWS, Assignment
from hybridsent.scoring.run import choose_rows_per_shard


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_each_row_belongs_to_one_process_or_is_done(processes):
    choose = random.Random(processes)
    for size, total in itertools.product((1, 7, 10), (1, 69, 70, 71)):
        shards = -(-total // size)
        done = tuple(sorted(choose.sample(range(shards), choose.randrange(shards + 1))))
        shares = [Assignment(size, done, i, processes) for i in range(processes)]
        owners = [[share.process for share in shares if share.owns(row)] for row in range(total)]
        for row, found in enumerate(owners):
            assert len(found) == (row // size not in done)
        for share in shares:
            assert share.count(total) == owners.count([share.process])


def test_what_is_left_is_shared_evenly():
    done = tuple(range(0, 100, 2))  # taking every second shard would leave one process idle
    counts = [Assignment(1, done, i, 2).count(100) for i in range(2)]
    assert counts == [25, 25]


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_files_unasked_are_neither_tiny_nor_huge_and_keep_all_processes_busy(processes):
    for total in (8000, 12_345, 200_001, 10**9):
        size = choose_rows_per_shard(total, processes)
        assert 500 <= size <= 10_000
        counts = [
            Assignment(size, process=i, processes=processes).count(total) for i in range(processes)
        ]
        assert min(counts) >= 0.75 * max(counts)
    assert choose_rows_per_shard(400, processes) == 500
    assert (
        choose_rows_per_shard(None, processes) == choose_rows_per_shard(10**9, processes) == 10_000
    )


def test_a_range_is_owned_when_any_of_its_rows_is():
    share = Assignment(10, done=(1,), process=1, processes=2)  # shards 2, 4, 6
    for start, stop in itertools.combinations(range(70), 2):
        assert share.owns_any(start, stop) == any(map(share.owns, range(start, stop)))
    assert not NO_ROWS.owns_any(0, 1000)
