"""Draw posts with the answers of the model and its decision weights."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from transformers import pipeline

from datasets_scripts.loading import load_table
from hybridsent.evaluation.figures import COLOURS

COLUMNS, ROWS = 4, 2


def _draw_weights(axes: Axes, answer: dict[str, Any]) -> None:
    """Draw the decision weights as one stacked bar."""
    left = 0.0
    for name, branch in answer["branches"].items():
        weight = branch["weight"]
        axes.barh(0, weight, left=left, color=COLOURS[name])
        if weight > 0.2:  # a smaller part is too narrow for its label
            label = f"{name} {weight:.2f}"
            axes.text(left + weight / 2, 0, label, ha="center", va="center", color="white", size=8)
        left += weight
    axes.set_xlim(0, 1)
    axes.axis("off")


def _draw_post(
    image: Axes,
    weights: Axes,
    post: dict[str, Any],
    gold: str | None,
    answer: dict[str, Any],
    tallest: float,
) -> None:
    """Draw one post above its decision weights.

    Args:
        image: Where the post goes.
        weights: Where its decision weights go.
        post: `text` and `image`, decoded, or None.
        gold: Its label; None where there is none.
        answer: What the pipeline gives.
        tallest: Greatest ratio of height to width among all images.
    """
    if post["image"] is None:
        image.set_box_aspect(tallest)
        image.text(0.5, 0.5, "no image", ha="center", va="center", color="gray")
    else:
        image.imshow(post["image"])
    image.set_xticks([])
    image.set_yticks([])
    image.set_title("\n".join(textwrap.wrap(post["text"] or "(no text)", 34)[:3]), size=8)
    known = "" if gold is None else f" (label: {gold})"
    image.set_xlabel(
        f"{answer['label']} {answer['score']:.2f}{known}",
        color="black" if gold in (None, answer["label"]) else "crimson",
        size=9,
    )
    _draw_weights(weights, answer)


def draw_posts(model: str, data_dir: str, output: str) -> Path:
    """Score the first test posts of a folder and draw them.

    Args:
        model: Folder or Hub id.
        data_dir: Folder of posts with train.csv, validation.csv, test.csv.
        output: PNG file to write.

    Returns:
        The file.
    """
    pipe = pipeline("image-text-sentiment", model=model, trust_remote_code=True)
    posts = load_table("posts", data_dir).posts["test"].select(range(COLUMNS * ROWS))
    names = posts.features["label"].names
    shown = [{"text": post["text"], "image": post["image"]} for post in posts]
    answers = pipe(shown, return_branches=True)
    return draw_answers(shown, answers, [names[label] for label in posts["label"]], output)


def draw_answers(
    posts: Sequence[dict[str, Any]],
    answers: Sequence[dict[str, Any]],
    golds: Sequence[str | None],
    output: str | Path,
) -> Path:
    """Draw eight posts with their answers.

    Args:
        posts: `text` and `image` of each, decoded, or None.
        answers: What the pipeline gives them with `return_branches=True`.
        golds: Their labels, None where there is none.
        output: PNG file to write.

    Returns:
        The file.
    """
    images = [post["image"] for post in posts if post["image"] is not None]
    tallest = max((image.height / image.width for image in images), default=1.0)
    size = 3 * COLUMNS, (3 * tallest + 1.1) * ROWS
    figure = Figure(figsize=size, layout="constrained")
    cells = figure.subplots(2 * ROWS, COLUMNS, height_ratios=[9, 1] * ROWS)
    for i, (post, gold, answer) in enumerate(zip(posts, golds, answers, strict=True)):
        row, column = 2 * (i // COLUMNS), i % COLUMNS
        _draw_post(cells[row, column], cells[row + 1, column], post, gold, answer, tallest)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=80)
    return Path(output)
