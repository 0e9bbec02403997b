"""One table of posts: the columns every set shares, how a split is built and counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

SENTIMENTS = ("negative", "neutral", "positive")
SPLITS = ("train", "validation", "test")
UNIMODAL_LABELS = ("text_label", "image_label")
SPLITS_FOLDER = Path(__file__).parent / "splits"

Post = dict[str, Any]


class Table(NamedTuple):
    """Posts by split, and the figures that say what was found.

    Attributes:
        posts: The splits; each row is one post.
        counts: `present`, `text_missing`, `image_missing`, `splits` (per split `wanted`, `present`,
            `classes`), and what the loader of the set adds.
    """

    posts: DatasetDict
    counts: dict[str, Any]


def features(label_names: Sequence[str], unimodal: bool) -> Features:
    """Describe the columns of a post.

    Args:
        label_names: Names of the classes, in the order of their indices.
        unimodal: Whether the set has labels of the text alone and of the picture alone.

    Returns:
        The features; the unimodal columns are there only if `unimodal`.
    """
    columns = {"id": Value("string"), "text": Value("string"), "image": Image()}
    labels = ("label", *UNIMODAL_LABELS) if unimodal else ("label",)
    return Features(columns | {name: ClassLabel(names=list(label_names)) for name in labels})


def text_or_none(text: str) -> str | None:
    """Return the text, or None where it is empty or only spaces: such a post has no text."""
    return text if text.strip() else None


def build_split(posts: Sequence[Post], columns: Features) -> Dataset:
    """Build one split in memory; pictures stay paths until a row is read.

    Args:
        posts: Rows with label names and absolute picture paths; a missing key means None.
        columns: The features, which an empty split gets as well.

    Returns:
        The split.
    """
    return Dataset.from_dict(
        {name: [post.get(name) for post in posts] for name in columns}, features=columns
    )


def build_table(
    splits: Mapping[str, Sequence[Post]],
    columns: Features,
    wanted: Mapping[str, int] | None = None,
    **counts: Any,
) -> Table:
    """Build the splits and count them.

    Args:
        splits: Rows of each split, as `build_split` takes them.
        columns: The features of every split.
        wanted: Number of posts each split should have; default: what it has.
        counts: Figures only the loader knows.

    Returns:
        The table.
    """
    posts = [post for rows in splits.values() for post in rows]
    found = {
        "present": len(posts),
        "text_missing": sum(post["text"] is None for post in posts),
        "image_missing": sum(post["image"] is None for post in posts),
    }
    by_split = {}
    for name, rows in splits.items():
        classes = Counter(post["label"] for post in rows)
        by_split[name] = {
            "wanted": (wanted or {}).get(name, len(rows)),
            "present": len(rows),
            "classes": {label: classes[label] for label in columns["label"].names},
        }
    built = DatasetDict({name: build_split(rows, columns) for name, rows in splits.items()})
    return Table(built, {**found, **counts, "splits": by_split})


def read_split_ids(set_name: str, protocol: str) -> dict[str, list[str]]:
    """Read the ids of a published split.

    Args:
        set_name: Name of the set, such as "mvsa_single".
        protocol: Name of the split, such as "clmlf".

    Returns:
        The ids under "train", "validation" and "test".

    Raises:
        ValueError: If the set has no split of that name.
    """
    files = {
        file.stem.removeprefix(f"{set_name}_"): file
        for file in SPLITS_FOLDER.glob(f"{set_name}_*.json")
    }
    if protocol not in files:
        raise ValueError(f"unknown protocol {protocol!r} of {set_name}: one of {sorted(files)}")
    content = json.loads(files[protocol].read_text(encoding="utf-8"))
    return {split: [str(post_id) for post_id in content[split]] for split in SPLITS}
