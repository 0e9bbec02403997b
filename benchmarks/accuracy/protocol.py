"""Which posts teach, which choose and which are scored: folds without leaks, or the recipe's split."""

import hashlib
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Value, concatenate_datasets
from sklearn.model_selection import StratifiedGroupKFold

from datasets_scripts.grouping import group_duplicates
from datasets_scripts.post import CONTRADICTORY, SPLITS, Picture, Post
from hybridsent.training.arguments import DataArguments
from hybridsent.training.encoder_states import content_of

VALIDATION_FOLDS = 10  # of a fold's training part, one is kept for choices
NUMBER = "number"  # column: place of a post among all posts at hand


class Part(NamedTuple):
    """One training with its posts, each an array of their numbers.

    Attributes:
        run: Number of the fold, counted on through the repeats, or the seed.
        seed: Of weights and batches.
        train: Posts to learn from.
        validation: Posts that the epoch and the temperature are chosen on.
        held_out: Posts to score.
    """

    run: int
    seed: int
    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def pool_posts(posts: DatasetDict, splits: Sequence[str], arguments: DataArguments) -> Dataset:
    """Join splits into one numbered table.

    Args:
        posts: The posts by split.
        splits: Those to join, where they exist; of these, posts without label are left out.
        arguments: They say whether contradictory posts teach; if so, these stand at the end.

    Returns:
        The posts, with a column `NUMBER`.

    Raises:
        ValueError: Two posts have the same id.
    """
    found = [_with_label(posts[name]) for name in splits if name in posts]
    if arguments.use_contradictory_posts and CONTRADICTORY in posts:
        found.append(posts[CONTRADICTORY])
    pooled = concatenate_datasets(found)
    if len(set(pooled["id"])) < len(pooled):
        raise ValueError("Two posts have the same id, so that their answers cannot be compared.")
    return pooled.add_column(NUMBER, np.arange(len(pooled)), feature=Value("int64"))


def _with_label(posts: Dataset) -> Dataset:
    return posts.select([i for i, label in enumerate(posts["label"]) if label is not None])


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


def folds_of(
    posts: Dataset, folds: int, seed: int, max_train_posts: int | None, repeats: int = 1
) -> list[Part]:
    """Cut the labelled posts into folds, stratified by label, duplicates together; again and again.

    Args:
        posts: Result of `pool_posts`. Posts without label teach where none of their duplicates is
            scored or chooses.
        folds: How many.
        seed: Of the shuffles; the next repeat takes the next.
        max_train_posts: Learn from the first so many posts of each fold's training part.
        repeats: How often all posts are cut anew.

    Returns:
        The folds, numbered from 0; each labelled post is held out once in each repeat.

    Raises:
        ValueError: Fewer than two folds, or more than groups of posts or posts of one label; or no
            repeat.
    """
    if repeats < 1:
        raise ValueError(f"--repeats {repeats}: give at least 1.")
    groups = duplicate_groups(posts)
    labels = np.array([-1 if label is None else label for label in posts["label"]])
    labelled, without_label = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    most = _most_folds(labelled, labels, groups)
    if not 2 <= folds <= most:
        raise ValueError(f"--folds {folds}: give at least 2 and, with these posts, at most {most}.")
    cuts = [
        (its_seed, *cut)
        for its_seed in range(seed, seed + repeats)
        for cut in _split(labelled, labels, groups, folds, its_seed)
    ]
    parts = []
    for run, (its_seed, rest, held_out) in enumerate(cuts):
        inner = min(VALIDATION_FOLDS, _most_folds(rest, labels, groups))
        train, validation = next(_split(rest, labels, groups, inner, its_seed))
        taken = set(groups[held_out]) | set(groups[validation])
        teaching = [i for i in without_label if groups[i] not in taken]
        train = np.concatenate([train, np.array(teaching, dtype=int)])[:max_train_posts]
        parts.append(Part(run, its_seed, train, validation, held_out))
    return parts


def _most_folds(numbers: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> int:
    """Return in how many folds posts can be cut: by their groups, and by the most frequent label."""
    return min(len(set(groups[numbers])), int(np.bincount(labels[numbers]).max()))


def _split(numbers: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int, seed: int):  # noqa: ANN202
    """Yield the numbers of the larger and of the smaller part, for each fold."""
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of a label with fewer posts than folds
        warnings.filterwarnings("ignore", message="The least populated class")
        found = list(cut.split(numbers, labels[numbers], groups[numbers]))
    for larger, smaller in found:
        yield numbers[larger], numbers[smaller]


def seeds_of(
    posts: Dataset, training: int, seeds: Sequence[int], max_train_posts: int | None
) -> list[Part]:
    """Repeat the recipe's own split with several seeds, scored on its validation posts.

    Args:
        posts: Training posts, then validation posts, then those without label.
        training: How many training posts there are.
        seeds: Of weights and batches.
        max_train_posts: Learn from the first so many.

    Returns:
        A part for each seed.
    """
    numbers = np.arange(len(posts))
    known = np.array([label is not None for label in posts["label"]])
    validation = numbers[(numbers >= training) & known]
    train = numbers[(numbers < training) | ~known][:max_train_posts]
    return [Part(seed, seed, train, validation, validation) for seed in seeds]


def posts_and_parts(
    posts: DatasetDict,
    arguments: DataArguments,
    folds: int | None,
    seeds: Sequence[int] | None,
    seed: int,
    repeats: int = 1,
) -> tuple[Dataset, list[Part]]:
    """Lay out the whole comparison.

    Args:
        posts: The posts by split.
        arguments: Settings of the data.
        folds: How many folds; None to use `seeds`.
        seeds: Seeds on the recipe's own split; None to use `folds`.
        seed: Of the cut into folds.
        repeats: How often the posts are cut into folds.

    Returns:
        All posts, numbered, and the parts.

    Raises:
        ValueError: Two posts have the same id, a number that `folds_of` refuses, or repeats of seeds.
    """
    if folds is not None:
        pooled = pool_posts(posts, SPLITS, arguments)
        return pooled, folds_of(pooled, folds, seed, arguments.max_train_posts, repeats)
    if repeats != 1:
        raise ValueError("--repeats is for --folds. Leave it out, or name more --seeds.")
    pooled = pool_posts(posts, ("train", "validation"), arguments)
    training = len(_with_label(posts["train"]))
    return pooled, seeds_of(pooled, training, seeds or (seed,), arguments.max_train_posts)
