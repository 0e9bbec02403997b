"""What the prediction would be without a part of the post: the causal view.

Attention shows where a model looked, not what moved its decision. Here each part is taken away and
the model is asked again.
"""

import re
from dataclasses import dataclass

import numpy as np
import torch

from hybridsent_space.posts import Post
from hybridsent_space.scorer import Scorer
from modeling_hybridsent.answers_hybridsent import Answer

REGIONS = 4  # rows and columns that the image is cut into
MOST_WORDS = 40  # a longer text is taken away in groups of words


@dataclass(frozen=True)
class Occlusion:
    """What each part of a post did for the label that the whole post got.

    Attributes:
        label: That label.
        score: Its probability.
        without: Answers "text" and "image": for the post without that modality; only for a post
            that has both.
        words: Where each word (or group of words) begins and ends in the text, and by how much its
            absence lowers the probability of the label; empty without a text, and for a single word
            alone.
        regions: The same of each region of the image, (rows, columns); None without an image.
    """

    label: str
    score: float
    without: dict[str, Answer]
    words: list[tuple[int, int, float]]
    regions: np.ndarray | None


def occlude(scorer: Scorer, post: Post) -> Occlusion:
    """Score a post without its text, its image, each word and each region.

    Args:
        scorer: With the model.
        post: A post.

    Returns:
        The differences.
    """
    whole = scorer.prepare(post)
    words = _words(post)
    without_words = [scorer.prepare(Post(_cut(post.text, *word), post.image)) for word in words]
    regions = [] if post.image is None else _without_regions(whole)
    outputs = scorer.run([whole, *without_words, *regions])
    probabilities = torch.cat([torch.softmax(batch["logits"], dim=-1) for batch in outputs]).numpy()
    best = int(probabilities[0].argmax())
    drops = probabilities[0, best] - probabilities[1:, best]
    return Occlusion(
        label=scorer.labels[best],
        score=float(probabilities[0, best]),
        without=_without_modality(scorer, post),
        words=[(*word, float(drop)) for word, drop in zip(words, drops, strict=False)],
        regions=drops[len(words) :].reshape(REGIONS, REGIONS) if regions else None,
    )


def _without_modality(scorer: Scorer, post: Post) -> dict[str, Answer]:
    if post.text is None or post.image is None:
        return {}
    answers = scorer.answer([Post(None, post.image), Post(post.text, None)])
    return dict(zip(("text", "image"), answers, strict=True))


def _words(post: Post) -> list[tuple[int, int]]:
    """Find where words begin and end, neighbours together where there are too many."""
    places = [match.span() for match in re.finditer(r"\S+", post.text or "")]
    if len(places) < 2 and post.image is None:
        return []  # nothing would be left to score
    size = -(-len(places) // MOST_WORDS) or 1
    groups = [places[start : start + size] for start in range(0, len(places), size)]
    return [(group[0][0], group[-1][1]) for group in groups]


def _cut(text: str | None, start: int, end: int) -> str | None:
    left = f"{(text or '')[:start]}{(text or '')[end:]}"
    return left if left.strip() else None


def _without_regions(whole: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Paint each region of the image, as the model sees it, in the image's mean colour."""
    pixels = whole["pixel_values"]  # (1, 3, height, width)
    mean = pixels.mean(dim=(2, 3), keepdim=True)
    rows = np.linspace(0, pixels.shape[2], REGIONS + 1).astype(int)
    columns = np.linspace(0, pixels.shape[3], REGIONS + 1).astype(int)
    changed = []
    for row in range(REGIONS):
        for column in range(REGIONS):
            painted = pixels.clone()
            place = (..., slice(*rows[row : row + 2]), slice(*columns[column : column + 2]))
            painted[place] = mean.expand_as(painted)[place]
            changed.append({**whole, "pixel_values": painted})
    return changed
