"""One table of posts: the columns every set shares, and what was counted on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value

from datasets_scripts.intake import SCORE, SCORE_NAME, SEVERAL, SINGLE
from datasets_scripts.post import Post, Rejected

UNIMODAL_LABELS = ("text_label", "image_label")


class Table(NamedTuple):
    """Posts by split, and what was found on the way.

    Attributes:
        posts: The splits; each row is one post.
        counts: Figures of `datasets_scripts.summary.count`.
        rejected: Every row that is in no split, with its reason: posts + rejected = rows read.
    """

    posts: DatasetDict
    counts: dict[str, Any]
    rejected: list[Rejected]


def features(label_names: Sequence[str], unimodal: bool, problem_type: str = SINGLE) -> Features:
    """Describe the columns of a post.

    Args:
        label_names: Names of the classes, in the order of their indices.
        unimodal: Whether the set has labels of the text alone and of the image alone.
        problem_type: One of `PROBLEM_TYPES`: a label is a class, a list of classes or a number.

    Returns:
        The features; the unimodal columns are there only if `unimodal`.
    """
    columns = {"id": Value("string"), "text": Value("string"), "image": Image()}
    labels = ("label", *UNIMODAL_LABELS) if unimodal else ("label",)
    kind = ClassLabel(names=list(label_names))
    kinds = {SINGLE: kind, SEVERAL: List(kind), SCORE: Value("float64")}
    return Features(columns | {name: kinds[problem_type] for name in labels})


def problem_type_of(label: Any) -> str:
    """Return the problem type that the feature of the column `label` tells."""
    if isinstance(label, Value):
        return SCORE
    return SINGLE if isinstance(label, ClassLabel) else SEVERAL


def label_names_of_feature(label: Any) -> list[str]:
    """Return the names of the labels, by index, given the feature of the column `label`."""
    if isinstance(label, Value):
        return [SCORE_NAME]
    return list((label if isinstance(label, ClassLabel) else label.feature).names)


def build_split(posts: Sequence[Post], columns: Features) -> Dataset:
    """Build one split in memory; images on disk stay paths until a row is read.

    Args:
        posts: The posts, with label names.
        columns: The features, which an empty split gets as well.

    Returns:
        The split.
    """
    return Dataset.from_dict(
        {name: [_cell(post, name) for post in posts] for name in columns}, features=columns
    )


def _cell(post: Post, column: str) -> Any:
    value = getattr(post, column)
    return {"bytes": value, "path": None} if isinstance(value, bytes) else value


def fingerprint(splits: Mapping[str, Sequence[Post]]) -> str:
    """Return a digest of all that a model can learn from: ids, texts, images, labels, in order.

    Args:
        splits: Posts with inspected images.

    Returns:
        16 hexadecimal digits; equal for a raw and a prepared folder of the same posts.
    """
    digest = hashlib.sha256()
    for name, posts in splits.items():
        for post in posts:
            labels = (post.label, post.text_label, post.image_label)
            digest.update(repr((name, post.id, post.text, *labels)).encode())
            digest.update(post.picture.sha256 if post.picture else b"-")
    return digest.hexdigest()[:16]
