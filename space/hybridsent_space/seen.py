"""The image as the model sees it: cut, scaled and coloured as its image processor does."""

import numpy as np
import torch
from PIL import Image

from hybridsent_space.posts import Post
from hybridsent_space.scorer import Scorer


def as_seen(scorer: Scorer, image: Image.Image) -> Image.Image:
    """Turn an image into model input and that back into an image.

    How black and white are mapped shows how any processor maps colours.

    Args:
        scorer: With the processor.
        image: A decoded image.

    Returns:
        RGB, of the size of the model's input.
    """
    pixels = _pixels(scorer, image)
    black, white = (
        _pixels(scorer, Image.new("RGB", (64, 64), colour)).mean(dim=(1, 2), keepdim=True)
        for colour in ("black", "white")
    )
    share = ((pixels - black) / (white - black)).clamp(0, 1)
    return Image.fromarray((255 * share).round().byte().permute(1, 2, 0).numpy())


def _pixels(scorer: Scorer, image: Image.Image) -> torch.Tensor:
    return scorer.prepare(Post(None, image))["pixel_values"][0].float()  # (3, height, width)


def with_heat(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Darken an image where nobody looked.

    Args:
        image: RGB.
        heat: Attention, (rows, columns), largest 1.

    Returns:
        The image, brightest where the attention is largest.
    """
    light = Image.fromarray((255 * heat).astype(np.uint8)).resize(
        image.size, Image.Resampling.BILINEAR
    )
    share = np.asarray(light, dtype=np.float32)[..., None] / 255
    shown = np.asarray(image, dtype=np.float32) * (0.15 + 0.85 * share)
    return Image.fromarray(shown.astype(np.uint8))


def with_regions(
    image: Image.Image, drops: np.ndarray, colours: tuple[tuple[int, int, int], ...]
) -> Image.Image:
    """Tint the regions of an image by what they did for the decision.

    Args:
        image: RGB.
        drops: What the absence of each region takes from the label's probability, (rows, columns).
        colours: Tint of a region that speaks for the label, and of one that speaks against it.

    Returns:
        The tinted image; the largest effect is tinted most.
    """
    largest = max(float(np.abs(drops).max()), 1e-12)
    tint = np.array([[colours[int(drop < 0)] for drop in row] for row in drops], dtype=np.uint8)
    strength = (255 * 0.7 * np.abs(drops) / largest).astype(np.uint8)
    nearest = {"size": image.size, "resample": Image.Resampling.NEAREST}
    mask = Image.fromarray(strength).resize(**nearest)
    return Image.composite(Image.fromarray(tint).resize(**nearest), image, mask)
