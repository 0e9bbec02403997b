"""Pictures as text: what HTML and JSON can hold."""

import base64
import io

from PIL import Image, ImageOps


def small_copy(picture: Image.Image, side: int, resample: Image.Resampling) -> Image.Image:
    """Return an upright RGB copy no larger than a square.

    Args:
        picture: A decoded picture.
        side: Of the square, in pixels.
        resample: How to scale.

    Returns:
        The copy.
    """
    small = ImageOps.exif_transpose(picture).convert("RGB")
    small.thumbnail((side, side), resample)
    return small


def as_base64(picture: Image.Image, quality: int) -> str:
    """Encode a picture as JPEG, and that as base64."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return base64.b64encode(buffer.getvalue()).decode()
