"""The layout that MVSA and TumEmo share: a file with a row of labels a post, and ID.txt and ID.jpg."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datasets_scripts.post import Post, Rejected
from datasets_scripts.texts import check_encoding, decode_text, text_or_none
from hybridsent.support.errors import PostsError

LEADING_ID = re.compile(r"\s*([0-9]+)\s")


class LabelRow(NamedTuple):
    """A row that fits.

    Attributes:
        id: Of the post.
        where: File and line.
        labels: What follows the id.
    """

    id: str
    where: str
    labels: tuple[str, ...]


class LabelFile(NamedTuple):
    """Content of a label file; len(rows) + len(rejected) = count.

    Attributes:
        rows: In the order of the file, no id twice.
        rejected: The lines that do not fit.
        count: How many lines there are after the header.
    """

    rows: list[LabelRow]
    rejected: list[Rejected]
    count: int  # type: ignore[assignment] # of a tuple no one asks how often it holds a value


def read_label_file(file: Path, header: str, labels: str, form: str, layout: str) -> LabelFile:
    """Read a label file, with either line ending and with or without a byte order mark.

    Args:
        file: The file.
        header: What its first line must be.
        labels: Pattern of all that follows "ID<TAB>", with one group a label.
        form: How a row looks, for messages.
        layout: What the folder must hold, for messages.

    Returns:
        The rows. Blank lines count as rows that do not fit, but for those at the end of the file.

    Raises:
        PostsError: The file is missing or has another header.
    """
    if not file.is_file():
        raise PostsError.about(file, "no such file", remedy=layout)
    # Stray bytes become marks that no pattern takes, so they are reported with their line.
    lines = file.read_text(encoding="utf-8-sig", errors="replace").rstrip().split("\n")
    if lines[0].rstrip() != header:
        raise PostsError.about(file, "unexpected header", [repr(lines[0])], layout)
    row_pattern = re.compile(rf"([0-9]+)\t{labels}")
    rows: dict[str, LabelRow] = {}
    rejected = []
    for number, line in enumerate(lines[1:], start=2):
        where, row = f"{file.name} line {number}", row_pattern.fullmatch(line.rstrip())
        if row is None:
            found = LEADING_ID.match(line)
            problem = f"{line.rstrip()!r} is not {form}" if line.strip() else "the line is blank"
            rejected.append(Rejected(found and found[1], where, f"row is not {form}", problem))
        elif row[1] in rows:
            problem = f"id {row[1]} stands in the file already, at {rows[row[1]].where}"
            rejected.append(Rejected(row[1], where, "id stands in the file twice", problem))
        else:
            rows[row[1]] = LabelRow(row[1], where, row.groups()[1:])
    return LabelFile(list(rows.values()), rejected, len(lines) - 1)


class FilesFound(NamedTuple):
    """What the files of the posts gave.

    Attributes:
        posts: Those that have a text or an image; no labels yet.
        rejected: Those that have neither, or a text that cannot be read.
        notes: Missing files and empty texts, by kind.
    """

    posts: dict[str, Post]
    rejected: list[Rejected]
    notes: defaultdict[str, list[str]]


def read_id_files(folder: Path, rows: Iterable[LabelRow], encoding: str, layout: str) -> FilesFound:
    """Read the texts of labelled posts and find their images; one file alone is enough.

    Args:
        folder: Folder with ID.txt and ID.jpg.
        rows: The labelled posts.
        encoding: Of the texts, as in `decode_text`.
        layout: What the set's folder must hold, for messages.

    Returns:
        The posts by id.

    Raises:
        PostsError: The folder is missing or holds none of the posts.
        ValueError: Unknown encoding.
    """
    check_encoding(encoding)
    names = set(os.listdir(folder)) if folder.is_dir() else set()
    found = FilesFound({}, [], defaultdict(list))
    for row in rows:
        post = _read_post(folder, row, names, encoding, found.notes)
        if isinstance(post, Rejected):
            found.rejected.append(post)
        else:
            found.posts[row.id] = post
    if not found.posts and not any(problem.bad for problem in found.rejected):
        raise PostsError.about(folder, "none of the labelled posts is here", remedy=layout)
    return found


def _read_post(
    folder: Path, row: LabelRow, names: set[str], encoding: str, notes: dict[str, list[str]]
) -> Post | Rejected:
    text_name, image_name = f"{row.id}.txt", f"{row.id}.jpg"
    if text_name not in names and image_name not in names:
        return Rejected(row.id, row.where, "neither text nor image is on disk", bad=False)
    text = None
    if text_name in names:
        try:
            text = text_or_none(decode_text((folder / text_name).read_bytes(), encoding))
        except (UnicodeError, OSError) as error:
            return Rejected(row.id, row.where, *_text_problem(text_name, encoding, error))
    if text is None:
        kind = "text is empty" if text_name in names else "text file is missing"
        notes[kind].append(f"{row.where}: {text_name}")
    if image_name not in names:
        notes["image file is missing"].append(f"{row.where}: {image_name}")
        if text is None:
            return Rejected(row.id, row.where, "text is empty and no image on disk", bad=False)
    image = os.path.join(folder, image_name) if image_name in names else None
    return Post(row.id, row.where, text, image)


def _text_problem(name: str, encoding: str, error: Exception) -> tuple[str, str]:
    """Return kind and detail of why a text was not read."""
    if isinstance(error, UnicodeError):
        why = f"text is not {encoding}"
        if isinstance(error, UnicodeDecodeError):
            return why, f"{name}: {why}: {error.reason} at byte {error.start}"
        return why, f"{name}: {why}: {error}"
    return "text cannot be read", f"{name}: text cannot be read: {error}"


def check_published_counts(
    labels: LabelFile, found: dict[str, int], published: dict[str, int], file: Path
) -> None:
    """Hold a complete copy to the published counts of its classes.

    Args:
        labels: The rows; a copy with fewer, more or bad ones is not complete and not judged.
        found: Posts by class.
        published: The same of the complete set, all rows in one class each.
        file: The label file.

    Raises:
        PostsError: As many posts as published, but of other classes.
    """
    if labels.rejected or labels.count != sum(published.values()) or found == published:
        return
    raise PostsError.about(
        file,
        "the labels differ from the published ones",
        [f"{name}: {found.get(name, 0)}, published {count}" for name, count in published.items()],
        "Restore the label file; if its publisher changed it, results before and after differ.",
    )
