"""Draw posts with the answers of the model and its decision weights."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Features
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from transformers import pipeline

from datasets_scripts.loading import load_table
from datasets_scripts.post_files import is_prepared
from datasets_scripts.table import label_names_of_feature
from hybridsent.evaluation.figures import COLOURS
from hybridsent.evaluation.problem_scores import headline
from hybridsent.support.errors import PostsError
from modeling_hybridsent.answers_hybridsent import NO_LABELS

COLUMNS, ROWS = 4, 2
Gold = str | float | None


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
    gold: Gold,
    answer: dict[str, Any],
    tallest: float,
) -> None:
    """Draw one post above its decision weights.

    Args:
        image: Where the post goes.
        weights: Where its decision weights go.
        post: `text` and `image`, decoded, or None.
        gold: Its label, several with commas, or its score; None where there is none.
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
    label, score = headline(answer)
    known = "" if gold is None else f" (label: {gold})"
    is_wrong = isinstance(gold, str) and gold != label
    answered = textwrap.fill(f"{label} {score}{known}", 40)
    image.set_xlabel(answered, color="crimson" if is_wrong else "black", size=9)
    _draw_weights(weights, answer)


def draw_posts(model: str, data_dir: str, output: str) -> Path:
    """Score the first test posts of a folder and draw them.

    Args:
        model: Folder or Hub id.
        data_dir: Folder of posts with train.csv, validation.csv, test.csv.
        output: PNG file to write.

    Returns:
        The file.

    Raises:
        PostsError: The posts cannot be read, or none are for the test.
    """
    pipe = pipeline("image-text-sentiment", model=model, trust_remote_code=True)
    options = {} if is_prepared(data_dir) else {"problem_type": pipe.model.problem.name}
    splits = load_table("posts", data_dir, **options).posts
    if "test" not in splits:
        raise PostsError.about(data_dir, "there are no test posts", remedy="Add a test.csv.")
    posts = splits["test"].select(range(min(COLUMNS * ROWS, len(splits["test"]))))
    shown = [{"text": post["text"], "image": post["image"]} for post in posts]
    answers = pipe(shown, return_branches=True)
    return draw_answers(shown, answers, [_gold_of(post, posts.features) for post in posts], output)


def _gold_of(post: dict[str, Any], features: Features) -> Gold:
    """Return the label of a row as `_draw_post` takes it."""
    label, names = post["label"], label_names_of_feature(features["label"])
    if label is None or isinstance(label, float):
        return label
    several = label if isinstance(label, list) else [label]
    return ", ".join(sorted(names[i] for i in several)) or NO_LABELS


def draw_answers(
    posts: Sequence[dict[str, Any]],
    answers: Sequence[dict[str, Any]],
    golds: Sequence[Gold],
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
