"""Settings of a scoring run."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

# The names alone, so that help needs no torch: keys of answers.CHOICES, backends.BACKENDS and DTYPES.
COLUMNS = ("probabilities", "branches", "weights", "embeddings", "explanation")
BACKENDS = ("torch", "openvino", "onnx")
DTYPES = ("float32", "bfloat16", "float16")
POSITIVE = ("batch_size", "rows_per_shard", "cpu_threads", "max_image_pixels")


def _setting(default: Any, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": help, **more})


@dataclass
class ScoringArguments:
    """Which posts to score with which model, and how."""

    input: str = _setting(
        MISSING,
        "CSV, JSON Lines or Parquet file with columns text, image (a path inside the file's folder, "
        "or the image itself), id; a folder of such files; or the id of a data set on the Hub.",
    )
    output: str = _setting(
        MISSING,
        "Folder for the answers. Given again, with the same images, the run goes on where it ended.",
    )
    model: str = _setting(
        "bundled/mvsa-single",
        "Folder of a trained or exported model, its id on the Hub, or a bundled model.",
    )
    split: str | None = _setting(None, "Only this split of a folder or data set.")
    dataset_config: str | None = _setting(None, "Configuration of a data set of the Hub.")
    revision: str | None = _setting(None, "Branch, tag or commit of a model of the Hub.")
    columns: list[str] = field(
        default_factory=list,
        metadata={
            "help": "What to write besides row, id, label, score, error.",
            "choices": COLUMNS,
        },
    )
    coverage: float | None = _setting(
        None,
        "Such as 0.9: also write the set of labels (label_set) that holds the right one for this share "
        "of posts, and whether it is no answer (abstains).",
    )
    batch_size: int = _setting(32, "Posts in a batch.")
    rows_per_shard: int | None = _setting(
        None,
        "Rows in each file of answers; left out, as the folder has it already, or so many that each "
        "process has several files, from 500 to 10,000.",
    )
    num_workers: int | None = _setting(
        None,
        "Processes that decode images for each process with a model; 0 does without. Left out, as "
        "many as the cores suggest.",
    )
    cpu_threads: int | None = _setting(
        None, "Threads of each model on the CPU; left out, the cores are shared out evenly."
    )
    device: str | None = _setting(None, "Such as cpu; left out, an accelerator where there is one.")
    dtype: str = _setting("float32", "Precision of the model.", choices=DTYPES)
    backend: str = _setting(
        "torch",
        "What runs the model: openvino and onnx run what hybridsent export wrote for them.",
        choices=BACKENDS,
    )
    trust_remote_code: bool = _setting(
        False, "Run code that comes with the model; a model of hybridsent needs none."
    )
    max_image_pixels: int | None = _setting(
        None, "Refuse larger images, undecoded; left out, the limit stored with the model."
    )

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"--{name} {value}: give a positive whole number.")
        if self.coverage is not None and not 0 < self.coverage < 1:
            raise ValueError(f"--coverage {self.coverage}: give a number between 0 and 1.")
        if self.num_workers is not None and self.num_workers < 0:
            raise ValueError(f"--num_workers {self.num_workers}: give 0 or more.")

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide about each answer; the others about speed and files."""
        names = ("columns", "coverage", "dtype", "backend", "max_image_pixels")
        return {name: getattr(self, name) for name in names}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Give a parser an option for each field of `ScoringArguments`."""
    for each in fields(ScoringArguments):
        kind = next((x for x in (int, float) if x.__name__ in each.type), str)
        options: dict[str, Any] = {"type": kind, **each.metadata}
        if each.default is False:
            options = {"action": "store_true", **each.metadata}
        elif each.default is not MISSING:
            options["default"] = each.default
            options["help"] += "" if each.default is None else f" ({each.default})"
        elif each.default_factory is not MISSING:
            options |= {"default": each.default_factory(), "nargs": "+"}
        else:
            options["required"] = each.name != "input"  # which may be the first word
        parser.add_argument(f"--{each.name}", **options)
