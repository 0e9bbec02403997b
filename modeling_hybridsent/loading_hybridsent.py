"""Damaged files are one error that names the file and says what to do, never fresh weights.

The library itself starts a tensor that a file lacks from fresh weights, with a table in the log.
"""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_utils import load_state_dict
from transformers.utils import CONFIG_NAME, cached_file

from .configuration_hybridsent import REMEDY, as_sentence, is_explained

# What says where in the Hub, or in its cache, a file lies.
_PLACE = ("cache_dir", "revision", "subfolder", "token")


def place_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return those arguments of `from_pretrained` that say where a file lies."""
    return {name: arguments[name] for name in _PLACE if arguments.get(name) is not None}


def local_folder(name: str, place: dict[str, Any]) -> Path:
    """Return the folder behind a name: itself, or the local copy of a repository of the Hub."""
    if Path(name).is_dir():
        return Path(name, place.get("subfolder", ""))
    try:
        return Path(cached_file(name, CONFIG_NAME, local_files_only=True, **place)).parent  # type: ignore[arg-type]
    except OSError:  # there is none
        return Path(name)


def require_index_inside(folder: Path) -> None:
    """Raise an OSError if an index of weights names a file outside its folder."""
    for file in folder.glob("*.safetensors.index.json"):
        with contextlib.suppress(
            ValueError, LookupError, TypeError, AttributeError, RecursionError
        ):  # loading says more
            for name in json.loads(file.read_text(encoding="utf-8"))["weight_map"].values():
                if not isinstance(name, str) or Path(name).name != name or "\\" in name:
                    raise OSError(
                        f"{file} names {name!r:.100}, which is no file beside it. {REMEDY}."
                    )


def _read(file: Path) -> None:
    """Read the header of a weight file, or the whole of an index; raises if it is damaged."""
    if file.suffix == ".json":
        json.loads(file.read_text(encoding="utf-8"))
    else:
        load_state_dict(str(file), map_location="meta")


def explain_failure(error: Exception, folder: Path, build: Callable[[], Any]) -> Exception:
    """Return an error that names the file that made loading fail.

    Args:
        error: What loading raised.
        folder: Where weights and configuration lie.
        build: Builds the model that the stored configuration describes, as stored.

    Returns:
        An error that names the file; `error` itself when the files are not to blame.
    """
    for file in sorted(folder.glob("*.safetensors*")):
        try:
            _read(file)
        except Exception as damage:
            return OSError(f"{file} is damaged ({damage}). {REMEDY}.")
    try:
        with torch.device("meta"):
            build()
    except Exception as nonsense:
        if is_explained(nonsense):  # found by the configuration itself
            return nonsense
        if isinstance(nonsense, OSError):  # there is no such file, as `error` says
            return error
        return ValueError(
            f"{folder / CONFIG_NAME} describes a model that cannot be built: "
            f"{as_sentence(nonsense)} {REMEDY}, or correct that value."
        )
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return ValueError(
            f"{folder / CONFIG_NAME} describes a model that does not fit into memory "
            f"({error!s:.200}). {REMEDY}, correct its sizes, or use a larger machine."
        )
    return error


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def require_complete(
    info: dict[str, Any], folder: Path, ignore_mismatched_sizes: bool, may_lack: bool
) -> None:
    """Raise unless the files gave every tensor of the model in its shape.

    Args:
        info: Loading info of `from_pretrained(..., output_loading_info=True)`.
        folder: Where the weights lie.
        ignore_mismatched_sizes: The caller accepts fresh weights where shapes differ.
        may_lack: The caller accepts fresh weights where tensors are missing.

    Raises:
        RuntimeError: A tensor is missing or has another shape; the message names files and tensors.
    """
    files = [str(file) for file in sorted(folder.glob("*.safetensors"))] or [str(folder)]
    where = _some(files)
    missing, unknown = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    if missing and not may_lack:
        if not any(name.startswith("hybridsent.") for name in missing) and not unknown:
            raise RuntimeError(
                f"{where} holds the model without its classifiers, as `model.hybridsent` is saved: "
                "load it with HybridSentModel, or save the whole model."
            )
        instead = f"; it holds tensors the model does not know: {_some(unknown)}" if unknown else ""
        raise RuntimeError(
            f"{where} lacks {len(missing)} tensor(s) of the model: {_some(missing)}{instead}. "
            f"{REMEDY}; if fresh weights are wanted there, pass output_loading_info=True, which "
            "returns the model together with the list of them."
        )
    differ = [
        f"{name} ({tuple(stored)} in the file, {tuple(wanted)} in the model)"
        for name, stored, wanted in sorted(info["mismatched_keys"])
    ]
    if differ and not ignore_mismatched_sizes:
        raise RuntimeError(
            f"{where} does not fit the configuration: {_some(differ)}. {REMEDY}; if the number of "
            "labels was changed on purpose, pass ignore_mismatched_sizes=True, and these tensors "
            "start fresh."
        )
