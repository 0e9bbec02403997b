"""Export a trained model to OpenVINO or ONNX, which score faster than the model itself.

The exported model is compared with the model on posts before the folder appears.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hybridsent.bundled.models import resolve_model
from hybridsent.exporting.comparison import TOLERANCE, compare, made_up_rows
from hybridsent.exporting.conversion import convert
from hybridsent.scoring.backends import identify_model
from hybridsent.scoring.exported import (
    ENGINES,
    MANIFEST,
    read_export,
    require_package,
)
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.rows import Assignment, Row
from hybridsent.support.digests import digest_of_file, digest_of_weights
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside, is_taken, write_whole

NEEDED = ("onnx", "onnxscript")  # packages, besides the one that runs the exported model
Rows = Callable[[], Iterator[Row]]


def export(
    model: str, output: str | Path, format: str = "openvino", posts: str | None = None
) -> dict[str, Any]:
    """Export a model and compare the two; the folder appears only if they agree.

    Args:
        model: Folder of a trained model, Hub id or bundled model.
        output: Folder to write, absent or empty.
        format: One of `GRAPHS`.
        posts: File or folder to compare on, as `hybridsent predict` reads it; None means made-up posts.

    Returns:
        The content of `export.json`.

    Raises:
        PostsError: No such model or posts, the folder is taken, a package is missing, or the exported
            model does not agree with the model. No folder is left then.
    """
    model, output = resolve_model(model), Path(output)
    _require_possible(model, output, format)
    revision = identify_model(model)[1]
    rows = _rows_of(posts)
    eager = Predictor(model, ("probabilities",), revision=revision, optimise=False)
    eager.backend.model.float()
    with build_beside(output) as draft:
        manifest = _write(eager, draft, format)
        exported = Predictor(str(draft), ("probabilities",), backend=format)
        manifest["checked"] = check_agreement(exported, eager, rows)
        _write_manifest(manifest, draft)
    return manifest


def _require_possible(model: str, output: Path, format: str) -> None:
    """Raise PostsError for what cannot be exported, before anything takes time."""
    if read_export(model):
        remedy = "Give the model that it was made of."
        raise PostsError.about(model, "is an export already", remedy=remedy)
    if is_taken(output):
        raise PostsError.about(output, "is not empty", remedy="Give another --output.")
    for package in (*NEEDED, ENGINES[format]):
        require_package(package, f"--format {format}")


def _rows_of(posts: str | None) -> Rows:
    """Return a function that gives the posts to compare on, anew at each call."""
    if posts is None:
        made_up = made_up_rows()
        return lambda: iter(made_up)
    found = find_input(posts)
    return lambda: found.rows(Assignment(1))


def _write(eager: Predictor, folder: Path, format: str) -> dict[str, Any]:
    """Write the exported model, and return its manifest without the comparison."""
    model, processor = eager.backend.model, eager.preparer.processor
    whole = [row for row in made_up_rows() if row.text and row.image is not None]
    inputs = eager.preparer[whole[:3]].inputs
    files = convert(model, inputs, folder, format)
    processor.save_pretrained(folder)
    model.config.save_pretrained(folder)
    manifest = {
        "format": format,
        "pixel_values": list(inputs["pixel_values"].shape[1:]),
        "files": {name: digest_of_file(folder / name) for name in files},
        "source_weights": f"sha256:{digest_of_weights(model)}",
        "versions": _versions(format),
    }
    _write_manifest(manifest, folder)
    return manifest


def _write_manifest(manifest: dict[str, Any], folder: Path) -> None:
    write_whole(json.dumps(manifest, indent=2) + "\n", folder / MANIFEST)


def _versions(format: str) -> dict[str, str]:
    """Return the versions of the packages that take part."""
    found = {"python": platform.python_version()}
    for name in ("hybridsent", "torch", "transformers", *NEEDED, ENGINES[format]):
        with suppress(PackageNotFoundError):  # hybridsent runs without being installed
            found[name] = version(name)
    return found


def check_agreement(exported: Predictor, eager: Predictor, rows: Rows) -> dict[str, Any]:
    """Compare an exported model with its model.

    Args:
        exported: Predictor of "probabilities" that runs the exported model.
        eager: Predictor of "probabilities" that runs the model.
        rows: Function that gives the posts anew at each call.

    Returns:
        The agreement, for `export.json`.

    Raises:
        PostsError: They do not agree, or no post could be scored.
    """
    found = compare(exported, eager, rows)
    if not found.posts:
        remedy = "Give --posts with texts or images, or leave it out."
        raise PostsError.about("--posts", "no post in it can be scored", remedy=remedy)
    if not found.greatest_difference <= TOLERANCE or found.other_labels:  # refuses NaN, too
        problem = (
            f"the exported model does not agree with the model on {found.posts} posts: a probability "
            f"differs by {found.greatest_difference:.2g} ({TOLERANCE:g} is allowed), and "
            f"{found.other_labels} posts get another label"
        )
        raise PostsError.about(eager.model, problem, remedy="Give another --format.")
    return {**found._asdict(), "tolerance": TOLERANCE}
