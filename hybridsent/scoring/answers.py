"""Rows in the hands of the model, and the answers to them as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import expit, softmax

from hybridsent.scoring.preparing import Prepared
from hybridsent.scoring.rows import Row
from modeling_hybridsent.answers_hybridsent import BRANCHES, label_set
from modeling_hybridsent.problems_hybridsent import MultiLabel, Regression, SingleLabel

Outputs = Mapping[str, np.ndarray]  # fields of the model's output, each (rows, width)
BATCHES = 32  # in a window: enough for texts of like length to meet
NOT_A_NUMBER = "the answer of the model is NaN; try --dtype float32"
MAX_BYTES = 64 << 20  # of texts and embedded images in a window
# Columns by choice, and the fields of the model's output that they need besides `logits`.
CHOICES = {
    "probabilities": (),
    "branches": (*(f"{name}_logits" for name in BRANCHES), "decision_weights"),
    "weights": ("decision_weights",),
    "embeddings": (*(f"{name}_embeds" for name in BRANCHES),),
    "explanation": (),
}


class Layout(NamedTuple):
    """What the answers look like.

    Attributes:
        labels: Names of the labels by index.
        embedding_size: Width of the pooled vectors.
        columns: Those of `CHOICES` that were asked for.
        least: Result of `least_scores`; None without sets of labels.
        problem: Problem type of the model.
    """

    labels: Sequence[str]
    embedding_size: int
    columns: Sequence[str]
    least: Mapping[tuple[bool, bool], float] | None = None
    problem: SingleLabel = SingleLabel()

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
        """Build the answers to some rows.

        Args:
            rows: The rows, of which only number and id count.
            outputs: Fields of the model's output, each (rows, width); NaN where a row has none. And
                "explanation", if asked for: fields of `Explanation`, (rows,).
            present: Whether a row has text, image and either, (rows, 3).
            problems: Why rows were not scored, by place.

        Returns:
            `row`, `id`, `label`, `score`, `error`, the columns of choice, and with `least` `label_set`
            and `abstains`. With several labels a post `label` and `score` are lists, the most
            probable first; a regression has no `label`.
        """
        broken = np.isnan(outputs["logits"]).any(axis=1).nonzero()[0].tolist()
        problems = {**dict.fromkeys(broken, NOT_A_NUMBER), **problems}
        failed = np.array([place in problems for place in range(len(rows))], dtype=bool)
        scores = self._scores(outputs["logits"])
        columns = {
            "row": pa.array([row.number for row in rows], pa.int64()),
            "id": pa.array([row.id for row in rows], pa.string()),
            **self._decisions(scores, failed),
            "error": pa.array([writable(problems.get(i)) for i in range(len(rows))], pa.string()),
        }
        for name in self.columns:
            columns[name] = getattr(self, f"_{name}")(outputs, present, failed)
        columns |= self._label_sets(scores, present, failed)
        return pa.table(columns)

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities, or the scores of a regression, (rows, labels)."""
        if self.problem.name == Regression.name:
            return logits
        return expit(logits) if self.problem.name == MultiLabel.name else softmax(logits, axis=1)

    def _decisions(self, scores: np.ndarray, failed: np.ndarray) -> dict[str, pa.Array]:
        """Return `label` and `score`; null where a row failed."""
        if self.problem.name == Regression.name:
            return {"score": pa.array(scores[:, 0], pa.float32(), mask=failed)}
        if self.problem.name == MultiLabel.name:
            return self._several(scores, failed)
        best = np.where(failed, 0, np.nan_to_num(scores).argmax(axis=1))
        names = [None if bad else self.labels[i] for i, bad in zip(best, failed, strict=True)]
        score = scores[np.arange(len(scores)), best]
        return {
            "label": pa.array(names, pa.string()),
            "score": pa.array(score, pa.float32(), mask=failed),
        }

    def _several(self, scores: np.ndarray, failed: np.ndarray) -> dict[str, pa.Array]:
        """Return the labels that reach their thresholds, and their probabilities, as lists."""
        chosen = [
            None if bad else self.problem.choose(row)
            for row, bad in zip(scores.tolist(), failed, strict=True)
        ]
        labels = [None if x is None else [self.labels[i] for i in x] for x in chosen]
        kept = [
            None if x is None else row[x].tolist() for x, row in zip(chosen, scores, strict=True)
        ]
        return {
            "label": pa.array(labels, pa.list_(pa.string())),
            "score": pa.array(kept, pa.list_(pa.float32())),
        }

    def _probabilities(self, outputs: Outputs, _: np.ndarray, failed: np.ndarray) -> pa.StructArray:
        return _named(self._scores(outputs["logits"]), self.labels, failed)

    def _label_sets(
        self, probabilities: np.ndarray, present: np.ndarray, failed: np.ndarray
    ) -> dict[str, pa.Array]:
        if self.least is None:
            return {}
        found = [
            (None, None)
            if bad
            else label_set(dict(zip(self.labels, p, strict=True)), self.least[text, image])
            for p, (text, image, _), bad in zip(
                probabilities.tolist(), present.tolist(), failed, strict=True
            )
        ]
        kinds = {"label_set": pa.list_(pa.string()), "abstains": pa.bool_()}
        return {
            name: pa.array([row[i] for row in found], kind)
            for i, (name, kind) in enumerate(kinds.items())
        }

    def _branches(self, outputs: Outputs, _: np.ndarray, failed: np.ndarray) -> pa.StructArray:
        """Name the scores of each branch; null for a branch that took no part."""
        parts = []
        for i, name in enumerate(BRANCHES):
            logits = outputs[f"{name}_logits"]
            absent = ~(outputs["decision_weights"][:, i] > 0) | np.isnan(logits[:, 0])
            parts.append(_named(self._scores(logits), self.labels, absent))
        return pa.StructArray.from_arrays(parts, BRANCHES, mask=pa.array(failed))

    def _weights(self, outputs: Outputs, _: np.ndarray, failed: np.ndarray) -> pa.StructArray:
        return _named(outputs["decision_weights"], BRANCHES, failed)

    def _embeddings(
        self, outputs: Outputs, present: np.ndarray, failed: np.ndarray
    ) -> pa.StructArray:
        parts = []
        for i, name in enumerate(BRANCHES):
            vectors = outputs[f"{name}_embeds"]
            absent = pa.array(~present[:, i] | np.isnan(vectors[:, 0]))
            flat = pa.array(vectors.ravel(), pa.float32())
            size = self.embedding_size
            parts.append(pa.FixedSizeListArray.from_arrays(flat, size, mask=absent))
        return pa.StructArray.from_arrays(parts, BRANCHES, mask=pa.array(failed))

    def _explanation(self, outputs: Outputs, _: np.ndarray, failed: np.ndarray) -> pa.StructArray:
        effect = pa.float32()
        by_label = pa.struct([(name, effect) for name in self.labels])
        word = {"word": pa.string(), "start": pa.int32(), "end": pa.int32(), "effect": effect}
        kind = {
            "label": pa.string(),
            "score": effect,
            "shares": pa.struct({"text": effect, "image": effect}),
            "without": pa.struct({"text": by_label, "image": by_label}),
            "words": pa.list_(pa.struct(word)),
            "regions": pa.list_(pa.list_(effect)),
        }
        found = outputs["explanation"].tolist()
        return pa.array(found, pa.struct(kind), mask=failed)


class Window:
    """Rows in the hands of the model, and the results so far.

    Args:
        rows: In the order of the input.
        layout: What the answers look like.
    """

    def __init__(self, rows: list[Row], layout: Layout) -> None:
        self.rows = [row._replace(text=None, image=None) for row in rows]
        self.layout = layout
        self.problems = {place: row.problem for place, row in enumerate(rows) if row.problem}
        self.outputs: dict[str, np.ndarray] = {
            name: np.full((len(rows), width), np.nan, dtype=np.float32)
            for name, width in layout.widths().items()
        }
        if "explanation" in layout.columns:
            self.outputs["explanation"] = np.full(len(rows), None, dtype=object)
        self.present = np.zeros((len(rows), 3), dtype=bool)
        self.batches: list[list[int]] = []  # places of rows; those in work, first in first out

    def cut(
        self, rows: list[Row], batch_size: int, measure: Callable[[Sequence[Row]], Sequence[int]]
    ) -> Iterator[list[Row]]:
        """Cut the rows into batches: those without an image last, and longer texts before shorter ones.

        Args:
            rows: Those of the window, with texts and images.
            batch_size: Rows in a batch.
            measure: Gives the length of each row's text; not asked where one batch holds all.

        Yields:
            The batches; one empty batch where no row can be scored, so that the window is answered.
        """
        places = [place for place in range(len(rows)) if place not in self.problems]
        if len(places) > batch_size:
            lengths = measure(rows)
            places.sort(key=lambda i: (rows[i].image is None, -lengths[i]))
        starts = range(0, max(1, len(places)), batch_size)
        self.batches = [places[start : start + batch_size] for start in starts]
        # What was handed on is dropped here: its images may be large.
        for batch in list(self.batches):
            handed: list[Row] = []
            for place in batch:
                handed.append(rows[place])
                rows[place] = self.rows[place]
            yield handed

    def take(self, prepared: Prepared, outputs: dict[str, np.ndarray]) -> None:
        """Take in the answers to the batch that was handed out first."""
        places = self.batches.pop(0)
        kept = [places[place] for place in prepared.kept]
        self.problems |= {places[place]: why for place, why in prepared.problems.items()}
        for name, values in outputs.items():
            self.outputs[name][kept] = values
        if prepared.inputs is not None:
            has = [prepared.inputs[name].numpy() for name in ("has_text", "has_image")]
            self.present[kept] = np.stack([*has, has[0] | has[1]], axis=1)

    def table(self) -> pa.Table:
        """Return the answers to all rows, in the order of the input."""
        return self.layout.table(self.rows, self.outputs, self.present, self.problems)


def windows(rows: Iterator[Row], batch_size: int) -> Iterator[list[Row]]:
    """Divide a stream of rows into windows.

    Args:
        rows: The stream.
        batch_size: Rows in a batch.

    Yields:
        Rows of a window: so many that they fill `BATCHES` batches, or less where they are large.
    """
    full, window, good, size = BATCHES * batch_size, [], 0, 0
    for row in rows:
        window.append(row)
        good += row.problem is None
        size += _size(row)
        if good == full or len(window) == 4 * full or size > MAX_BYTES:
            yield window
            window, good, size = [], 0, 0
    if window:
        yield window


def _size(row: Row) -> int:
    """Return about how many bytes a row holds in memory."""
    image = len(row.image) if isinstance(row.image, bytes) else 0
    return image + 4 * len(row.text or "")


def writable(text: str | None) -> str | None:
    """Escape unpaired surrogates, which a problem that quotes the row may have."""
    return text and text.encode("utf-8", "backslashreplace").decode()


def _named(numbers: np.ndarray, names: Sequence[str], absent: np.ndarray) -> pa.StructArray:
    """Build a mapping from names to numbers for each row, (rows, names)."""
    parts = [pa.array(column, pa.float32(), mask=absent) for column in numbers.T]
    return pa.StructArray.from_arrays(parts, names, mask=pa.array(absent))
