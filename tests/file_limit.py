"""A disk that takes no more, as far as a process can have one: the system refuses larger files."""

import resource
from contextlib import contextmanager


@contextmanager
def limited_files(size, pid=0):
    """Let a process, this one by default, write files of so many bytes at most.

    More is refused as on a full disk.
    """
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
