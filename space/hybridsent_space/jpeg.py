"""Images as text: what HTML and JSON can hold."""

import base64
import io

from PIL import Image


def small_copy(image: Image.Image, side: int, resample: Image.Resampling) -> Image.Image:
    """Return a copy no larger than a square.

    Args:
        image: A decoded image in RGB.
        side: Of the square, in pixels.
        resample: How to scale.

    Returns:
        The copy.
    """
    small = image.copy()
    small.thumbnail((side, side), resample)
    return small


def as_base64(image: Image.Image, quality: int) -> str:
    """Encode an image as JPEG, and that as base64."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return base64.b64encode(buffer.getvalue()).decode()
