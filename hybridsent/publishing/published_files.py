"""Which files of a model's folder are published, and the checks before that."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

EVAL_RESULTS = ".eval_results/hybridsent.yaml"
PUBLISHED = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.spm",
    "*.model",  # of sentencepiece
    "*_hybridsent.py",
    "README.md",
    "metrics.json",
    # One by one, because other files in report/ may contain posts.
    "report/confusion.png",
    "report/decision_weights.png",
    "report/learning.png",
    "report/reliability.png",
    EVAL_RESULTS,
)
NEEDED = ("config.json", "processor_config.json", "tokenizer_config.json", "README.md")
NEEDED += ("modeling_hybridsent.py", "configuration_hybridsent.py", "pipeline_hybridsent.py")
NEEDED += ("processing_hybridsent.py", "metrics.json")
AUTO_CLASSES = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoProcessor")
TASK = "image-text-sentiment"
HOME_FOLDER = re.compile(r"(?<![\w/.])(?:/(?:home|Users)/|[A-Z]:[\\/]{1,2}Users[\\/])")


class PublishError(Exception):
    """A model that cannot be published; the message says why and what to do."""


def is_ours(name: str) -> bool:
    """Check whether publishing writes a file of this name to a repository."""
    depth = name.count("/")  # the stars of fnmatch match slashes, too
    return any(fnmatch(name, p) for p in PUBLISHED if p.count("/") == depth)


def published_files(folder: Path) -> list[str]:
    """Return the files of a folder that are published; checkpoints, optimizers and pickles are not.

    Args:
        folder: Folder of a model.

    Returns:
        Names relative to it, sorted.

    Raises:
        PublishError: No such folder.
    """
    if not folder.is_dir():
        raise PublishError(f"{folder}: there is no such folder. Give the output_dir of a training.")
    names = (file.relative_to(folder).as_posix() for file in _shallow(folder) if file.is_file())
    return sorted(name for name in names if is_ours(name))


def _shallow(folder: Path) -> Iterable[Path]:
    """Yield the content of a folder and of the subfolders that may be published."""
    yield from folder.iterdir()
    for inner in ("report", ".eval_results"):
        yield from (folder / inner).glob("*")


def fill_in_repo(folder: Path, repo_id: str) -> None:
    """Replace the output folder by the repository in the card's example and name."""
    card = folder / "README.md"
    if card.is_file():
        text = card.read_text(encoding="utf-8")
        text = re.sub(r'(pipeline\([^)]*model=)"[^"]*"', rf'\g<1>"{repo_id}"', text)
        name = repo_id.rpartition("/")[2]
        text = re.sub(r"(?m)^- name: .*$", f"- name: {name}", text, count=1)
        card.write_text(text, encoding="utf-8")


def write_eval_results(folder: Path) -> None:
    """Write the scores in the form that the Hub shows on the model's page.

    Args:
        folder: With metrics.json; without one nothing is written, and `check_files` reports it.
    """
    file = folder / "metrics.json"
    if not file.is_file():
        return
    run = _read_json(file)
    notes = (
        f"{run['scored_split']} split, protocol {run['dataset']['protocol']}, seed {run['seed']}"
    )
    entries = [
        EvalResultEntry(
            dataset_id=run["dataset"]["name"],
            task_id=metric,
            value=round(run["scores"][-1][metric], 6),
            notes=notes,
        )
        for metric in ("accuracy", "macro_f1", "weighted_f1", "ece")
    ]
    target = folder / EVAL_RESULTS
    target.parent.mkdir(exist_ok=True)
    text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False)
    target.write_text(text, encoding="utf-8")


def check_files(folder: Path, names: Sequence[str], source: Path) -> None:
    """Refuse a folder that is incomplete or names paths of this machine.

    Args:
        folder: Folder with exactly the files to publish.
        names: Names of the files.
        source: The model's folder, for messages.

    Raises:
        PublishError: There are problems; the message lists them all.
    """
    problems = [f"{name} is missing" for name in NEEDED if name not in names]
    if not any(name.endswith(".safetensors") for name in names):
        problems.append("model.safetensors is missing")
    for name in names:
        if name.endswith((".json", ".md", ".yaml", ".py")):
            text = (folder / name).read_text(encoding="utf-8")
            if path := _local_path(text, source):
                problems.append(f"{name} contains a path of this machine: {path!r}")
    if "config.json" in names:
        problems += _config_problems(_read_json(folder / "config.json"))
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise PublishError(
            f"{source} cannot be published:\n{listed}\n"
            "Save model and processor again with save_pretrained, or train again."
        )


def _local_path(text: str, source: Path) -> str | None:
    """Return a folder of this machine that is in a text, None if there is none."""
    ours = {Path.home(), Path.cwd(), source.resolve(), source.resolve().parent, Path(sys.prefix)}
    for folder in sorted(str(path) for path in ours if len(path.parts) > 1):
        if re.search(rf"(?<![\w/.]){re.escape(folder)}(?![\w.-])", text):
            return folder
    match = HOME_FOLDER.search(text)
    return text[match.start() : match.start() + 40].split('"')[0] if match else None


def _config_problems(config: dict[str, Any]) -> list[str]:
    problems = [
        f"config.json has no auto_map entry {name}"
        for name in AUTO_CLASSES
        if name not in config.get("auto_map", {})
    ]
    if TASK not in config.get("custom_pipelines", {}):
        problems.append(f"config.json has no custom_pipelines entry {TASK}")
    return problems


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PublishError(f"{file.name} is not JSON: {error}. Save the model again.") from error
