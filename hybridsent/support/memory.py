"""Memory of the C library, on a CPU."""

import contextlib
import ctypes

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
