"""The figures of report and card: learning, confusion, reliability, decision weights; without posts."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from sklearn.metrics import ConfusionMatrixDisplay

from hybridsent.evaluation.final_scores import FinalScores, agreement_groups, label_groups
from hybridsent.evaluation.metrics import calibration_bins, expected_calibration_error
from hybridsent.support.folders import write_whole
from modeling_hybridsent.answers_hybridsent import BRANCHES
from modeling_hybridsent.problems_hybridsent import Regression

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
SCORES = {"macro_f1": "macro F1", "accuracy": "accuracy", "weighted_f1": "weighted F1"}
SCORES |= {"r2": "R²", "pearson": "Pearson", "spearman": "Spearman"}
WIDTH = 6.4  # inches: letters are still 9 pixels high on a phone, which shows a third of that
COLOURS = {"text": "#457b9d", "image": "#e9a23b", "fusion": "#5c8d5a"}
PARTS = {  # name in the log -> label, colour, dash
    "loss_decision": ("part: decision", "#222222", "--"),
    **{f"loss_{name}": (f"part: {name} branch", colour, "--") for name, colour in COLOURS.items()},
    **{
        f"loss_own_{name}": (f"part: {name} label", COLOURS[name], ":")
        for name in ("text", "image")
    },
}
# They differ by dash and mark as well as by colour.
LOOKS = (
    {"color": COLOURS["text"], "linestyle": "-", "marker": "o"},
    {"color": "#c8553d", "linestyle": "--", "marker": "s"},
    {"color": COLOURS["fusion"], "linestyle": ":", "marker": "^"},
)


def write_figures(scored: FinalScores, run: Mapping[str, Any], output_dir: str | Path) -> None:
    """Write the figures of report and card to `report/` of the model's folder.

    Figures of an earlier run that this model has none of are deleted.

    Args:
        scored: The scored posts.
        run: The content of metrics.json.
        output_dir: Folder of the model.
    """
    folder = Path(output_dir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    names = run["labels"]
    with mpl.rc_context(STYLE):
        figures = {
            "learning": draw_learning(run["learning"]),
            **_draw_decisions(scored, names),
            "decision_weights": draw_weights(scored, label_groups(scored, names), "label"),
        }
        if groups := agreement_groups(scored):
            figures["agreement"] = draw_weights(scored, groups, "agreement of the branches")
        for name, figure in figures.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png")
            write_whole(buffer.getvalue(), folder / f"{name}.png")
    for name in {"agreement", "confusion", "reliability", "scores"} - set(figures):
        (folder / f"{name}.png").unlink(missing_ok=True)


def _draw_decisions(scored: FinalScores, names: Sequence[str]) -> dict[str, Figure]:
    """Draw what there is of a problem type: scores, or reliability and, of single labels, confusion."""
    if scored.judge.problem.name == Regression.name:
        return {"scores": draw_scores(scored)}
    drawn = {"confusion": draw_confusion(scored, names)} if scored.labels.ndim == 1 else {}
    return {**drawn, "reliability": draw_reliability(scored)}


def draw_scores(scored: FinalScores) -> Figure:
    """Draw the score of each post against its label.

    Args:
        scored: The scored posts, of a regression.

    Returns:
        The figure; dots on the dashed line are right.
    """
    figure = Figure(figsize=(WIDTH, WIDTH * 0.85))
    axes = figure.subplots()
    gold, said = scored.labels[scored.known], scored.decided[scored.known]
    axes.scatter(gold, said, s=14, alpha=0.5, color=COLOURS["text"], linewidths=0)
    ends = [min(gold.min(), said.min()), max(gold.max(), said.max())]
    axes.plot(ends, ends, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel="label", ylabel="score")
    figure.suptitle(f"Labels and scores, {len(gold)} {scored.split} posts")
    return figure


def draw_learning(learning: Mapping[str, Any]) -> Figure:
    """Draw the losses of training and validation above the scores of each evaluation.

    Args:
        learning: Result of `report.learning_curves`.

    Returns:
        The figure; a panel without data has a note instead.
    """
    figure = Figure(figsize=(WIDTH, WIDTH))
    above, below = figure.subplots(2, 1, sharex=True)
    _draw_losses(above, learning["training"], learning["validation"])
    names = [name for name in SCORES if any(name in row for row in learning["validation"])]
    for name, look in zip(names or SCORES, LOOKS, strict=False):
        _draw(below, learning["validation"], name, 100, label=SCORES[name], **look)
    unit = "squared errors" if "r2" in names else "nats"
    above.set(title="Loss while learning", ylabel=f"loss ({unit})")
    below.set(title="Scores on the validation posts", ylabel="score (%)", xlabel="epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        axes.tick_params(labelbottom=True)
        if axes.lines:
            axes.axvline(learning["kept_epoch"], color="gray", linestyle="-.", label="model kept")
            axes.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        else:
            axes.text(0.5, 0.5, "nothing was logged", ha="center", transform=axes.transAxes)
    return figure


def _draw_losses(
    axes: Axes, training: Sequence[Mapping[str, float]], validation: Sequence[Mapping[str, float]]
) -> None:
    for name, (label, colour, dash) in PARTS.items():
        _draw(axes, training, name, label=label, color=colour, linewidth=1, linestyle=dash)
    _draw(axes, training, "loss", label="training posts", **LOOKS[0] | {"markersize": 2})
    _draw(axes, validation, "loss", label="validation posts", **LOOKS[1])


def _draw(
    axes: Axes, rows: Sequence[Mapping[str, float]], name: str, factor: float = 1, **look: Any
) -> None:
    rows = [row for row in rows if name in row]
    if rows:
        axes.plot([row["epoch"] for row in rows], [factor * row[name] for row in rows], **look)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def draw_confusion(scored: FinalScores, names: Sequence[str]) -> Figure:
    """Draw how often each label (row) was decided as each (column), in posts and in percent.

    Args:
        scored: The scored posts.
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
    figure.suptitle(f"Labels and decisions, {len(labels)} {scored.split} posts")
    axes.set(xlabel="decided", ylabel="label")
    axes.spines[:].set_visible(True)
    axes.tick_params(axis="x", rotation=30)
    for tick in axes.get_xticklabels():
        tick.set(horizontalalignment="right", rotation_mode="anchor")
    return figure


def draw_reliability(scored: FinalScores) -> Figure:
    """Draw accuracy against confidence, before and after calibration, and the posts in each bin.

    Args:
        scored: The scored posts.

    Returns:
        The figure; bars below the diagonal mean that the model is overconfident.
    """
    known, judge = scored.known, scored.judge
    figure = Figure(figsize=(WIDTH, 5))
    figure.suptitle(f"Confidence and accuracy, {known.sum()} {scored.split} posts")
    cells = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
    both = {"before": scored.uncalibrated, "after": scored.logits}
    for column, (when, some) in zip(cells.T, both.items(), strict=True):
        every = judge.probabilities(some[known])
        probabilities, labels = judge.one_by_one(every, scored.labels[known])
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


def draw_weights(scored: FinalScores, groups: Mapping[str, np.ndarray], by: str) -> Figure:
    """Draw the distribution of the decision weights of each branch in groups of posts.

    Args:
        scored: The scored posts.
        groups: Name -> bool (posts,); empty groups are left out.
        by: Name of the grouping.

    Returns:
        The figure: a dot for each post, and a line at the median. Boxes would hide that a weight is
        often near 0 for some posts of a group and near 1 for others.
    """
    groups = {name: group for name, group in groups.items() if group.any()}
    figure = Figure(figsize=(WIDTH, 1.6 + 0.8 * max(1, len(groups))))
    axes = figure.subplots()
    step = len(BRANCHES) + 1
    for i, branch in enumerate(BRANCHES):
        for k, group in enumerate(groups.values()):
            label = branch if k == 0 else None
            _draw_dots(axes, scored.decision_weights[group, i], step * k + i, branch, label)
    counts = {name: int(group.sum()) for name, group in groups.items()}
    named = [f"{_short(name)}\n{n} post{'s' * (n != 1)}" for name, n in counts.items()]
    axes.set_yticks([step * k + 1 for k in range(len(groups))], labels=named)
    axes.invert_yaxis()
    axes.set(xlabel="decision weight", xlim=(-0.02, 1.02))
    figure.suptitle(f"Decision weights by {by}, {scored.split} posts")
    if groups:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, markerscale=2)
    else:
        axes.text(0.5, 0.5, "no post has both text and image", ha="center")
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
