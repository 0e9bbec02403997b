"""TumEmo's labels stand in its texts: train with or without these words, and score both."""

from collections.abc import Iterable
from typing import Any

from datasets import Dataset, DatasetDict, Value

from datasets_scripts import EMOTIONS
from datasets_scripts.published.label_words import (
    MASK,
    MASKED,
    label_word_pattern,
    mask_label_words,
    masked_protocol,
)
from hybridsent.evaluation.final_scores import split_to_score
from hybridsent.training.arguments import DataArguments

PUBLISHED = "label words as published"
OTHER_FORM = "scored in the other form"  # a split beside those of the set


def _form_of(counts: dict[str, Any]) -> str:
    """Name the form of the texts that are trained on; the protocol in the counts tells it."""
    return MASKED if MASKED in counts["protocol"] else PUBLISHED


def with_both_forms(
    posts: DatasetDict, counts: dict[str, Any], data: DataArguments, token: str | None
) -> tuple[DatasetDict, dict[str, Any]]:
    """Mask the label words of TumEmo if wanted, and add the scored posts in the other form.

    Args:
        posts: The splits.
        counts: What the loader counted.
        data: Settings of the data; other sets than TumEmo come back as they are.
        token: The mask, that of the tokenizer if it has one.

    Returns:
        The splits, with one named `OTHER_FORM`; and the counts, of which the protocol says what was
        masked, and `masked_posts` how many posts that touched. A set that was masked when it was
        prepared has no other form and comes back as it is.
    """
    if data.dataset != "tumemo" or _form_of(counts) == MASKED:
        return posts, counts
    posts, token = DatasetDict(posts), token or MASK
    scored = split_to_score(posts)
    if not data.mask_label_words:
        posts[OTHER_FORM] = _masked(posts[scored], token)
        return posts, counts
    published = posts[scored]
    touched = 0
    for name, split in list(posts.items()):
        posts[name] = _masked(split, token)
        touched += sum(a != b for a, b in zip(split["text"], posts[name]["text"], strict=True))
    posts[OTHER_FORM] = published
    protocol = masked_protocol(counts["protocol"], token)
    return posts, counts | {"protocol": protocol, "masked_posts": touched}


def scored_forms(posts: DatasetDict, counts: dict[str, Any], data: DataArguments) -> dict[str, Any]:
    """Return what `score_posts` is told of the forms: that of the scored posts, and the other posts."""
    if data.dataset != "tumemo":
        return {}
    form = _form_of(counts)
    other = PUBLISHED if form == MASKED else MASKED
    return {"form": form, "others": {other: posts[OTHER_FORM]} if OTHER_FORM in posts else {}}


def _masked(posts: Dataset, token: str) -> Dataset:
    """Mask the label words; the pictures are left where they are."""
    pattern = label_word_pattern(EMOTIONS)
    texts: Iterable[str | None] = posts["text"]
    masked = [text and mask_label_words(text, pattern, token) for text in texts]
    return posts.remove_columns("text").add_column("text", masked, feature=Value("string"))
