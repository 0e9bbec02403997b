"""Rows of one's own posts, as CSV and JSON Lines, read and divided as `run_train.py` does it."""

from pathlib import Path
from typing import Any

from fabricated_sets import jpeg
from hypothesis import strategies as st

from datasets_scripts import load_table
from fuzzing.label_files import require_reasons
from fuzzing.mutations import damaged
from fuzzing.target import seeds

WORDS = [
    b"id", b"text", b"image", b"label", b"text_label", b"file_name", b"positive", b"one.jpg",
    b"broken.jpg", b"sub/../one.jpg", b'"a, b"', b'\\"', b"sep=;\n", b"\r",
    b'{"label": "neutral", "text": "x"}\n',
]  # fmt: skip
OPTIONS: list[dict[str, Any]] = [
    {}, {}, {"split": "0.5,0.3,0.2"}, {"label_names": "negative,neutral,positive"},
    {"columns": "text=id"}, {"columns": {"image": "text"}}, {"columns": ""},
]  # fmt: skip


class TrainingRows:
    """One file of posts, or three for three splits of which one is damaged."""

    names = ("posts.csv", "posts.jsonl", "train.csv", "train.jsonl", "alone", "split", "columns:")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("alone", "split"):
            (folder / name).mkdir()
            (folder / name / "one.jpg").write_bytes(jpeg())
            (folder / name / "broken.jpg").write_bytes(jpeg()[:50])
        (folder / "split" / "validation.csv").write_bytes(seeds("posts.csv")[0])
        kinds = [
            st.tuples(st.just(ending), damaged(seeds(f"posts*{ending}"), WORDS))
            for ending in (".csv", ".jsonl")
        ]
        self.inputs = st.tuples(
            st.one_of(kinds),
            st.sampled_from(["posts", "train"]),
            st.sampled_from(["stop", "drop", "drop"]),
            st.sampled_from(OPTIONS),
        )

    def attempt(self, value: Any) -> None:
        """Load the posts."""
        (ending, content), name, on_bad_rows, options = value
        folder = self.folder / ("split" if name == "train" else "alone")
        file = folder / (name + ending)
        file.write_bytes(content)
        try:
            table = load_table("posts", folder, on_bad_rows, **options)
        finally:
            file.unlink()
        kept = sum(map(len, table.posts.values()))
        assert kept + len(table.rejected) == table.counts["rows"]
        require_reasons(table.rejected)
