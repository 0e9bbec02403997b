"""Intervals and tests for answers to the same posts: over groups of duplicates, and over folds.

Sources: Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003; Holm,
"A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from benchmarks.accuracy.statistics.sums import scores_of

DRAWS = 5000
SWAPS = 9999
CHUNK = 500  # draws that are held in memory at once


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def draw_groups(sums: np.ndarray, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """Draw whole groups of posts with replacement and score what was drawn, again and again.

    Args:
        sums: Of each group and method, (groups, methods, what `scores_of` takes).
        seed: Of the draws.
        draws: How often.

    Returns:
        (draws, methods, scores).
    """
    generator, groups = np.random.default_rng(seed), len(sums)
    even, drawn = np.full(groups, 1 / groups), []
    for start in range(0, draws, CHUNK):
        times = generator.multinomial(groups, even, size=min(CHUNK, draws - start))
        drawn.append(scores_of(np.tensordot(times, sums, axes=1)))
    return np.concatenate(drawn)


def permutation_p(
    one: np.ndarray, other: np.ndarray, seed: int = 0, swaps: int = SWAPS
) -> np.ndarray:
    """Test whether two methods score alike: swap their answers for whole groups at random.

    Args:
        one: Sums of each group for one method, (groups, what `scores_of` takes).
        other: Those of the other method for the same groups.
        seed: Of the swaps.
        swaps: How many random ones.

    Returns:
        Two-sided p of each score, (scores,): the share of swaps, the given answers among them, whose
        difference is at least as large.
    """
    generator, gap = np.random.default_rng(seed), other - one
    observed = np.abs(scores_of(one.sum(axis=0)) - scores_of(other.sum(axis=0)))
    as_large = np.ones(len(observed))
    for start in range(0, swaps, CHUNK):
        swapped = generator.integers(0, 2, size=(min(CHUNK, swaps - start), len(gap)))
        moved = swapped.astype(np.float64) @ gap  # (swaps, sums)
        differences = scores_of(one.sum(axis=0) + moved) - scores_of(other.sum(axis=0) - moved)
        as_large += (np.abs(differences) >= observed - 1e-12).sum(axis=0)
    return as_large / (1 + swaps)


def fold_interval(values: np.ndarray, ratio: float) -> Interval:
    """Return the mean over runs and its interval by the fold-corrected error of Nadeau and Bengio.

    Runs share training posts, so that their variance alone is too small: it is multiplied by
    1 / runs + ratio in place of 1 / runs.

    Args:
        values: A score, or a difference of scores, of each run, (runs,).
        ratio: Scored posts a training post, as `Layout.ratio` gives it.

    Returns:
        The interval; its ends are NaN for a single run.
    """
    mean, runs = float(np.mean(values)), len(values)
    if runs < 2:
        return Interval(mean, float("nan"), float("nan"))
    error = np.sqrt((1 / runs + ratio) * np.var(values, ddof=1))
    half = float(student.ppf(0.975, runs - 1) * error)
    return Interval(mean, mean - half, mean + half)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for their number, by Holm's method.

    Args:
        p_values: (tests,); NaN stands for no test.

    Returns:
        Adjusted p-values, (tests,): below a level, the error of any of them is below that level.
    """
    adjusted = np.full(len(p_values), np.nan)
    tests = np.flatnonzero(~np.isnan(p_values))
    order = tests[np.argsort(p_values[tests], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
