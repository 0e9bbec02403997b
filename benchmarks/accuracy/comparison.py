"""Is one method better than another on the same posts? Paired bootstrap and McNemar's test."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

ROUNDS = 5000
CHUNK = 500  # rounds that are held in memory at once


class Difference(NamedTuple):
    """Accuracy of one method less that of another, on the posts that both scored.

    Attributes:
        mean: The difference.
        low: Lower end of the 95 % interval of the paired bootstrap over posts.
        high: Upper end.
        p_value: Of McNemar's exact test, two-sided.
        posts: How many posts both scored.
    """

    mean: float
    low: float
    high: float
    p_value: float
    posts: int


def bootstrap_interval(
    differences: np.ndarray, seed: int = 0, rounds: int = ROUNDS
) -> tuple[float, float]:
    """Draw the posts again and again and look where the mean difference falls.

    Args:
        differences: One value a post, (posts,).
        seed: Of the draws.
        rounds: Number of draws.

    Returns:
        The 2.5th and 97.5th percentile of the mean.
    """
    generator, posts = np.random.default_rng(seed), len(differences)
    even = np.full(posts, 1 / posts)
    means = [
        generator.multinomial(posts, even, size=min(CHUNK, rounds - start)) @ differences / posts
        for start in range(0, rounds, CHUNK)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


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


def compare(share_right: np.ndarray, other_share_right: np.ndarray, seed: int = 0) -> Difference:
    """Compare two methods on the same posts.

    Args:
        share_right: In how many of its runs one method is right on each post, as a share, (posts,).
        other_share_right: The same of the other method.
        seed: Of the bootstrap.

    Returns:
        The difference, one less the other. For McNemar's test a post counts as right if more than
        half of the runs are.
    """
    differences = share_right - other_share_right
    return Difference(
        float(differences.mean()),
        *bootstrap_interval(differences, seed),
        mcnemar_p(share_right > 0.5, other_share_right > 0.5),
        len(differences),
    )
