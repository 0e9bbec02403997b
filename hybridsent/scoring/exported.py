"""Run what `hybridsent export` wrote in place of the torch model; loading it runs no code."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from transformers import AutoConfig

from hybridsent.support.digests import digest_of_file
from hybridsent.support.errors import PostsError
from modeling_hybridsent.encoder_checks_hybridsent import count_positions
from modeling_hybridsent.encoders_hybridsent import build_encoder

MANIFEST = "export.json"
GRAPHS = {"openvino": "openvino_model.xml", "onnx": "model.onnx"}
ENGINES = {"openvino": "openvino", "onnx": "onnxruntime"}  # packages that run them
INSTALL = "Type: pip install 'hybridsent[export]'"
EXPORT = "hybridsent export --model MODEL --output FOLDER"
AGAIN = f"Export the model again: {EXPORT}"


def require_package(name: str, wanted_by: str) -> Any:
    """Import a package of the extra `export`.

    Args:
        name: Of the package.
        wanted_by: The setting that needs it, for the message.

    Returns:
        The package.

    Raises:
        PostsError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        problem = f"needs the package {name}, which is not installed ({error})"
        raise PostsError.about(wanted_by, problem, remedy=INSTALL) from error


def read_export(model: str | Path) -> dict[str, Any] | None:
    """Read what an exported folder says of itself.

    Args:
        model: Folder or Hub id.

    Returns:
        The content of its `export.json`; None for any other folder.

    Raises:
        PostsError: The file is damaged.
    """
    file = Path(model, MANIFEST)
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["format"] not in GRAPHS or GRAPHS[found["format"]] not in found["files"]:
            raise ValueError(f"format {found['format']!r} with files {list(found['files'])}")
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise PostsError.about(file, "is damaged", [repr(error)], AGAIN) from error


def require_backend(model: str, backend: str) -> None:
    """Refuse a model that this backend does not run.

    Args:
        model: Folder or Hub id.
        backend: "torch" or one of `GRAPHS`.

    Raises:
        PostsError: The message says what to type.
    """
    export = read_export(model)
    kind = "torch" if export is None else export["format"]
    if kind != backend:
        if export is None:
            problem = f"has no {MANIFEST}: --backend {backend} needs an exported model"
            remedy = (
                f"Leave --backend out, or export it and give that folder as --model:\n  {EXPORT}"
            )
            raise PostsError.about(model, problem, remedy=f"{remedy} --format {backend}")
        problem = f"holds a model exported as {kind!r}, which --backend {backend} does not run"
        raise PostsError.about(model, problem, remedy=f"Type --backend {kind}.")
    if export is not None:
        require_package(ENGINES[backend], f"--backend {backend}")


class Exported(ABC):
    """An exported model, as a `Backend`.

    Args:
        model: Folder that `hybridsent export` wrote.
        revision: Of no use here: a folder has none.
        device: "cpu".
        dtype: "float32".

    Raises:
        PostsError: Another device or dtype, or a file of the folder that is damaged or absent.
    """

    def __init__(self, model: str, revision: str | None, device: str, dtype: str) -> None:
        if dtype != "float32":
            problem = f"computes in float32, not --dtype {dtype}"
            raise PostsError.about(model, problem, remedy="Leave --dtype out.")
        if not device.startswith("cpu"):
            problem = f"runs on the CPU, not --device {device}"
            raise PostsError.about(model, problem, remedy="Type --device cpu.")
        export = read_export(model)
        assert export is not None, "whoever opens a graph has seen its export.json"
        for name, digest in export["files"].items():
            file = Path(model, name)
            if not file.is_file() or digest_of_file(file) != digest:
                raise PostsError.about(file, "is absent or damaged", remedy=AGAIN)
        self.config = config = AutoConfig.from_pretrained(model)
        self.labels = [config.id2label[i] for i in range(config.num_labels)]
        self.embedding_size = config.hidden_size
        with torch.device("meta"):
            self.text_encoder = build_encoder(config.text_config, "text")
        self.positions = count_positions(self.text_encoder)
        self.image_shape = export["pixel_values"]
        self.inputs = self._open(Path(model, GRAPHS[export["format"]]))

    def __call__(
        self, inputs: dict[str, torch.Tensor], fields: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Score a batch, as `Backend` says; what the batch lacks is filled in, marked as missing."""
        posts = len(inputs["has_text"])
        nothing = torch.zeros(posts, 1, dtype=torch.long)  # one token
        filler = {"input_ids": nothing, "attention_mask": nothing}
        if "pixel_values" not in inputs:
            filler["pixel_values"] = torch.zeros(posts, *self.image_shape)
        given = {**filler, **inputs}
        return self._run({name: given[name] for name in self.inputs}, fields)

    @abstractmethod
    def _open(self, file: Path) -> list[str]:
        """Load the graph; returns the names of its inputs, which may be fewer than the model's."""

    @abstractmethod
    def _run(self, inputs: dict[str, torch.Tensor], fields: Sequence[str]) -> dict[str, np.ndarray]:
        """Run the graph; returns those of the fields that it has, (batch, ...)."""


LENGTH_STEP = 8  # tokens


def pad_texts(inputs: dict[str, torch.Tensor], longest: int | None) -> dict[str, torch.Tensor]:
    """Pad texts to a multiple of `LENGTH_STEP` tokens; the model does not see padding.

    OpenVINO prepares its kernels for each length that it has not met, which took half as long again
    as a post: so there are fewer lengths to meet, and few enough for a graph each.

    Args:
        inputs: input_ids and attention_mask, (batch, length), and others, which stay as they are.
        longest: Positions of the text encoder; None for any number.

    Returns:
        The inputs; as they were where the padded texts would be longer than that.
    """
    tokens = inputs["input_ids"].shape[1]
    padded = -(-tokens // LENGTH_STEP) * LENGTH_STEP
    if longest is not None and padded > longest:
        return inputs
    texts = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    return inputs | {name: pad(x, (0, padded - tokens)) for name, x in texts.items()}


class OpenVinoGraph(Exported):
    """An exported model that OpenVINO runs.

    A post that comes alone finds a graph of its own length, made when a second post of that length came
    alone: with fixed shapes OpenVINO takes a fifth less time. For larger batches it saves
    little.
    """

    MOST_LENGTHS = 8  # with a graph of their own, of about 120 MiB each with the bundled encoders

    def _open(self, file: Path) -> list[str]:
        import openvino

        self.core = openvino.Core()
        self.graph = self.core.read_model(file)
        self.lengths_met: set[int] = set()
        self.alone: dict[int, Any] = {}  # requests for one post, by its padded length
        self.request = self._compile(self.graph)
        compiled = self.request.get_compiled_model()
        self.outputs = {port.get_any_name() for port in compiled.outputs}
        return [port.get_any_name() for port in compiled.inputs]

    def _compile(self, graph: Any) -> Any:
        settings = {
            # By itself it computes in bfloat16 where the processor can, which moved probabilities of
            # the quickstart's model by more than 0.1.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Where it fuses small operations itself, OpenVINO 2026.4 dies of a segmentation fault when
            # it compiles some graphs of fixed length for one thread; without that it is as fast.
            "SNIPPETS_MODE": "DISABLE",
        }
        return self.core.compile_model(graph, "CPU", settings).create_infer_request()

    def _run(self, inputs: dict[str, torch.Tensor], fields: Sequence[str]) -> dict[str, np.ndarray]:
        given = {name: x.numpy() for name, x in pad_texts(inputs, self.positions).items()}
        request = self._request_for(given)
        # Copies of inputs and of all outputs would take a tenth of the time; the next batch overwrites
        # what is not copied.
        found = request.infer(given, share_inputs=True, share_outputs=True)
        return {name: found[name].copy() for name in fields if name in self.outputs}

    def _request_for(self, given: dict[str, np.ndarray]) -> Any:
        posts, tokens = given["input_ids"].shape
        if posts > 1:
            return self.request
        wanted = tokens in self.lengths_met and tokens not in self.alone
        if wanted and len(self.alone) < self.MOST_LENGTHS:
            graph = self.graph.clone()
            graph.reshape({name: x.shape for name, x in given.items()})
            self.alone[tokens] = self._compile(graph)
        self.lengths_met.add(tokens)
        return self.alone.get(tokens, self.request)


class OnnxGraph(Exported):
    """An exported model that ONNX Runtime runs."""

    def _open(self, file: Path) -> list[str]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        self.outputs = {port.name for port in self.session.get_outputs()}
        return [port.name for port in self.session.get_inputs()]

    def _run(self, inputs: dict[str, torch.Tensor], fields: Sequence[str]) -> dict[str, np.ndarray]:
        names = [name for name in fields if name in self.outputs]
        found = self.session.run(names, {name: x.numpy() for name, x in inputs.items()})
        return dict(zip(names, found, strict=True))
