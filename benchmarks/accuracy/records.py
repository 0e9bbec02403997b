"""The files of a comparison: settings, and for each finished run its answers and its figures."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.accuracy import PROTOCOL
from hybridsent.support.folders import write_whole

SETTINGS = "settings.json"
RUNS = "runs"
VALIDATION, HELD_OUT = "validation", "held_out"
BRANCHES = ("text", "image", "fusion")
# Kind of answer -> what its columns begin with.
DECISION, TEXT_ONLY, IMAGE_ONLY = "p", "text_only_p", "image_only_p"
ONLY = MappingProxyType({"text": TEXT_ONLY, "image": IMAGE_ONLY})
WEIGHT = "weight"  # those of branches; only where they depend on the post
Answers = dict[str, np.ndarray]  # what the columns begin with -> (posts, labels)


class Trained(NamedTuple):
    """A method after its training.

    Attributes:
        answer: Takes numbers of posts, and whether to answer from each modality alone as well; gives
            logits of the decision, and what else it can say, by what the columns begin with; NaN where
            it cannot say.
        figures: `seconds` of the training and number of `trainable_parameters`.
        choice: Numbers of posts and answers for them, each from a training that did not see the post;
            None where the answers for the part's validation posts are such.
    """

    answer: Callable[[np.ndarray, bool], Answers]
    figures: dict[str, Any]
    choice: tuple[np.ndarray, Answers] | None = None


class Results:
    """The folder of a comparison.

    Args:
        folder: Where it goes; made if absent.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def claim(self, settings: Mapping[str, Any], label_names: list[str]) -> None:
        """Keep the settings, or hold them against those that the folder was made with.

        Args:
            settings: All that decides what a run gives.
            label_names: Names of the labels by index.

        Raises:
            ValueError: The folder has runs of another protocol or of other settings; the message names
                the first that differs.
        """
        content = {"protocol": PROTOCOL, "settings": dict(settings), "labels": label_names}
        file = self.folder / SETTINGS
        if not file.exists():
            (self.folder / RUNS).mkdir(parents=True, exist_ok=True)
            write_whole(json.dumps(content, indent=2) + "\n", file)
            return
        kept = _read_record(file)["settings"]
        now = json.loads(json.dumps(content["settings"]))
        for name in sorted(kept.keys() | now.keys()):
            if kept.get(name) != now.get(name):
                raise ValueError(
                    f"{self.folder} has runs with {name} = {kept.get(name)!r}, not {now.get(name)!r}: "
                    "give another --results, or the settings that it was made with."
                )

    def label_names(self) -> list[str]:
        """Return the names of the labels.

        Raises:
            FileNotFoundError: The folder has no settings.
        """
        file = self.folder / SETTINGS
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: no such file. Make runs first, without --tables_only."
            )
        return _read_record(file)["labels"]

    def _file(self, name: str, ending: str) -> Path:
        return self.folder / RUNS / f"{name}.{ending}"

    def is_finished(self, name: str) -> bool:
        """Return whether a run has its figures, which are written last."""
        return self._file(name, "json").exists()

    def write(self, name: str, figures: Mapping[str, Any], answers: pd.DataFrame) -> None:
        """Write a run: answers, then figures, each beside and then renamed."""
        write_table(answers, self._file(name, "parquet"))
        settings = _read_record(self.folder / SETTINGS)["settings"]
        content = {"protocol": PROTOCOL, **figures, "settings": settings}
        write_whole(json.dumps(content, indent=2) + "\n", self._file(name, "json"))

    def figures(self, name: str) -> dict[str, Any]:
        """Read the figures of a finished run.

        Raises:
            ValueError: The run is of another protocol.
        """
        return _read_record(self._file(name, "json"))

    def finished(self) -> list[tuple[dict[str, Any], pd.DataFrame]]:
        """Read all finished runs: their figures and answers."""
        names = sorted(file.stem for file in (self.folder / RUNS).glob("*.json"))
        return [
            (self.figures(name), pd.read_parquet(self._file(name, "parquet"))) for name in names
        ]


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write a Parquet file beside and then rename it."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_whole(buffer.getvalue(), file)


def _read_record(file: Path) -> dict[str, Any]:
    """Read a JSON file of a comparison; one of another protocol is refused."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if content.get("protocol") != PROTOCOL:
        raise ValueError(
            f"{file} is of protocol {content.get('protocol', 1)}, not {PROTOCOL}: runs of two "
            "protocols are not put together. Give another --results."
        )
    return content


def columns_of(prefix: str, label_names: list[str]) -> list[str]:
    """Name the columns of one value a label."""
    return [f"{prefix}_{name}" for name in label_names]


def answers_table(
    ids: list[str],
    labels: np.ndarray,
    answers: Mapping[str, np.ndarray],
    label_names: list[str],
    **same: Any,
) -> pd.DataFrame:
    """Lay out what a method said of posts.

    Args:
        ids: Of the posts.
        labels: (posts,).
        answers: What the columns begin with -> (posts, labels); or `WEIGHT`, (posts, 3).
        label_names: Names of the labels by index.
        **same: Columns with one value for all.

    Returns:
        A row a post; values as float32, for the folder of a comparison holds millions of them.
    """
    table = {"id": ids, "label": labels, **dict.fromkeys(same)}
    for prefix, values in answers.items():
        names = BRANCHES if prefix == WEIGHT else label_names
        columns = columns_of(prefix, list(names))
        table |= dict(zip(columns, np.asarray(values, dtype=np.float32).T, strict=True))
    table |= {name: [value] * len(ids) for name, value in same.items()}
    return pd.DataFrame(table)
