"""The words of this folder: a post, a row that became none, and what the reader of a set hands on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from datasets_scripts.intake import SCORE_NAME, SINGLE

SENTIMENTS = ("negative", "neutral", "positive")
"""Labels of MVSA, and of own posts unless they have others."""
SPLITS = ("train", "validation", "test")
REJECTED = "rejected.jsonl"  # file
CONTRADICTORY = "contradictory"  # posts without joint label, kept for their unimodal labels

Label = str | tuple[str, ...] | float | None  # a name, several names, a score


class Picture(NamedTuple):
    """What the file of an image says of itself.

    Attributes:
        sha256: Digest of the file's bytes.
        width: Pixels, as stored.
        height: Pixels, as stored.
        format: Format by content, such as "JPEG", whatever the file is called.
        mode: Pillow's mode, such as "RGB" or "CMYK".
        frames: More than 1 if animated; the first one is used.
        orientation: EXIF orientation; 1 is upright, and any other is turned upright on reading.
    """

    sha256: bytes
    width: int
    height: int
    format: str
    mode: str
    frames: int
    orientation: int


@dataclass(slots=True)
class Post:
    """One post as its set has it.

    Attributes:
        id: Unique in the set.
        where: File and row it comes from, for messages.
        text: None if it has none.
        image: Path or bytes of the image, None if it has none.
        label: The joint label, None for contradictory posts.
        text_label: The text's own label, if known.
        image_label: The image's own label, if known.
        picture: Facts about the image, once it was inspected.
    """

    id: str
    where: str
    text: str | None
    image: str | bytes | None
    label: Label = None
    text_label: Label = None
    image_label: Label = None
    picture: Picture | None = None


def label_names_of(label: Label) -> tuple[str, ...]:
    """Return the names that a label counts for, in figures by label: of a score its one name."""
    if isinstance(label, tuple):
        return label
    return () if label is None else (label if isinstance(label, str) else SCORE_NAME,)


class Rejected(NamedTuple):
    """A row that did not become a post of any split.

    Attributes:
        id: Its id, if it has one.
        where: File and row.
        why: The kind of reason, to be counted.
        detail: What it is in this row.
        bad: Whether the row is an error rather than left out by a rule of the set or protocol.
    """

    id: str | None
    where: str
    why: str
    detail: str = ""
    bad: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.detail or self.why}"


def rejected_lines(rejected: Sequence[Rejected]) -> str:
    """Return one JSON object a line and row: id, where, why, detail, bad."""
    return "".join(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rejected)


class Division(NamedTuple):
    """Posts by split.

    Attributes:
        splits: The posts of each split.
        wanted: How many posts each split should have, where that is known.
        left_out: Posts that the protocol puts into no split.
    """

    splits: dict[str, list[Post]]
    wanted: dict[str, int]
    left_out: list[Rejected]


@dataclass
class Reading:
    """All that the reader of a set found; posts + rejected = rows.

    Attributes:
        source: The file or folder to name in errors.
        protocol: How the posts are divided, as users should quote it.
        label_names: Names of the labels by index.
        unimodal: Whether texts and images have labels of their own.
        rows: How many rows were read.
        divide: Puts posts into splits.
        posts: The usable ones.
        rejected: The others.
        notes: What is worth knowing but loses no post: kind -> places.
        facts: Figures only this set has.
        corrupt_ids: Posts whose broken image is known; they keep their text.
        problem_type: One of `PROBLEM_TYPES`.
    """

    source: Path
    protocol: str
    label_names: Sequence[str]
    unimodal: bool
    rows: int
    divide: Callable[[list[Post]], Division]
    posts: list[Post] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    notes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[str, Any] = field(default_factory=dict)
    corrupt_ids: frozenset[str] = frozenset()
    problem_type: str = SINGLE
