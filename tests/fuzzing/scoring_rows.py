"""Rows to score, as CSV and JSON Lines, read and answered as `run_predict.py` does it."""

from pathlib import Path
from typing import Any

from fabricated_sets import jpeg
from hypothesis import strategies as st
from tiny_models import save_tiny, tiny_processor

from fuzzing.mutations import damaged
from fuzzing.target import seeds
from fuzzing.training_rows import WORDS
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.rows import Assignment

MOST = 40  # rows that are scored; all are read


class ScoringRows:
    """One file of posts and a tiny model."""

    names = ("posts.csv", "posts.jsonl")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "one.jpg").write_bytes(jpeg())
        (folder / "broken.jpg").write_bytes(jpeg()[:50])
        save_tiny(folder / "model")
        tiny_processor(max_length=64).save_pretrained(folder / "model")  # it has 64 positions
        self.predictor = Predictor(str(folder / "model"), ["probabilities", "branches"])
        self.predictor.load()
        self.inputs = st.one_of(
            st.tuples(st.just(ending), damaged(seeds(f"posts*{ending}", f"*rows{ending}"), WORDS))
            for ending in (".csv", ".jsonl")
        )

    def attempt(self, value: Any) -> None:
        """Score the rows; each must have one answer."""
        ending, content = value
        file = self.folder / f"posts{ending}"
        file.write_bytes(content)
        source = find_input(str(file))
        rows = list(source.rows(Assignment(1000)))
        assert [row.number for row in rows] == list(range(source.total() or 0))
        tables = list(score_rows(iter(rows[:MOST]), self.predictor, 8, num_workers=0))
        answers = [row for table in tables for row in table.to_pylist()]
        assert [row["row"] for row in answers] == list(range(len(rows[:MOST])))
        for row in answers:
            assert (row["label"] is None) == bool(row["error"]), row
            assert row["error"] or 0 < row["score"] <= 1, row
