"""Export a trained model as a graph that run_predict.py scores with, faster than the model itself.

python -m hybridsent.exporting.export --model outputs/quickstart --output outputs/openvino

The graph is compared with the model on posts before the folder appears: it is right or absent.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hybridsent.exporting.comparison import compare, made_up_rows
from hybridsent.exporting.graphs import write_graph
from hybridsent.scoring import Predictor
from hybridsent.scoring.backends import identify_model
from hybridsent.scoring.exported import (
    ENGINES,
    GRAPHS,
    MANIFEST,
    digest_of_file,
    read_export,
    require_package,
)
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.rows import Assignment, Row
from hybridsent.support.command_line import add_debug, run_command
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside, write_whole
from hybridsent.training.fingerprints import digest_of_weights

TOLERANCES = {"none": 1e-4, "int8": 1e-2}  # greatest difference of a probability
NEEDED = {"torch": (), "onnx": ("onnx", "onnxscript"), "openvino": ("onnx", "onnxscript")}
BATCHES = (1, 7)  # all posts are compared with each
Rows = Callable[[], Iterator[Row]]


def export(
    model: str,
    output: str | Path,
    format: str = "openvino",
    quantize: str = "none",
    posts: str | None = None,
) -> dict[str, Any]:
    """Export a model, compare the graph with it, and only then let the folder appear.

    Args:
        model: Folder of a trained model, or Hub id.
        output: Folder for graph, processor, configuration and `export.json`; absent or empty.
        format: One of `GRAPHS`.
        quantize: "int8" holds the weights of the text encoder's matrix products in 8 bits.
        posts: File or folder to compare on, as run_predict.py reads it; None means made-up posts.

    Returns:
        The content of `export.json`.

    Raises:
        PostsError: No such model or posts, the folder is taken, a package is missing, or graph and
            model do not agree. There is no folder then.
    """
    output = Path(output)
    _require_possible(model, output, format, quantize)
    revision = identify_model(model)[1]
    rows = _rows_of(posts)
    eager = Predictor(model, ("probabilities",), revision=revision, optimise=False)
    eager.backend.model.float()
    with build_beside(output) as draft:
        told = _write(eager, draft, format, quantize)
        exported = Predictor(str(draft), ("probabilities",), backend=format)
        told["checked"] = check_agreement(exported, eager, rows, quantize)
        _tell(told, draft)
    return told


def _require_possible(model: str, output: Path, format: str, quantize: str) -> None:
    """Raise PostsError for what cannot be exported, before anything takes time."""
    if read_export(model):
        remedy = "Give the model that it was made of."
        raise PostsError.about(model, "is an export already", remedy=remedy)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise PostsError.about(output, "holds something already", remedy="Give another --output.")
    if quantize == "int8" and format == "torch":
        remedy = "Leave --quantize out, or give --format openvino or onnx."
        raise PostsError.about("--quantize int8", "not for --format torch", remedy=remedy)
    for package in (*NEEDED[format], ENGINES[format]):
        require_package(package, f"--format {format}")


def _rows_of(posts: str | None) -> Rows:
    """Return what gives the posts to compare on, anew at each call."""
    if posts is None:
        made_up = made_up_rows()
        return lambda: iter(made_up)
    found = find_input(posts)
    return lambda: found.rows(Assignment(1))


def _write(eager: Predictor, folder: Path, format: str, quantize: str) -> dict[str, Any]:
    """Write all but the outcome of the comparison; returns what `export.json` says so far."""
    model, processor = eager.backend.model, eager.preparer.processor
    whole = [row for row in made_up_rows() if row.text and row.image is not None]
    inputs = eager.preparer[whole[:3]].inputs
    files = write_graph(model, inputs, folder, format, int8=quantize == "int8")
    processor.save_pretrained(folder)
    model.config.save_pretrained(folder)
    told = {
        "format": format,
        "quantization": quantize,
        "pixel_values": list(inputs["pixel_values"].shape[1:]),
        "files": {name: digest_of_file(folder / name) for name in files},
        "source_weights": f"sha256:{digest_of_weights(model)}",
        "versions": _versions(format),
    }
    _tell(told, folder)
    return told


def _tell(told: dict[str, Any], folder: Path) -> None:
    write_whole(json.dumps(told, indent=2) + "\n", folder / MANIFEST)


def _versions(format: str) -> dict[str, str]:
    """Return the versions of what took part."""
    found = {"python": platform.python_version()}
    for name in ("hybridsent", "torch", "transformers", *NEEDED[format], ENGINES[format]):
        with suppress(PackageNotFoundError):  # hybridsent runs without being installed
            found[name] = version(name)
    return found


def check_agreement(
    exported: Predictor, eager: Predictor, rows: Rows, quantize: str
) -> dict[str, Any]:
    """Compare graph and model.

    Args:
        exported: Answers "probabilities" with the graph.
        eager: Answers them with the model.
        rows: Gives the posts anew at each call.
        quantize: One of `TOLERANCES`.

    Returns:
        What was found, for `export.json`.

    Raises:
        PostsError: They do not agree, or no post could be scored.
    """
    tolerance = TOLERANCES[quantize]
    found = compare(exported, eager, rows, BATCHES, tolerance)
    if not found.posts:
        remedy = "Give --posts with texts or pictures, or leave it out."
        raise PostsError.about("--posts", "no post in it can be scored", remedy=remedy)
    # Worded so that NaN is refused.
    if not found.greatest_difference <= tolerance or found.other_labels:
        problem = (
            f"the graph does not agree with the model on {found.posts} posts: a probability differs "
            f"by {found.greatest_difference:.2g} ({tolerance:g} is allowed), and "
            f"{found.other_labels} posts get another label"
        )
        remedy = "Leave --quantize out." if quantize == "int8" else "Give another --format."
        raise PostsError.about(eager.model, problem, remedy=remedy)
    return {**found._asdict(), "tolerance": tolerance}


def main(argv: Sequence[str] | None = None) -> int:
    """Export what the command line names; a failure is one message and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", required=True, help="folder of a trained model, or Hub id")
    parser.add_argument("--output", required=True, help="folder to write, absent or empty")
    parser.add_argument("--format", default="openvino", choices=GRAPHS, help="%(default)s")
    parser.add_argument(
        "--quantize",
        default="none",
        choices=TOLERANCES,
        help="int8: 8 bits for the weights of the text encoder's matrix products",
    )
    parser.add_argument("--posts", help="compare on these, as run_predict.py reads its --input")
    add_debug(parser)
    given = vars(parser.parse_args(argv))
    debug = given.pop("debug")

    def make() -> None:
        checked, folder = export(**given)["checked"], given["output"]
        print(
            f"{folder}: agrees with the model on {checked['posts']} posts; probabilities differ by "
            f"{checked['greatest_difference']:.1e} at most. Score posts with it:\n"
            f"run_predict.py --model {folder} --backend {given['format']}"
        )

    return run_command(make, debug)


if __name__ == "__main__":
    sys.exit(main())
