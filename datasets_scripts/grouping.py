"""Splits that do not leak: posts that share an image or a text stay together."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from datasets_scripts.post import (
    CONTRADICTORY,
    SPLITS,
    Division,
    Post,
    Rejected,
    label_names_of,
)
from datasets_scripts.texts import normalise_text

DEFAULT_SHARES = (0.8, 0.1, 0.1)


def same_content(posts: Sequence[Post]) -> tuple[list[list[Post]], list[list[Post]]]:
    """Find posts of the same content.

    Args:
        posts: With inspected images.

    Returns:
        Groups of two or more posts with a byte-identical image, and groups of two or more with
        the same normalised text; in the order of their first posts.
    """
    by_picture, by_text = defaultdict(list), defaultdict(list)
    for post in posts:
        if post.picture is not None:
            by_picture[post.picture.sha256].append(post)
        if text := normalise_text(post.text):
            by_text[text].append(post)
    pictures, texts = (
        [group for group in found.values() if len(group) > 1] for found in (by_picture, by_text)
    )
    return pictures, texts


def group_duplicates(posts: Sequence[Post]) -> list[list[Post]]:
    """Part posts into groups, so that posts with an image or a text in common are in one.

    Args:
        posts: With inspected images.

    Returns:
        The groups; a post without a duplicate is a group of its own.
    """
    place = {id(post): i for i, post in enumerate(posts)}
    pictures, texts = same_content(posts)
    edges = [(place[id(group[0])], place[id(p)]) for group in pictures + texts for p in group]
    one, other = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_matrix(([True] * len(edges), (one, other)), shape=(len(posts), len(posts)))
    _, components = connected_components(graph, directed=False)
    groups = defaultdict(list)
    for post, component in zip(posts, components.tolist(), strict=True):
        groups[component].append(post)
    return list(groups.values())


def divide_grouped(
    posts: Sequence[Post], shares: Sequence[float] = DEFAULT_SHARES, seed: int = 0
) -> Division:
    """Divide posts by shares: seeded, stratified by label, duplicates together.

    Groups of duplicates are taken largest first, within one size in the order of the SHA-256 of
    "SEED:ID" (of the smallest id), and each goes where its labels are wanted most once it is there:
    a split keeps its share, and a large group does not fill a small split. The order of the posts
    does not matter.

    Args:
        posts: With inspected images. Posts without label follow their group; where it went to
            validation or test they are left out, or they would leak when branches are taught by them.
        shares: Of train, validation and test; they sum to 1.
        seed: Another seed gives another division.

    Returns:
        The splits, and "contradictory" if there are posts without label.
    """

    def order(group: list[Post]) -> tuple[int, str]:
        first = min(post.id for post in group)
        return -len(group), hashlib.sha256(f"{seed}:{first}".encode()).hexdigest()

    strata = _strata(posts)
    targets = Counter(name for post in posts for name in strata(post))
    have: dict[str, Counter[Any]] = {split: Counter() for split in SPLITS}
    division = Division({split: [] for split in SPLITS}, {}, [])
    without_label = []
    wanted = {split: share for split, share in zip(SPLITS, shares, strict=True) if share > 0}
    for group in sorted(group_duplicates(posts), key=order):
        counts = Counter(name for post in group for name in strata(post))
        need = {
            split: sum(
                n * (targets[label] - (have[split][label] + n) / share)
                for label, n in counts.items()
            )
            for split, share in wanted.items()
        }
        split = max(need, key=need.__getitem__)
        have[split].update(counts)
        division.splits[split] += [post for post in group if post.label is not None]
        unlabelled = [post for post in group if post.label is None]
        if split == "train":
            without_label += unlabelled
        else:
            why = f"without joint label, and shares its image or text with {split}"
            division.left_out.extend(Rejected(p.id, p.where, why, bad=False) for p in unlabelled)
    return _in_order(division, without_label, posts)


def _strata(posts: Sequence[Post]) -> Callable[[Post], Sequence[Any]]:
    """Return what gives the strata of a post: its labels, or the tenth of posts its score is in."""
    scores = sorted(post.label for post in posts if isinstance(post.label, float))

    def strata(post: Post) -> Sequence[Any]:
        if isinstance(post.label, float):
            return (10 * bisect_left(scores, post.label) // len(scores),)
        return ("",) if post.label == () else label_names_of(post.label)

    return strata


def _in_order(division: Division, without_label: list[Post], posts: Sequence[Post]) -> Division:
    """Bring each split into the order in which the posts came."""
    place = {id(post): i for i, post in enumerate(posts)}
    splits = dict(division.splits)
    if any(post.label is None for post in posts):
        splits[CONTRADICTORY] = without_label
    return division._replace(
        splits={name: sorted(s, key=lambda post: place[id(post)]) for name, s in splits.items()}
    )


def parse_shares(split: str | Sequence[float]) -> tuple[float, ...]:
    """Read the shares of train, validation and test.

    Args:
        split: Three numbers, or a string such as "0.8,0.1,0.1".

    Returns:
        The three shares.

    Raises:
        ValueError: Not three numbers that sum to 1, or nothing for train or validation.
    """
    try:
        parts = split.split(",") if isinstance(split, str) else split
        shares = tuple(float(part) for part in parts)
    except ValueError:
        shares = ()
    if len(shares) != 3 or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0 or min(shares[:2]) == 0:
        raise ValueError(
            f"split {split!r}: give the shares of train, validation and test, such as 0.8,0.1,0.1; "
            "they sum to 1, and only test may be 0"
        )
    return shares
