"""Some rows in input order, scored in the order of their length, and put back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from hybridsent.scoring.answers import Layout
from hybridsent.scoring.preparing import Prepared
from hybridsent.scoring.row import Row

BATCHES = 32  # in a window: enough for texts of like length to meet
MAX_BYTES = 64 << 20  # of texts and embedded pictures in a window


class Window:
    """Rows in the hands of the model, and what has come back of them.

    Args:
        rows: In the order of the input.
        layout: What the answers look like.
    """

    def __init__(self, rows: list[Row], layout: Layout) -> None:
        self.rows = [row._replace(text=None, image=None) for row in rows]
        self.layout = layout
        self.problems = {place: row.problem for place, row in enumerate(rows) if row.problem}
        self.outputs = {
            name: np.full((len(rows), width), np.nan, dtype=np.float32)
            for name, width in layout.widths().items()
        }
        self.present = np.zeros((len(rows), 3), dtype=bool)
        self.batches: list[list[int]] = []  # places of rows; those in work, first in first out

    def cut(self, rows: list[Row], batch_size: int) -> Iterator[list[Row]]:
        """Cut the rows into batches, the longest texts first, those without a picture together.

        Args:
            rows: Those of the window, with texts and pictures.
            batch_size: Rows in a batch.

        Yields:
            The batches; one empty batch where no row can be scored, so that the window is seen.
        """
        places = [place for place in range(len(rows)) if place not in self.problems]
        places.sort(key=lambda i: (rows[i].image is None, -len(rows[i].text or "")))
        starts = range(0, max(1, len(places)), batch_size)
        self.batches = [places[start : start + batch_size] for start in starts]
        # What was handed on is forgotten here: its pictures may be large.
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
