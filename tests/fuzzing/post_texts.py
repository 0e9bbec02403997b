"""Bytes of texts in encodings that may be theirs or not."""

import encodings.aliases
from pathlib import Path
from typing import Any

from fabricated_sets import write_tumemo
from hypothesis import strategies as st

from datasets_scripts.published.tumemo import read_tumemo
from datasets_scripts.texts import normalise_text
from fuzzing.mutations import damaged
from fuzzing.target import seeds
from modeling_hybridsent.inputs_hybridsent import clean_text, has_text

WORDS = [
    b"RT @x: ", b"http://", b"www.", b"ht", b"ht-", b"rt @a ", b"#a", b"#happy", b"...",
    b"\xe2\x80\xa6", b"love", b"+-",
    b"@", b"#", b"#a#", b"&amp;", b"&", b";", b"http:", b"\xef\xbc\x83", b"[MASK]",
]  # fmt: skip
COMMON = ["gb18030", "utf-8", "legacy", "utf-16", "utf-7", "ascii", "latin-1"]
ODD = ["", "\x00", "no such", "\u00e9", "a" * 999, "..", "idna", "undefined", "\ud800"]


class PostTexts:
    """One post of TumEmo, whose text is read, masked, levelled and cleaned."""

    names = ("0.txt", "text_encoding")

    def __init__(self, folder: Path) -> None:
        self.folder = write_tumemo(folder, {"0": "Happy"})
        known = sorted(set(encodings.aliases.aliases.values()))
        names = st.sampled_from(COMMON) | st.sampled_from([*known, *ODD])
        self.inputs = st.tuples(damaged(seeds("text*.txt"), WORDS), names)

    def attempt(self, value: Any) -> None:
        """Read the post."""
        content, encoding = value
        (self.folder / "all_data" / "0.txt").write_bytes(content)
        reading = read_tumemo(self.folder, text_encoding=encoding, mask_label_words=True)
        assert len(reading.posts) + len(reading.rejected) == 1
        for row in reading.rejected:
            assert "0.txt" in str(row), row
        for post in reading.posts:
            normalise_text(post.text)
            cleaned = clean_text(post.text or "")
            assert has_text(cleaned) == has_text(post.text)
            assert clean_text(cleaned) == cleaned
