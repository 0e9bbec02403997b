"""Turn a model into a graph of ONNX, OpenVINO or torch, with open batch size and text length."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.exporters import DynamoConfig, DynamoExporter, OnnxConfig, OnnxExporter

from hybridsent.scoring.exported import GRAPHS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir

TEXT_ENCODER = "'hybridsent.text_model'"  # how the graph's nodes tell which module they are of
SCOPES = "pkg.torch.onnx.name_scopes"
OPSET = 21  # the first in which a group of weights can have a scale of its own
GROUP = 32  # weights that share a scale
Inputs = Mapping[str, torch.Tensor]


def write_graph(
    model: PreTrainedModel, inputs: Inputs, folder: Path, kind: str, int8: bool = False
) -> list[str]:
    """Write the graph of a model.

    Args:
        model: In evaluation mode, float32, on the CPU.
        inputs: A batch of at least two posts, with texts and pictures, to trace the model with.
        folder: Where the files go.
        kind: One of `GRAPHS`.
        int8: Hold the weights of the text encoder's matrix products in 8 bits; not for "torch".

    Returns:
        Names of the files.
    """
    before = set(folder.iterdir())
    with _quiet():
        WRITERS[kind](model, inputs, folder / GRAPHS[kind], int8)
    return sorted(file.name for file in set(folder.iterdir()) - before)


def _write_torch(model: PreTrainedModel, inputs: Inputs, file: Path, _int8: bool) -> None:
    config = DynamoConfig(dynamic_shapes=_open_sizes(inputs))
    program = DynamoExporter().export(model, dict(inputs), config).program
    for module in program.graph_module.modules():  # also the steps of the recurrence
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # it names the files of this machine
    DynamoExporter.save_program(program, file)


def _write_onnx(model: PreTrainedModel, inputs: Inputs, file: Path, int8: bool) -> None:
    config = OnnxConfig(dynamic_shapes=_open_sizes(inputs), opset_version=OPSET)
    program = OnnxExporter().export(model, dict(inputs), config).program
    if int8:
        quantize_text_encoder(program)
    for graph in program.graphs():
        for node in graph:
            node.metadata_props.clear()  # stack traces, which name the files of this machine
    OnnxExporter.save_program(program, file)


def _write_openvino(model: PreTrainedModel, inputs: Inputs, file: Path, int8: bool) -> None:
    """Convert the graph of ONNX: OpenVINOExporter of transformers 5.24 fails on the recurrence.

    OpenVINO 2026.4 cannot convert torch's `scan`, with which `torch.export` keeps the text length
    open, but ONNX's Scan, which is made from it.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, GRAPHS["onnx"])
        _write_onnx(model, inputs, source, int8)
        graph = openvino.convert_model(source)
        openvino.save_model(graph, file, compress_to_fp16=False)


WRITERS: dict[str, Callable[[PreTrainedModel, Inputs, Path, bool], None]] = {
    "openvino": _write_openvino,
    "onnx": _write_onnx,
    "torch": _write_torch,
}


def _open_sizes(inputs: Inputs) -> dict[str, dict[int, Any]]:
    """Leave open the number of posts and, of texts, that of tokens."""
    posts, tokens = torch.export.Dim("posts"), torch.export.Dim.DYNAMIC
    texts = ("input_ids", "attention_mask")
    return {name: {0: posts, 1: tokens} if name in texts else {0: posts} for name in inputs}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters tell of their own steps from the screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "transformers.exporters")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def quantize_text_encoder(program: onnx_ir.Model) -> None:
    """Hold the weights of the text encoder's matrix products in 8 bits, in place.

    Activations stay as they are: with ONNX Runtime's dynamic quantization of the same products one
    probability of the quickstart's model moved by 0.37.

    Args:
        program: As `OnnxExporter` makes it.

    Raises:
        ValueError: No such product was found.
    """
    graph, done = program.graph, {}
    for node in list(graph):
        if not _is_product_of_text_encoder(node):
            continue
        weight = node.inputs[1]
        if weight.name not in done:
            done[weight.name] = _insert_int8(graph, node, weight)
        node.replace_input_with(1, done[weight.name])
    if not done:
        raise ValueError("the graph has no matrix product of the text encoder to hold in 8 bits")
    for name in done:
        del graph.initializers[name]


def _is_product_of_text_encoder(node: onnx_ir.Node) -> bool:
    """Tell whether a node multiplies by a stored matrix inside the text encoder."""
    if node.op_type != "MatMul" or TEXT_ENCODER not in node.metadata_props.get(SCOPES, ""):
        return False
    weight = node.inputs[1]
    return weight.is_initializer() and len(weight.shape) == 2


def _insert_int8(graph: onnx_ir.Graph, before: onnx_ir.Node, weight: onnx_ir.Value) -> Any:
    """Store a matrix in 8 bits; returns the value that stands for it."""
    import onnx_ir

    numbers, scales, group = quantize(weight.const_value.numpy())
    stored = []
    for kind, array in (("int8", numbers), ("scales", scales)):
        name = f"{weight.name}.{kind}"
        stored.append(onnx_ir.val(name, const_value=onnx_ir.tensor(array, name=name)))
        graph.register_initializer(stored[-1])
    node = onnx_ir.node("DequantizeLinear", stored, {"axis": 0, "block_size": group})
    node.outputs[0].name = f"{weight.name}.restored"
    graph.insert_before(before, node)
    return node.outputs[0]


def quantize(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Round a matrix to 8 bits, with a scale for every `GROUP` numbers of an output.

    One scale for a whole output moved the quickstart's probabilities about four times as much.

    Args:
        weight: (inputs, outputs), float32.

    Returns:
        Whole numbers from -127 to 127, (inputs, outputs); their scales, (inputs / group, outputs); the
        group, which is all inputs where they are no multiple of `GROUP`.
    """
    inputs, outputs = weight.shape
    group = GROUP if inputs % GROUP == 0 else inputs
    groups = weight.reshape(-1, group, outputs)
    scales = np.abs(groups).max(axis=1, keepdims=True) / 127
    scales = np.maximum(scales, np.finfo(np.float32).tiny)  # of weights that are all zero
    numbers = np.round(groups / scales).astype(np.int8)
    return numbers.reshape(inputs, outputs), scales[:, 0], group
