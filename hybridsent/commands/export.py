"""Export a trained model for OpenVINO or ONNX Runtime, which score faster than the model itself.

hybridsent export --model outputs/quickstart --output outputs/openvino
hybridsent export --model USER/MODEL --output onnx --format onnx --posts posts.csv

The exported model is compared with the model on posts before the folder appears: it is right or absent.
"""

from __future__ import annotations

from collections.abc import Sequence

from hybridsent.support.command_line import command_parser


def run(words: Sequence[str]) -> None:
    """Export, compare, and print how to score with the result."""
    parser = command_parser("export", __doc__)
    parser.add_argument(
        "--model", required=True, help="folder of a trained model, Hub id or bundled/..."
    )
    parser.add_argument("--output", required=True, help="folder to write, absent or empty")
    parser.add_argument(
        "--format", default="openvino", choices=("openvino", "onnx"), help="%(default)s"
    )
    parser.add_argument("--posts", help="compare on these, as hybridsent predict reads its --input")
    given = vars(parser.parse_args(words))
    del given["debug"]

    from hybridsent.exporting.export import export

    checked, folder = export(**given)["checked"], given["output"]
    print(
        f"{folder}: agrees with the model on {checked['posts']} posts; answers differ by "
        f"{checked['greatest_difference']:.1e} at most. Score posts with it:\n"
        f"hybridsent predict --model {folder} --backend {given['format']} "
        "--input posts.csv --output answers"
    )
