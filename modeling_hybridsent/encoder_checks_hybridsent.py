"""Whether an encoder answers a post by the post alone, and how long a text it takes."""

import re
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from .encoders_hybridsent import encode_image, encode_text, expected_image_size, unsuitable

_TOKENS = 8
_NOTHING = (
    1e-20  # below it, numbers of fresh weights differ by what a processor does to the least ones
)
_POSITIONS = re.compile(r"(^|\.)(position_embeddings?|embed_positions)$")
_CHECKED = set[tuple[type[PreTrainedConfig], str]]()


def require_own_answer(encoder: PreTrainedModel, modality: str) -> None:
    """Raise unless an encoder answers a post alike when called again, and beside another post.

    Random numbers of torch are refused before; this finds those of others, and states between calls.
    A configuration is checked once in a process, when an encoder of it is built with weights.

    Args:
        encoder: Result of `build_encoder`.
        modality: "text" or "vision".

    Raises:
        ValueError: The answers differ; the message lists the tested encoders.
    """
    key = type(encoder.config), encoder.config.to_json_string(use_diff=False)
    if key in _CHECKED or any(x.is_meta or not x.numel() for x in encoder.parameters()):
        return
    posts, was_training = _two_posts(encoder, modality), encoder.training
    encoder.eval()
    first, again, beside = (_answer(encoder, modality, x) for x in (posts[:1], posts[:1], posts))
    encoder.train(was_training)
    relative = 1e-3 if first.dtype == torch.float32 else 0.05
    tolerance = relative * first.abs().max() + _NOTHING
    for answer, when in ((again, "when called again"), (beside[:1], "beside another post")):
        if (answer - first).abs().max() > tolerance:
            raise unsuitable(encoder.config.model_type, modality, f"it answers otherwise {when}")
    _CHECKED.add(key)


def _two_posts(encoder: PreTrainedModel, modality: str) -> torch.Tensor:
    """Return ids (2, tokens) or pixels (2, 3, height, width) of two different posts."""
    like = next(encoder.parameters())
    if modality == "text":
        return torch.tensor([[1], [0]], device=like.device).expand(2, _TOKENS)
    size = expected_image_size(encoder.config)
    ramp = torch.linspace(-1, 1, 3 * size * size, device=like.device, dtype=like.dtype)
    return torch.stack([ramp, ramp.flip(0)]).view(2, 3, size, size)


@torch.no_grad()
def _answer(encoder: PreTrainedModel, modality: str, posts: torch.Tensor) -> torch.Tensor:
    """Return the states of the last layer, (posts, tokens, width)."""
    if modality == "vision":
        return encode_image(encoder, posts)[0]
    return encode_text(encoder, {"input_ids": posts, "attention_mask": torch.ones_like(posts)})[0]


def count_positions(encoder: PreTrainedModel) -> int | None:
    """Return how many tokens a text may have; None where positions are computed, not looked up."""
    counts = []
    for name, part in encoder.named_modules():
        if _POSITIONS.search(name) and getattr(part, "weight", None) is not None:
            padding = getattr(part, "padding_idx", None)  # real tokens are counted from behind it
            counts.append(part.weight.shape[0] - (0 if padding is None else padding + 1))
    most = getattr(encoder.config, "max_position_embeddings", None)
    return min([*counts, most] if most else counts) if counts else None


def require_positions(encoder: PreTrainedModel, tokens: int, most: int | None) -> None:
    """Raise if texts have more tokens than a text encoder has positions.

    Args:
        encoder: The text encoder.
        tokens: Of the longest text.
        most: Result of `count_positions`.

    Raises:
        ValueError: They have; the message says how long texts may be.
    """
    if most is not None and tokens > most:
        raise ValueError(
            f"A text has {tokens} tokens, but the text encoder {encoder.config.model_type!r} has "
            f"positions for {most}. Give the processor max_length={most} or less."
        )


def require_fitting_texts(processor: Any, encoder: PreTrainedModel) -> None:
    """Raise if a processor cuts texts after more tokens than a text encoder has positions.

    Else the first long text would end what has run until then.

    Args:
        processor: The joint processor.
        encoder: The text encoder; its weights may be on the device meta.

    Raises:
        ValueError: It does; the message says what to set.
    """
    most = count_positions(encoder)
    if most is None:
        return
    long = "a " * (max(most, processor.max_length) + 1)  # more tokens than either allows
    tokens = processor(text=[long])["input_ids"].shape[1]
    if tokens > most:
        raise ValueError(
            f"The processor cuts texts after {tokens} tokens, but the text encoder "
            f"{encoder.config.model_type!r} has positions for {most}. Give the processor "
            f"max_length={most} or less; a saved one has it in processor_config.json."
        )
