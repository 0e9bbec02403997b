"""How much the visitors' files take up: a running total, so that no request waits for a walk."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

CLEAN_EVERY = 1800  # seconds
AGE = 3600  # seconds after which what Gradio does not delete is
WALK_EVERY = 10  # seconds, while the folder is full


class Storage:
    """Count the bytes in the temporary folder and delete what was left there.

    Args:
        folder: The folder.
        most: Bytes that it may hold.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._lock, self._walking = threading.Lock(), threading.Lock()
        self._total = self._added = 0
        self._walked = -float(WALK_EVERY)
        threading.Thread(target=self._clean_forever, daemon=True).start()

    def add(self, size: int, always: bool = False) -> bool:
        """Count bytes; False, without counting, if there is no room for those not yet written."""
        with self._lock:
            if self._total + size > self.most and not always:
                return False
            self._total += size
            self._added += size
            return True

    def remove(self, size: int) -> None:
        """Count bytes that were deleted or not written."""
        with self._lock:
            self._total = max(0, self._total - size)

    def has_room(self, size: int = 1) -> bool:
        """Check for room; while there seems to be none, look on the disk, but not each time."""
        with self._walking:
            is_full = self._total + size > self.most
            if is_full and time.monotonic() - self._walked > WALK_EVERY:
                self.measure()
            return self._total + size <= self.most

    def measure(self) -> None:
        """Count what lies on the disk: Gradio deletes old uploads by itself."""
        before = self._added
        size = sum(_size(file) for file in self.folder.rglob("*"))
        with self._lock:
            self._total = size + self._added - before
            self._walked = time.monotonic()

    def clean(self) -> None:
        """Delete old uploads that were never finished, and old downloads."""
        for path in _old(self.folder):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self.measure()

    def _clean_forever(self) -> None:
        while True:
            self.clean()
            time.sleep(CLEAN_EVERY)


def _old(folder: Path) -> Iterator[Path]:
    """Yield what nobody else deletes: Gradio's unfinished uploads and our downloads are tmp*."""
    for path in folder.glob("tmp*"):
        try:
            if time.time() - path.stat().st_mtime > AGE:
                yield path
        except FileNotFoundError:  # finished in the meantime
            continue


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:  # deleted in the meantime
        return 0
