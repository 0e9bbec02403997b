"""From what the model gives to the columns of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import softmax

from hybridsent.scoring.row import Row

BRANCHES = ("text", "image", "fusion")
# Columns by choice, and the fields of the model's output that they need besides `logits`.
CHOICES = {
    "probabilities": (),
    "branches": (*(f"{name}_logits" for name in BRANCHES), "decision_weights"),
    "weights": ("decision_weights",),
    "embeddings": (*(f"{name}_embeds" for name in BRANCHES),),
}


class Layout(NamedTuple):
    """What the answers look like.

    Attributes:
        labels: Names of the labels by index.
        embedding_size: Width of the pooled vectors.
        columns: Those of `CHOICES` that were asked for.
    """

    labels: Sequence[str]
    embedding_size: int
    columns: Sequence[str]

    @property
    def fields(self) -> list[str]:
        """Fields of the model's output that are needed."""
        needed = [name for column in self.columns for name in CHOICES[column]]
        return list(dict.fromkeys(["logits", *needed]))

    def widths(self) -> dict[str, int]:
        """Return how many numbers a row has of each field."""
        special = {"decision_weights": len(BRANCHES)}
        special |= dict.fromkeys(CHOICES["embeddings"], self.embedding_size)
        return {name: special.get(name, len(self.labels)) for name in self.fields}

    def table(
        self,
        rows: Sequence[Row],
        outputs: Mapping[str, np.ndarray],
        present: np.ndarray,
        problems: Mapping[int, str],
    ) -> pa.Table:
        """Make the answers of some rows.

        Args:
            rows: The rows, of which only number and id count.
            outputs: Fields of the model's output, each (rows, width); NaN where there is nothing.
            present: Whether a row has text, picture and either, (rows, 3).
            problems: Why rows were not scored, by place.

        Returns:
            `row`, `id`, `label`, `score`, `error`, and the columns of choice.
        """
        failed = np.array([place in problems for place in range(len(rows))], dtype=bool)
        probabilities = softmax(outputs["logits"], axis=1)
        best = np.where(failed, 0, np.nan_to_num(probabilities).argmax(axis=1))
        score = probabilities[np.arange(len(rows)), best]
        names = [None if bad else self.labels[i] for i, bad in zip(best, failed, strict=True)]
        columns = {
            "row": pa.array([row.number for row in rows], pa.int64()),
            "id": pa.array([row.id for row in rows], pa.string()),
            "label": pa.array(names, pa.string()),
            "score": pa.array(score, pa.float32(), mask=failed),
            "error": pa.array([writable(problems.get(i)) for i in range(len(rows))], pa.string()),
        }
        for name in self.columns:
            columns[name] = getattr(self, f"_{name}")(outputs, present, failed)
        return pa.table(columns)

    def _probabilities(
        self, outputs: Mapping[str, np.ndarray], _present: np.ndarray, failed: np.ndarray
    ) -> pa.StructArray:
        return _named(softmax(outputs["logits"], axis=1), self.labels, failed)

    def _branches(
        self, outputs: Mapping[str, np.ndarray], _present: np.ndarray, failed: np.ndarray
    ) -> pa.StructArray:
        """Name what each branch says; a branch that took no part says nothing."""
        parts = []
        for i, name in enumerate(BRANCHES):
            logits = outputs[f"{name}_logits"]
            absent = ~(outputs["decision_weights"][:, i] > 0) | np.isnan(logits[:, 0])
            parts.append(_named(softmax(logits, axis=1), self.labels, absent))
        return pa.StructArray.from_arrays(parts, BRANCHES, mask=pa.array(failed))

    def _weights(
        self, outputs: Mapping[str, np.ndarray], _present: np.ndarray, failed: np.ndarray
    ) -> pa.StructArray:
        return _named(outputs["decision_weights"], BRANCHES, failed)

    def _embeddings(
        self, outputs: Mapping[str, np.ndarray], present: np.ndarray, failed: np.ndarray
    ) -> pa.StructArray:
        parts = []
        for i, name in enumerate(BRANCHES):
            vectors = outputs[f"{name}_embeds"]
            absent = pa.array(~present[:, i] | np.isnan(vectors[:, 0]))
            flat = pa.array(vectors.ravel(), pa.float32())
            size = self.embedding_size
            parts.append(pa.FixedSizeListArray.from_arrays(flat, size, mask=absent))
        return pa.StructArray.from_arrays(parts, BRANCHES, mask=pa.array(failed))


def writable(text: str | None) -> str | None:
    """Spell out what is no UTF-8, as a problem that quotes the row may have it."""
    return text and text.encode("utf-8", "backslashreplace").decode()


def _named(numbers: np.ndarray, names: Sequence[str], absent: np.ndarray) -> pa.StructArray:
    """Make a mapping from names to numbers out of each row, (rows, names)."""
    parts = [pa.array(column, pa.float32(), mask=absent) for column in numbers.T]
    return pa.StructArray.from_arrays(parts, names, mask=pa.array(absent))
