"""MVSA-Multiple, three annotators a post (source as of MVSA-Single), read from its published files."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from datasets_scripts.grouping import divide_grouped
from datasets_scripts.post import SENTIMENTS, Post, Reading, Rejected
from datasets_scripts.published.label_file import LabelRow, read_id_files, read_label_file
from datasets_scripts.published.labels import joint_label, majority_label

ANNOTATORS = 3
HEADER = "ID" + "\ttext,image" * ANNOTATORS
LABELS = r"\t".join(["({0}),({0})".format("|".join(SENTIMENTS))] * ANNOTATORS)
LAYOUT = (
    "The folder must hold labelResultAll.txt (header ID and three times text,image) and data/ with "
    "ID.txt and ID.jpg. MVSA is not redistributed here: ask its publisher, MCRLab of the University "
    "of Ottawa, for MVSA-Multiple."
)
CORRUPT_IDS = frozenset({"3151", "3910", "5995"})  # their images are said not to decode
NO_MAJORITY = "no majority"
ROWS = 19_600
COMMON_LIST = {"positive": 11_318, "neutral": 4_408, "negative": 1_298}


def read_mvsa_multiple(
    data_dir: str | Path, protocol: str = "grouped", seed: int = 0, text_encoding: str = "gb18030"
) -> Reading:
    """Read MVSA-Multiple: per modality the majority of three annotators, then the rule of MVSA-Single.

    Args:
        data_dir: Folder with `labelResultAll.txt` and `data/`.
        protocol: Only "grouped": no list of ids is in common use.
        seed: Of the division.
        text_encoding: As for MVSA-Single.

    Returns:
        The posts; a modality without a majority rejects the row, for no rule gives it a label.

    Raises:
        PostsError: Files are missing.
        ValueError: Unknown protocol or encoding.
    """
    if protocol != "grouped":
        raise ValueError(f"unknown protocol {protocol!r} of mvsa_multiple: only 'grouped'")
    file = Path(data_dir).resolve() / "labelResultAll.txt"
    form = "ID and three times <TAB>text,image"
    labels = read_label_file(file, HEADER, LABELS, form, LAYOUT)
    decided, undecided = {}, []
    for row in labels.rows:
        text, image = majority_label(row.labels[0::2]), majority_label(row.labels[1::2])
        if text is None or image is None:
            undecided.append(_undecided(row, (text, image)))
        else:
            decided[row.id] = text, image
    rows = [row for row in labels.rows if row.id in decided]
    found = read_id_files(file.parent / "data", rows, text_encoding, LAYOUT)
    if differences := _differences(decided, labels.count):
        found.notes["classes differ from the list in common use"] += differences
    for post in found.posts.values():
        _label(post, decided[post.id])
    return Reading(
        source=file.parent,
        protocol=f"{protocol}, seed {seed}",
        label_names=SENTIMENTS,
        unimodal=True,
        rows=labels.count,
        divide=partial(divide_grouped, seed=seed),
        posts=list(found.posts.values()),
        rejected=labels.rejected + undecided + found.rejected,
        notes=found.notes,
        corrupt_ids=CORRUPT_IDS,
    )


def _undecided(row: LabelRow, pair: tuple[str | None, str | None]) -> Rejected:
    which = " and ".join(
        name for name, label in zip(("text", "image"), pair, strict=True) if not label
    )
    why = f"{NO_MAJORITY} among the three annotators"
    return Rejected(row.id, row.where, why, f"{why} for the {which}", bad=False)


def _label(post: Post, pair: tuple[str, str]) -> None:
    post.text_label, post.image_label = pair
    post.label = joint_label(*pair)


def _differences(decided: dict[str, tuple[str, str]], rows: int) -> list[str]:
    """Return where the classes of a copy with all rows differ from those of the list in common use.

    A note and not an error: how that list came about was never published.
    """
    if rows != ROWS:
        return []
    found = Counter(joint_label(*pair) for pair in decided.values())
    return [
        f"{label}: {found[label]}, in the list {number}"
        for label, number in COMMON_LIST.items()
        if found[label] != number
    ]
