"""The joint processor: posts in, model inputs out, with a record of what each post lacks."""

import io
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from transformers import BatchFeature, ProcessorMixin
from transformers.image_transforms import to_pil_image
from transformers.utils import logging

logger = logging.get_logger(__name__)

# Pillow warns above this size; a bigger picture is an attack or a mistake more often than a post.
DEFAULT_MAX_IMAGE_PIXELS = 89_478_485
# What Pillow's decoders raise on bytes that are no picture, or not a whole one.
UNREADABLE = (
    ValueError,
    OSError,
    SyntaxError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def open_picture(source: Any, max_pixels: int = DEFAULT_MAX_IMAGE_PIXELS) -> Image.Image:
    """Open one picture without decoding it, refusing web addresses and oversized files.

    Args:
        source: Path, bytes of an image file or PIL image.
        max_pixels: Refuse pictures with more pixels than this.

    Returns:
        The image as its file has it: any mode, not turned upright.

    Raises:
        ValueError: A web address, no picture, or too many pixels.
        OSError: The file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)) and "://" in os.fspath(source):
        raise ValueError("is a web address; download the picture and give its path")
    try:
        is_open = isinstance(source, Image.Image)
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        image = source if is_open else Image.open(file)
    except UnidentifiedImageError:
        raise ValueError("cannot identify it as a picture") from None
    if image.width * image.height > max_pixels:
        raise ValueError(
            f"has {image.width} x {image.height} pixels, more than max_image_pixels={max_pixels}"
        )
    return image


def as_upright_rgb(image: Image.Image) -> Image.Image:
    """Decode an opened image, turn it as its EXIF record says, and give it 8 bits for each of RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow would clip 16-bit greys at 255, which turns nearly all of them white.
        image = image.convert("I").point(lambda grey: grey * (1 / 256)).convert("L")
    return image.convert("RGB")


def load_picture(
    source: Any, max_pixels: int = DEFAULT_MAX_IMAGE_PIXELS, name: str = "image"
) -> Image.Image | None:
    """Load a post's picture from whatever a caller has.

    Args:
        source: None, path, bytes of an image file, PIL image, array (height, width, 3) or tensor
            (3, height, width).
        max_pixels: Refuse files with more pixels than this, before decoding them.
        name: How to call the picture in errors.

    Returns:
        An upright RGB image; None where there is no picture: None, an empty string, or a path
        without a file, of which a warning tells.

    Raises:
        ValueError: The picture cannot be read, is a web address or has too many pixels.
        TypeError: The source is of an unknown kind.
    """
    if source is None or (isinstance(source, (str, bytes)) and not source):
        return None
    is_path = isinstance(source, (str, os.PathLike)) and "://" not in os.fspath(source)
    if is_path and not Path(source).is_file():
        logger.warning(
            f"{name}: no file {os.fspath(source)!r}; the post goes on without a picture."
        )
        return None
    try:
        if not isinstance(source, (str, bytes, os.PathLike, Image.Image)):
            return to_pil_image(source)  # arrays and tensors
        return as_upright_rgb(open_picture(source, max_pixels))
    except UNREADABLE as error:
        what = f" {os.fspath(source)!r}" if isinstance(source, (str, os.PathLike)) else ""
        raise ValueError(f"{name}{what}: {error}.") from error


def _as_list(value: Any) -> list[Any] | None:
    """Wrap one post's text or picture in a list; None stays None, which means: not given at all."""
    if value is None or isinstance(value, list):
        return value
    is_sequence = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return list(value) if is_sequence else [value]


class HybridSentProcessor(ProcessorMixin):
    """Turn texts and pictures, either of which may be missing, into model inputs.

    Args:
        image_processor: Image processor of the vision encoder.
        tokenizer: Tokenizer of the text encoder.
        max_length: Cut texts to this many tokens.
        max_image_pixels: Refuse picture files with more pixels than this.
    """

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        max_length: int = 128,
        max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, **kwargs)
        self.max_length = max_length
        self.max_image_pixels = max_image_pixels

    @property
    def model_input_names(self) -> list[str]:
        """Names of what a call returns."""
        return ["input_ids", "attention_mask", "pixel_values", "has_text", "has_image"]

    def __call__(
        self,
        text: str | Sequence[str | None] | None = None,
        images: Any = None,
        return_tensors: str = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare one post or a batch of posts.

        Args:
            text: One text or a list, where None, an empty string or white space means: this post has
                no text. None instead of a list: no post has one.
            images: One picture or a list of what `load_picture` takes, likewise.
            return_tensors: Only "pt".
            **kwargs: Handed to the tokenizer, such as `padding`, `max_length` or `truncation`.

        Returns:
            `has_text` and `has_image`, each bool (batch,); `input_ids` and `attention_mask`, each
            (batch, tokens), unless `text` is None; `pixel_values` (batch, 3, height, width), zero
            for a missing picture, unless `images` is None.

        Raises:
            ValueError: Nothing given, lists of different lengths, a picture that cannot be read, or
                a post with neither text nor picture; the message gives the post's index.
        """
        if return_tensors != "pt":
            raise ValueError(f'return_tensors={return_tensors!r}: only "pt" is supported.')
        texts, pictures = _as_list(text), _as_list(images)
        count = len(texts if texts is not None else pictures or [])
        if count == 0 or (pictures is not None and len(pictures) != count):
            raise ValueError(
                f"Got {count} texts and {len(pictures or [])} images; give one of each a post, "
                "with None for what is missing."
            )
        pictures = self._load_pictures(pictures)
        has_text = torch.tensor([bool(x and x.strip()) for x in texts or [None] * count])
        has_image = torch.tensor([x is not None for x in pictures or [None] * count])
        empty = torch.nonzero(~(has_text | has_image)).flatten().tolist()
        if empty:
            raise ValueError(f"Posts {empty} have neither text nor picture; give each one of them.")
        data = {"has_text": has_text, "has_image": has_image}
        if texts is not None:
            data |= self._tokenize(texts, **kwargs)
        if pictures is not None:
            data["pixel_values"] = self._pixels(pictures, has_image)
        return BatchFeature(data)

    def _load_pictures(self, sources: list[Any] | None) -> list[Image.Image | None] | None:
        if sources is None:
            return None
        return [
            load_picture(source, self.max_image_pixels, f"Picture of post {i}")
            for i, source in enumerate(sources)
        ]

    def _tokenize(self, texts: list[str | None], **kwargs: Any) -> dict[str, torch.Tensor]:
        settings = {"padding": True, "truncation": True, "max_length": self.max_length, **kwargs}
        encoded = self.tokenizer([x or "" for x in texts], return_tensors="pt", **settings)
        return {name: encoded[name] for name in ("input_ids", "attention_mask")}

    def _pixels(self, pictures: list[Image.Image | None], has_image: torch.Tensor) -> torch.Tensor:
        """Process the pictures; a placeholder keeps the missing ones' places and is then cleared."""
        placeholder = Image.new("RGB", (32, 32))
        filled = [placeholder if x is None else x for x in pictures]
        pixels = self.image_processor(filled, return_tensors="pt")["pixel_values"]
        return pixels.masked_fill(~has_image[:, None, None, None], 0.0)


__all__ = ["HybridSentProcessor", "as_upright_rgb", "load_picture", "open_picture"]
