"""MVSA-Single (Niu et al., MMM 2016, doi 10.1007/978-3-319-27674-8_2) as one table of posts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets_scripts.errors import PostsError
from datasets_scripts.table import (
    SENTIMENTS,
    Post,
    Table,
    build_table,
    features,
    read_split_ids,
    text_or_none,
)

HEADER = "ID\ttext,image"
ROW = re.compile(r"([0-9]+)\t({0}),({0})".format("|".join(SENTIMENTS)))
LAYOUT = (
    f"The folder must hold labelResultAll.txt (header {HEADER!r}, rows '1\\tneutral,positive') "
    "and data/ with ID.txt and ID.jpg. MVSA is not redistributed here: ask its publisher, "
    "MCRLab of the University of Ottawa, for MVSA-Single."
)

LabelPair = tuple[str, str]


def joint_label(text_label: str, image_label: str) -> str | None:
    """Join the labels of a text and its picture by the rule all published MVSA results use.

    Args:
        text_label: Label of the text alone.
        image_label: Label of the picture alone.

    Returns:
        The label if both are equal, the other one if one is neutral, and None where positive
        stands against negative.
    """
    if text_label == image_label or image_label == "neutral":
        return text_label
    return image_label if text_label == "neutral" else None


def load_mvsa_single(
    data_dir: str | Path, protocol: str = "clmlf", text_encoding: str = "gb18030"
) -> Table:
    """Load MVSA-Single from its published files.

    Args:
        data_dir: Folder with `labelResultAll.txt` and `data/`.
        protocol: Name of the split; results under different splits are not comparable.
        text_encoding: Encoding of the texts. The published bytes are GB18030, not UTF-8.

    Returns:
        The splits "train", "validation", "test" and "contradictory" (positive against negative:
        no joint label, both unimodal labels). A validation or test split none of whose ids stand
        in the label file is empty and named in `counts["withheld"]`. `counts` also has `rows` and
        `contradictory` of the label file, `absent` (neither text nor picture on disk) and
        `outside_split` (labelled posts in no split).

    Raises:
        PostsError: If files are missing or cannot be read, or the split does not fit the labels.
        ValueError: If the protocol is unknown.
    """
    ids = read_split_ids("mvsa_single", protocol)
    label_file = Path(data_dir).resolve() / "labelResultAll.txt"
    pairs = read_label_pairs(label_file)
    withheld = _withheld_splits(ids, pairs, label_file)
    posts = _read_posts(label_file.parent / "data", pairs, text_encoding)
    ids["contradictory"] = [
        post_id for post_id, pair in pairs.items() if joint_label(*pair) is None
    ]
    splits = {name: [posts[i] for i in members if i in posts] for name, members in ids.items()}
    return build_table(
        splits,
        features(SENTIMENTS, unimodal=True),
        wanted={name: len(members) for name, members in ids.items()},
        rows=len(pairs),
        absent=len(pairs) - len(posts),
        contradictory=len(ids["contradictory"]),
        outside_split=len(posts.keys() - {i for members in ids.values() for i in members}),
        withheld=withheld,
    )


def read_label_pairs(label_file: Path) -> dict[str, LabelPair]:
    """Read `labelResultAll.txt`, with either line ending and with or without a byte order mark.

    Args:
        label_file: The file.

    Returns:
        Text label and image label by post id, in the order of the file.

    Raises:
        PostsError: If the file is missing, or has another header, unreadable rows or an id twice.
    """
    if not label_file.is_file():
        raise PostsError.about(label_file, "there is no such file", remedy=LAYOUT)
    # Stray bytes become marks that no row pattern takes, so they are reported with their line.
    lines = label_file.read_text(encoding="utf-8-sig", errors="replace").rstrip().split("\n")
    if lines[0].rstrip() != HEADER:
        raise PostsError.about(label_file, "unexpected header", [repr(lines[0])], LAYOUT)
    pairs: dict[str, LabelPair] = {}
    bad = []
    for number, line in enumerate(lines[1:], start=2):
        row = ROW.fullmatch(line.rstrip())
        if row is None:
            bad.append(f"line {number}: {line!r} is not ID<TAB>text,image")
        elif row[1] in pairs:
            bad.append(f"line {number}: id {row[1]} stands in the file already")
        else:
            pairs[row[1]] = (row[2], row[3])
    if bad:
        remedy = f"Labels are {', '.join(SENTIMENTS)}; each id has one row. Restore the file."
        raise PostsError.about(label_file, "rows that cannot be used", bad, remedy)
    return pairs


def _withheld_splits(
    ids: Mapping[str, Sequence[str]], pairs: Mapping[str, LabelPair], label_file: Path
) -> list[str]:
    """Name the splits left out of the label file on purpose, and refuse any other gap.

    A copy may hold validation or test back as a whole; a split that is there in part is damage,
    and a result on it would pass for one on the whole split.

    Args:
        ids: Post ids by split.
        pairs: Unimodal labels by post id.
        label_file: Where the labels come from.

    Returns:
        Names of the splits without a single labelled id.

    Raises:
        PostsError: If other ids of the split have no row, or have no joint label.
    """
    withheld = [name for name in ids if name != "train" and pairs.keys().isdisjoint(ids[name])]
    bad = []
    for name, members in ids.items():
        for post_id in () if name in withheld else members:
            if post_id not in pairs:
                bad.append(f"id {post_id} of {name} has no row")
            elif joint_label(*pairs[post_id]) is None:
                bad.append(f"id {post_id} of {name} is positive against negative")
    if bad:
        raise PostsError.about(label_file, "does not fit the ids of the split", bad, LAYOUT)
    return withheld


def _read_posts(
    folder: Path, pairs: Mapping[str, LabelPair], text_encoding: str
) -> dict[str, Post]:
    """Read what is on disk of the labelled posts; a post with one file alone keeps that one.

    Args:
        folder: Folder with `ID.txt` and `ID.jpg`.
        pairs: Unimodal labels by post id.
        text_encoding: Encoding of the texts.

    Returns:
        Posts by id, without those that have neither text nor picture.

    Raises:
        PostsError: If the folder is missing or holds none of the posts, or texts do not decode.
    """
    names = set(os.listdir(folder)) if folder.is_dir() else set()
    posts, undecodable = {}, []
    for post_id, pair in pairs.items():
        text_name, image_name = f"{post_id}.txt", f"{post_id}.jpg"
        try:
            content = (folder / text_name).read_bytes() if text_name in names else b""
            text = text_or_none(content.decode(text_encoding).strip())
        except UnicodeDecodeError as error:
            undecodable.append(f"{text_name}: {error.reason} at byte {error.start}")
            continue
        image = str(folder / image_name) if image_name in names else None
        if text or image:
            posts[post_id] = {
                "id": post_id,
                "text": text,
                "image": image,
                "label": joint_label(*pair),
                "text_label": pair[0],
                "image_label": pair[1],
            }
    if undecodable:
        remedy = "Give the encoding of this copy as text_encoding, or restore the files."
        raise PostsError.about(folder, f"texts that are not {text_encoding}", undecodable, remedy)
    if not posts:
        raise PostsError.about(folder, "none of the labelled posts is here", remedy=LAYOUT)
    return posts
