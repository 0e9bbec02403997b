"""A disk that takes no more, as far as a process can have one: the system refuses larger files."""

import resource
from contextlib import contextmanager


@contextmanager
def limited_files(size):
    """Let this process write files of so many bytes at most; more is refused as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
