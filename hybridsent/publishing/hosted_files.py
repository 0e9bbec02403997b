"""What a repository has beside the model, to serve and to try it: handler, requirements, notebook."""

import re
import shutil
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from huggingface_hub.repocard import metadata_load, metadata_save

HANDLER = Path(__file__).parent / "handler.py"
NOTEBOOK = Path(__file__).parent / "notebook.ipynb"
REQUIREMENTS = "requirements.txt"
# What the published code imports, and what the image processors of transformers do.
IMPORTED = {"huggingface-hub", "pillow", "torch", "torchvision", "transformers"}
EXAMPLE = "what a lovely day"


def write_hosted_files(folder: Path, repo_id: str) -> None:
    """Write handler, requirements and notebook into a folder that is to be published.

    Args:
        folder: Holds the model.
        repo_id: USER/NAME, which the notebook loads.
    """
    shutil.copyfile(HANDLER, folder / HANDLER.name)
    notebook = NOTEBOOK.read_text(encoding="utf-8").replace("USER/NAME", repo_id)
    (folder / NOTEBOOK.name).write_text(notebook, encoding="utf-8")
    config = folder / "config.json"  # where it is absent or damaged, `problems_of` reports it
    uses_timm = config.is_file() and b'"timm_wrapper"' in config.read_bytes()
    names = IMPORTED | ({"timm"} if uses_timm else set())
    (folder / REQUIREMENTS).write_text(_requirements(names), encoding="utf-8")


def _requirements(names: set[str]) -> str:
    """Return the requirements of this package with these names, a line each."""
    ours = [line.partition(";")[0].strip() for line in requires("hybridsent") or ()]
    kept = {line for line in ours if re.split(r"[^\w.-]", line.lower())[0] in names}
    return "".join(f"{line}\n" for line in sorted(kept))


def write_widget(folder: Path, scores: list[dict[str, Any]]) -> None:
    """Write an example into the header of the card, with what the model answers to it.

    The Hub does not run code of models, so it shows this answer.

    Args:
        folder: Holds the card, README.md.
        scores: The answer to `EXAMPLE`: `label` and `score`, best first.
    """
    card = folder / "README.md"
    rounded = [{**answer, "score": round(answer["score"], 4)} for answer in scores]
    header = metadata_load(card) or {}
    metadata_save(card, {**header, "widget": [{"text": EXAMPLE, "output": rounded}]})
