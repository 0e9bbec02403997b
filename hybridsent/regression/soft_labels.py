"""Soft labels: what a logistic regression says of posts that it did not learn from.

A network can learn the labels of few posts by heart. A regression over the frozen encoders cannot, and
its probabilities tell the network how sure one may be of each post (Hinton, Vinyals, Dean,
"Distilling the Knowledge in a Neural Network", arXiv 1503.02531). A regression answers posts of a fold
after learning from the other folds, which hold no copy of them: it has not seen their labels.
"""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset, List, Value
from scipy.special import softmax

from hybridsent.regression.answers import INNER_FOLDS, Inputs, choose, inner_answers
from hybridsent.regression.folds import cut_posts, duplicate_groups, most_folds
from hybridsent.regression.frozen import FrozenFeatures
from hybridsent.training.arguments import HybridSentTrainingArguments, ModelArguments
from hybridsent.training.collator import SOFT_LABEL

# What the regression reads, beside character n-grams; blocks of `FrozenFeatures`.
BLOCKS = ("text_middle", "text_last", "text_surface", "image_last", "image_stages")
LEAST_TEXTS = 100  # for character n-grams: few texts may have none in common


def with_soft_labels(
    posts: Dataset,
    label_names: Sequence[str],
    models: ModelArguments,
    training: HybridSentTrainingArguments,
) -> Dataset:
    """Add a soft label to every post that has a label.

    Args:
        posts: Posts to learn from, with undecoded images.
        label_names: Names of the labels by index.
        models: Which encoders.
        training: Batch size and folder of what is kept.

    Returns:
        The posts with a column of probabilities, (labels,) or None.

    Raises:
        ValueError: The posts cannot be cut in two: all are copies of each other, or no label has two.
    """
    numbers = np.array([i for i, label in enumerate(posts["label"]) if label is not None])
    known = posts.select(numbers)
    labels, groups = np.array(known["label"]), duplicate_groups(known)
    features = FrozenFeatures(models, training, known, list(label_names))
    enough = features.has_text.sum() >= LEAST_TEXTS
    inputs = Inputs(features.of(BLOCKS), features.texts if enough else None)
    found = answer_each(inputs, list(known["id"]), labels, groups, len(label_names))
    return add_soft_labels(posts, numbers, found)


def answer_each(
    inputs: Inputs, ids: Sequence[str], labels: np.ndarray, groups: np.ndarray, count: int
) -> np.ndarray:
    """Answer for each post by regressions over posts of other folds.

    Args:
        inputs: Of posts with a label.
        ids: Of these posts.
        labels: (posts,).
        groups: Number of each post's group of copies, (posts,).
        count: Number of all labels.

    Returns:
        Probabilities, (posts, labels).

    Raises:
        ValueError: The posts cannot be cut in two.
    """
    folds = min(INNER_FOLDS, most_folds(labels, groups))
    if folds < 2 or len(set(labels)) < 2:
        raise ValueError(
            "Soft labels need training posts of two labels, two of one of them, that are no copies of "
            "each other. Add posts, or leave --soft_label_weight out."
        )
    cut = cut_posts(ids, labels, groups, folds, 0)
    _, answers = choose(*inner_answers(inputs, labels, cut, count), labels)
    return softmax(answers, axis=1)


def add_soft_labels(posts: Dataset, numbers: np.ndarray, found: np.ndarray) -> Dataset:
    """Add a column of probabilities (some posts, labels) to posts, None for all but these numbers."""
    column: list[list[float] | None] = [None] * len(posts)
    for number, probabilities in zip(numbers, found.tolist(), strict=True):
        column[number] = probabilities
    return posts.add_column(SOFT_LABEL, column, feature=List(Value("float64")))
