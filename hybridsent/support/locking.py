"""A folder for one run at a time, by locks of the system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from hybridsent.support.errors import PostsError

LOCK = ".lock"  # of a run's first process; those of the others begin with it


def is_lock(name: str) -> bool:
    """Check whether a file of a folder is a lock of the runs there."""
    return name == LOCK or name.startswith(f"{LOCK}-")


class FolderLock:
    """The lock of a folder; it ends with this process, however that ends.

    The first process of a run claims it. Each other process holds a lock file of its own, and whoever
    claims the folder must find all of them free.

    Args:
        folder: Made, when the lock is taken, if it is absent.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock: FileLock | None = None

    def claim(self) -> None:
        """Keep every other run out.

        Raises:
            PostsError: Another run is at work here, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take(self.folder / LOCK)
            for other in self.folder.glob(f"{LOCK}-*"):
                FileLock(other).acquire(blocking=False).lock.release()
                other.unlink(missing_ok=True)
        except Timeout as error:
            self.release()
            remedy = "Wait until it has ended, or give another folder."
            raise PostsError.about(
                self.folder, "another run is writing here", remedy=remedy
            ) from error
        except OSError as error:
            remedy = "Give another folder, or remove what is in the way."
            raise PostsError.about(
                self.folder, "cannot be written", [str(error)], remedy
            ) from error

    def join(self) -> None:
        """Share it with the process that claimed it; each other process of the run must call this."""
        if self._lock is None:
            self._take(self.folder / f"{LOCK}-{uuid4().hex}")

    def release(self) -> None:
        """Let others in."""
        if self._lock is not None:
            self._lock.release()
            if (file := Path(self._lock.lock_file)).name != LOCK:
                file.unlink(missing_ok=True)
            self._lock = None

    def _take(self, file: Path) -> None:
        # Workers that this process forks do not inherit the lock: they cannot outlive the run with it.
        lock = FileLock(file)
        lock.acquire(blocking=False)
        self._lock = lock


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
