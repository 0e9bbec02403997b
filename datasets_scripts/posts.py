"""A user's own posts: a folder of CSV or JSON Lines files and pictures, as one table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets_scripts.errors import PostsError
from datasets_scripts.rows import Rows, read_rows
from datasets_scripts.table import (
    SENTIMENTS,
    SPLITS,
    UNIMODAL_LABELS,
    Post,
    Table,
    build_table,
    features,
    text_or_none,
)

REQUIRED = ("text", "image", "label")
LABELS = ("label", *UNIMODAL_LABELS)
LAYOUT = (
    "The folder must hold train.csv and validation.csv, and may hold test.csv (or .jsonl), with "
    "the columns text, image (path inside the folder, or empty), label, and optionally id, "
    "text_label, image_label."
)


def load_posts(data_dir: str | Path) -> Table:
    """Load a folder of one's own posts.

    Args:
        data_dir: Folder with `train`, `validation` and optionally `test`, each `.csv` or `.jsonl`.

    Returns:
        The splits there are. Without a column `id` a post is called SPLIT-ROW. `counts` also has
        `rows` and `ignored_columns` (by split).

    Raises:
        PostsError: If a file or column is missing, or posts cannot be used.
    """
    folder = Path(os.path.realpath(data_dir))
    files = _find_files(folder)
    contents = {split: read_rows(file, REQUIRED) for split, file in files.items()}
    names = _label_names(files["train"], contents["train"])
    seen: dict[str, str] = {}
    splits = {
        split: _read_posts(split, files[split], rows, names, seen)
        for split, rows in contents.items()
    }
    known = {"id", *REQUIRED, *UNIMODAL_LABELS}
    unimodal = any(set(UNIMODAL_LABELS) & set(rows.columns) for rows in contents.values())
    return build_table(
        splits,
        features(names, unimodal),
        rows=sum(len(rows.cells) for rows in contents.values()),
        ignored_columns={
            split: [column for column in rows.columns if column not in known]
            for split, rows in contents.items()
        },
    )


def picture_problem(image: str, folder: Path) -> str | None:
    """Say why a picture may not or cannot be read from a folder.

    A row is data from anywhere: it may neither have a URL fetched nor reach a file elsewhere on
    this machine, be it by "..", an absolute path or a link.

    Args:
        image: Path relative to the folder.
        folder: The folder, with links resolved.

    Returns:
        What is wrong, or None.
    """
    if "://" in image:
        return f"image is a URL, and pictures are read from the folder only: {image!r}"
    outside = os.path.isabs(image) or "\0" in image
    if outside or not Path(os.path.realpath(folder / image)).is_relative_to(folder):
        return f"image leaves the folder: {image!r}"
    return None if os.path.isfile(folder / image) else f"image does not exist: {image!r}"


def _find_files(folder: Path) -> dict[str, Path]:
    found, bad = {}, []
    for split in SPLITS:
        files = [
            file for ending in (".csv", ".jsonl") if (file := folder / (split + ending)).is_file()
        ]
        if len(files) > 1:
            bad.append(f"both {split}.csv and {split}.jsonl are there: keep one")
        elif files:
            found[split] = files[0]
        elif split != "test":
            bad.append(f"neither {split}.csv nor {split}.jsonl is there")
    if bad:
        raise PostsError.about(folder, "not a folder of posts", bad, LAYOUT)
    return found


def _label_names(file: Path, rows: Rows) -> list[str]:
    found = {cells["label"].strip() for _, cells in rows.cells} - {""}
    if len(found) < 2:
        problem = f"one label or none: {sorted(found)}"
        raise PostsError.about(file, problem, remedy="Training needs posts of two labels or more.")
    if found <= set(SENTIMENTS):
        return [name for name in SENTIMENTS if name in found]
    return sorted(found)


def _read_posts(
    split: str, file: Path, rows: Rows, names: Sequence[str], seen: dict[str, str]
) -> list[Post]:
    """Turn rows into posts, and refuse all that cannot be used in one message.

    Args:
        split: Name of the split.
        file: Where the rows come from.
        rows: The rows.
        names: Label names.
        seen: Where each id stands, over all splits; grows by the ids of this one.

    Returns:
        The posts.

    Raises:
        PostsError: If there are none, or some cannot be used.
    """
    posts, bad = [], []
    for number, cells in rows.cells:
        post_id = cells.get("id", f"{split}-{number}")
        problems = _problems(cells, names, file.parent)
        if not post_id.strip():
            problems.append("id is empty")
        elif post_id in seen:
            problems.append(f"id {post_id!r} stands in {seen[post_id]} already")
        seen.setdefault(post_id, f"{file.name} row {number}")
        bad += [f"row {number}: {problem}" for problem in problems]
        posts.append(_post(post_id, cells, file.parent))
    if bad:
        remedy = "Mend or remove these rows."
        raise PostsError.about(file, "posts that cannot be used", bad, remedy)
    if not posts:
        raise PostsError.about(file, "no posts in it", remedy="Add posts, or remove the file.")
    return posts


def _problems(cells: Mapping[str, str], names: Sequence[str], folder: Path) -> list[str]:
    problems = []
    for column in LABELS:
        label = cells.get(column, "").strip()
        if label and label not in names:
            problems.append(f"{column} {label!r} is not a label of train: {', '.join(names)}")
    if not cells["label"].strip():
        problems.append("label is empty")
    if not cells["text"].strip() and not cells["image"].strip():
        problems.append("neither text nor image")
    if cells["image"].strip() and (problem := picture_problem(cells["image"], folder)):
        problems.append(problem)
    return problems


def _post(post_id: str, cells: Mapping[str, str], folder: Path) -> Post:
    image = cells["image"]
    return {
        "id": post_id,
        "text": text_or_none(cells["text"]),
        "image": str(folder / image) if image.strip() else None,
        **{column: cells.get(column, "").strip() or None for column in LABELS},
    }
