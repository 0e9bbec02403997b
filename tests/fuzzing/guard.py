"""Bounds on processor time and memory, so that a hang or a bomb is a finding; and silence."""

import logging
import resource
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import datasets
import transformers

SECONDS = 10  # of processor time, so that a busy machine counts for nothing
BYTES = 1 << 30  # beyond what the process holds already


class Hang(BaseException):
    """An input took too long; no `except Exception` may take it for an answer."""


@contextmanager
def bounded(seconds: float = SECONDS, size: int = BYTES) -> Iterator[None]:
    """Bound what the block may use.

    Args:
        seconds: Of processor time.
        size: Bytes of memory beyond those in use.

    Raises:
        Hang: The block took longer.
        MemoryError: The block wanted more memory.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"more than {seconds} seconds of processor time")

    limits = resource.getrlimit(resource.RLIMIT_DATA)
    handler = signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + size, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def _data_bytes() -> int:
    """Return the memory that counts for the limit."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[5]) * resource.getpagesize()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and progress bars, which a million bad inputs would repeat."""
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        transformers.utils.logging.enable_progress_bar()
        datasets.enable_progress_bars()
