"""Which files of a model's folder are published, and the checks before that."""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

import modeling_hybridsent
from hybridsent.publishing.contents import content_problems
from hybridsent.publishing.hosted_files import HANDLER, NOTEBOOK, REQUIREMENTS
from modeling_hybridsent import HybridSentConfig

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
    "report/scores.png",
    EVAL_RESULTS,
    HANDLER.name,
    NOTEBOOK.name,
    REQUIREMENTS,
)
INDEX = "model.safetensors.index.json"
NEEDED = (
    "config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "README.md",
    "metrics.json",
    HANDLER.name,
    NOTEBOOK.name,
    REQUIREMENTS,
)
INSTALLED = Path(modeling_hybridsent.__file__).parent  # the only code that is published


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
    names = (
        file.relative_to(folder).as_posix()
        for file in _shallow(folder)
        if file.is_file() or file.is_symlink()
    )
    return sorted(name for name in names if is_ours(name))


def _shallow(folder: Path) -> Iterable[Path]:
    """Yield the content of a folder and of the subfolders that may be published."""
    yield from folder.iterdir()
    for inner in ("report", ".eval_results"):
        yield from (folder / inner).glob("*")


def fill_in_repo(folder: Path, repo_id: str) -> None:
    """Replace the output folder by the repository in the card's example and name."""
    card = folder / "README.md"
    with contextlib.suppress(UnicodeDecodeError, FileNotFoundError):  # `problems_of` reports it
        text = card.read_text(encoding="utf-8")
        text = re.sub(r'(pipeline\([^)]*model=)"[^"]*"', rf'\g<1>"{repo_id}"', text)
        name = repo_id.rpartition("/")[2]
        text = re.sub(r"(?m)^- name: .*$", f"- name: {name}", text, count=1)
        card.write_text(text, encoding="utf-8")


def write_eval_results(folder: Path) -> None:
    """Write the scores in the form that the Hub shows on the model's page.

    Args:
        folder: With metrics.json; without one nothing is written, and `problems_of` reports it.

    Raises:
        PublishError: metrics.json is not that of a run.
    """
    file = folder / "metrics.json"
    if not file.is_file():
        return
    try:
        entries = _entries(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, LookupError, TypeError) as error:
        raise PublishError(f"metrics.json is not the result of a run: {error!r:.200}") from error
    target = folder / EVAL_RESULTS
    target.parent.mkdir(exist_ok=True)
    text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False)
    target.write_text(text, encoding="utf-8")


def _entries(run: dict[str, Any]) -> list[EvalResultEntry]:
    """Build an entry for each main score of the decision."""
    decision = run["scores"][-1]
    shown = (
        ("r2", "mae", "rmse")
        if "r2" in decision
        else ("accuracy", "macro_f1", "weighted_f1", "ece")
    )
    notes = (
        f"{run['scored_split']} split, protocol {run['dataset']['protocol']}, seed {run['seed']}"
    )
    return [
        EvalResultEntry(
            dataset_id=run["dataset"]["name"],
            task_id=metric,
            value=round(decision[metric], 6),
            notes=notes,
        )
        for metric in shown
    ]


def link_of(source: Path, name: str) -> str | None:
    """Return what a file in truth is where it, or its folder, is a link: a path; None for no link."""
    try:
        root, real = source.resolve(), (source / name).resolve()
    except (RuntimeError, OSError):  # a circle of links
        return os.readlink(source / name)
    if real == root / name:
        return None
    return real.relative_to(root).as_posix() if real.is_relative_to(root) else str(real)


def link_problems(source: Path, names: Sequence[str]) -> dict[str, str]:
    """Return why links may not be published, by name: only those to a like file in the folder may.

    Args:
        source: The model's folder.
        names: Names of the files.
    """
    problems = {}
    for name in names:
        target = link_of(source, name)
        if target is None:
            continue
        if os.path.isabs(target):
            problems[name] = f"{name} is a link that leaves the folder, to {target}; copy the file"
        elif not (source / target).is_file():
            problems[name] = f"{name} is a link to {target}, which is not there"
        elif Path(target).suffix != Path(name).suffix:
            problems[name] = f"{name} is a link to a file of another kind, {target}"
    return problems


def problems_of(folder: Path, names: Sequence[str], source: Path) -> Iterator[str]:
    """Yield everything that forbids to publish a folder.

    Args:
        folder: Folder with exactly the files to publish.
        names: Names of the files.
        source: The model's folder, whose path may not occur.
    """
    code = {file.name: file.read_bytes() for file in INSTALLED.glob("*_hybridsent.py")}
    yield from (f"{name} is missing" for name in (*NEEDED, *code) if name not in names)
    yield from _weight_problems(folder, names)
    allowed = {**code, HANDLER.name: HANDLER.read_bytes()}
    for name in names:
        if not name.endswith(".py"):
            yield from file_problems(folder, name, source)
        elif name not in allowed:
            yield f"{name} is foreign code; only that of the installed modeling_hybridsent is published"
        elif (folder / name).read_bytes() != allowed[name]:
            yield f"{name} differs from the installed modeling_hybridsent/{name}"


def file_problems(folder: Path, name: str, source: Path) -> Iterator[str]:
    """Yield what forbids to hand on a file other than code.

    Args:
        folder: Where it lies.
        name: Its name.
        source: The model's folder, whose path may not occur.
    """
    yield from content_problems(folder / name, name, source)
    if name.endswith(".json") and isinstance(stored := _read_json(folder / name), dict):
        yield from _foreign_classes(
            stored, name, [x.name for x in INSTALLED.glob("*_hybridsent.py")]
        )
        if name == "config.json":
            yield from _config_problems(stored)


def _weight_problems(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Check that the weights are one file, or just the files that an index names."""
    whole = "model.safetensors" in names
    parts = {name for name in names if name.endswith(".safetensors")} - {"model.safetensors"}
    if INDEX in names and not whole:
        index = _read_json(folder / INDEX)
        named = index.get("weight_map") if isinstance(index, dict) else None
        wanted = {str(name) for name in named.values()} if isinstance(named, dict) else set()
        for name in sorted(wanted ^ parts):
            why = "is not there" if name in wanted else f"is not named in {INDEX}"
            yield f"{name!r:.100} {why}"
    elif not whole:
        yield "model.safetensors is missing"
    if whole or INDEX not in names:
        for name in sorted(parts | ({INDEX} & set(names))):
            yield f"{name} is stray" + (
                ", since model.safetensors has all weights" if whole else ""
            )


def _foreign_classes(stored: Any, name: str, code: Iterable[str]) -> Iterator[str]:
    """Yield the classes that a JSON file names anywhere and that the published code does not have."""
    if isinstance(stored, dict):
        for entry in ("auto_map", "custom_pipelines"):
            for reference in _references(stored.get(entry)):
                if f"{reference.partition('.')[0]}.py" not in code:
                    yield f"{name} names foreign code in {entry}: {reference!r:.100}"
    if isinstance(stored, (dict, list)):
        for value in stored.values() if isinstance(stored, dict) else stored:
            yield from _foreign_classes(value, name, code)


def _references(entry: Any) -> list[str]:
    """Return the classes in an entry auto_map or custom_pipelines."""
    values = list(entry.values()) if isinstance(entry, dict) else [] if entry is None else [entry]
    values = [x["impl"] if isinstance(x, dict) and "impl" in x else x for x in values]
    values = [y for x in values for y in (x if isinstance(x, list) else [x])]
    return [str(x) for x in values if x is not None]


def _config_problems(config: dict[str, Any]) -> Iterator[str]:
    """Check that the configuration names all our classes."""
    stored = HybridSentConfig()
    for entry, wanted in (
        ("auto_map", stored.auto_map),
        ("custom_pipelines", stored.custom_pipelines),
    ):
        has = config.get(entry)
        for name, value in wanted.items():
            if not isinstance(has, dict) or has.get(name) != value:
                yield f"config.json has no {entry} entry {name} as hybridsent writes it"


def refuse(source: Path, problems: Sequence[str]) -> None:
    """Raise a PublishError with all problems, if there are any.

    Args:
        source: The model's folder.
        problems: One line each.
    """
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise PublishError(
            f"{source} cannot be published:\n{listed}\n"
            "Save model and processor again with save_pretrained, or train again."
        )


def _read_json(file: Path) -> Any:
    """Return the content of a JSON file, None if it is damaged, which `content_problems` reports."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
