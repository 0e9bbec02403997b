"""Where text and image looked: the cross-attention of the model, laid over the post."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from hybridsent_space.posts import Post
from hybridsent_space.scorer import Scorer

HEAT_SIDE = 64  # the grid of the image is brought to this


@dataclass(frozen=True)
class Look:
    """What each modality looked at in the other.

    Attributes:
        text: The text as the model reads it: cleaned, if its processor does that.
        spans: Of each token, where it begins and ends in that text and what share of the image's
            attention it got, largest 1.
        heat: The text's attention over the image as the model sees it, (rows, columns), largest
            1; None where the model's image tokens are no square grid.
    """

    text: str
    spans: list[tuple[int, int, float]]
    heat: np.ndarray | None


def look(scorer: Scorer, post: Post) -> Look | None:
    """Read the cross-attention of one post, averaged over layers, heads and who looks.

    Args:
        scorer: With the model.
        post: A post.

    Returns:
        Where they looked; None for a post with one modality and for a model without cross-attention.
    """
    if post.text is None or post.image is None:
        return None
    prepared = scorer.prepare(post)
    outputs = scorer.run([prepared], output_attentions=True)[0]
    weights = outputs.get("cross_attentions")
    if not weights:
        return None
    to_image = torch.stack([x[0].mean(dim=0) for x in weights[0::2]]).mean(dim=0)  # (tokens, keys)
    to_text = torch.stack([x[0].mean(dim=0) for x in weights[1::2]]).mean(dim=0)  # (image, keys)
    real = prepared["attention_mask"][0].bool()
    tokens, image_tokens = len(real), to_text.shape[0]
    on_tokens = to_text.mean(dim=0)[:tokens]  # behind them stand levels, which have no place
    grid = _as_grid(to_image[real].mean(dim=0)[:image_tokens].numpy())
    text = _as_read(scorer.loaded.processor, post.text)
    return Look(
        text,
        _spans(scorer.loaded.processor, text, on_tokens.tolist()),
        None if grid is None else _up_to_one(_stretch(grid)),
    )


def _as_grid(weights: np.ndarray) -> np.ndarray | None:
    """Lay the weights of image tokens out as they stand in the image, class tokens left out."""
    side = math.isqrt(len(weights))
    return weights[len(weights) - side * side :].reshape(side, side) if side > 1 else None


def _stretch(grid: np.ndarray) -> np.ndarray:
    image = Image.fromarray(grid.astype(np.float32) * grid.size)
    return np.asarray(image.resize((HEAT_SIDE, HEAT_SIDE), Image.Resampling.BILINEAR))


def _up_to_one(values: np.ndarray) -> np.ndarray:
    return values / max(float(values.max()), 1e-12)


def _as_read(processor: Any, text: str) -> str:
    """Return the text that is tokenized; the code of older models lacks the method."""
    prepare = getattr(processor, "prepare_text", None)
    return prepare(text) if prepare else text


def _spans(processor: Any, text: str, weights: list[float]) -> list[tuple[int, int, float]]:
    """Find the place of each token in the text; special tokens have none."""
    encoded = processor.tokenizer(
        text, truncation=True, max_length=processor.max_length, return_offsets_mapping=True
    )
    places = [
        (start, end, weight)
        for (start, end), weight in zip(encoded["offset_mapping"], weights, strict=True)
        if end > start
    ]
    largest = max((weight for *_, weight in places), default=1.0) or 1.0
    return [(start, end, weight / largest) for start, end, weight in places]
