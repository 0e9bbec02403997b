"""The scores of several runs as one table: mean and standard deviation over their seeds."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from hybridsent.evaluation.report import COLUMNS


def table_over_seeds(runs: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with one line for each input and branch.

    Args:
        runs: Contents of metrics.json of two or more runs that differ in their seed only.

    Returns:
        Scores in percent, mean ± standard deviation.

    Raises:
        ValueError: The runs are of different data or share a seed.
    """
    seeds = [run["seed"] for run in runs]
    data = {
        (
            run["dataset"]["name"],
            run["dataset"]["protocol"],
            run["dataset"]["counts"]["fingerprint"],
            run["scored_split"],
        )
        for run in runs
    }
    if len(data) > 1 or len(set(seeds)) < max(2, len(seeds)):
        raise ValueError(f"Give runs on the same posts with different seeds, not {data}, {seeds}.")
    lines = [
        "| input | decided by | " + " | ".join(COLUMNS.values()) + " |",
        "|---|---|" + "---:|" * len(COLUMNS),
    ]
    for rows in zip(*(run["scores"] for run in runs), strict=True):
        cells = []
        for name in COLUMNS:
            values = [100 * row[name] for row in rows]
            cells.append(f"{mean(values):.1f} ± {stdev(values):.1f}")
        lines.append(f"| {rows[0]['input']} | {rows[0]['decided_by']} | {' | '.join(cells)} |")
    return "\n".join(lines)
