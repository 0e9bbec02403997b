"""Is one method better than another on the same posts? Paired bootstrap and McNemar's test."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

ROUNDS = 5000
CHUNK = 500  # rounds that are held in memory at once


class Difference(NamedTuple):
    """A score of one method less that of another, and the 95 % interval of the paired bootstrap."""

    mean: float
    low: float
    high: float


class Comparison(NamedTuple):
    """One method beside another, on the posts that both scored.

    Attributes:
        accuracy: The difference of accuracies.
        macro_f1: That of macro F1, of all posts together.
        p_value: Of McNemar's exact test, two-sided.
        posts: How many posts both scored.
    """

    accuracy: Difference
    macro_f1: Difference
    p_value: float
    posts: int


def scores_of(counts: np.ndarray) -> np.ndarray:
    """Score from how often each label was right, said and true.

    Args:
        counts: (..., 3, labels).

    Returns:
        Accuracy and macro F1, (..., 2); a label that is neither said nor true has an F1 of 0.
    """
    right, said, true = np.moveaxis(counts, -2, 0)
    f1 = 2 * right / np.maximum(said + true, 1e-12)
    return np.stack([right.sum(axis=-1) / true.sum(axis=-1), f1.mean(axis=-1)], axis=-1)


def bootstrap(both: np.ndarray, seed: int = 0, rounds: int = ROUNDS) -> np.ndarray:
    """Draw the posts again and again and score two methods on them.

    Args:
        both: Of each post the counts of one and of the other, (posts, 2, 3, labels).
        seed: Of the draws.
        rounds: Number of draws.

    Returns:
        Differences of accuracy and of macro F1, one less the other, (rounds, 2).
    """
    generator, posts = np.random.default_rng(seed), len(both)
    even, drawn = np.full(posts, 1 / posts), []
    for start in range(0, rounds, CHUNK):
        times = generator.multinomial(posts, even, size=min(CHUNK, rounds - start))
        one, other = np.moveaxis(np.tensordot(times, both, axes=1), 1, 0)
        drawn.append(scores_of(one) - scores_of(other))
    return np.concatenate(drawn)


def mcnemar_p(right: np.ndarray, other_right: np.ndarray) -> float:
    """Test whether two methods err equally often; exact, two-sided.

    Args:
        right: Whether one method is right, bool (posts,).
        other_right: Whether the other is, bool (posts,).

    Returns:
        The p-value; 1 where they are right on the same posts.
    """
    only_one, only_other = int((right & ~other_right).sum()), int((~right & other_right).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def compare(counts: np.ndarray, other_counts: np.ndarray, seed: int = 0) -> Comparison:
    """Compare two methods on the same posts.

    Args:
        counts: Of each post, in which share of its runs one method gives each label rightly, in which
            it says it, and whether it is the true one, (posts, 3, labels).
        other_counts: The same of the other method.
        seed: Of the bootstrap.

    Returns:
        The comparison, one less the other. For McNemar's test a post counts as right if more than
        half of the runs are.
    """
    both = np.stack([counts, other_counts], axis=1)
    one, other = scores_of(both.sum(axis=0))
    low, high = np.percentile(bootstrap(both, seed), [2.5, 97.5], axis=0)
    found = np.stack([one - other, low, high], axis=1)  # (accuracy and macro F1, 3)
    mostly_right = both[:, :, 0].sum(axis=-1) > 0.5  # (posts, 2)
    return Comparison(
        *(Difference(*map(float, row)) for row in found), mcnemar_p(*mostly_right.T), len(both)
    )
