"""The output folder: one run at a time, one model and one input, and nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hybridsent.scoring.shard_files import DRAFT, finished_shards
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import write_whole
from hybridsent.support.locking import FolderLock, is_lock

MANIFEST = "manifest.json"
FORMAT_VERSION = 1  # raise it whenever other files would be written for the same manifest
OTHER = "Give another --output, or remove that folder to start anew."


class RunFolder:
    """A folder of answers.

    Args:
        folder: Made if it is absent.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = FolderLock(folder)

    def join(self) -> None:
        """Share the lock with the other processes of this run, each of which must call this."""
        self._lock.join()

    def leave(self) -> None:
        """Let other runs in."""
        self._lock.release()

    def manifest(self) -> dict[str, Any] | None:
        """Read what decides about the answers that are here; None if there are none.

        Raises:
            PostsError: The file is damaged.
        """
        file = self.folder / MANIFEST
        if not file.is_file():
            return None
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise PostsError.about(file, "is damaged", [str(error)], OTHER) from error

    def check(self, manifest: dict[str, Any]) -> None:
        """Refuse a folder of other answers; changes nothing.

        Args:
            manifest: What decides about the answers, by name, as JSON has it.

        Raises:
            PostsError: The folder holds something else; the message says what differs.
        """
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if MANIFEST not in names:
            strange = sorted(name for name in names if not (_is_draft(name) or is_lock(name)))
            if strange:
                raise PostsError.about(self.folder, "holds something else", strange, OTHER)
            return
        found = self.manifest() or {}
        differ = [
            f"{name} was {found.get(name)}, is {wanted}"
            for name, wanted in self._complete(manifest).items()
            if found.get(name) != wanted
        ]
        if differ:
            problem = "holds answers of another model, input or setting"
            raise PostsError.about(self.folder, problem, differ, OTHER)

    def begin(self, manifest: dict[str, Any]) -> tuple[int, ...]:
        """Lock the folder, remove what a killed run left, and say what is done.

        Args:
            manifest: As in `check`.

        Returns:
            Numbers of the shards that are finished, ascending.

        Raises:
            PostsError: Another run is at work here, or the folder cannot be written or holds
                something else.
        """
        self._lock.claim()
        self.check(manifest)  # it may have changed since the caller looked
        for file in list(self.folder.iterdir()):
            if _is_draft(file.name):
                file.unlink()
        if not (self.folder / MANIFEST).exists():
            text = json.dumps(self._complete(manifest), indent=2, ensure_ascii=False) + "\n"
            write_whole(text, self.folder / MANIFEST)
        self.join()
        return finished_shards(self.folder, manifest["rows_per_shard"])

    @staticmethod
    def _complete(manifest: dict[str, Any]) -> dict[str, Any]:
        """Return it as it is after writing and reading, which turns tuples into lists."""
        return json.loads(json.dumps({"format_version": FORMAT_VERSION, **manifest}))


def _is_draft(name: str) -> bool:
    """Say whether a file is one that a killed run left half-written."""
    return name.startswith((DRAFT, f".{MANIFEST}."))
