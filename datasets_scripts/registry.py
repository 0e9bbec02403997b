"""The sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets_scripts.mvsa_single import load_mvsa_single
from datasets_scripts.posts import load_posts
from datasets_scripts.table import Table

LOADERS: dict[str, Callable[..., Table]] = {"mvsa_single": load_mvsa_single, "posts": load_posts}


def load_table(name: str, data_dir: str | Path, **options: Any) -> Table:
    """Load a set by its name.

    Args:
        name: Key of `LOADERS`.
        data_dir: Folder with the files of the set.
        options: What the loader of that set takes besides.

    Returns:
        The table.

    Raises:
        ValueError: If the name is unknown; `PostsError` if the data is bad.
    """
    if name not in LOADERS:
        raise ValueError(f"unknown set {name!r}: one of {sorted(LOADERS)}")
    return LOADERS[name](data_dir, **options)
