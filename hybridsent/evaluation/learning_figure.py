"""The figure of what was measured while the model learned."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SCORES = {"macro_f1": "macro F1", "accuracy": "accuracy", "weighted_f1": "weighted F1"}
WIDTH = 6.4  # inches: on a phone, a third of which this is, the letters still are 9 pixels high
COLOURS = {"text": "#457b9d", "image": "#e9a23b", "fusion": "#5c8d5a"}
PARTS = {  # name in the log -> label, colour, dash
    "loss_decision": ("part: decision", "#222222", "--"),
    **{f"loss_{name}": (f"part: {name} branch", colour, "--") for name, colour in COLOURS.items()},
    **{
        f"loss_own_{name}": (f"part: {name}'s own label", COLOURS[name], ":")
        for name in ("text", "image")
    },
}
# Told apart by dash and mark as well as by colour.
LOOKS = (
    {"color": COLOURS["text"], "linestyle": "-", "marker": "o"},
    {"color": "#c8553d", "linestyle": "--", "marker": "s"},
    {"color": COLOURS["fusion"], "linestyle": ":", "marker": "^"},
)


def draw_learning(learning: Mapping[str, Any]) -> Figure:
    """Draw the losses of training and validation above the scores of each evaluation.

    Args:
        learning: Result of `report.learning_curves`.

    Returns:
        The figure; a panel without anything to draw says so.
    """
    figure = Figure(figsize=(WIDTH, WIDTH))
    above, below = figure.subplots(2, 1, sharex=True)
    _draw_losses(above, learning["training"], learning["validation"])
    for (name, label), look in zip(SCORES.items(), LOOKS, strict=True):
        _draw(below, learning["validation"], name, 100, label=label, **look)
    above.set(title="Loss while learning", ylabel="loss (nats)")
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
