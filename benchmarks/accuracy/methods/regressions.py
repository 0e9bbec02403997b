"""The methods without a network of their own: the training posts' shares, logistic regression."""

from collections.abc import Sequence

import numpy as np

from benchmarks.accuracy.records import DECISION, IMAGE_ONLY, ONLY, TEXT_ONLY, Answers, Trained
from hybridsent.regression.answers import Inputs, choose, fitted, inner_answers


def fit_regression(
    inputs: Inputs,
    numbers: np.ndarray,
    labels: np.ndarray,
    inner_folds: np.ndarray,
    count: int,
    reads: Sequence[str],
) -> Trained:
    """Fit a logistic regression; strength and share of the n-grams are chosen in inner folds.

    Args:
        inputs: Of all posts.
        numbers: Posts to learn from, (posts,).
        labels: Of these posts, (posts,).
        inner_folds: Fold of each of these posts, (posts,).
        count: Number of all labels.
        reads: The modalities to answer from alone.

    Returns:
        The fitted method, without its seconds.
    """
    known = inputs.select(numbers)
    frozen, ngrams = inner_answers(known, labels, inner_folds, count)
    choice, answers = choose(frozen, ngrams, labels)
    decide, size = fitted(known, labels, count, choice)

    def answer(posts: np.ndarray, alone: bool) -> Answers:
        asked = inputs.select(posts)
        kinds = {DECISION: asked}
        for modality, other in (("text", "image"), ("image", "text")):
            if alone and modality in reads:
                kinds[ONLY[modality]] = asked.without(other)
        return {kind: decide(given) for kind, given in kinds.items()}

    figures = {"trainable_parameters": size, **choice._asdict()}
    return Trained(answer, figures, (numbers, {DECISION: answers}))


def fit_shares(labels: np.ndarray, count: int) -> Trained:
    """Answer for every post with the labels' shares among training posts, one post added to each.

    Args:
        labels: Of the training posts, (posts,).
        count: Number of all labels.

    Returns:
        The fitted method.
    """
    numbers = np.bincount(labels, minlength=count) + 1
    shares = np.log(numbers / numbers.sum())

    def answer(numbers: np.ndarray, alone: bool) -> Answers:
        kinds = (DECISION, TEXT_ONLY, IMAGE_ONLY) if alone else (DECISION,)
        return {kind: np.tile(shares, (len(numbers), 1)) for kind in kinds}

    return Trained(answer, {"seconds": 0.0, "trainable_parameters": 0})
