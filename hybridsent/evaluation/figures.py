"""The figures of report and card: confusion, reliability, decision weights; with no post in them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.special import softmax
from sklearn.metrics import ConfusionMatrixDisplay

from hybridsent.evaluation.agreement import BRANCHES, agreement_groups, label_groups
from hybridsent.evaluation.final_scores import Scored
from hybridsent.evaluation.learning_figure import COLOURS, WIDTH, draw_learning
from hybridsent.evaluation.metrics import calibration_bins, expected_calibration_error
from hybridsent.support.folders import write_whole

FOLDER = "report"
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "savefig.dpi": 160,
    "text.parse_math": False,  # a label may hold a dollar sign
}
LONGEST_NAME = 24  # characters
MOST_DOTS = 200


def draw_figures(scored: Scored, run: Mapping[str, Any], output_dir: str | Path) -> None:
    """Draw what report and card show into `report/` of the model's folder.

    `agreement.png` of an earlier run is taken away where this model has no branches to agree.

    Args:
        scored: The final model's answers.
        run: The content of metrics.json.
        output_dir: Folder of the model.
    """
    folder = Path(output_dir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    names = run["labels"]
    with mpl.rc_context(STYLE):
        figures = {
            "learning": draw_learning(run["learning"]),
            "confusion": draw_confusion(scored, names),
            "reliability": draw_reliability(scored),
            "decision_weights": draw_weights(scored, label_groups(scored, names), "label"),
        }
        if groups := agreement_groups(scored):
            figures["agreement"] = draw_weights(scored, groups, "agreement of the branches")
        for name, figure in figures.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png")
            write_whole(buffer.getvalue(), folder / f"{name}.png")
    if not groups:
        (folder / "agreement.png").unlink(missing_ok=True)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def draw_confusion(scored: Scored, names: Sequence[str]) -> Figure:
    """Draw how often each label (row) was decided as each (column): posts, and shaded by share.

    Args:
        scored: The final model's answers.
        names: Names of the labels.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(WIDTH, WIDTH * 0.85))
    axes = figure.subplots()
    labels, decided = scored.labels[scored.known], scored.decided[scored.known]
    shown = {
        "labels": range(len(names)),
        "display_labels": [_short(name) for name in names],
        "cmap": "Blues",
    }
    display = ConfusionMatrixDisplay.from_predictions(
        labels,
        decided,
        normalize="true",
        ax=axes,
        colorbar=False,
        im_kw={"vmin": 0, "vmax": 1},
        **shown,
    )
    for (row, column), text in np.ndenumerate(display.text_):
        count = int(((labels == row) & (decided == column)).sum())
        text.set_text(f"{count}\n{100 * display.confusion_matrix[row, column]:.0f} %")
        text.set_fontsize(11 if len(names) <= 5 else 8)
    figure.suptitle(f"What was decided for {len(labels)} {scored.split} posts")
    axes.set(xlabel="decided", ylabel="label")
    axes.spines[:].set_visible(True)
    axes.tick_params(axis="x", rotation=30)
    for tick in axes.get_xticklabels():
        tick.set(horizontalalignment="right", rotation_mode="anchor")
    return figure


def draw_reliability(scored: Scored) -> Figure:
    """Draw accuracy against confidence, before and after calibration, and how many posts are where.

    Args:
        scored: The final model's answers.

    Returns:
        The figure; bars below the diagonal mean that the model is too sure of itself.
    """
    labels = scored.labels[scored.known]
    figure = Figure(figsize=(WIDTH, 5))
    figure.suptitle(f"Is it right as often as it says? {len(labels)} {scored.split} posts")
    cells = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
    both = {"before": scored.uncalibrated, "after": scored.logits}
    for column, (when, some) in zip(cells.T, both.items(), strict=True):
        probabilities = softmax(some[scored.known], axis=1)
        _draw_bins(column, probabilities, labels)
        ece = 100 * expected_calibration_error(probabilities, labels)
        column[0].set_title(f"{when} calibration\nECE {ece:.1f} %", fontsize=11)
        column[1].set(xlabel="confidence (%)", xlim=(0, 100))
    cells[0, 0].set(ylabel="posts that are right (%)", ylim=(0, 100))
    cells[1, 0].set(ylabel="posts", yscale="log", ylim=(0.7, None))
    cells[1, 0].yaxis.set(major_formatter="{x:g}", minor_formatter=NullFormatter())
    return figure


def _draw_bins(pair: Sequence[Axes], probabilities: np.ndarray, labels: np.ndarray) -> None:
    bins = calibration_bins(probabilities, labels)
    width = 100 / len(bins.posts)
    left = np.arange(len(bins.posts)) * width
    filled = bins.posts > 0
    bar = {"width": width, "align": "edge", "color": COLOURS["text"], "edgecolor": "white"}
    right = 100 * bins.correct[filled] / bins.posts[filled]
    pair[0].bar(left[filled], right, **bar)
    pair[0].plot([0, 100], [0, 100], color="black", linewidth=1, linestyle="--")
    pair[1].bar(left, bins.posts, **bar)


def draw_weights(scored: Scored, groups: Mapping[str, np.ndarray], by: str) -> Figure:
    """Draw how the decision weights of each branch are distributed in groups of posts.

    Args:
        scored: The final model's answers.
        groups: Name -> bool (posts,); empty groups are left out.
        by: What the groups are.

    Returns:
        The figure: a dot for each post, and a stroke at the median. Boxes would hide that a weight
        often is near 0 for some posts of a group and near 1 for others.
    """
    groups = {name: group for name, group in groups.items() if group.any()}
    figure = Figure(figsize=(WIDTH, 1.6 + 0.8 * max(1, len(groups))))
    axes = figure.subplots()
    step = len(BRANCHES) + 1
    for i, branch in enumerate(BRANCHES):
        for k, group in enumerate(groups.values()):
            label = branch if k == 0 else None
            _draw_dots(axes, scored.decision_weights[group, i], step * k + i, branch, label)
    named = [f"{_short(name)}\n{group.sum()} posts" for name, group in groups.items()]
    axes.set_yticks([step * k + 1 for k in range(len(groups))], labels=named)
    axes.invert_yaxis()
    axes.set(xlabel="decision weight", xlim=(-0.02, 1.02))
    figure.suptitle(f"Decision weights by {by}, {scored.split} posts")
    if groups:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, markerscale=2)
    else:
        axes.text(0.5, 0.5, "no post has both text and picture", ha="center")
    return figure


def _draw_dots(
    axes: Axes, weights: np.ndarray, height: float, branch: str, label: str | None
) -> None:
    if len(weights) > MOST_DOTS:
        weights = np.quantile(weights, np.linspace(0, 1, MOST_DOTS))
    scatter = np.random.default_rng(0).uniform(-0.3, 0.3, len(weights))
    axes.axhline(height, color="#dddddd", linewidth=0.7, zorder=0)
    look = {"s": 22, "color": COLOURS[branch], "alpha": 0.6, "linewidths": 0}
    axes.scatter(weights, height + scatter, label=label, **look)
    axes.vlines(np.median(weights), height - 0.42, height + 0.42, color="black", linewidth=2)
