"""Show a model in a browser, with attention, missing modalities and tables of posts.

hybridsent demo --model outputs/quickstart
hybridsent demo --model USER/MODEL --graph outputs/openvino --port 7861

Other settings of the page are environment variables, such as HYBRIDSENT_MAX_TABLE_ROWS.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from hybridsent.support.command_line import command_parser

PACKAGE = Path(__file__).parents[1]


def page_folder() -> Path:
    """Return the folder of the page: inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / "space"
    return inside if inside.is_dir() else PACKAGE.with_name("space")


def run(words: Sequence[str]) -> None:
    """Serve the page until it is stopped."""
    parser = command_parser("demo", __doc__)
    parser.add_argument("--model", default="outputs/quickstart", help="folder or Hub id")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub id")
    parser.add_argument(
        "--graph", help="folder of an OpenVINO export of this model, to answer faster"
    )
    parser.add_argument("--port", type=int, help="of http://127.0.0.1 (7860)")
    given = parser.parse_args(words)
    settings = {
        "HYBRIDSENT_MODEL": given.model,
        "HYBRIDSENT_REVISION": given.revision,
        "HYBRIDSENT_GRAPH": given.graph,
        "GRADIO_SERVER_PORT": given.port,
    }
    os.environ.update({name: str(value) for name, value in settings.items() if value is not None})
    folder = page_folder()
    sys.path.insert(0, str(folder))
    runpy.run_path(str(folder / "app.py"), run_name="__main__")
