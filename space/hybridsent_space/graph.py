"""The same model as an exported graph of OpenVINO, which is faster on a CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel

FILE = "openvino_model.xml"
TOLERANCE = 1e-3  # of a probability; the graph of another model is off by far more


class Graph:
    """A graph that `hybridsent export` wrote.

    Args:
        folder: Of the export.

    Raises:
        OSError: There is no such graph.
        ValueError: OpenVINO is not installed.
    """

    def __init__(self, folder: str) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ValueError(
                f"HYBRIDSENT_GRAPH needs OpenVINO, pip install openvino: {error}"
            ) from error
        file = Path(folder, FILE)
        if not file.is_file():
            raise OSError(
                f"HYBRIDSENT_GRAPH={folder!r}: no {FILE} in it. Make one with\n"
                "hybridsent export --model MODEL --output FOLDER"
            )
        # By itself it computes in bfloat16 where the processor can, far from the model.
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        graph = openvino.compile_model(str(file), "CPU", settings)
        self._request = graph.create_infer_request()
        self._inputs = [port.get_any_name() for port in graph.inputs]
        self._outputs = {port.get_any_name() for port in graph.outputs}

    def __call__(
        self, inputs: dict[str, torch.Tensor], names: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """Run the graph on a batch with all inputs; returns those of the named outputs that it has."""
        given = {name: inputs[name].numpy() for name in self._inputs}
        found = self._request.infer(given, share_inputs=True, share_outputs=True)
        # The next batch overwrites what is not copied.
        return {
            name: torch.from_numpy(found[name].copy()) for name in names if name in self._outputs
        }


def require_same(graph: Graph, model: PreTrainedModel, processor: Any) -> None:
    """Compare a graph with the model that it stands for.

    Args:
        graph: The graph.
        model: The model.
        processor: Its processor.

    Raises:
        ValueError: On three posts, one of each kind, they do not say the same.
    """
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    inputs = processor(text=["so fed up", "lovely", None], images=[image, None, image])
    with torch.inference_mode():
        logits = model(**inputs.to(model.device)).logits.cpu()
    expected, found = (
        _probabilities(model, x)
        for x in (logits, graph(dict(inputs.to("cpu")), ["logits"])["logits"])
    )
    greatest = float((found - expected).abs().max()) if found.shape == expected.shape else np.inf
    if not greatest <= TOLERANCE:
        raise ValueError(
            f"HYBRIDSENT_GRAPH is not the graph of this model: a probability differs by {greatest:.2g}."
            " Export the model that is shown."
        )


def _probabilities(model: PreTrainedModel, logits: torch.Tensor) -> torch.Tensor:
    """Return what the logits of posts mean: probabilities, or scores in units of their spread."""
    kind = model.config.problem_type
    if kind == "regression":
        return logits / model.config.score_std
    return logits.sigmoid() if kind == "multi_label_classification" else logits.softmax(dim=-1)
