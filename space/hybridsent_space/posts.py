"""A stranger's post, checked before anything is done with it."""

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from hybridsent_space.settings import Settings

# What a browser sends as a picture. Pillow knows more formats; each is one more parser to attack.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


class RefusedError(ValueError):
    """Something that a visitor sent cannot be used; the message says what, and what to do."""


@dataclass(frozen=True)
class Post:
    """One post, of which at least one part is there.

    Attributes:
        text: Text, or None.
        picture: Decoded picture, or None.
    """

    text: str | None
    picture: Image.Image | None


def check_post(text: Any, picture: bytes | None, settings: Settings) -> Post:
    """Check a post.

    Args:
        text: What was sent as its text.
        picture: Content of the file that was sent as its picture.
        settings: Limits.

    Returns:
        The post.

    Raises:
        RefusedError: It is empty, too large, or not what it should be.
    """
    text = _check_text(text, settings)
    image = check_picture(picture, settings) if picture is not None else None
    if text is None and image is None:
        raise RefusedError("The post is empty: give a text, a picture or both.")
    return Post(text, image)


def _check_text(text: Any, settings: Settings) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise RefusedError(f"The text is a {type(text).__name__}, not a string.")
    if len(text) > settings.max_text_characters:
        raise RefusedError(
            f"The text has {len(text):,} characters; {settings.max_text_characters:,} are allowed."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(
            "The text holds half a character pair; send whole characters."
        ) from error
    return text if text.strip() else None


def check_picture(content: bytes, settings: Settings) -> Image.Image:
    """Decode a picture whose kind is told by its content, not by its name.

    Args:
        content: The file.
        settings: Limits.

    Returns:
        The decoded picture, as its file has it; of an animation the first frame.

    Raises:
        RefusedError: It is too large, damaged, or no picture.
    """
    if len(content) > settings.max_image_bytes:
        raise RefusedError(
            f"The picture has {len(content):,} bytes; {settings.max_image_bytes:,} are allowed."
        )
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > settings.max_image_pixels:
            raise RefusedError(
                f"The picture has {image.width:,} x {image.height:,} pixels; "
                f"{settings.max_image_pixels:,} in all are allowed."
            )
        image.load()
    except RefusedError:
        raise
    except Image.UnidentifiedImageError as error:
        raise RefusedError(f"The file is no picture: send one of {', '.join(FORMATS)}.") from error
    except Exception as error:  # decoders raise nearly anything on broken files
        raise RefusedError(
            f"The picture is damaged: {str(error) or type(error).__name__}."
        ) from error
    return image
