"""A user's own posts: CSV, JSON Lines, Parquet or ImageFolder, with or without splits of their own."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from datasets_scripts.grouping import DEFAULT_SHARES, divide_grouped, parse_shares
from datasets_scripts.intake import (
    EMPTY,
    ENDINGS,
    FIELDS,
    LABELS,
    PROBLEM_TYPES,
    SCORE,
    SCORE_NAME,
    SEVERAL,
    SINGLE,
    Row,
    chosen,
    ending_of,
    find_image,
    labels_in,
    misread,
    misread_labels,
    names_in,
    read_rows,
    score_in,
    wanted_of,
    without_fraction,
)
from datasets_scripts.post import SENTIMENTS, SPLITS, Division, Label, Post, Reading, Rejected
from datasets_scripts.post_files import IMAGE_FOLDER, open_posts, tables_in
from datasets_scripts.table import UNIMODAL_LABELS
from hybridsent.support.errors import PostsError

ROLES = ("id", "text", "image", *LABELS)
BAD_ROW = "row is not well-formed"
LAYOUT = (
    "The folder must hold train.csv and validation.csv, and may hold test.csv; or one file with all "
    "posts, which is then split. Instead of .csv: .tsv, .jsonl or .parquet; an ImageFolder has a "
    "metadata.jsonl, or one in each of train/, validation/, test/. Columns: label, and text or image "
    "(path inside the folder) or both, and optionally id, text_label, image_label."
)


class Content(NamedTuple):
    """One file.

    Attributes:
        file: Its path.
        rows: All of its rows.
        columns: Names of its columns.
        used: Its columns by field.
        label_names: Names of the labels, if the file itself has them.
    """

    file: Path
    rows: list[Row]
    columns: Sequence[str]
    used: Mapping[str, str]
    label_names: list[str] | None


def read_posts(
    data_dir: str | Path,
    split: str | Sequence[float] | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | str | None = None,
    label_names: Sequence[str] | str | None = None,
    problem_type: str = SINGLE,
) -> Reading:
    """Read one's own posts.

    Args:
        data_dir: Folder as in `LAYOUT`, or one file with all posts.
        split: Shares of train, validation and test where the posts have no splits of their own;
            default 0.8, 0.1, 0.1. Stratified, and posts that share an image or text stay together.
        seed: Of that split.
        columns: What columns are called, by what they hold: {"text": "tweet", "image": "photo"}, or
            the string "text=tweet,image=photo".
        label_names: Names of the labels by index, as a list or a string with commas; needed only if
            labels are given as indices, or to fix an order.
        problem_type: "multi_label_classification": each label is a JSON list, or names with "|" between
            them. "regression": each label is a number.

    Returns:
        The posts. Without a column `id` a post is called SPLIT-ROW or FILE-ROW. `facts` names the
        `ignored_columns` by file.

    Raises:
        PostsError: A file or column is missing.
        ValueError: A bad value of an option.
    """
    if problem_type not in PROBLEM_TYPES:
        raise ValueError(f"problem_type {problem_type!r}: one of {', '.join(PROBLEM_TYPES)}")
    given = Path(os.path.abspath(data_dir))
    files = _find_files(given)
    own_splits = None not in files
    if own_splits and split is not None:
        raise PostsError.about(
            given, "the posts have splits of their own", sorted(map(str, files)), "Leave out split."
        )
    shares = parse_shares(split or DEFAULT_SHARES)
    named = _named_columns(columns)
    contents = {name: _read_file(file, named) for name, file in files.items()}
    first = contents["train" if own_splits else None]
    indexed = _given_names(label_names) or first.label_names
    names = indexed or _found_names(first, problem_type)
    reader = PostReader(names, bool(indexed), problem_type)
    splits = {
        name: reader.read(name or content.file.stem, content) for name, content in contents.items()
    }
    place = {post.id: name for name, posts in splits.items() for post in posts}
    reading = Reading(
        source=given,
        protocol="as given" if own_splits else f"split {','.join(map(str, shares))}, seed {seed}",
        label_names=names,
        unimodal=any(set(UNIMODAL_LABELS) & set(content.used) for content in contents.values()),
        rows=sum(len(content.rows) for content in contents.values()),
        divide=partial(_divide_as_given, place=place)
        if own_splits
        else partial(divide_grouped, shares=shares, seed=seed),
        posts=[post for posts in splits.values() for post in posts],
        rejected=reader.rejected,
        facts={"ignored_columns": _ignored(contents)},
        problem_type=problem_type,
    )
    _note_oddities(reading, contents)
    return reading


def _divide_as_given(posts: list[Post], place: Mapping[str, str | None]) -> Division:
    names = [name for name in SPLITS if name in place.values()]
    splits = {name: [post for post in posts if place[post.id] == name] for name in names}
    return Division(splits, {}, [])


def _find_files(given: Path) -> dict[str | None, Path]:
    """Find the files of the splits, or the one file of all posts under the key None."""
    if not given.exists():
        raise PostsError.about(given, "no such file or folder", remedy="Check the path.")
    if given.is_file() and ending_of(given) in ENDINGS:
        return {None: given}
    found: dict[str | None, Path] = {}
    twice, absent = [], []
    tables = tables_in(given)
    for split in SPLITS:
        files = [file for file in tables if file.stem == split]
        files += tables_in(given / split, f"{IMAGE_FOLDER}.*")
        if len(files) > 1:
            one, other = (file.relative_to(given) for file in files[:2])
            twice.append(f"both {one} and {other} are there: keep one")
        elif files:
            found[split] = files[0]
        elif split != "test":
            absent.append(f"neither {split}.csv nor {split}.jsonl nor {split}.parquet is there")
    if twice or (found and absent):
        raise PostsError.about(given, "not a folder of posts", twice + absent, LAYOUT)
    return found or {None: _only_file(given, tables, absent)}


def _only_file(given: Path, tables: list[Path], absent: list[str]) -> Path:
    files = [file for file in tables if file.stem == IMAGE_FOLDER] or tables
    if len(files) != 1:
        several = [f"{file.name} is one of several files: which one?" for file in files]
        raise PostsError.about(given, "not a folder of posts", several or absent, LAYOUT)
    return files[0]


def _named_columns(columns: Mapping[str, str] | str | None) -> dict[str, str]:
    """Return the names of columns that the user gave, by field."""
    if isinstance(columns, str):
        pairs = [part.partition("=")[::2] for part in columns.split(",")]
        roles = [role.strip() for role, _ in pairs]
        if twice := sorted({role for role in roles if roles.count(role) > 1}):
            raise ValueError(f"columns: {twice[0]}= is given twice; name one column for it")
        columns = dict(zip(roles, (name.strip() for _, name in pairs), strict=True))
    columns = dict(columns or {})
    if empty := [role for role, name in columns.items() if not name]:
        raise ValueError(f"columns: {empty[0]}= names no column; use {empty[0]}=NAME")
    if unknown := sorted(set(columns) - set(ROLES)):
        known = ", ".join(ROLES)
        raise ValueError(f"columns: unknown field {', '.join(unknown)}; use {known}")
    return columns


def _read_file(file: Path, named: Mapping[str, str]) -> Content:
    # A column that is named for one field is not used for another one that it is called like.
    taken = set(named.values())
    defaults = {**FIELDS, **{label: (label,) for label in LABELS}}
    fields = {
        field: (named[field],) if field in named else [name for name in names if name not in taken]
        for field, names in defaults.items()
    }
    table = open_posts(file, fields)
    rows = list(read_rows(table, fields))
    used = chosen(table.columns, fields)
    problems = [f"column {name!r}" for field, name in named.items() if field not in used]
    if "label" not in {*used, *named}:
        problems.append("column 'label'")
    if not {"text", "image"} & {*used, *named}:
        problems.append("column 'text' or 'image'")
    if problems and any(row.problem in (None, EMPTY) for row in rows):
        remedy = f"Found {list(table.columns)}. Name others by --columns text=NAME,label=NAME."
        raise PostsError.about(file, "columns are missing", problems, remedy)
    if not rows:
        raise PostsError.about(file, "no posts in it", remedy="Add posts, or remove the file.")
    names = table.class_names.get(used["label"]) if "label" in used else None
    return Content(file, rows, table.columns, used, names)


def _given_names(label_names: Sequence[str] | str | None) -> list[str] | None:
    if not label_names:
        return None
    names = label_names.split(",") if isinstance(label_names, str) else label_names
    names = [without_fraction(name.strip()) for name in names]
    if len(set(names)) < max(2, len(names)) or "" in names:
        raise ValueError(f"label_names {names}: give two different names or more")
    return names


def _found_names(first: Content, problem_type: str) -> list[str]:
    cells = {row.labels["label"] for row in first.rows if "label" in row.labels}
    if misread := misread_labels(cells, problem_type):
        raise PostsError.about(first.file, *misread)
    if problem_type == SCORE:
        found = {str(score) for cell in cells if (score := score_in(cell)) is not None}
    else:
        found = _names_in_cells(cells) if problem_type == SEVERAL else cells
    if len(found) < 2 and all(row.problem is None for row in first.rows):
        problem = f"one label or none: {sorted(found)}"
        remedy = "Training needs posts of two labels or more."
        raise PostsError.about(first.file, problem, remedy=remedy)
    if problem_type == SCORE:
        return [SCORE_NAME]
    if found <= set(SENTIMENTS):
        return [name for name in SENTIMENTS if name in found]
    numbers = all(_is_index(name) for name in found)
    return sorted(found, key=(lambda name: (int(name), name)) if numbers else None)


def _names_in_cells(cells: set[str]) -> set[str]:
    """Return the names in all cells; one that cannot be read becomes a problem of its row."""
    found: set[str] = set()
    for cell in cells:
        with contextlib.suppress(ValueError, RecursionError):
            found.update(names_in(cell))
    return found


def _ignored(contents: Mapping[str | None, Content]) -> dict[str, list[str]]:
    return {
        name or content.file.stem: [c for c in content.columns if c not in content.used.values()]
        for name, content in contents.items()
    }


def _note_oddities(reading: Reading, contents: Mapping[str | None, Content]) -> None:
    """Note what loses no post but is seldom meant."""
    alike = defaultdict(list)
    for name in reading.label_names:
        alike[name.casefold()].append(name)
    for names in alike.values():
        if len(names) > 1:
            reading.notes["labels that differ in letter case only"].append(" and ".join(names))
    for content in contents.values():
        fields = {field: (column,) for field, column in content.used.items()}
        for name, field in misread(content.columns, fields).items():
            kind = "columns that are not read, and may be meant: name them by --columns"
            reading.notes[kind].append(f"{content.file.name}: {field}={name}")
    if None in contents and contents[None].file.stem == IMAGE_FOLDER:
        images = [row.image for row in contents[None].rows if isinstance(row.image, str)]
        tops = {image.split("/")[0] for image in images} & set(SPLITS)
        if len(tops) > 1:
            kind = f"{contents[None].file.name} mixes the images of folders into a new split"
            reading.notes[kind] += [f"{name}/" for name in SPLITS if name in tops]


def _is_index(label: str) -> bool:
    """Check whether a label can be an index; Python reads no number of 5,000 digits."""
    return label.isdecimal() and len(label) < 10


class PostReader:
    """Turn rows into posts, over all files of a set.

    Args:
        names: Names of the labels.
        labels_may_be_indices: Whether the order of the names is known to be that of the indices.
        problem_type: One of `PROBLEM_TYPES`.
    """

    def __init__(
        self, names: Sequence[str], labels_may_be_indices: bool, problem_type: str = SINGLE
    ) -> None:
        self.names, self.problem_type = names, problem_type
        self.labels_may_be_indices = labels_may_be_indices
        self.seen: dict[str, str] = {}
        self.rejected: list[Rejected] = []

    def read(self, prefix: str, content: Content) -> list[Post]:
        """Return the posts of one file; rows that cannot be used join `rejected`."""
        posts = []
        for row in content.rows:
            where = f"{content.file.name} row {row.number}"
            post_id = row.id if "id" in content.used else f"{prefix}-{row.number}"
            image, problems = self._check(post_id, row, content)
            if problems:
                detail = "; ".join(detail for _, detail in problems)
                self.rejected.append(Rejected(post_id, where, problems[0][0], detail))
            else:
                assert post_id is not None
                label, of_text, of_image = (self._label(row.labels.get(x)) for x in LABELS)
                posts.append(Post(post_id, where, row.text, image, label, of_text, of_image))
            if post_id:
                self.seen.setdefault(post_id, where)
        return posts

    def _check(
        self, post_id: str | None, row: Row, content: Content
    ) -> tuple[str | bytes | None, list[tuple[str, str]]]:
        """Return the image of a row, and what is wrong with it: kinds, and what it is here."""
        if row.problem and row.problem != EMPTY:
            return None, [(BAD_ROW, row.problem)]
        problems: list[tuple[str, str]] = []
        if not post_id:
            problems.append(("id is empty",) * 2)
        elif post_id in self.seen:
            detail = f"id {post_id!r} stands in {self.seen[post_id]} already"
            problems.append(("id stands in the set twice", detail))
        for field, cell in row.labels.items():
            if self._label(cell) is None:
                wanted = wanted_of(cell, self.problem_type, self.names)
                problems.append((f"{field} is unknown", f"{field} {cell!r} is not {wanted}"))
        if "label" not in row.labels:
            problems.append(("label is empty",) * 2)
        if row.problem:
            problems.append((EMPTY, EMPTY))
        image = row.image
        if isinstance(image, str):
            try:
                image = find_image(image, content.file.parent, follow_links=True)
            except ValueError as error:
                problems.append(("image cannot be found", str(error)))
        return image, problems

    def _label(self, cell: str | None) -> Label:
        """Return what a cell says, with names in the place of indices; None if it is no label."""
        found = None if cell is None else labels_in(cell, self.problem_type, self._index)
        if found is None or isinstance(found, float):
            return found
        named = tuple(self.names[i] for i in (found if isinstance(found, list) else [found]))
        return named if self.problem_type == SEVERAL else named[0]

    def _index(self, name: str) -> int | None:
        """Return the index of a label given by name or index, None if it is neither."""
        if name in self.names:
            return self.names.index(name)
        is_index = self.labels_may_be_indices and _is_index(name) and int(name) < len(self.names)
        return int(name) if is_index else None
