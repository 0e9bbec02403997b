"""A prepared folder: one set under one protocol as Parquet, with all that was counted and rejected."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import DatasetDict, load_dataset
from datasets.exceptions import DatasetGenerationError

from datasets_scripts.errors import PostsError
from datasets_scripts.post import Rejected
from datasets_scripts.table import Table

FORMAT_VERSION = 1  # raise it whenever the same posts give other files
SUMMARY = "summary.json"
REJECTED = "rejected.jsonl"
IDS = "split_ids.json"
AGAIN = "Prepare the folder anew: python -m datasets_scripts NAME --data_dir RAW --output_dir OUT."


@dataclass(frozen=True)
class Prepared:
    """What `summary.json` says: which set was prepared, and its counts."""

    name: str
    counts: dict[str, Any]


def is_prepared(folder: str | Path) -> bool:
    """Say whether a folder was written by `datasets_scripts.prepare.prepare`."""
    return (Path(folder) / SUMMARY).is_file()


def read_summary(folder: str | Path) -> Prepared:
    """Read the summary of a prepared folder.

    Raises:
        PostsError: It is none of ours, or of another version.
    """
    file = Path(folder) / SUMMARY
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = content["format_version"]
        prepared = Prepared(content["set"], content["counts"])
    except (ValueError, KeyError, TypeError) as error:
        raise PostsError.about(
            file, "no summary of prepared posts", [repr(error)], AGAIN
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
        The table, equal to the one that was written; pictures are bytes now.

    Raises:
        PostsError: Another set or protocol, or a damaged folder.
    """
    prepared = read_summary(folder)
    found = prepared.counts["protocol"]
    problems = [] if name == prepared.name else [f"it holds {prepared.name}, not {name}"]
    for option, value in options.items():
        if option != "protocol":
            problems.append(f"{option} was chosen when the folder was prepared")
        elif value != found.split(",")[0]:
            problems.append(f"its protocol is {found}, not {value}")
    if problems:
        raise PostsError.about(folder, "prepared otherwise than asked for", problems, AGAIN)
    try:
        posts = load_dataset(str(folder))
    except (OSError, ValueError, DatasetGenerationError) as error:
        raise PostsError.about(folder, "cannot be loaded", [repr(error)], AGAIN) from error
    splits = {
        split: posts[split] if split in posts else posts["train"].select([])
        for split in prepared.counts["splits"]
    }
    return Table(
        DatasetDict(_checked(splits, prepared, folder)), prepared.counts, _rejected(folder)
    )


def _checked(splits: dict, prepared: Prepared, folder: str | Path) -> dict:
    wrong = [
        f"{name}: {len(posts)} posts, {prepared.counts['splits'][name]['present']} in {SUMMARY}"
        for name, posts in splits.items()
        if len(posts) != prepared.counts["splits"][name]["present"]
    ]
    if wrong:
        raise PostsError.about(folder, "posts were lost or added", wrong, AGAIN)
    return splits


def _rejected(folder: str | Path) -> list[Rejected]:
    lines = (Path(folder) / REJECTED).read_text(encoding="utf-8").splitlines()
    return [Rejected(**json.loads(line)) for line in lines]
