"""TumEmo (Yang et al., IEEE TMM 2021, doi 10.1109/TMM.2020.3035277) read from its published files."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import partial
from pathlib import Path

from datasets_scripts.post import SPLITS, Division, Post, Reading
from datasets_scripts.published.label_file import (
    check_published_counts,
    read_id_files,
    read_label_file,
)
from datasets_scripts.published.label_words import (
    MASK,
    label_word_pattern,
    mask_label_words,
    masked_protocol,
)
from datasets_scripts.published.labels import EMOTIONS

HEADER = "id\tlabel"
LABELS = "({})".format("|".join(EMOTIONS))
LAYOUT = (
    f"The folder must hold all_data_id_and_label.txt (header {HEADER!r}, rows '0\\tAngry') and "
    "all_data/ with ID.txt and ID.jpg. TumEmo is not redistributed here: ask the authors of "
    "doi 10.1109/TMM.2020.3035277."
)
PUBLISHED = {
    "Happy": 50_267, "Love": 34_511, "Bored": 32_283, "Sad": 25_277, "Fear": 20_264,
    "Calm": 18_109, "Angry": 14_554,
}  # fmt: skip


def split_of(post_id: str) -> str:
    """Return the split of an id: its SHA-256 as a number modulo 10 is 8 for validation, 9 for test.

    Anyone can recompute it, no list is needed, and a copy with fewer posts has the same splits:
    `int(hashlib.sha256(b"0").hexdigest(), 16) % 10`.
    """
    tenth = int(hashlib.sha256(post_id.encode()).hexdigest(), 16) % 10
    return SPLITS[max(0, tenth - 7)]


def read_tumemo(
    data_dir: str | Path,
    protocol: str = "hash",
    text_encoding: str = "utf-8",
    mask_label_words: bool = False,
    mask_token: str = MASK,
) -> Reading:
    """Read TumEmo.

    Its labels are weak: posts were collected by emotion tag, and the tag often still stands in the
    text. With `mask_label_words` a model cannot read it off; report both figures.

    Args:
        data_dir: Folder with `all_data_id_and_label.txt` and `all_data/`.
        protocol: Only "hash": the split of `split_of`, 8:1:1. No official list of ids is public.
        text_encoding: Of the texts.
        mask_label_words: Put a mask in the place of the seven words, their inflections and hashtags.
        mask_token: The mask; take the tokenizer's own, such as "<mask>" for RoBERTa.

    Returns:
        The posts; with masking, `facts` counts the `masked_posts` and `masked_words`.

    Raises:
        PostsError: Files are missing.
        ValueError: Unknown protocol or encoding.
    """
    if protocol != "hash":
        raise ValueError(f"unknown protocol {protocol!r} of tumemo: only 'hash'")
    file = Path(data_dir).resolve() / "all_data_id_and_label.txt"
    labels = read_label_file(file, HEADER, LABELS, "id<TAB>label", LAYOUT)
    names = {row.id: row.labels[0] for row in labels.rows}
    check_published_counts(labels, dict(Counter(names.values())), PUBLISHED, file)
    found = read_id_files(file.parent / "all_data", labels.rows, text_encoding, LAYOUT)
    for post in found.posts.values():
        post.label = names[post.id]
    posts = list(found.posts.values())
    return Reading(
        source=file.parent,
        protocol=masked_protocol(protocol, mask_token) if mask_label_words else protocol,
        label_names=EMOTIONS,
        unimodal=False,
        rows=labels.count,
        divide=partial(_divide, wanted=Counter(split_of(post_id) for post_id in names)),
        posts=posts,
        rejected=labels.rejected + found.rejected,
        notes=found.notes,
        facts=_mask(posts, mask_token) if mask_label_words else {},
    )


def _mask(posts: list[Post], token: str) -> dict[str, int]:
    """Mask the label words of all texts, and count the posts and words that it touched."""
    pattern = label_word_pattern(EMOTIONS)
    hits = [len(pattern.findall(post.text)) if post.text else 0 for post in posts]
    for post, words in zip(posts, hits, strict=True):
        if words:
            post.text = mask_label_words(post.text or "", pattern, token)
    return {"masked_posts": sum(map(bool, hits)), "masked_words": sum(hits)}


def _divide(posts: list[Post], wanted: Counter[str]) -> Division:
    splits: dict[str, list[Post]] = {split: [] for split in SPLITS}
    for post in posts:
        splits[split_of(post.id)].append(post)
    return Division(splits, {split: wanted[split] for split in SPLITS}, [])
