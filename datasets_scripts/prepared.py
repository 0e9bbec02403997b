"""A prepared folder: one set under one protocol as Parquet, with all that was counted and rejected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, load_dataset
from datasets.exceptions import DatasetGenerationError

from datasets_scripts.post import REJECTED, Rejected
from datasets_scripts.post_files import SUMMARY
from datasets_scripts.table import Table
from hybridsent.support.errors import PostsError

FORMAT_VERSION = 1  # raise it whenever the same posts give other files
IDS = "split_ids.json"
AGAIN = "Prepare the folder anew: hybridsent prepare NAME --data_dir RAW --output_dir OUT."


@dataclass(frozen=True)
class Prepared:
    """What `summary.json` says: which set was prepared, and its counts."""

    name: str
    counts: dict[str, Any]


def read_summary(folder: str | Path) -> Prepared:
    """Read the summary of a prepared folder.

    Raises:
        PostsError: It was not written by us, or in another version.
    """
    file = Path(folder) / SUMMARY
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = content["format_version"]
        prepared = Prepared(content["set"], content["counts"])
    except (ValueError, KeyError, TypeError) as error:
        raise PostsError.about(
            file, "is not a summary of prepared posts", [repr(error)], AGAIN
        ) from error
    if found != FORMAT_VERSION:
        problem = f"written in format {found}, not {FORMAT_VERSION}"
        raise PostsError.about(file, problem, remedy=AGAIN)
    return prepared


def load_prepared(folder: str | Path, name: str, **options: Any) -> Table:
    """Load a prepared folder.

    Args:
        folder: The folder.
        name: The set it must hold.
        options: Only `protocol`, which must be that of the folder.

    Returns:
        The table, equal to the one that was written; images are bytes now.

    Raises:
        PostsError: Another set or protocol, or a damaged folder.
    """
    prepared = read_summary(folder)
    _refuse_other_choices(folder, prepared, name, options)
    loaded = _load_files(Path(folder) / "data", prepared.counts["splits"])
    splits = {
        split: loaded[split] if split in loaded else loaded["train"].select([])
        for split in prepared.counts["splits"]
    }
    _check(splits, prepared, folder)
    return Table(DatasetDict(splits), prepared.counts, _rejected(folder))


def _refuse_other_choices(
    folder: str | Path, prepared: Prepared, name: str, options: Mapping[str, Any]
) -> None:
    found = prepared.counts["protocol"]
    problems = [] if name == prepared.name else [f"it holds {prepared.name}, not {name}"]
    for option, value in options.items():
        if option != "protocol":
            problems.append(f"{option} was chosen when the folder was prepared")
        elif value != found.split(",")[0]:
            problems.append(f"its protocol is {found}, not {value}")
    if problems:
        raise PostsError.about(folder, "was prepared with other settings", problems, AGAIN)


def _load_files(data: Path, splits: Mapping[str, Any]) -> DatasetDict:
    """Load the files of the splits that have posts.

    They are named one by one: the header of a card may name anything, URLs included.
    """
    files = {
        name: sorted(map(str, data.glob(f"*-{name}[-.]*parquet")))
        for name, counts in splits.items()
        if counts["present"]
    }
    if lost := [f"of {name}" for name, found in files.items() if not found]:
        raise PostsError.about(data, "files are missing", lost, AGAIN)
    try:
        return load_dataset("parquet", data_files=files)
    except (OSError, ValueError, DatasetGenerationError) as error:
        raise PostsError.about(data, "cannot be loaded", [repr(error)], AGAIN) from error


def _check(splits: Mapping[str, Dataset], prepared: Prepared, folder: str | Path) -> None:
    """Refuse a folder whose posts are not those that were written."""
    wrong = []
    for name, posts in splits.items():
        wanted = prepared.counts["splits"][name]["present"]
        if len(posts) != wanted:
            wrong.append(f"{name}: {len(posts)} posts, {wanted} in {SUMMARY}")
        elsewhere = sum(
            pc.sum(pc.and_(pc.is_valid(part), pc.is_null(part.field("bytes")))).as_py() or 0
            for part in posts.data["image"].chunks  # each by itself: all may not fit into memory
        )
        if elsewhere:
            wrong.append(f"{name}: {elsewhere} images are not in the files but elsewhere")
    if wrong:
        raise PostsError.about(folder, "not the posts that were prepared", wrong, AGAIN)


def _rejected(folder: str | Path) -> list[Rejected]:
    lines = (Path(folder) / REJECTED).read_text(encoding="utf-8").splitlines()
    return [Rejected(**json.loads(line)) for line in lines]
