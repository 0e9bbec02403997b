"""Label files of MVSA and TumEmo, read and divided as `run_train.py` does it."""

from pathlib import Path
from typing import Any

from fabricated_sets import write_files
from hypothesis import strategies as st

from datasets_scripts import READERS, load_table
from datasets_scripts.post import Rejected
from fuzzing.mutations import damaged
from fuzzing.target import seeds

WORDS = [b"positive", b"neutral", b"negative", b"Happy", b"\tneutral,positive", b"ID\ttext,image"]
FILES = {
    "mvsa_single": ("labelResultAll.txt", "data"),
    "mvsa_multiple": ("labelResultAll.txt", "data"),
    "tumemo": ("all_data_id_and_label.txt", "all_data"),
}


def require_reasons(rejected: list[Rejected]) -> None:
    """Assert that every rejected row says where it stands and what is wrong with it."""
    for row in rejected:
        assert row.why, row
        assert any(f" {unit} " in str(row) for unit in ("line", "row")), row


class LabelFiles:
    """A label file beside eight good posts."""

    names = ("labelResultAll.txt", "all_data_id_and_label.txt")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, (_, posts) in FILES.items():
            write_files(folder / name / posts, {str(i): b"post %d" % i for i in range(8)})
        self.inputs = st.one_of(
            st.tuples(
                st.just(name),
                damaged(seeds(f"{name}.txt"), WORDS),
                st.sampled_from(["stop", *["drop"] * 2, *["read"] * 7]),
            )
            for name in FILES
        )

    def attempt(self, value: Any) -> None:
        """Load the set."""
        name, content, what = value
        folder = self.folder / name
        (folder / FILES[name][0]).write_bytes(content)
        options = {} if name == "tumemo" else {"protocol": "grouped"}
        if what == "read":  # images and tables are the same each time, and slow
            reading = READERS[name](folder, **options)
            assert len(reading.posts) + len(reading.rejected) == reading.rows
            require_reasons(reading.rejected)
            return
        table = load_table(name, folder, what, **options)
        posts = [post_id for split in table.posts.values() for post_id in split["id"]]
        assert len(set(posts)) == len(posts)
        assert len(posts) + len(table.rejected) == table.counts["rows"]
        require_reasons(table.rejected)
