"""The joint processor: posts to model inputs, which mark missing modalities."""

import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature, ProcessorMixin
from transformers.processing_utils import ImagesKwargs, ProcessingKwargs, TextKwargs, Unpack

from .inputs_hybridsent import (
    DEFAULT_MAX_IMAGE_PIXELS,
    clean_text,
    cut_text,
    has_text,
    load_image,
)
from .processor_files_hybridsent import (
    MOST_TOKENS,
    ProcessorFiles,
    excess_of_backend,
    excess_of_settings,
    without_panic,
)

DEFAULT_MAX_LENGTH = 128  # tokens
# A tokenizer keeps padding and truncation of a call in itself, where another thread changes them.
_TOKENIZING = threading.Lock()
# Keywords that would change which row belongs to which post, or mark image tokens.
_UNSUPPORTED = {
    "is_split_into_words",
    "return_mm_token_type_ids",
    "return_overflowing_tokens",
    "return_text_replacement_offsets",
    "text_pair_target",
    "text_target",
}


def _as_list(value: Any) -> list[Any] | None:
    """Return texts or images as a list, one alone in a list of one; None, for none at all, stays."""
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, (str, bytes, os.PathLike, Mapping, Image.Image)):
        return [value]
    dimensions = getattr(value, "ndim", None)  # 3: one image, 4: a batch, 1: paths, for instance
    is_many = isinstance(value, Iterable) if dimensions is None else dimensions in (1, 4)
    return list(value) if is_many else [value]


def _count_posts(texts: list[Any] | None, images: list[Any] | None) -> int:
    """Count the posts of a batch; raises ValueError unless text and images agree on it."""
    count = len(texts if texts is not None else images or [])
    if count == 0 or (images is not None and len(images) != count):
        raise ValueError(
            f"Got {count} texts and {len(images or [])} images; give one of each a post, "
            "with None for what is missing."
        )
    return count


def _only_image(source: Any, name: str) -> Any:
    """Return the image of a post without the list that processors of the library allow around it."""
    if not isinstance(source, (list, tuple)):
        return source
    if len(source) > 1:
        raise ValueError(f"{name}: is a list of {len(source)}; a post has one image or none.")
    return source[0] if source else None


def _names(what: str, count: int) -> list[str]:
    """Return what to call the texts or images of a batch in errors; one alone needs no index."""
    return [what] if count == 1 else [f"{what} of post {i}" for i in range(count)]


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}={value!r}: give a positive whole number.")
    if name != "max_image_pixels" and value > MOST_TOKENS:
        raise ValueError(
            f"{name}={value}: give at most {MOST_TOKENS}, to which texts may be padded."
        )
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: give true or false.")
    return value


class HybridSentProcessor(ProcessorMixin):
    """Turn texts and images, either of which may be missing, into model inputs.

    Args:
        image_processor: Image processor of the vision encoder.
        tokenizer: Tokenizer of the text encoder.
        max_image_pixels: Refuse image files with more pixels than this.
        clean_text: Tokenize texts as the function `clean_text` of `inputs_hybridsent` returns them.
        **kwargs: `max_length`, 128 unless given: cut texts to this many tokens. And what
            `ProcessorMixin` takes.

    Raises:
        ValueError: A limit is not a positive whole number, `clean_text` is neither true nor false, or
            the tokenizer is one that makes too much of a short text.
    """

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        *,
        max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
        clean_text: bool = False,
        **kwargs: Any,
    ) -> None:
        # Among **kwargs, since the library wants no argument here that a call takes by that name, too.
        self.max_length = _positive("max_length", kwargs.pop("max_length", DEFAULT_MAX_LENGTH))
        self.max_image_pixels = _positive("max_image_pixels", max_image_pixels)
        self.clean_text = _flag("clean_text", clean_text)
        if excess := excess_of_backend(tokenizer) or excess_of_settings(tokenizer):
            raise ValueError(f"The tokenizer's {excess}.")
        super().__init__(image_processor, tokenizer, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> "HybridSentProcessor":
        """Load a processor as the parent does, and test it on one post.

        Args:
            pretrained_model_name_or_path: Folder or Hub id.
            *args: As in the parent class.
            **kwargs: As in the parent class; `max_length`, `max_image_pixels` and `clean_text` override
                the stored.

        Returns:
            The processor.

        Raises:
            OSError: A file is missing or cannot be read; the message names it.
            ValueError: A file holds invalid settings; the message names it.
        """
        # Not for the tokenizer, of which some have a setting of this name.
        chosen = kwargs.pop("clean_text", None)
        if chosen is not None:
            _flag("clean_text", chosen)
        files = ProcessorFiles(pretrained_model_name_or_path, kwargs)
        try:
            loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
            processor = loaded[0] if isinstance(loaded, tuple) else loaded
            processor.clean_text = processor.clean_text if chosen is None else chosen
            files.require_whole(processor.tokenizer)
            processor._try_out()
        except ImportError:  # a package is missing, not a file
            raise
        except Exception as error:
            explained = files.explain(error)
            if explained is error:
                raise
            raise explained from error
        return loaded

    def _try_out(self) -> None:
        """Process a text, a black image and a white one: many wrong settings fail only then."""
        self.require_sizes_within_limit()
        settings = self._merge_kwargs(tokenizer_init_kwargs=self._made_for())
        self.encode_texts(["a"])
        images = [Image.new("RGB", (32, 32), colour) for colour in ("black", "white")]
        if not self._pixels(list(images), **settings["images_kwargs"]).isfinite().all():
            raise ValueError("a black or a white image gives numbers that are not finite")

    def require_sizes_within_limit(self) -> None:
        """Raise if images would be resized to more pixels than allowed.

        Raises:
            ValueError: They would; the message names the setting.
        """
        for name in ("size", "crop_size"):
            size = dict(getattr(self.image_processor, name, None) or {})
            edges = [edge for edge in size.values() if isinstance(edge, int)]
            if edges and max(edges) ** 2 > self.max_image_pixels:
                raise ValueError(
                    f"{name}={size} has more pixels than max_image_pixels={self.max_image_pixels}"
                )

    @property
    def model_input_names(self) -> list[str]:
        """Return the names of what a call returns."""
        return ["input_ids", "attention_mask", "pixel_values", "has_text", "has_image"]

    @property
    def text_kwargs(self) -> dict[str, Any]:  # type: ignore[override]
        """Return defaults of the tokenizer, below its saved settings and those of a call."""
        common = {"padding": True, "truncation": True, "return_tensors": "pt"}
        return {**common, "max_length": self.max_length}

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `processor_config.json`, with the place of the code."""
        place = f"{type(self).__module__.rsplit('.', 1)[-1]}.{type(self).__name__}"
        kept = {"max_length": self.max_length, "auto_map": {"AutoProcessor": place}}
        content = {**super().to_dict(), **kept}
        images = content["image_processor"]
        if "data_config" in images:  # timm's: its __init__ asks for this under another name
            images["pretrained_cfg"] = images["data_config"]
        return content

    @staticmethod
    def validate_init_kwargs(
        processor_config: dict[str, Any], valid_kwargs: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split keywords into those that `__init__` takes and others, as the parent does."""
        ours = [*valid_kwargs, "max_length", "max_image_pixels", "clean_text"]
        return ProcessorMixin.validate_init_kwargs(processor_config, ours)

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str | None] | None = None,
        **kwargs: Unpack[ProcessingKwargs],
    ) -> BatchFeature:
        """Prepare one post or a batch of posts.

        Args:
            images: One image or a list of what `load_image` takes, each alone or in a list of its
                own. None instead of a list: no post has one.
            text: One text or a list, likewise, where None, an empty string or white space means:
                this post has no text.
            **kwargs: For the tokenizer (such as `padding`, `max_length` or `truncation`) or the image
                processor (such as `size` or `do_rescale`), flat or in `text_kwargs` and
                `images_kwargs`; `return_tensors`, "pt" unless given, "np" or None for lists.

        Returns:
            `has_text` and `has_image`, each bool (batch,); `input_ids` and `attention_mask`, each
            (batch, tokens), unless `text` is None; `pixel_values` (batch, 3, height, width), zero
            for a missing image, unless `images` is None.

        Raises:
            ValueError: Nothing given, lists of different lengths, an image that cannot be read, or
                a post with neither text nor image; the message gives the post's index.
            TypeError: An unknown keyword.
        """
        self._refuse_unknown(kwargs)
        settings = self._merge_kwargs(tokenizer_init_kwargs=self._made_for(), **kwargs)
        kind = _tensor_kind(settings["text_kwargs"], settings["images_kwargs"])
        texts, images = _as_list(text), _as_list(images)
        count = _count_posts(texts, images)
        images = self._load_images(images, settings["images_kwargs"])
        names = _names("Text", count)
        with_text = [has_text(*pair) for pair in zip(texts or [None] * count, names, strict=True)]
        with_image = [x is not None for x in images or [None] * count]
        empty = [i for i in range(count) if not (with_text[i] or with_image[i])]
        if empty:
            raise ValueError(f"Posts {empty} have neither text nor image; give each one of them.")
        data: dict[str, Any] = {"has_text": with_text, "has_image": with_image}
        if texts is not None:
            data |= self._tokenize(texts, with_text, **settings["text_kwargs"])
        if images is not None:
            pixels = self._pixels(images, **settings["images_kwargs"])
            data["pixel_values"] = pixels if kind else list(pixels)
        return BatchFeature(data, tensor_type=kind)

    def encode_texts(self, texts: Sequence[str | None]) -> dict[str, torch.Tensor]:
        """Process texts alone, as a call does.

        Args:
            texts: One a post; None, an empty string or white space means: this post has no text.

        Returns:
            `has_text`, bool (batch,); `input_ids` and `attention_mask`, each (batch, tokens).
        """
        settings = self._merge_kwargs(tokenizer_init_kwargs=self._made_for())["text_kwargs"]
        names = _names("Text", len(texts))
        has = [has_text(*pair) for pair in zip(texts, names, strict=True)]
        return {"has_text": torch.tensor(has), **self._tokenize(texts, has, **settings)}

    def prepare_text(self, text: str, whole: bool = False) -> str:
        """Return a text as the tokenizer gets it: cut unless whole, cleaned if `clean_text` is on."""
        if not whole:
            text = cut_text(text, getattr(self.tokenizer, "truncation_side", "right"))
        return clean_text(text) if self.clean_text else text

    def _refuse_unknown(self, kwargs: dict[str, Any]) -> None:
        """Raise on a misspelt or unsupported keyword, which the library would ignore."""
        text = set(TextKwargs.__annotations__) - _UNSUPPORTED
        own = getattr(self.image_processor, "valid_kwargs", None)
        images = set(ImagesKwargs.__annotations__) | set(getattr(own, "__annotations__", ()))
        groups = {"text_kwargs": text, "images_kwargs": images, "common_kwargs": text | images}
        unknown = set(kwargs) - set(groups) - text - images
        for group, known in groups.items():
            unknown |= set(kwargs.get(group) or ()) - known
        if unknown:
            raise TypeError(f"{type(self).__name__} does not take {sorted(unknown)}.")

    def _made_for(self) -> dict[str, Any]:
        """Return the settings that the tokenizer was saved with.

        Many tokenizers of the Hub have a `max_length` by accident: it counts only with a `padding`.
        A `stride` is of pieces of a text, which are not supported.
        """
        settings = dict(self.tokenizer.init_kwargs)
        settings.pop("stride", None)
        if "padding" not in settings:
            settings.pop("max_length", None)
        return settings

    def max_image_ratio(self, **settings: Any) -> float:
        """Return the ratio of an image's sides above which resizing would exceed `max_image_pixels`.

        Args:
            **settings: `size` and `do_resize` of a call; those of the image processor unless given.

        Returns:
            The ratio of the longer side to the shorter one; infinity where both sides are fixed.
        """
        processor = self.image_processor
        size = settings.get("size") or getattr(processor, "size", None) or {}
        edges = {"shortest_edge": size} if isinstance(size, int) else dict(size)
        shortest = None if edges.get("longest_edge") else edges.get("shortest_edge")
        crop = getattr(processor, "data_config", None)  # timm's
        if crop and crop["crop_mode"] not in ("squash", "border"):
            shortest = crop["input_size"][-1] / crop["crop_pct"]
        resizes = settings.get("do_resize", getattr(processor, "do_resize", True))
        return self.max_image_pixels / shortest**2 if resizes and shortest else math.inf

    def _load_images(
        self, sources: list[Any] | None, settings: dict[str, Any]
    ) -> list[Image.Image | None] | None:
        if sources is None:
            return None
        ratio = self.max_image_ratio(**settings)
        return [
            load_image(_only_image(source, name), self.max_image_pixels, name, ratio)
            for source, name in zip(sources, _names("Image", len(sources)), strict=True)
        ]

    def _tokenize(
        self, texts: Sequence[str | None], has: Sequence[bool], **settings: Any
    ) -> dict[str, Any]:
        for name in ("max_length", "pad_to_multiple_of"):
            if settings.get(name) is not None:
                _positive(name, settings[name])
        whole = settings.get("truncation") in (None, False, "do_not_truncate")
        given = [
            self.prepare_text(x, whole) if y and x else "" for x, y in zip(texts, has, strict=True)
        ]
        with _TOKENIZING, without_panic():
            encoded = dict(self.tokenizer(given, **settings))
        if not settings.get("return_token_type_ids"):
            encoded.pop("token_type_ids", None)  # the model has no use for them
        return encoded

    def _pixels(self, images: list[Image.Image | None], **settings: Any) -> torch.Tensor:
        """Process the images, with placeholders, then cleared, for the missing ones."""
        missing = torch.tensor([x is None for x in images])
        # Of the size of an image beside it, for an image processor that does not resize.
        size = next((x.size for x in images if x is not None), (32, 32))
        filled = [Image.new("RGB", size) if x is None else x for x in images]
        settings["return_tensors"] = "pt"
        try:
            pixels = self.image_processor(filled, **settings)["pixel_values"]
        except ValueError as error:
            what = str(error).splitlines()[0]
            raise ValueError(f"The images do not fit into one batch: {what}") from error
        if not missing.any():
            return pixels
        missing = missing.to(pixels.device).view(-1, *[1] * (pixels.dim() - 1))
        return pixels.masked_fill(missing, 0.0)


def _tensor_kind(text: dict[str, Any], images: dict[str, Any]) -> str | None:
    """Return the `return_tensors` of a call from its merged settings."""
    kind = text["return_tensors"]
    if images.get("return_tensors", kind) != kind:
        raise ValueError(
            f"return_tensors={kind!r} for text, another for images; give it once, flat."
        )
    if kind not in ("pt", "np", None):
        raise ValueError(f'return_tensors={kind!r}: only "pt", "np" and None are supported.')
    return kind


__all__ = ["HybridSentProcessor"]
