"""Keep the model busy: worker processes prepare batches ahead of it; answers come in input order."""

from __future__ import annotations

import math
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
from torch.utils.data import DataLoader

from hybridsent.scoring.answers import Window, windows
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.rows import Row

AHEAD = 4  # batches that each worker prepares ahead of the model
PATIENCE = 600  # seconds; a worker that cannot hand over its batch, /dev/shm being full, hangs
# Seconds until torch asks whether its workers live; a signal tells sooner, if nothing swallows it.
ASK_AFTER = 5


def score_rows(
    rows: Iterator[Row],
    predictor: Predictor,
    batch_size: int = 32,
    num_workers: int = 1,
    patience: float = PATIENCE,
) -> Iterator[pa.Table]:
    """Score a stream of rows in constant memory.

    Args:
        rows: The stream.
        predictor: The model.
        batch_size: Rows in a batch.
        num_workers: Processes that decode and tokenize; 0 does it in this one, which counts the tokens
            of short texts in any case.
        patience: Seconds that the model waits for a batch before the run ends.

    Yields:
        Answers as `Layout.table` builds them; together, one for each row in the order of the rows.

    Raises:
        RuntimeError: A worker died, or did not answer in time.
        OSError, EOFError: A worker died while it handed a batch over; or the rows cannot be read.
    """
    layout = predictor.layout  # loads the model before the workers come to be
    at_work: deque[Window] = deque()

    def batches() -> Iterator[list[Row]]:
        for chunk in windows(rows, batch_size):
            at_work.append(Window(chunk, layout))
            yield from at_work[-1].cut(chunk, batch_size, predictor.preparer.lengths)

    loader: DataLoader[Any] = DataLoader(
        predictor.preparer,  # type: ignore[arg-type] # its indices are lists of rows
        sampler=_Once(batches()),
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        prefetch_factor=AHEAD if num_workers else None,
        worker_init_fn=_leave_interrupts_to_the_parent,
        timeout=min(ASK_AFTER, patience) if num_workers else 0,
        pin_memory=not predictor.device.startswith("cpu"),
    )
    with _workers_of(loader) as ready:
        while prepared := _next_batch(ready, patience):
            predictor.score(at_work[0], prepared)
            if not at_work[0].batches:
                yield at_work.popleft().table()


@contextmanager
def _workers_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start the workers of a loader, and end them with the block.

    torch ends them when Python collects the iterator, which an error that is kept keeps, too. It may
    notice only here that one of them is dead.
    """
    ready = iter(loader)
    try:
        yield ready
    finally:
        if loader.num_workers:
            with suppress(RuntimeError):
                ready._shutdown_workers()  # type: ignore[attr-defined] # private to torch


def _next_batch(ready: Iterator[Any], patience: float) -> Any:
    """Return the next batch of a loader; None after the last.

    Raises:
        RuntimeError: There is none for `patience` seconds; or as `score_rows`.
    """
    for _ in range(math.ceil(patience / ASK_AFTER)):
        try:
            return next(ready, None)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader timed out"):
                raise
    raise RuntimeError(f"DataLoader timed out after {patience:g} seconds")


class _Once:
    """The sampler of a loader: it gives the batches once."""

    def __init__(self, batches: Iterator[list[Row]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[Row]]:
        return self.batches


def _as_it_is(prepared: Any) -> Any:
    return prepared


def _leave_interrupts_to_the_parent(_worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
