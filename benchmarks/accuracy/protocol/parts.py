"""Which posts teach, which choose and which are scored: folds without leaks, or the recipe's split."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Value, concatenate_datasets

from datasets_scripts.post import CONTRADICTORY, SPLITS
from hybridsent.regression.folds import cut_posts, duplicate_groups, most_folds
from hybridsent.training.arguments import DataArguments

CHOICE_FOLDS = 10  # of a training part, one such fold is kept for choices
NUMBER = "number"  # column: place of a post among all posts at hand


class Part(NamedTuple):
    """One training with its posts, each an array of their numbers.

    Attributes:
        run: Number of the fold, counted on through the repeats, or the seed.
        seed: Of weights and batches.
        train: Posts to learn from.
        validation: Posts that epoch, learning rate and temperature are chosen on.
        held_out: Posts to score, on which nothing is chosen.
    """

    run: int
    seed: int
    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


class PooledPosts(NamedTuple):
    """All posts at hand, sorted by id, those without label at the end.

    Attributes:
        table: The posts, with a column `NUMBER`.
        labels: (posts,); -1 where unknown.
        groups: Number of each post's group of duplicates, (posts,).
    """

    table: Dataset
    labels: np.ndarray
    groups: np.ndarray

    def cut(self, numbers: np.ndarray, folds: int, seed: int) -> np.ndarray:
        """Return the fold of each of these labelled posts, by its id."""
        ids = self.table.select(numbers)["id"]
        return cut_posts(ids, self.labels[numbers], self.groups[numbers], folds, seed)

    def most_folds(self, numbers: np.ndarray) -> int:
        """Return in how many folds these labelled posts can be cut."""
        return most_folds(self.labels[numbers], self.groups[numbers])


def seed_of_run(seed: int, run: int) -> int:
    """Hash the seed of a comparison and the number of a run: 32 bits that no two runs share."""
    return int(np.random.SeedSequence((seed, run)).generate_state(1)[0])


def pool_posts(posts: DatasetDict, splits: Sequence[str], arguments: DataArguments) -> PooledPosts:
    """Join splits into one numbered table whose order does not depend on that of the rows.

    Args:
        posts: The posts by split.
        splits: Those to join, where they exist; of these, posts without label are left out.
        arguments: They decide whether contradictory posts teach.

    Returns:
        The posts, with their labels and groups.

    Raises:
        ValueError: Two posts have the same id.
    """
    found = [_with_label(posts[name]) for name in splits if name in posts]
    # Always there at first: a group that they hold together is one, whether they teach or not.
    found += [posts[CONTRADICTORY]] if CONTRADICTORY in posts else []
    pooled = concatenate_datasets(found)
    ids = list(pooled["id"])
    if len(set(ids)) < len(pooled):
        raise ValueError("Two posts have the same id, so that their answers cannot be compared.")
    labels = np.array([-1 if label is None else label for label in pooled["label"]])
    order = sorted(range(len(pooled)), key=lambda i: (labels[i] < 0, ids[i]))
    table, labels = pooled.select(order), labels[order]
    groups = duplicate_groups(table)
    kept = np.arange(len(table) if arguments.use_contradictory_posts else (labels >= 0).sum())
    table = table.select(kept).add_column(NUMBER, kept, feature=Value("int64"))
    return PooledPosts(table, labels[kept], groups[kept])


def _with_label(posts: Dataset) -> Dataset:
    return posts.select([i for i, label in enumerate(posts["label"]) if label is not None])


def folds_of(
    posts: PooledPosts, folds: int, seed: int, max_train_posts: int | None, repeats: int = 1
) -> list[Part]:
    """Cut the labelled posts into folds, alike in labels, duplicates together; again and again.

    Args:
        posts: All posts.
        folds: How many.
        seed: Of the trainings; the cuts do not depend on it, but are numbered from 0.
        max_train_posts: Learn from the first so many posts of each fold's training part.
        repeats: How often all posts are cut.

    Returns:
        The folds, numbered from 0; each labelled post is held out once in each repeat.

    Raises:
        ValueError: Fewer than two folds, or more than groups of posts or posts of one label; or no
            repeat.
    """
    if repeats < 1:
        raise ValueError(f"--repeats {repeats}: give at least 1.")
    labelled = np.flatnonzero(posts.labels >= 0)
    most = posts.most_folds(labelled)
    if not 2 <= folds <= most:
        raise ValueError(f"--folds {folds}: give at least 2 and, with these posts, at most {most}.")
    parts = []
    for cut in range(repeats):
        fold_of = posts.cut(labelled, folds, cut)
        for fold in range(folds):
            held_out = labelled[fold_of == fold]
            run = cut * folds + fold
            parts.append(_part(posts, run, seed, labelled[fold_of != fold], held_out))
    return [part._replace(train=part.train[:max_train_posts]) for part in parts]


def _part(posts: PooledPosts, run: int, seed: int, rest: np.ndarray, held_out: np.ndarray) -> Part:
    """Keep a tenth of the training part for choices; posts without label teach where nothing leaks."""
    # Another fold in each run: the first one always has the largest group of duplicates.
    inner = min(CHOICE_FOLDS, posts.most_folds(rest))
    chosen = posts.cut(rest, inner, run) == run % inner
    validation = rest[chosen]
    taken = set(posts.groups[held_out]) | set(posts.groups[validation])
    without_label = np.flatnonzero(posts.labels < 0)
    teaching = [i for i in without_label if posts.groups[i] not in taken]
    train = np.concatenate([rest[~chosen], np.array(teaching, dtype=int)])
    return Part(run, seed_of_run(seed, run), train, validation, held_out)


def seeds_of(
    posts: PooledPosts, held_out_ids: set[str], seeds: Sequence[int], max_train_posts: int | None
) -> list[Part]:
    """Repeat the recipe's own split with several seeds, scored on its validation posts.

    Choices are made on a tenth of its training posts. Copies of scored posts teach where that split
    puts them among its training posts.

    Args:
        posts: All posts of training and validation.
        held_out_ids: Of the validation posts.
        seeds: Of weights and batches.
        max_train_posts: Learn from the first so many.

    Returns:
        A part for each seed.
    """
    known = np.flatnonzero(posts.labels >= 0)
    scored = np.array([id_ in held_out_ids for id_ in posts.table.select(known)["id"]], dtype=bool)
    parts = [_part(posts, seed, seed, known[~scored], known[scored]) for seed in seeds]
    return [part._replace(train=part.train[:max_train_posts]) for part in parts]


def posts_and_parts(
    posts: DatasetDict,
    arguments: DataArguments,
    folds: int | None,
    seeds: Sequence[int] | None,
    seed: int,
    repeats: int = 1,
) -> tuple[PooledPosts, list[Part]]:
    """Lay out the whole comparison.

    Args:
        posts: The posts by split.
        arguments: Settings of the data.
        folds: How many folds; None to use `seeds`.
        seeds: Seeds on the recipe's own split; None to use `folds`.
        seed: Of the trainings in folds.
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
    scored = set(_with_label(posts["validation"])["id"])
    return pooled, seeds_of(pooled, scored, seeds or (seed,), arguments.max_train_posts)
