"""Digests of what the states of a frozen encoder depend on: weights, processor and posts."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from modeling_hybridsent import HybridSentProcessor


def digest_of_weights(module: torch.nn.Module) -> str:
    """Digest names, dtypes, shapes and bytes of all tensors of a module."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def describe_processor(processor: HybridSentProcessor, modality: str) -> list[Any]:
    """Describe how texts or pictures become model inputs.

    Args:
        processor: The joint processor.
        modality: "text" or "image".

    Returns:
        What goes into JSON; equal for equal settings.
    """
    if modality == "image":
        part = processor.image_processor
        return [type(part).__name__, part.to_dict()]
    processor.encode_texts(["a"])  # leaves settings in the tokenizer's files, as every call does
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        processor.tokenizer.save_pretrained(folder)
        for file in sorted(Path(folder).iterdir()):
            digest.update(file.name.encode() + file.read_bytes())
    return [digest.hexdigest(), processor.max_length]


def digest_of_posts(posts: Dataset, modality: str) -> str:
    """Digest the texts, or the files of the pictures, of all posts in order.

    Args:
        posts: Posts with undecoded pictures.
        modality: "text" or "image".

    Returns:
        64 hexadecimal digits; labels and ids do not count.
    """
    digest = hashlib.sha256()
    for value in posts[modality]:
        content = value.encode() if isinstance(value, str) else content_of(value)
        digest.update(b"-" if content is None else hashlib.sha256(content).digest())
    return digest.hexdigest()


def content_of(picture: dict[str, Any] | None) -> bytes | None:
    """Return the bytes of an undecoded picture; None if there is none or its file is gone."""
    if picture is None:
        return None
    if picture["bytes"] is not None:
        return picture["bytes"]
    file = Path(picture["path"])
    return file.read_bytes() if file.is_file() else None
