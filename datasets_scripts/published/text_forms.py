"""Both forms of TumEmo's texts, which often contain their label: as published, and masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset, DatasetDict, Value

from datasets_scripts.published.label_words import (
    MASK,
    MASKED,
    label_word_pattern,
    mask_label_words,
    masked_protocol,
)
from datasets_scripts.table import Table

PUBLISHED = "label words as published"


def both_forms(table: Table, masked_first: bool, token: str | None) -> list[tuple[str, Table]]:
    """Return the set in both forms of its texts, each with the name of the form.

    Args:
        table: The set with texts as published; a set that was masked when it was prepared has one form.
        masked_first: Whether the masked form comes first.
        token: Token that replaces label words, that of the tokenizer; None for the default.
    """
    if _is_masked(table.counts):
        return [(MASKED, table)]
    forms = [(PUBLISHED, table), (MASKED, _masked_table(table, token or MASK))]
    return forms[::-1] if masked_first else forms


def _is_masked(counts: Mapping[str, Any]) -> bool:
    """Check the counts of a set; in early prepared folders only the protocol tells the form."""
    return "masked_posts" in counts or MASKED in counts["protocol"]


def _masked_table(table: Table, token: str) -> Table:
    """Mask all texts; the counts get a new protocol, and the number of posts that changed."""
    posts = DatasetDict({name: _masked(split, token) for name, split in table.posts.items()})
    changed = sum(
        before != after
        for name, split in posts.items()
        for before, after in zip(table.posts[name]["text"], split["text"], strict=True)
    )
    protocol = masked_protocol(table.counts["protocol"], token)
    counts = table.counts | {"protocol": protocol, "masked_posts": changed}
    return table._replace(posts=posts, counts=counts)


def _masked(posts: Dataset, token: str) -> Dataset:
    pattern = label_word_pattern(posts.features["label"].names)
    texts = [text and mask_label_words(text, pattern, token) for text in posts["text"]]
    return posts.remove_columns("text").add_column("text", texts, feature=Value("string"))
