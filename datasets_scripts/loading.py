"""Load a set by its name: read, look at the images, refuse or reject bad rows, divide, count."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from datasets import DatasetDict

from datasets_scripts.pictures import inspect_pictures
from datasets_scripts.post import Reading
from datasets_scripts.post_files import is_prepared
from datasets_scripts.summary import count
from datasets_scripts.table import Table, build_split, features
from hybridsent.support.errors import PostsError
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS


class _Readers(Mapping[str, Callable[..., Reading]]):
    """The readers of all sets by name; each is imported when it is needed."""

    _homes = MappingProxyType(
        {
            "mvsa_single": "published.mvsa_single",
            "mvsa_multiple": "published.mvsa_multiple",
            "tumemo": "published.tumemo",
            "posts": "own_posts",
        }
    )

    def __getitem__(self, name: str) -> Callable[..., Reading]:
        reader = import_module(f"datasets_scripts.{self._homes[name]}")
        return getattr(reader, f"read_{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


READERS = _Readers()
"""Name of a set -> the function that reads it."""
ON_BAD_ROWS = ("stop", "drop")


def load_table(
    name: str,
    data_dir: str | Path,
    on_bad_rows: str = "stop",
    max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
    **options: Any,
) -> Table:
    """Load a set from its raw files, or from a folder that was prepared from them.

    Args:
        name: "mvsa_single", "mvsa_multiple", "tumemo" or "posts".
        data_dir: Folder with the files of the set.
        on_bad_rows: "stop": one error that lists the first ten bad rows. "drop": go on without them.
        max_image_pixels: An image with more pixels makes its row a bad one.
        options: What the reader of that set takes besides; not for a prepared folder, which has its
            choices behind it, except that `protocol` must be that of the folder.

    Returns:
        The table; posts + rejected = rows read, always.

    Raises:
        PostsError: The data is bad.
        ValueError: Unknown name, option or value of an option.
    """
    if name not in READERS:
        raise ValueError(f"unknown set {name!r}: one of {sorted(READERS)}")
    if on_bad_rows not in ON_BAD_ROWS:
        raise ValueError(f"on_bad_rows {on_bad_rows!r}: one of {', '.join(ON_BAD_ROWS)}")
    known = list(inspect.signature(READERS[name]).parameters)[1:]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{name} does not know {', '.join(unknown)}; it takes {', '.join(known)}")
    if is_prepared(data_dir):
        from datasets_scripts.prepared import load_prepared

        return load_prepared(data_dir, name, **options)
    reading = READERS[name](data_dir, **options)
    inspect_pictures(reading, max_image_pixels)
    if on_bad_rows == "stop":
        _refuse_bad_rows(reading)
    return build_table(reading)


def _refuse_bad_rows(reading: Reading) -> None:
    bad = [str(row) for row in reading.rejected if row.bad]
    if bad:
        remedy = "Fix or remove these rows, or skip them with --on_bad_rows drop."
        raise PostsError.about(reading.source, "rows cannot be used", bad, remedy)


def build_table(reading: Reading) -> Table:
    """Divide what was read, and count it.

    Args:
        reading: With inspected images.

    Returns:
        The table.

    Raises:
        PostsError: No post is left to train on.
    """
    division = reading.divide(reading.posts)
    rejected = reading.rejected + division.left_out
    if not division.splits.get("train"):
        reasons = [str(row) for row in rejected]
        remedy = "Add posts, or fix these rows."
        raise PostsError.about(reading.source, "no posts left to train on", reasons, remedy)
    columns = features(reading.label_names, reading.unimodal, reading.problem_type)
    built = {name: build_split(posts, columns) for name, posts in division.splits.items()}
    return Table(DatasetDict(built), count(reading, division, rejected), rejected)
