"""Compare the answers of two predictors for the same posts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.rows import Row

TOLERANCE = 1e-4  # greatest difference of a probability
BATCHES = (1, 7)  # all posts are compared with each
MADE_UP = 60
TEXTS = (
    "Rain",
    "So happy with the new camera, best day of the year!",
    "Stuck at the airport again :(",
    "The meeting starts at nine",
    "not bad at all, @friend, see https://example.org #sunset",
    "Worst service ever, I want my money back",
)


class Compared(NamedTuple):
    """The agreement of two predictors.

    Attributes:
        posts: Number of posts compared.
        greatest_difference: Of any probability of any post, or score in units of the spread of
            scores; NaN if a predictor gave NaN.
        other_labels: Posts with another label, except those whose two highest probabilities differ
            by less than `TOLERANCE`.
    """

    posts: int = 0
    greatest_difference: float = 0.0
    other_labels: int = 0

    def plus(self, found: np.ndarray, expected: np.ndarray) -> Compared:
        """Return the agreement over these and further posts.

        Args:
            found: Probabilities to compare, (posts, labels).
            expected: Probabilities to compare with, (posts, labels).
        """
        if not len(expected):
            return self
        highest = np.sort(expected, axis=1)[:, -2:]  # (posts, 2), or 1 of a single label
        clear = highest[:, -1] - highest[:, 0] >= TOLERANCE
        other = found.argmax(axis=1) != expected.argmax(axis=1)
        difference = np.abs(found - expected).max()
        return Compared(
            self.posts + len(expected),
            float(np.maximum(self.greatest_difference, difference)),  # unlike max, it keeps NaN
            self.other_labels + int((other & clear).sum()),
        )


def made_up_rows(count: int = MADE_UP) -> list[Row]:
    """Return posts of fixed texts and seeded noise, the same each time.

    Args:
        count: Number of posts.

    Returns:
        Rows of one to three sentences; every fifth lacks a text, every fifth an image.
    """
    random, rows = np.random.default_rng(0), []
    for i in range(count):
        text = " ".join(random.choice(TEXTS, 1 + i % 3))
        image = random.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        rows.append(Row(i, None, None if i % 5 == 3 else text, None if i % 5 == 4 else image))
    return rows


def compare(exported: Predictor, eager: Predictor, rows: Callable[[], Iterator[Row]]) -> Compared:
    """Score posts with two predictors; posts that cannot be scored do not count.

    Args:
        exported: Predictor of "probabilities" to compare.
        eager: Predictor of "probabilities" to compare with.
        rows: Function that gives the posts anew at each call.

    Returns:
        The agreement, with the worst of the batch sizes.
    """
    found = [_compare(exported, eager, rows, size) for size in BATCHES]
    posts, difference, labels = np.max(found, axis=0)
    return Compared(int(posts), float(difference), int(labels))


def _compare(
    exported: Predictor, eager: Predictor, rows: Callable[[], Iterator[Row]], batch_size: int
) -> Compared:
    compared = Compared()
    answers = (score_rows(rows(), x, batch_size, num_workers=0) for x in (exported, eager))
    unit = eager.backend.config.score_std  # 1 unless the model gives a score
    for found, expected in zip(*answers, strict=True):
        compared = compared.plus(_probabilities(found) / unit, _probabilities(expected) / unit)
    return compared


def _probabilities(answers: pa.Table) -> np.ndarray:
    """Return the probabilities of the posts that were scored, (posts, labels)."""
    scored = answers.filter(pc.is_null(answers["error"]))["probabilities"].combine_chunks()
    return np.stack([part.to_numpy(zero_copy_only=False) for part in scored.flatten()], axis=1)
