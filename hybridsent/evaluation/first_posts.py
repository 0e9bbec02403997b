"""Score eight posts with the bundled model: photographs that scikit-learn ships, and texts of ours.

    python -m hybridsent.evaluation.first_posts
    python -m hybridsent.evaluation.first_posts --model FOLDER --figure docs/first_posts.png

Text and photograph agree, contradict each other, or one of them is alone. The first use of a bundled
model builds its folder in the cache.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from PIL import Image
from transformers import pipeline

from hybridsent.bundled.models import DEFAULT_MODEL, resolve_model
from hybridsent.evaluation.problem_scores import headline
from hybridsent.support.command_line import add_debug, run_command
from modeling_hybridsent.answers_hybridsent import BRANCHES

ABSENT = "-"
POSTS = (
    ("First dahlias of the year in my garden, so happy with them!", "flower.jpg"),
    ("One of the most beautiful places we have ever seen, what a trip", "china.jpg"),
    ("They sprayed everything again, the bees are dying and nobody cares", "flower.jpg"),
    ("Worst holiday ever, they lost our bags and then it rained for a week", "china.jpg"),
    ("Two hours late again, I am so fed up with this airline", None),
    ("Thank you all, this was the best birthday of my life", None),
    (None, "flower.jpg"),
    (None, "china.jpg"),
)


def first_posts() -> list[dict[str, Any]]:
    """Return the posts, each with `text` and a decoded `image`, or None."""
    folder = files("sklearn.datasets") / "images"
    images: dict[str | None, Image.Image | None] = {None: None}
    for name in {image for _, image in POSTS} - {None}:
        with (folder / str(name)).open("rb") as stream:
            images[name] = Image.open(stream).convert("RGB")
    return [{"text": text, "image": images[image]} for text, image in POSTS]


def describe_first_posts(answers: Sequence[dict[str, Any]]) -> str:
    """Return a table of the answers: label, probability, which branch decided, what each said.

    Args:
        answers: What the pipeline gives the posts with `return_branches=True`.
    """
    head = ("text", "image", "label", "p", "decided by", *(f"{x} (weight)" for x in BRANCHES))
    rows = [head]
    for (text, image), answer in zip(POSTS, answers, strict=True):
        branches = answer["branches"]
        decided = max(branches, key=lambda name: branches[name]["weight"])
        said = (_describe(branches.get(name)) for name in BRANCHES)
        post = (text or ABSENT, image or ABSENT)
        rows.append((*post, *headline(answer), decided, *said))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _describe(branch: dict[str, Any] | None) -> str:
    if branch is None:
        return ABSENT
    label, score = max(branch["scores"].items(), key=lambda pair: pair[1])
    return f"{label} {score:.2f} ({branch['weight']:.2f})"


def score_first_posts(model: str, figure: str | None) -> None:
    """Score the posts, print the table, and draw them if a file is given."""
    posts = first_posts()
    pipe = pipeline("image-text-sentiment", model=resolve_model(model), trust_remote_code=True)
    answers = pipe(posts, return_branches=True)
    print(f"Eight posts, scored by {model}:\n\n{describe_first_posts(answers)}\n")
    if figure:
        from hybridsent.evaluation.showcase import draw_answers

        print(f"Drew {draw_answers(posts, answers, [None] * len(posts), figure)}")


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line and score; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hybridsent.evaluation.first_posts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="folder or Hub id (%(default)s)")
    parser.add_argument("--figure", metavar="FILE.png", help="also draw the posts")
    add_debug(parser)
    given = parser.parse_args(words)
    return run_command(lambda: score_first_posts(given.model, given.figure), given.debug)


if __name__ == "__main__":
    sys.exit(main())
