"""A stranger's post, checked before anything is done with it."""

import math
import threading
from dataclasses import dataclass
from typing import Any

from PIL import Image

from hybridsent_space.limits import message_of
from hybridsent_space.settings import Settings
from modeling_hybridsent.inputs_hybridsent import has_text, is_missing, load_image

KEPT_PIXELS = 4_000_000  # far above what encoders take; below it an image stays as it is
DECODING = threading.Lock()


class RefusedError(ValueError):
    """Something that a visitor sent cannot be used; the message says what, and what to do."""


@dataclass(frozen=True)
class Post:
    """One post, of which at least one part is there.

    Attributes:
        text: Text, or None.
        image: Decoded image, upright and in RGB, or None.
    """

    text: str | None
    image: Image.Image | None


def check_post(
    text: Any, image: bytes | None, settings: Settings, max_ratio: float = math.inf
) -> Post:
    """Check a post.

    Args:
        text: What was sent as its text.
        image: Content of the file that was sent as its image.
        settings: Limits.
        max_ratio: As in `load_image`.

    Returns:
        The post.

    Raises:
        RefusedError: It is empty, too large, or not what it should be.
    """
    text = _check_text(text, settings)
    decoded = None if image is None else check_image(image, settings, max_ratio)
    if text is None and decoded is None:
        raise RefusedError("The post is empty: give a text, an image or both.")
    return Post(text, decoded)


def _check_text(text: Any, settings: Settings) -> str | None:
    if isinstance(text, str) and len(text) > settings.max_text_characters:
        raise RefusedError(
            message_of("max_text_characters", settings.max_text_characters, len(text))
        )
    try:
        return text if has_text(text, "The text") else None
    except ValueError as error:
        raise RefusedError(f"{error}.") from error


def require_size(size: int, settings: Settings) -> None:
    """Raise RefusedError if the file of an image has more bytes than allowed."""
    if size > settings.max_image_bytes:
        raise RefusedError(message_of("max_image_bytes", settings.max_image_bytes, size))


def check_image(content: bytes, settings: Settings, max_ratio: float = math.inf) -> Image.Image:
    """Decode an image and shrink a huge one; one at a time, as its pixels may take 500 MB.

    Args:
        content: Content of its file.
        settings: Limits.
        max_ratio: As in `load_image`.

    Returns:
        The decoded image; of an animation the first frame.

    Raises:
        RefusedError: It is empty, too large or damaged, or of another format.
    """
    if is_missing(content):
        raise RefusedError("The image: the file is empty. Replace it or leave it out.")
    require_size(len(content), settings)
    try:
        with DECODING:
            image = load_image(content, settings.max_image_pixels, "The image", max_ratio)
            factor = math.ceil(math.sqrt(image.width * image.height / KEPT_PIXELS))
            return image.reduce(factor) if factor > 1 else image
    except ValueError as error:
        raise RefusedError(str(error)) from error
