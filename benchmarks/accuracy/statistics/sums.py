"""Scores from sums over groups of posts, so that groups can be drawn or swapped as a whole."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from benchmarks.accuracy.records import DECISION, columns_of
from hybridsent.evaluation.metrics import CALIBRATION_BINS

SCORES = ("accuracy", "macro_f1", "nll", "ece")
COMPARED = SCORES[:3]  # an error of calibration is no mean over posts, nor over labels
LEAST = 1e-12  # probability that a likelihood is computed from


def values_of(answers: pd.DataFrame, prefix: str, names: Sequence[str]) -> np.ndarray:
    """Return the columns of one kind of answer, (posts, names)."""
    return answers[columns_of(prefix, list(names))].to_numpy(dtype=np.float64)


def sums_of_posts(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Lay out what the scores of posts are computed from, so that rows can be added.

    Args:
        probabilities: (posts, labels).
        labels: (posts,).

    Returns:
        For each label whether it is right, said and true; -log p of the label; and for each bin of
        confidence whether the answer is right less its confidence: (posts, 3 labels + 1 + bins).
    """
    one_hot, posts = np.eye(probabilities.shape[1]), np.arange(len(labels))
    best = probabilities.argmax(axis=1)
    said, true = one_hot[best], one_hot[labels]
    loss = -np.log(np.clip(probabilities[posts, labels], LEAST, 1))
    confidence = probabilities[posts, best]
    gaps = np.zeros((len(labels), CALIBRATION_BINS))
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps[posts, bins] = (best == labels) - confidence
    return np.concatenate([said * true, said, true, loss[:, None], gaps], axis=1)


def scores_of(sums: np.ndarray) -> np.ndarray:
    """Compute `SCORES` from sums of what `sums_of_posts` returns.

    Args:
        sums: (..., 3 labels + 1 + bins).

    Returns:
        (..., 4); a label that is neither said nor true has an F1 of 0.
    """
    labels = (sums.shape[-1] - 1 - CALIBRATION_BINS) // 3
    right, said, true = (sums[..., i * labels : (i + 1) * labels] for i in range(3))
    posts = true.sum(axis=-1)
    f1 = 2 * right / np.maximum(said + true, LEAST)
    error = np.abs(sums[..., 3 * labels + 1 :]).sum(axis=-1)
    scores = (right.sum(axis=-1), posts * f1.mean(axis=-1), sums[..., 3 * labels], error)
    return np.stack(scores, axis=-1) / posts[..., None]


def group_sums(
    answers: pd.DataFrame, label_names: Sequence[str], groups: Mapping[str, int]
) -> pd.DataFrame:
    """Add up the answers for the posts of each group of duplicates, over all runs.

    Args:
        answers: Of one method, for held-out posts.
        label_names: Names of the labels by index.
        groups: Id -> number of its group.

    Returns:
        A row a group, with what `scores_of` takes.
    """
    probabilities = values_of(answers, DECISION, label_names)
    sums = sums_of_posts(probabilities, answers["label"].to_numpy())
    return pd.DataFrame(sums, index=answers["id"].map(groups)).groupby(level=0).sum()


def scores_by_run(answers: pd.DataFrame, label_names: Sequence[str]) -> pd.DataFrame:
    """Return `SCORES` of one method in each of its runs, a row a run in the order of their numbers."""
    rows = {
        run: scores_of(
            sums_of_posts(values_of(part, DECISION, label_names), part["label"].to_numpy()).sum(0)
        )
        for run, part in answers.groupby("run")
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(SCORES))
