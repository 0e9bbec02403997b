"""The one place where the model is called; another engine is one more entry in `BACKENDS`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from hybridsent.bundled.models import resolve_model
from hybridsent.scoring.exported import OnnxGraph, OpenVinoGraph, require_backend
from hybridsent.scoring.optimising import optimise
from hybridsent.support.digests import update_digest
from hybridsent.support.errors import PostsError
from modeling_hybridsent.answers_hybridsent import least_scores

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Weights, configuration, tokenizer, processor; neither the card nor records of the training. An
# exported folder's export.json has the digests of its graph.
MODEL_FILES = (".json", ".safetensors", ".txt", ".model")
BESIDE = ("metrics.json",)


class Backend(Protocol):
    """What runs the model.

    Attributes:
        labels: Names of the labels by index.
        embedding_size: Width of the pooled vectors.
        config: Configuration of the model.
        text_encoder: The text encoder; without weights, on the device meta, for an exported model.
    """

    labels: list[str]
    embedding_size: int
    config: PreTrainedConfig
    text_encoder: PreTrainedModel

    def __call__(
        self, inputs: dict[str, torch.Tensor], fields: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Score a batch.

        Args:
            inputs: What the processor gives, on the CPU.
            fields: Which fields of `HybridSentOutput` to return.

        Returns:
            The fields as float32, (batch, ...), without those that the model does not have.
        """


class TorchBackend:
    """The model as the library loads it.

    Args:
        model: Folder or Hub id.
        revision: Of the Hub id.
        device: Such as "cpu" or "cuda:1".
        dtype: One of `DTYPES`; other than float32, what can safely be is computed in it.
        trust_remote_code: Whether code that comes with the model may run.
    """

    def __init__(
        self,
        model: str,
        revision: str | None,
        device: str,
        dtype: str,
        trust_remote_code: bool = False,
    ) -> None:
        loaded = AutoModelForSequenceClassification.from_pretrained(
            model, revision=revision, trust_remote_code=trust_remote_code
        )
        self.device, self.dtype = torch.device(device), DTYPES[dtype]
        self.model = loaded.to(self.device).eval()
        self.config = loaded.config
        self.labels = [loaded.config.id2label[i] for i in range(loaded.config.num_labels)]
        self.embedding_size = loaded.config.hidden_size
        self.text_encoder = loaded.base_model.text_model

    @torch.inference_mode()
    def __call__(
        self, inputs: dict[str, torch.Tensor], fields: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Score a batch, as `Backend` says."""
        moved = {name: x.to(self.device, non_blocking=True) for name, x in inputs.items()}
        with self._precision():
            outputs = self.model(**moved)
        found = {name: outputs[name] for name in fields if outputs.get(name) is not None}
        return {name: x.float().cpu().numpy() for name, x in found.items()}

    def optimise(self, pixel_values: torch.Tensor) -> None:
        """Optimise the model for inference where that helps: on a CPU, in float32.

        Args:
            pixel_values: Of any image, (1, 3, height, width).
        """
        if self.device.type == "cpu" and self.dtype is None and self.model.dtype == torch.float32:
            optimise(self.model, pixel_values)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


BACKENDS: dict[str, Callable[..., Backend]] = {
    "torch": TorchBackend,
    "openvino": OpenVinoGraph,
    "onnx": OnnxGraph,
}


def open_backend(
    backend: str,
    model: str,
    revision: str | None,
    device: str,
    dtype: str,
    trust_remote_code: bool = False,
) -> Backend:
    """Load a model.

    Args:
        backend: One of `BACKENDS`.
        model: Folder of a trained or exported model, or Hub id.
        revision: Of the Hub id.
        device: Such as "cpu" or "cuda:1".
        dtype: One of `DTYPES`.
        trust_remote_code: Whether code that comes with the model may run.

    Raises:
        PostsError: The model is for another backend, or an export is damaged.
    """
    require_backend(model, backend)
    if backend == "torch":
        return TorchBackend(model, revision, device, dtype, trust_remote_code)
    return BACKENDS[backend](model, revision, device, dtype)


def identify_model(
    model: str,
    revision: str | None = None,
    backend: str = "torch",
    trust_remote_code: bool = False,
    coverage: float | None = None,
) -> tuple[str, str | None]:
    """Find which model a name means.

    Args:
        model: Folder, Hub id or bundled model.
        revision: Of the Hub id.
        backend: What shall run it.
        trust_remote_code: Whether code that comes with the model may run.
        coverage: Which coverage it shall state for sets of labels; None for no sets.

    Returns:
        What is equal only for equal models, and the revision to load, None for a folder.

    Raises:
        PostsError: The model does not exist, is not one of hybridsent, needs another backend, or cannot
            state the coverage.
    """
    model = resolve_model(model)
    try:
        config = AutoConfig.from_pretrained(
            model, revision=revision, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # of the library, of the network, of remote code
        remedy = "Give the folder of a trained model, or its id on the Hub."
        raise PostsError.about(model, "no model", [str(error)], remedy) from error
    if config.model_type != "hybridsent":
        problem = f"a model of type {config.model_type!r}, not hybridsent"
        raise PostsError.about(model, problem, remedy="Give one that run_train.py has made.")
    require_backend(model, backend)
    if coverage is not None:
        try:
            least_scores(config, coverage)
        except ValueError as error:
            raise PostsError.about(model, "has no such sets of labels", [str(error)]) from error
    if not Path(model).is_dir():
        return f"{model}@{config._commit_hash}", config._commit_hash
    digest = hashlib.sha256()
    for file in sorted(Path(model).iterdir()):
        if file.suffix in MODEL_FILES and file.name not in BESIDE:
            digest.update(f"{file.name} {file.stat().st_size} ".encode())
            update_digest(digest, file)
    return f"sha256:{digest.hexdigest()}", None
