"""The posts that the model is wrong about and most sure of."""

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from PIL import Image
from scipy.special import softmax

from hybridsent.evaluation.agreement import BRANCHES
from hybridsent.evaluation.final_scores import Scored
from modeling_hybridsent.inputs_hybridsent import load_image

MOST = 10
SIDE = 360  # pixels of a thumbnail at most, in width and height
LONGEST_TEXT = 600  # characters


class Branch(NamedTuple):
    """What one branch says of a post: its label, that label's probability, and the branch's weight."""

    name: str
    says: str
    probability: float
    weight: float


class Mistake(NamedTuple):
    """A post whose label was not decided.

    Attributes:
        id: Of the post.
        text: At most `LONGEST_TEXT` characters of it; None if it has none.
        cut: Number of characters that were left out.
        picture: Data URI of a small JPEG; None if there is none to show.
        no_picture: Why not; empty where there is a picture.
        label: Name of its label.
        decided: Name of what was decided.
        probability: Of that.
        branches: Those that could read the post.
    """

    id: str
    text: str | None
    cut: int
    picture: str | None
    no_picture: str
    label: str
    decided: str
    probability: float
    branches: list[Branch]


def confident_mistakes(
    scored: Scored, posts: Dataset, names: Sequence[str], max_pixels: int
) -> list[Mistake]:
    """Pick the ten mistakes with the highest probability, the most confident first.

    Args:
        scored: The final model's answers.
        posts: The posts that were scored, with undecoded pictures.
        names: Names of the labels.
        max_pixels: Do not decode larger pictures.

    Returns:
        Ten at most.
    """
    probabilities = softmax(scored.logits, axis=1).max(axis=1)
    (wrong,) = np.nonzero(scored.known & (scored.decided != scored.labels))
    chosen = wrong[np.argsort(-probabilities[wrong], kind="stable")[:MOST]]
    found = []
    for i in chosen.tolist():
        post = posts[i]
        text = post.get("text")
        picture, no_picture = thumbnail(post.get("image"), max_pixels)
        found.append(
            Mistake(
                id=str(post.get("id", i)),
                text=text and text[:LONGEST_TEXT],
                cut=max(0, len(text or "") - LONGEST_TEXT),
                picture=picture,
                no_picture=no_picture,
                label=names[scored.labels[i]],
                decided=names[scored.decided[i]],
                probability=float(probabilities[i]),
                branches=_branches(scored, i, post, names),
            )
        )
    return found


def _branches(scored: Scored, i: int, post: dict[str, Any], names: Sequence[str]) -> list[Branch]:
    has = {name: post.get(name) is not None for name in ("text", "image")}
    has["fusion"] = all(has.values()) or scored.decision_weights[i, 2] > 0
    found = []
    for name, weight in zip(BRANCHES, scored.decision_weights[i].tolist(), strict=True):
        if has[name] and name in scored.branches:
            probabilities = softmax(scored.branches[name][i])
            best = int(probabilities.argmax())
            found.append(Branch(name, names[best], float(probabilities[best]), weight))
    return found


def thumbnail(source: Any, max_pixels: int) -> tuple[str | None, str]:
    """Decode a post's picture within bounds and make it small.

    Args:
        source: What the table of posts has: None or {"bytes", "path"}.
        max_pixels: Do not decode larger pictures.

    Returns:
        A data URI and an empty string, or None and why there is none.
    """
    if source is None:
        return None, "no picture"
    try:
        picture = load_image(source, max_pixels, "picture")
    except ValueError as error:
        return None, f"The picture cannot be shown: {error}"
    if picture is None:
        return None, "The picture's file is gone."
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", ""
