"""Show a model in a browser, with attention, missing modalities and tables of posts.

hybridsent demo
hybridsent demo --write_to page

The second writes a folder that can be pushed as a Space: hf upload USER/SPACE page --repo-type space.
Other settings of the page are environment variables, such as HYBRIDSENT_MAX_TABLE_ROWS.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from hybridsent.support.command_line import command_parser

PACKAGE = Path(__file__).parents[1]
# Files of ours that the page imports; where our packages are installed, it takes theirs.
SHARED = ("datasets_scripts/intake/*.py", "modeling_hybridsent/*_hybridsent.py")


def page_folder() -> Path:
    """Return the folder of the page: inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / "space"
    return inside if inside.is_dir() else PACKAGE.with_name("space")


def write_page(target: Path) -> None:
    """Write the page as a folder that needs no package of ours: it holds the files that it imports.

    Raises:
        PostsError: The folder is taken.
    """
    from hybridsent.support.errors import PostsError
    from hybridsent.support.folders import build_beside, is_taken

    if is_taken(target):
        raise PostsError.about(target, "is not empty", remedy="Give another folder.")
    with build_beside(target) as draft:
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(page_folder(), draft, dirs_exist_ok=True, ignore=no_caches)
        for pattern in SHARED:
            for file in PACKAGE.parent.glob(pattern):
                copy = draft / file.relative_to(PACKAGE.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)


def run(words: Sequence[str]) -> None:
    """Serve the page until it is stopped, or write it."""
    parser = command_parser("demo", __doc__)
    parser.add_argument("--model", help="folder, Hub id or bundled model (bundled/mvsa-single)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub id")
    parser.add_argument(
        "--graph", help="folder of an OpenVINO export of this model, to answer faster"
    )
    parser.add_argument("--port", type=int, help="of http://127.0.0.1 (7860)")
    parser.add_argument("--write_to", metavar="FOLDER", help="write the page, and do not serve it")
    given = parser.parse_args(words)
    if given.write_to:
        write_page(Path(given.write_to))
        print(f"Wrote {given.write_to}: hf upload USER/SPACE {given.write_to} --repo-type space")
        return
    from hybridsent.bundled.models import DEFAULT_MODEL, resolve_model

    model = given.model or os.environ.get("HYBRIDSENT_MODEL") or DEFAULT_MODEL
    settings = {
        "HYBRIDSENT_MODEL": resolve_model(model),
        "HYBRIDSENT_REVISION": given.revision,
        "HYBRIDSENT_GRAPH": given.graph,
        "GRADIO_SERVER_PORT": given.port,
    }
    os.environ.update({name: str(value) for name, value in settings.items() if value is not None})
    folder = page_folder()
    sys.path.insert(0, str(folder))
    runpy.run_path(str(folder / "app.py"), run_name="__main__")
