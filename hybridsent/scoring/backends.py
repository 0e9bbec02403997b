"""The one place where the model is called; another engine is one more entry in `BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from hybridsent.scoring.exported import (
    OnnxGraph,
    OpenVinoGraph,
    require_backend,
)
from hybridsent.scoring.faster import make_faster

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Backend(Protocol):
    """What runs the model.

    Attributes:
        labels: Names of the labels by index.
        embedding_size: Width of the pooled vectors.
    """

    labels: list[str]
    embedding_size: int

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
    """

    def __init__(self, model: str, revision: str | None, device: str, dtype: str) -> None:
        loaded = AutoModelForSequenceClassification.from_pretrained(
            model, revision=revision, trust_remote_code=True
        )
        self.device, self.dtype = torch.device(device), DTYPES[dtype]
        self.model = loaded.to(self.device).eval()
        self.labels = [loaded.config.id2label[i] for i in range(loaded.config.num_labels)]
        self.embedding_size = loaded.config.hidden_size

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

    def make_faster(self, pixel_values: torch.Tensor) -> None:
        """Rework the model for scoring, where that is known to help: on a CPU, in float32.

        Args:
            pixel_values: Of any picture, (1, 3, height, width).
        """
        if self.device.type == "cpu" and self.dtype is None and self.model.dtype == torch.float32:
            make_faster(self.model, pixel_values)

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
    backend: str, model: str, revision: str | None, device: str, dtype: str
) -> Backend:
    """Load a model.

    Args:
        backend: One of `BACKENDS`.
        model: Folder of a trained or exported model, or Hub id.
        revision: Of the Hub id.
        device: Such as "cpu" or "cuda:1".
        dtype: One of `DTYPES`.

    Raises:
        PostsError: The model is for another backend, or an export is damaged.
    """
    require_backend(model, backend)
    return BACKENDS[backend](model, revision, device, dtype)
