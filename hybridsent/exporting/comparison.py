"""Compare what two predictors say of the same posts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridsent.bundled.drawings import draw_picture
from hybridsent.bundled.templates import write_text
from hybridsent.scoring import Predictor
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.rows import Row

MADE_UP = 60
MOODS = ("negative", "neutral", "positive")


class Compared(NamedTuple):
    """How far two predictors agree.

    Attributes:
        posts: How many were compared.
        greatest_difference: Of any probability of any post; NaN if one gave no number.
        other_labels: Posts with another label, but for those whose two highest probabilities are
            closer than the tolerance.
    """

    posts: int = 0
    greatest_difference: float = 0.0
    other_labels: int = 0

    def plus(self, found: np.ndarray, expected: np.ndarray, tolerance: float) -> Compared:
        """Take in further posts.

        Args:
            found: Probabilities, (posts, labels).
            expected: Those that they should be, (posts, labels).
            tolerance: Difference of probabilities that does not count.
        """
        if not len(expected):
            return self
        highest = np.sort(expected, axis=1)[:, -2:]  # (posts, 2), or 1 of a single label
        clear = highest[:, -1] - highest[:, 0] >= tolerance
        other = found.argmax(axis=1) != expected.argmax(axis=1)
        difference = np.abs(found - expected).max()
        return Compared(
            self.posts + len(expected),
            float(np.maximum(self.greatest_difference, difference)),  # unlike max, it keeps NaN
            self.other_labels + int((other & clear).sum()),
        )


def made_up_rows(count: int = MADE_UP) -> list[Row]:
    """Make posts of the quickstart's kind, the same each time.

    Args:
        count: How many.

    Returns:
        Rows with texts of one word to three sentences; every fifth lacks a text, every fifth a picture.
    """
    random, rows = Random(0), []  # noqa: S311 - made-up posts guard nothing
    for i in range(count):
        sentences = [write_text(random, "test", random.choice(MOODS)) for _ in range(i % 4 or 1)]
        text = " ".join(sentences) if i % 4 else sentences[0].split()[0]
        picture = draw_picture(random, "test", random.choice(MOODS))
        rows.append(
            Row(i, None, None if i % 5 == 3 else text, None if i % 5 == 4 else np.asarray(picture))
        )
    return rows


def compare(
    exported: Predictor,
    eager: Predictor,
    rows: Callable[[], Iterator[Row]],
    batch_sizes: Sequence[int],
    tolerance: float,
) -> Compared:
    """Score posts with two predictors; posts that cannot be scored do not count.

    Args:
        exported: Answers "probabilities".
        eager: Likewise; says how it should be.
        rows: Gives the posts anew at each call.
        batch_sizes: Posts in a batch; all posts are scored once with each.
        tolerance: As in `Compared.plus`.

    Returns:
        What was found, with the worst of the batch sizes.
    """
    found = [_compare(exported, eager, rows, size, tolerance) for size in batch_sizes]
    posts, difference, labels = np.max(found, axis=0)
    return Compared(int(posts), float(difference), int(labels))


def _compare(
    exported: Predictor,
    eager: Predictor,
    rows: Callable[[], Iterator[Row]],
    batch_size: int,
    tolerance: float,
) -> Compared:
    compared = Compared()
    answers = (score_rows(rows(), x, batch_size, num_workers=0) for x in (exported, eager))
    for found, expected in zip(*answers, strict=True):
        compared = compared.plus(_probabilities(found), _probabilities(expected), tolerance)
    return compared


def _probabilities(answers: pa.Table) -> np.ndarray:
    """Return the probabilities of the posts that were scored, (posts, labels)."""
    scored = answers.filter(pc.is_null(answers["error"]))["probabilities"].combine_chunks()
    return np.stack([part.to_numpy(zero_copy_only=False) for part in scored.flatten()], axis=1)
