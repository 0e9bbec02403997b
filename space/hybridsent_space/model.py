"""The model that is shown, loaded the way every user loads it."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from transformers import AutoModelForSequenceClassification, AutoProcessor, PreTrainedModel

from hybridsent_space.graph import Graph, require_same
from modeling_hybridsent.encoder_checks_hybridsent import require_fitting_texts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, with what was published beside it.

    Attributes:
        name: Name of the folder, or Hub id.
        commit: Commit of the Hub that was loaded; None for a folder.
        folder: Folder of the files.
        model: The model; its fusion keeps attention weights.
        processor: Its processor.
        metrics: Content of metrics.json, {} where there is none.
        card: Content of README.md, "" where there is none.
        graph: The model as a graph; None where the server has none.
    """

    name: str
    commit: str | None
    folder: Path
    model: PreTrainedModel
    processor: Any
    metrics: dict[str, Any]
    card: str
    graph: Graph | None

    @property
    def labels(self) -> list[str]:
        """Names of the labels, by index."""
        return [name for _, name in sorted(self.model.config.id2label.items())]


def load_model(name: str, revision: str = "", graph: str = "") -> LoadedModel:
    """Load a model with its code, all of it from one commit.

    Args:
        name: Folder or Hub id.
        revision: Commit, tag or branch of a Hub id.
        graph: Folder of an export of the model; "" for none.

    Returns:
        The model.

    Raises:
        OSError: There is no such model, or a file is missing or damaged.
        ValueError: metrics.json does not hold a JSON object, the graph is of another model, or the
            processor cuts texts too late for it.
    """
    folder, commit = Path(name), None
    if folder.is_dir():
        name = folder.resolve().name  # where it lies is nobody's business
    else:
        folder = _download(name, revision)
        commit = folder.name
        if commit != revision:
            logger.warning(f"{name} is loaded at commit {commit}: set HYBRIDSENT_REVISION to it, "
                           "so that this server never runs code that nobody has read.")  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(
        folder,
        trust_remote_code=True,
        attn_implementation={"": "eager"},  # of the fusion alone: sdpa keeps no attention weights
    )
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    require_fitting_texts(processor, model.base_model.text_model)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    opened = Graph(graph) if graph else None
    if opened:
        require_same(opened, model, processor)
    card = folder / "README.md"
    return LoadedModel(
        name,
        commit,
        folder,
        model,
        processor,
        _read_metrics(folder / "metrics.json"),
        card.read_text(encoding="utf-8") if card.is_file() else "",
        opened,
    )


def _download(name: str, revision: str) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision or None))
    except (OSError, ValueError) as error:
        raise OSError(
            f"{name!r} is not a folder here, nor on the Hub: {error} Run `make quickstart`, "
            "or set HYBRIDSENT_MODEL to a folder or Hub id."
        ) from error


def _read_metrics(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}.") from error
    if not isinstance(metrics, dict):
        raise ValueError(f"{file} does not hold a JSON object.")
    return metrics
