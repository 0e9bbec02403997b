"""One method by itself or beside another: intervals over groups and folds, permutation p."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.accuracy.protocol.layout import Layout
from benchmarks.accuracy.statistics.inference import (
    Interval,
    draw_groups,
    fold_interval,
    permutation_p,
)
from benchmarks.accuracy.statistics.sums import (
    COMPARED,
    SCORES,
    group_sums,
    scores_by_run,
    scores_of,
)


def scores_with_intervals(
    answers: pd.DataFrame, layout: Layout, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Score one method.

    Args:
        answers: For the held-out posts of its runs.
        layout: The posts and runs.
        seed: Of the draws.

    Returns:
        Score -> "groups", of all posts, with the interval of draws of whole groups; and but for the
        calibration error, which chance dominates in a single fold, "folds", the mean over runs.
    """
    sums = group_sums(answers, layout.label_names, layout.groups).to_numpy()
    drawn = draw_groups(sums[:, None], seed)[:, 0]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    means = scores_of(sums.sum(axis=0))
    by_run = scores_by_run(answers, layout.label_names)
    ratio = layout.ratio(list(by_run.index))
    found = {
        name: {"groups": Interval(*map(float, values))}
        for name, *values in zip(SCORES, means, low, high, strict=True)
    }
    for name in COMPARED:
        found[name]["folds"] = fold_interval(by_run[name].to_numpy(), ratio)
    return found


def common_runs(answers: pd.DataFrame, other: pd.DataFrame) -> list[int]:
    """Return the numbers of the runs that two methods both have."""
    return sorted(set(answers["run"]) & set(other["run"]))


def compare(
    answers: pd.DataFrame, other: pd.DataFrame, layout: Layout, seed: int = 0
) -> dict[str, float]:
    """Compare two methods on the posts of the runs that both have.

    Args:
        answers: Of one method, for held-out posts.
        other: Of the other.
        layout: The posts and runs.
        seed: Of draws and swaps.

    Returns:
        `common_runs`, and for each score NAME of `COMPARED`, one less the other: `NAME_difference`
        over all posts, `NAME_low` and `NAME_high` by draws of whole groups; `NAME_fold_difference`,
        `NAME_fold_low` and `NAME_fold_high` by the fold-corrected error; `NAME_p` by swaps. All are
        NaN without a common run.
    """
    runs = common_runs(answers, other)
    if not runs:
        return {"common_runs": 0, **dict.fromkeys(comparison_columns(), float("nan"))}
    answers, other = (table[table["run"].isin(runs)] for table in (answers, other))
    pair = [group_sums(x, layout.label_names, layout.groups) for x in (answers, other)]
    if not pair[0].index.equals(pair[1].index):
        raise ValueError("Two methods answer for different posts of the same runs.")
    sums = np.stack([x.to_numpy() for x in pair], axis=1)  # (groups, 2, sums)
    drawn = draw_groups(sums, seed)
    ends = np.percentile(drawn[:, 0] - drawn[:, 1], [2.5, 97.5], axis=0)
    means = scores_of(sums.sum(axis=0))
    p_values = permutation_p(sums[:, 0], sums[:, 1], seed)
    by_run = scores_by_run(answers, layout.label_names) - scores_by_run(other, layout.label_names)
    row: dict[str, float] = {"common_runs": len(runs)}
    for i, name in enumerate(COMPARED):
        folds = fold_interval(by_run[name].to_numpy(), layout.ratio(runs))
        values = (means[0, i] - means[1, i], *ends[:, i], *folds, p_values[i])
        row |= dict(zip(comparison_columns([name]), map(float, values), strict=True))
    return row


def comparison_columns(scores: Sequence[str] = COMPARED) -> list[str]:
    """Name what `compare` returns of scores."""
    kinds = ("difference", "low", "high", "fold_difference", "fold_low", "fold_high", "p")
    return [f"{name}_{kind}" for name in scores for kind in kinds]
