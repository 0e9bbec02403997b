"""YAML recipes, up to the settings of a run."""

import contextlib
import io
from pathlib import Path
from typing import Any

import torch

from fuzzing import ROOT
from fuzzing.mutations import damaged
from fuzzing.target import seeds
from hybridsent.training.arguments import parse_arguments

WORDS = [
    b"dataset: posts", b"\n  x: ", b"model_config: {}", b"model_config: [1]",
    b"!!python/name:os.x ", b"!!binary ", b"? ", b"true", b"1.0e-3", b"1e-3", b"2026-11-25",
    b"0o17", b"[a, b]", b"|\n  a", b"seed: ", b"cpu_threads: ", b"cache_dtype: ",
    b"dataset_options: ", b"eval_strategy: ",
]  # fmt: skip


class Recipes:
    """One recipe."""

    names = ("recipe.yaml",)

    def __init__(self, folder: Path) -> None:
        self.file = folder / "recipe.yaml"
        good = [
            file.read_bytes() for file in sorted((ROOT / "hybridsent" / "recipes").glob("*.yaml"))
        ]
        self.inputs = damaged([*good, *seeds("recipe*.yaml")], WORDS)

    def attempt(self, value: Any) -> None:
        """Read the settings."""
        self.file.write_bytes(value)
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                model, data, _ = parse_arguments([str(self.file), "--use_cpu", "true"])
        except SystemExit:  # how argparse tells of a setting, without a traceback
            assert "error: " in said.getvalue()
            assert "recipe.yaml" in said.getvalue()
            return
        finally:
            torch.set_num_threads(1)
        assert isinstance(model.fields_of_config(), dict), model
        assert isinstance(data.dataset, str), data
