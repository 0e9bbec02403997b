"""Cut posts into folds by their ids: duplicates together, labels alike, whatever the order of rows."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from datasets import Dataset

from datasets_scripts.grouping import group_duplicates
from datasets_scripts.post import Picture, Post
from hybridsent.training.encoder_states import content_of


def duplicate_groups(posts: Dataset) -> np.ndarray:
    """Number the groups of posts that have a text or an image in common.

    Args:
        posts: With undecoded images.

    Returns:
        Group of each post, (posts,).
    """
    seen = [
        Post(str(i), "", text, None, picture=_fingerprint(content_of(image)))
        for i, (text, image) in enumerate(zip(posts["text"], posts["image"], strict=True))
    ]
    groups = np.empty(len(seen), dtype=int)
    for number, group in enumerate(group_duplicates(seen)):
        groups[[int(post.id) for post in group]] = number
    return groups


def _fingerprint(content: bytes | None) -> Picture | None:
    """Identify an image by its bytes alone."""
    if content is None:
        return None
    return Picture(hashlib.sha256(content).digest(), 0, 0, "", "", 1, 1)


def most_folds(labels: np.ndarray, groups: np.ndarray) -> int:
    """Return in how many folds posts can be cut: by their groups, and by the most frequent label."""
    return min(len(set(groups)), int(np.bincount(labels).max()))


def cut_posts(
    ids: Sequence[str], labels: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Deal groups of posts to folds so that each fold has its share of every label.

    The largest groups come first, groups of one size in the order of the SHA-256 of "SEED:ID" of their
    smallest id. Each goes where it brings the counts of labels nearest to even ones. The order of the
    posts does not matter, nor does the version of any library.

    Args:
        ids: Of the posts, each once.
        labels: (posts,), all known.
        groups: Number of each post's group, (posts,).
        folds: How many.
        seed: Another seed gives another cut.

    Returns:
        Fold of each post, (posts,).
    """
    members = defaultdict(list)
    for place, group in enumerate(groups.tolist()):
        members[group].append(place)

    def order(group: list[int]) -> tuple[int, str]:
        first = min(ids[place] for place in group)
        return -len(group), hashlib.sha256(f"{seed}:{first}".encode()).hexdigest()

    counts = np.zeros((folds, int(labels.max()) + 1))
    total = np.bincount(labels)
    found = np.empty(len(ids), dtype=int)
    for group in sorted(members.values(), key=order):
        fold = _neediest(counts, total, Counter(labels[group].tolist()))
        counts[fold] += np.bincount(labels[group], minlength=len(total))
        found[group] = fold
    return found


def _neediest(counts: np.ndarray, total: np.ndarray, group: Counter[int]) -> int:
    """Return the fold whose counts (folds, labels) grow least uneven; of equals, the emptiest."""
    cost = np.zeros(len(counts))
    for label, number in group.items():
        # How much (count - total / folds) ** 2 grows, less what all folds have in common.
        cost += number * (number + 2 * counts[:, label]) / total[label]
    return int(np.lexsort((counts.sum(axis=1), cost))[0])
