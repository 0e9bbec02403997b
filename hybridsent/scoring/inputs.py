"""Where the rows come from: a file, the files of a folder, or a data set of the Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import yaml

from datasets_scripts.intake import ENDINGS, FIELDS, chosen, ending_of, misread, read_rows
from datasets_scripts.intake.parquet_file import ROWS_AT_ONCE, cell_of
from datasets_scripts.post_files import (
    IMAGE_FOLDER,
    errors_name,
    is_prepared,
    open_posts,
    tables_in,
)
from hybridsent.scoring.rows import NO_ROWS, Assignment, Row, row_of
from hybridsent.support.errors import PostsError

NEEDED = ("text", "image", "file_name")
CORRECT = (
    "Correct the data set, or score a copy of it in files, of which each bad row is an answer."
)
HUB = "hf://"  # how the folder of a row begins that is streamed from the Hub
OUTSIDE = re.compile(r"[:~\\]|^/|(^|/)\.\.(/|$)")  # in a path: what may leave the data set


class Input(Protocol):
    """What a source of rows can do.

    Attributes:
        unread: Columns that nobody reads and that seem to be meant -> the absent one.
    """

    unread: dict[str, str]

    def identity(self) -> Any:
        """Return what is equal only for the same rows, as JSON has it; images do not count."""

    def total(self) -> int | None:
        """Return the number of rows, None if it is unknown."""

    def rows(self, assignment: Assignment) -> Iterator[Row]:
        """Yield the rows of a process in their order."""


def file_rows(file: Path, first: int, assignment: Assignment) -> Generator[Row, None, int]:
    """Read the rows of one file.

    Args:
        file: The file.
        first: Number of its first row.
        assignment: The rows to yield.

    Yields:
        The rows.

    Returns:
        The number of the row after the last.
    """
    folder, table = str(file.parent), open_posts(file)
    with errors_name(file):
        rows = read_rows(
            table, wants=lambda start, stop: assignment.owns_any(first + start, first + stop)
        )
        while True:
            try:
                row = next(rows)
            except StopIteration as end:
                return first + int(end.value)
            yield Row(first + row.position, row.id, row.text, row.image, folder, row.problem)


class FileInput:
    """The rows of one or several files, one file after the other.

    Args:
        files: The files.
        folder: What their names are relative to.

    Raises:
        PostsError: A file has neither texts nor images, or its header cannot be read.
    """

    def __init__(self, files: list[Path], folder: Path) -> None:
        self.files, self.folder = files, folder
        self.unread: dict[str, str] = {}
        for file in files:
            columns = open_posts(file).columns
            self.unread |= misread(columns)
            if not set(NEEDED) & set(columns):
                remedy = "Rename the columns with texts and paths of images: text, image."
                found = [f"found {list(columns)}"]
                raise PostsError.about(file, "needs a column 'text' or 'image'", found, remedy)

    def identity(self) -> list[list[Any]]:
        """Return name, size in bytes and time of change of each file; images do not count."""
        found = [(file.relative_to(self.folder), file.stat()) for file in self.files]
        return [[str(name), state.st_size, state.st_mtime_ns] for name, state in found]

    def total(self) -> int:
        """Count the rows, which reads text files once and of Parquet files the end only."""
        rows = self.rows(NO_ROWS)
        while True:
            try:
                next(rows)
            except StopIteration as end:
                return int(end.value)

    def rows(self, assignment: Assignment) -> Generator[Row, None, int]:
        """Yield the rows of a process; return the number of all rows."""
        number = 0
        for file in self.files:
            number = yield from file_rows(file, number, assignment)
        return number


class HubInput:
    """The rows of one split of a data set of the Hub, streamed; images stay undecoded.

    Args:
        name: Id of the data set.
        split: Its split; may be left out where there is one only.
        config: Its configuration, where it has several.

    Raises:
        PostsError: It cannot be reached, or has no such split, or neither texts nor images.
    """

    def __init__(self, name: str, split: str | None, config: str | None) -> None:
        from datasets import load_dataset
        from huggingface_hub import HfApi

        self.name, self.config = name, config
        remedy = "Is it a file or folder that does not exist, or a data set that you may read?"
        with self._errors_name("cannot be loaded from the Hub", remedy):
            self.revision = HfApi().dataset_info(name).sha
            _require_own_files(name, self.revision)
            splits = load_dataset(name, config, revision=self.revision, streaming=True)
        if split is None and len(splits) == 1:
            split = next(iter(splits))
        if split not in splits:
            raise PostsError.about(name, f"no split {split!r}", remedy=f"Give one of {[*splits]}.")
        self.split, self.folder = split, f"{HUB}datasets/{name}@{self.revision}"
        with self._errors_name("cannot be read", CORRECT):
            self.posts = self._used_columns(splits[split])

    @contextmanager
    def _errors_name(self, problem: str, remedy: str) -> Iterator[None]:
        """Raise what the library or the network raises as a PostsError that names the data set."""
        from datasets.exceptions import DatasetGenerationError
        from huggingface_hub.utils import httpx

        causes = (httpx.HTTPError, OSError, ValueError, RuntimeError)
        failures = (*causes, yaml.YAMLError, DatasetGenerationError)
        try:
            yield
        except PostsError:
            raise
        except failures as error:
            raise PostsError.about(self.name, problem, [str(error)], remedy) from error

    def _used_columns(self, posts: Any) -> Any:
        first = posts.with_format("arrow").iter(1)
        found = posts.column_names or next((x.column_names for x in first), None)
        names: list[str] = found or []
        self.unread = misread(names)
        columns = [column for column in names if column in ("id", *NEEDED)]
        if not set(columns) - {"id"}:
            remedy = f"It has {names}."
            raise PostsError.about(self.name, "needs a column 'text' or 'image'", remedy=remedy)
        # First of all, since the library already decodes the images of a data set of the Hub.
        posts = posts.decode(False) if posts.features else posts
        return posts.select_columns(columns)

    def identity(self) -> list[Any]:
        """Return name, commit, configuration and split."""
        return [self.name, self.revision, self.config, self.split]

    def total(self) -> int | None:
        """Return the number of rows if the data set states it."""
        splits = self.posts.info.splits or {}
        return splits[self.split].num_examples if self.split in splits else None

    def rows(self, assignment: Assignment) -> Iterator[Row]:
        """Yield the rows of a process; those before its first are skipped without being read."""
        shards = range(len(assignment.done) + assignment.processes)
        start = next(filter(assignment.owns_shard, shards)) * assignment.rows_per_shard
        number = start
        # As Arrow, since a row that Python cannot hold would end the stream.
        tables = self.posts.skip(start).with_format("arrow").iter(ROWS_AT_ONCE)
        while True:
            with self._errors_name(f"cannot be read from row {number} on", CORRECT):
                table = next(tables, None)
            if table is None:
                return
            for place in range(table.num_rows):
                if assignment.owns(number):
                    yield self._row(number, table, place)
                number += 1

    def _row(self, number: int, table: pa.Table, place: int) -> Row:
        columns = chosen(table.column_names, FIELDS)
        try:
            cells = {x: cell_of(table, place, x, column) for x, column in columns.items()}
        except ValueError as error:
            return Row(number, None, folder=self.folder, problem=str(error))
        return row_of(number, cells, self.folder)


def _require_own_files(name: str, revision: str | None) -> None:
    """Refuse a data set whose settings name files elsewhere: the library opens them before it checks.

    Raises:
        ValueError: They do; the message names the first one.
    """
    from datasets import config
    from huggingface_hub import DatasetCard, hf_hub_download
    from huggingface_hub.utils import EntryNotFoundError

    for file in (config.REPOCARD_FILENAME, config.REPOYAML_FILENAME):
        try:
            path = hf_hub_download(name, file, repo_type="dataset", revision=revision)
        except EntryNotFoundError:
            continue
        text = Path(path).read_text(encoding="utf-8")
        is_card = file == config.REPOCARD_FILENAME
        stored = DatasetCard(text).data.to_dict() if is_card else yaml.safe_load(text)
        configs = (stored or {}).get("configs") or []
        named = [x.get(field) for x in configs for field in ("data_files", "data_dir")]
        if outside := [x for x in _strings_in(named) if OUTSIDE.search(x)]:
            raise ValueError(f"{file} names {outside[0]!r:.200}, which is no file of the data set")


def _strings_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _strings_in(item)]
    return [value] if isinstance(value, str) else []


def find_files(folder: Path, split: str | None) -> list[Path]:
    """Find the files with posts in a folder.

    Args:
        folder: Files of posts, an ImageFolder with its `metadata`, or what `datasets_scripts` prepared.
        split: Only the files of this split, by the name of file or folder.

    Returns:
        The files in the order of their names.

    Raises:
        PostsError: No such file.
    """
    where = folder / "data" if is_prepared(folder) else folder
    names = (f"{IMAGE_FOLDER}.*", f"*/{IMAGE_FOLDER}.*")
    files = sorted(file for name in names for file in tables_in(where, name)) or tables_in(where)
    if split:
        name = re.compile(rf"(.*-)?{re.escape(split)}(-.*)?")
        files = [file for file in files if name.fullmatch(file.stem) or file.parent.name == split]
    if not files:
        of_split = f" of split {split!r}" if split else ""
        problem = f"no file{of_split} that ends in {', '.join(ENDINGS)}"
        raise PostsError.about(where, problem, remedy="Give the file or folder that has the posts.")
    return files


def find_input(name: str, split: str | None = None, config: str | None = None) -> Input:
    """Find what a user means.

    Args:
        name: File, folder, or id of a data set of the Hub.
        split: Of a folder or data set.
        config: Of a data set.

    Returns:
        The input; nothing but headers was read.

    Raises:
        PostsError: No such input, or it cannot be read.
    """
    path = Path(os.path.abspath(name))
    is_table = ending_of(path) in ENDINGS
    if path.is_file() and is_table and not split:
        return FileInput([path], path.parent)
    if path.is_file() and is_table:
        raise PostsError.about(name, "is one file, without splits", remedy="Leave out --split.")
    if path.is_dir():
        return FileInput(find_files(path, split), path)
    if path.exists() or is_table or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        endings = ", ".join(ENDINGS)
        remedy = f"Give a file that ends in {endings}; a folder; or a Hub id."
        raise PostsError.about(name, "no such file or folder of posts", remedy=remedy)
    return HubInput(name, split, config)
