"""A folder for one run at a time, by a lock of the system."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybridsent.support.errors import PostsError

LOCK = ".lock"


class FolderLock:
    """The lock of a folder; it ends with this process, however that ends.

    Args:
        folder: Made, when the lock is taken, if it is absent.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._file: Any = None

    def claim(self) -> None:
        """Keep every other run out.

        Raises:
            PostsError: Another run is at work here, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / LOCK).open("a+")
        except OSError as error:
            remedy = "Give another folder, or remove what is in the way."
            raise PostsError.about(
                self.folder, "cannot be written", [str(error)], remedy
            ) from error
        self._take(fcntl.LOCK_EX)

    def join(self) -> None:
        """Share it with the other processes of this run, each of which must call this."""
        self._file = self._file or (self.folder / LOCK).open("a+")
        self._take(fcntl.LOCK_SH)

    def release(self) -> None:
        """Let others in."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, kind: int) -> None:
        # lockf, for its locks are not inherited: a worker process cannot outlive the run with them.
        try:
            fcntl.lockf(self._file, kind | fcntl.LOCK_NB)
        except OSError as error:
            remedy = "Wait until it has ended, or give another folder."
            raise PostsError.about(self.folder, "another run writes here", remedy=remedy) from error


@contextmanager
def one_run_in(folder: str | Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs.

    Raises:
        PostsError: Another run is at work here, or the folder cannot be written.
    """
    lock = FolderLock(folder)
    lock.claim()
    try:
        yield
    finally:
        lock.release()
