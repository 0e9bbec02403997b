"""A user's own posts: CSV, JSON Lines, Parquet or ImageFolder, with or without splits of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from datasets_scripts.grouping import DEFAULT_SHARES, divide_grouped, parse_shares
from datasets_scripts.post import SPLITS, Division, Post, Reading
from datasets_scripts.post_rows import LABELS, PostReader, is_index, string_cell
from datasets_scripts.published.labels import SENTIMENTS
from datasets_scripts.rows import ENDINGS, Rows, read_rows, rename_columns
from datasets_scripts.table import UNIMODAL_LABELS
from hybridsent.support.errors import PostsError

ROLES = ("id", "text", "image", *LABELS)
IMAGE_FOLDER = "metadata"  # name of the file in which an ImageFolder describes its pictures
LAYOUT = (
    "The folder must hold train.csv and validation.csv, and may hold test.csv; or one file with all "
    "posts, which is then split. Instead of .csv: .jsonl or .parquet; an ImageFolder has a "
    "metadata.jsonl, or one in each of train/, validation/, test/. Columns: label, and text or image "
    "(path inside the folder) or both, and optionally id, text_label, image_label."
)


def read_posts(
    data_dir: str | Path,
    split: str | Sequence[float] | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | str | None = None,
    label_names: Sequence[str] | str | None = None,
) -> Reading:
    """Read one's own posts.

    Args:
        data_dir: Folder as `LAYOUT` says, or one file with all posts.
        split: Shares of train, validation and test where the posts have no splits of their own;
            default 0.8, 0.1, 0.1. Stratified, and posts that share a picture or text stay together.
        seed: Of that split.
        columns: What columns are called, by what they hold: {"text": "tweet", "image": "photo"}, or
            the string "text=tweet,image=photo".
        label_names: Names of the labels by index, as a list or a string with commas; needed only if
            labels are given as indices, or to fix an order.

    Returns:
        The posts. Without a column `id` a post is called SPLIT-ROW or FILE-ROW. `facts` names the
        `ignored_columns` by file.

    Raises:
        PostsError: A file or column is missing.
        ValueError: A bad value of an option.
    """
    given = Path(os.path.realpath(data_dir))
    files = _find_files(given)
    own_splits = None not in files
    if own_splits and split is not None:
        raise PostsError.about(
            given, "the posts have splits of their own", sorted(map(str, files)), "Leave out split."
        )
    shares = parse_shares(split or DEFAULT_SHARES)
    renamed = _renamed(columns)
    contents = {name: _read_file(file, renamed) for name, file in files.items()}
    first = contents["train" if own_splits else None]
    indexed = _given_names(label_names) or first.label_names
    names = indexed or _found_names(files, first)
    reader = PostReader(names, labels_may_be_indices=bool(indexed))
    splits = {
        name: reader.read(name or files[name].stem, files[name], rows)
        for name, rows in contents.items()
    }
    place = {post.id: name for name, posts in splits.items() for post in posts}
    return Reading(
        source=given,
        protocol="as given" if own_splits else f"split {','.join(map(str, shares))}, seed {seed}",
        label_names=names,
        unimodal=any(set(UNIMODAL_LABELS) & set(rows.columns) for rows in contents.values()),
        rows=sum(len(rows.cells) + len(rows.rejected) for rows in contents.values()),
        divide=partial(_divide_as_given, place=place)
        if own_splits
        else partial(divide_grouped, shares=shares, seed=seed),
        posts=[post for posts in splits.values() for post in posts],
        rejected=reader.rejected,
        facts={"ignored_columns": _ignored(files, contents)},
    )


def _divide_as_given(posts: list[Post], place: Mapping[str, str | None]) -> Division:
    names = [name for name in SPLITS if name in place.values()]
    splits = {name: [post for post in posts if place[post.id] == name] for name in names}
    return Division(splits, {}, [])


def _find_files(given: Path) -> dict[str | None, Path]:
    """Find the files of the splits, or the one file of all posts under the key None."""
    if given.is_file() and given.suffix in ENDINGS:
        return {None: given}
    found: dict[str | None, Path] = {}
    twice, absent = [], []
    for split in SPLITS:
        names = [split + ending for ending in ENDINGS]
        names += [f"{split}/{IMAGE_FOLDER}{ending}" for ending in ENDINGS]
        files = [name for name in names if (given / name).is_file()]
        if len(files) > 1:
            twice.append(f"both {files[0]} and {files[1]} are there: keep one")
        elif files:
            found[split] = given / files[0]
        elif split != "test":
            absent.append(f"neither {split}.csv nor {split}.jsonl nor {split}.parquet is there")
    if twice or (found and absent):
        raise PostsError.about(given, "not a folder of posts", twice + absent, LAYOUT)
    return found or {None: _only_file(given, absent)}


def _only_file(given: Path, absent: list[str]) -> Path:
    files = [file for file in sorted(given.glob("*")) if file.suffix in ENDINGS and file.is_file()]
    described = [file for file in files if file.stem == IMAGE_FOLDER]
    files = described or files
    if len(files) != 1:
        several = [f"{file.name} is one of several files: which one?" for file in files]
        raise PostsError.about(given, "not a folder of posts", several or absent, LAYOUT)
    return files[0]


def _renamed(columns: Mapping[str, str] | str | None) -> dict[str, str]:
    """Return what to call the columns by what they are called in the file."""
    if isinstance(columns, str):
        pairs = [part.partition("=")[::2] for part in columns.split(",")]
        columns = {role.strip(): name.strip() for role, name in pairs}
    columns = columns or {}
    if unknown := sorted(set(columns) - set(ROLES)):
        known = ", ".join(ROLES)
        raise ValueError(f"columns: {', '.join(unknown)} is none of {known}; use these names")
    return {name: role for role, name in columns.items()}


def _read_file(file: Path, renamed: Mapping[str, str]) -> Rows:
    rows = read_rows(file)
    found = set(rows.columns)
    if "image" not in {*found, *renamed.values()} and "file_name" in found:
        renamed = {**renamed, "file_name": "image"}  # as an ImageFolder calls it
    problems = [f"column {name!r}" for name in renamed if name not in found]
    rows = rename_columns(rows, renamed)
    problems += [] if "label" in rows.columns else ["column 'label'"]
    if not {"text", "image"} & set(rows.columns):
        problems.append("column 'text' or 'image'")
    if rows.cells and problems:
        remedy = f"Found {rows.columns} (CSV: separated by commas). Name others by columns=."
        raise PostsError.about(file, "columns are missing", problems, remedy)
    if not rows.cells and not rows.rejected:
        raise PostsError.about(file, "no posts in it", remedy="Add posts, or remove the file.")
    return rows


def _given_names(label_names: Sequence[str] | str | None) -> list[str] | None:
    if not label_names:
        return None
    names = label_names.split(",") if isinstance(label_names, str) else label_names
    names = [name.strip() for name in names]
    if len(set(names)) < max(2, len(names)) or "" in names:
        raise ValueError(f"label_names {names}: give two different names or more")
    return names


def _found_names(files: Mapping[str | None, Path], rows: Rows) -> list[str]:
    found = {string_cell(cells, "label") for _, cells in rows.cells} - {""}
    file = files.get("train") or files[None]
    if len(found) < 2 and not rows.rejected:
        problem = f"one label or none: {sorted(found)}"
        raise PostsError.about(file, problem, remedy="Training needs posts of two labels or more.")
    if found <= set(SENTIMENTS):
        return [name for name in SENTIMENTS if name in found]
    numbers = all(is_index(name) for name in found)
    return sorted(found, key=(lambda name: (int(name), name)) if numbers else None)


def _ignored(
    files: Mapping[str | None, Path], contents: Mapping[str | None, Rows]
) -> dict[str, list[str]]:
    return {
        name or files[name].stem: [column for column in rows.columns if column not in ROLES]
        for name, rows in contents.items()
    }
