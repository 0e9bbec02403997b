"""Cores and memory of the machine, for models on a CPU."""

import contextlib
import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


def keep_freed_memory() -> None:
    """Keep freed memory in this process, for the next batch.

    The GNU C library gives large blocks back to the system, which then clears them anew for each layer
    of each batch. On a CPU that takes up to half the time of a model of the bundled one's size. So the
    commands that train and score call this; call it once in a program that scores many posts with
    `Predictor`. The process then keeps the memory of its largest batch until it ends. Without the GNU C
    library this does nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def cores() -> int:
    """Return how many cores each process of a launch has on its machine, 1 at least.

    A cpuset or `taskset` may allow fewer cores than the machine has, and more threads than cores would
    wait for each other. Those allowed are shared by the launch: where it binds each process to cores
    of its own, say how many (`--cpu_threads`).
    """
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    count = len(allowed(0)) if allowed else os.cpu_count() or 1
    return max(1, count // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
