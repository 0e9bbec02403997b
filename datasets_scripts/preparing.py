"""Write a set as a prepared folder: Parquet, split ids, rejected rows, counts and a dataset card."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from datasets.exceptions import DatasetGenerationError

from datasets_scripts.builder import PostsBuilder
from datasets_scripts.dataset_card import dataset_card
from datasets_scripts.post_files import SUMMARY
from datasets_scripts.prepared import (
    AGAIN,
    FORMAT_VERSION,
    IDS,
    REJECTED,
    read_summary,
    rejected_lines,
)
from datasets_scripts.table import Table
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside, write_whole


def prepare(name: str, data_dir: str | Path, output_dir: str | Path, **options: Any) -> Table:
    """Read a set and write it as a folder that `load_dataset` and `run_train.py` take.

    Args:
        name: Name of the set.
        data_dir: Folder with its files.
        output_dir: Folder to write, absent or empty; it appears complete or not at all.
        **options: As in `load_table`.

    Returns:
        The table that was written.

    Raises:
        PostsError: The data is bad, or the output folder is taken.
        OSError: The output cannot be written, for instance because the disk is full.
    """
    target = Path(output_dir).resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        remedy = "It is left as it is. Give another output_dir, or remove that one."
        raise PostsError.about(target, "is there already", remedy=remedy)
    with tempfile.TemporaryDirectory() as cache:  # for locks; the files go to the draft
        builder = PostsBuilder(name, data_dir, cache_dir=cache, **options)
        with build_beside(target) as draft:
            _fill(draft, name, builder)
    if read_summary(target).counts != json.loads(json.dumps(builder.table.counts)):
        raise PostsError.about(target, "was filled by another process meanwhile", remedy=AGAIN)
    return builder.table


def _fill(draft: Path, name: str, builder: PostsBuilder) -> None:
    table, data = builder.table, draft / "data"
    _write_parquet(builder, data)
    ids = {split: list(posts["id"]) for split, posts in table.posts.items()}
    _write_json(ids, draft / IDS)
    write_whole(rejected_lines(table.rejected), draft / REJECTED)
    _write_json(
        {"format_version": FORMAT_VERSION, "set": name, "counts": table.counts}, draft / SUMMARY
    )
    files = {split: sorted(f.name for f in data.glob(f"*-{split}[-.]*parquet")) for split in ids}
    (draft / "README.md").write_text(dataset_card(name, table, files), encoding="utf-8")


def _write_parquet(builder: PostsBuilder, folder: Path) -> None:
    try:
        builder.download_and_prepare(str(folder), file_format="parquet")
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        raise
    for lock in folder.parent.glob("data*.lock"):
        lock.unlink()
    (folder / "dataset_info.json").unlink()  # what it says stands in the summary and the files


def _write_json(content: Any, file: Path) -> None:
    write_whole(json.dumps(content, indent=1, ensure_ascii=False) + "\n", file)
