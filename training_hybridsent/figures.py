"""The pictures of the model card: confusion matrix, reliability diagram, decision weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from training_hybridsent.data import NO_LABEL
from training_hybridsent.metrics import calibration_bins, expected_calibration_error, softmax
from training_hybridsent.report import Scored

FOLDER = "figures"
BRANCHES = ("text", "image", "fusion")
COLOURS = {"text": "#457b9d", "image": "#e9a23b", "fusion": "#5c8d5a"}
LONGEST_SIDE = 12  # inches


def draw_figures(
    scored: Scored, temperature: float, label_names: Sequence[str], output_dir: str | Path
) -> None:
    """Draw what the card shows into `figures/` of the model's folder.

    Args:
        scored: The final model's answers.
        temperature: That the logits were divided by.
        label_names: Names of the labels by index.
        output_dir: Folder of the model.
    """
    folder = Path(output_dir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    known = scored.labels != NO_LABEL
    logits, labels = scored.logits[known], scored.labels[known]
    figures = {
        "confusion": draw_confusion(logits, labels, label_names, scored.split),
        "reliability": draw_reliability(logits, labels, temperature, scored.split),
        "decision_weights": draw_weights(scored, label_names),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=120)


def draw_confusion(
    logits: np.ndarray, labels: np.ndarray, names: Sequence[str], split: str
) -> Figure:
    """Draw how often each label (row) was decided as each (column): posts, and shaded by share.

    Args:
        logits: (posts, labels).
        labels: (posts,).
        names: Names of the labels.
        split: Name of the split.

    Returns:
        The figure.
    """
    side = min(LONGEST_SIDE, 2.2 + 0.9 * len(names))
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    shown = {"labels": range(len(names)), "display_labels": list(names), "cmap": "Blues"}
    decided = logits.argmax(axis=1)
    display = ConfusionMatrixDisplay.from_predictions(
        labels, decided, normalize="true", ax=axes, im_kw={"vmin": 0, "vmax": 1}, **shown
    )
    for (row, column), text in np.ndenumerate(display.text_):
        count = int(((labels == row) & (decided == column)).sum())
        text.set_text(f"{count}\n{100 * display.confusion_matrix[row, column]:.0f} %")
    axes.set(title=f"{len(labels)} {split} posts", xlabel="decided", ylabel="label")
    axes.tick_params(axis="x", rotation=30)
    return figure


def draw_reliability(
    logits: np.ndarray, labels: np.ndarray, temperature: float, split: str
) -> Figure:
    """Draw accuracy against confidence, before and after calibration.

    Args:
        logits: Calibrated, (posts, labels).
        labels: (posts,).
        temperature: That they were divided by.
        split: Name of the split.

    Returns:
        The figure; bars below the diagonal mean that the model is too sure of itself.
    """
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    figure.suptitle(f"{len(labels)} {split} posts, temperature {temperature:.2f}")
    both = {"before": softmax(logits * temperature), "after": softmax(logits)}
    for axes, (when, probabilities) in zip(
        figure.subplots(1, 2, sharey=True), both.items(), strict=True
    ):
        _draw_bins(axes, probabilities, labels)
        ece = 100 * expected_calibration_error(probabilities, labels)
        axes.set(title=f"{when} calibration: ECE {ece:.1f} %", xlabel="confidence", xlim=(0, 1))
    figure.axes[0].set(ylabel="share that is right", ylim=(0, 1))
    return figure


def _draw_bins(axes: Axes, probabilities: np.ndarray, labels: np.ndarray) -> None:
    bins = calibration_bins(probabilities, labels)
    width = 1 / len(bins.posts)
    left = np.arange(len(bins.posts)) * width
    filled = bins.posts > 0
    accuracy = bins.correct[filled] / bins.posts[filled]
    axes.bar(left[filled], accuracy, width, align="edge", color="#457b9d", edgecolor="white")
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--")
    for x, y, posts in zip(left[filled], accuracy, bins.posts[filled], strict=True):
        colour = "white" if y > 0.08 else "black"  # at the foot, clear of the diagonal
        axes.text(x + width / 2, 0.02, int(posts), ha="center", fontsize=7, color=colour)


def draw_weights(scored: Scored, names: Sequence[str]) -> Figure:
    """Draw how the decision weights of each branch are distributed, by label.

    Args:
        scored: The final model's answers.
        names: Names of the labels.

    Returns:
        The figure, over the posts that have both text and picture; the others leave no choice.
    """
    figure = Figure(figsize=(min(LONGEST_SIDE, 3 + 1.6 * len(names)), 4.2), layout="constrained")
    axes = figure.subplots()
    step = len(BRANCHES) + 1
    for i, branch in enumerate(BRANCHES):
        weights = [
            scored.decision_weights[scored.complete & (scored.labels == k), i]
            for k in range(len(names))
        ]
        boxes = axes.boxplot(
            weights,
            positions=[step * k + i for k in range(len(names))],
            widths=0.8,
            patch_artist=True,
            medianprops={"color": "black"},
            flierprops={"markersize": 2},
        )
        for box in boxes["boxes"]:
            box.set(facecolor=COLOURS[branch], label=branch if box is boxes["boxes"][0] else None)
    middle = [step * k + 1 for k in range(len(names))]
    axes.set_xticks(middle, labels=list(names))
    posts = int(scored.complete.sum())
    title = f"{posts} {scored.split} posts with text and picture"
    axes.set(title=title, ylabel="decision weight", ylim=(-0.02, 1.15))
    axes.legend(loc="upper right", ncols=3)
    return figure
