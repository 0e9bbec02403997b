"""Convert a model to ONNX or OpenVINO, with dynamic batch size and text length."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.exporters import OnnxConfig, OnnxExporter

from hybridsent.scoring.exported import GRAPHS

OPSET = 21
Inputs = Mapping[str, torch.Tensor]


def convert(model: PreTrainedModel, inputs: Inputs, folder: Path, format: str) -> list[str]:
    """Write a model in another format.

    Args:
        model: In evaluation mode, float32, on the CPU.
        inputs: A batch of at least two posts, with texts and images, to trace the model with.
        folder: Where the files go.
        format: One of `GRAPHS`.

    Returns:
        Names of the files.
    """
    before = set(folder.iterdir())
    with _quiet():
        WRITERS[format](model, inputs, folder / GRAPHS[format])
    return sorted(file.name for file in set(folder.iterdir()) - before)


def _write_onnx(model: PreTrainedModel, inputs: Inputs, file: Path) -> None:
    config = OnnxConfig(dynamic_shapes=_dynamic_sizes(inputs), opset_version=OPSET)
    program = OnnxExporter().export(model, dict(inputs), config).program
    for graph in program.graphs():
        for node in graph:
            node.metadata_props.clear()  # stack traces, which name the files of this machine
    OnnxExporter.save_program(program, file)


def _write_openvino(model: PreTrainedModel, inputs: Inputs, file: Path) -> None:
    """Convert the ONNX model, so that both formats hold one graph with the same names."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, GRAPHS["onnx"])
        _write_onnx(model, inputs, source)
        converted = openvino.convert_model(source)
        openvino.save_model(converted, file, compress_to_fp16=False)


WRITERS: dict[str, Callable[[PreTrainedModel, Inputs, Path], None]] = {
    "openvino": _write_openvino,
    "onnx": _write_onnx,
}


def _dynamic_sizes(inputs: Inputs) -> dict[str, dict[int, Any]]:
    """Return the dynamic axes: posts and, of texts, tokens."""
    posts, tokens = torch.export.Dim("posts"), torch.export.Dim.DYNAMIC
    texts = ("input_ids", "attention_mask")
    return {name: {0: posts, 1: tokens} if name in texts else {0: posts} for name in inputs}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters, which print each of their steps."""
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
