"""The output folder: one run at a time, one model and one input, and only whole files.

Answers are Parquet files, each of a fixed range of rows that is in its name.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hybridsent.support.errors import PostsError
from hybridsent.support.folders import write_whole
from hybridsent.support.locking import FolderLock, is_lock

MANIFEST = ".manifest.json"  # hidden, so that what reads Parquet takes the folder as it is
FORMAT_VERSION = 1  # raise it whenever other files would be written for the same manifest
OTHER = "Give another --output, or remove that folder to start anew."
DRAFT = ".draft-"  # how the names of unfinished files begin
_NAME = re.compile(r"rows-(\d{12})-(\d{12})\.parquet")
_DRAFT_NAME = re.compile(rf"{re.escape(DRAFT)}\d{{12}}|\.{re.escape(MANIFEST)}\.\d+")


class RunFolder:
    """A folder of answers.

    Args:
        folder: Created if it is absent.
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
        """Read what decides about the answers in the folder; None if it has none.

        Raises:
            PostsError: The file is damaged.
        """
        file = self.folder / MANIFEST
        if not file.is_file():
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not found:
                raise ValueError("it has no settings of a run")
            return found
        except ValueError as error:
            raise PostsError.about(file, "is damaged", [str(error)], OTHER) from error

    def check(self, manifest: dict[str, Any]) -> None:
        """Refuse a folder of other answers; changes nothing.

        Args:
            manifest: What decides about the answers, by name, as JSON has it.

        Raises:
            PostsError: The folder is not a folder of answers; the message says what differs.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise PostsError.about(self.folder, "is a file, not a folder", remedy=OTHER)
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if MANIFEST not in names:
            strange = sorted(name for name in names if not (_is_draft(name) or is_lock(name)))
            if strange:
                raise PostsError.about(self.folder, "is not a folder of answers", strange, OTHER)
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
        """Lock the folder, remove what a killed run left, and find what is done.

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
    """Check whether a file is one that a killed run left half-written."""
    return _DRAFT_NAME.fullmatch(name) is not None


def shard_name(start: int, stop: int) -> str:
    """Return the name of the file with the rows from start up to, not including, stop."""
    return f"rows-{start:012d}-{stop:012d}.parquet"


def finished_shards(folder: Path, rows_per_shard: int) -> tuple[int, ...]:
    """Return the numbers of the shards whose files are whole, ascending; others are written anew."""
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
    return tuple(
        sorted(
            int(match[1]) // rows_per_shard
            for path, match in found
            if match and _rows_in(path) == int(match[2]) - int(match[1]) > 0
        )
    )


def count_errors(folder: Path, words: str) -> int:
    """Count the answers in a folder whose error holds some words."""
    columns = (pq.read_table(file, columns=["error"])["error"] for file in _answers_in(folder))
    return sum(pc.sum(pc.match_substring(column, words)).as_py() or 0 for column in columns)


def _answers_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]


def _rows_in(file: Path) -> int:
    """Return the number of rows of a Parquet file; 0 for a file that a crash of the machine cut off."""
    try:
        return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowException, OSError):
        return 0


class ShardWriter:
    """Write a stream of answers, shard by shard; a context that drops an unfinished shard.

    Args:
        folder: Where the files go.
        rows_per_shard: Rows of each but the last.
    """

    def __init__(self, folder: Path, rows_per_shard: int) -> None:
        self.folder, self.rows_per_shard = folder, rows_per_shard
        self.writer: pq.ParquetWriter | None = None
        self.start = self.stop = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.writer is not None and kind is None:
            self._finish()
        elif self.writer is not None:
            self.draft.unlink(missing_ok=True)  # first: a full disk may not let it be closed
            self.writer.close()

    @property
    def draft(self) -> Path:
        """The unfinished file, of a name that no other process of the run uses."""
        return self.folder / f"{DRAFT}{self.start:012d}"

    def write(self, answers: pa.Table) -> None:
        """Write the next answers.

        Args:
            answers: Rows in ascending order, whole shards of the input without a gap inside.
        """
        while answers.num_rows:
            first = answers["row"][0].as_py()
            if self.writer is None:
                self.start = self.stop = first
                self.writer = pq.ParquetWriter(self.draft, answers.schema)
            end = self.start + self.rows_per_shard
            part = answers.slice(0, end - first)
            self.writer.write_table(part)
            self.stop += part.num_rows
            answers = answers.slice(part.num_rows)
            if self.stop == end:
                self._finish()

    def _finish(self) -> None:
        """Give the shard its name, once it is on the disk."""
        assert self.writer is not None
        self.writer.close()
        with self.draft.open("rb") as file:
            os.fsync(file.fileno())
        self.draft.rename(self.folder / shard_name(self.start, self.stop))
        self.writer = None  # not before: a signal may end the run at any line
