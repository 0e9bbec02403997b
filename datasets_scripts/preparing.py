"""Write a set as a prepared folder (Parquet, split ids, rejected rows, counts, a card), and push it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets import Dataset, Image
from datasets.table import embed_table_storage
from huggingface_hub import HfApi
from huggingface_hub.errors import LocalTokenNotFoundError
from huggingface_hub.utils import httpx
from pyarrow.parquet import ParquetWriter

from datasets_scripts.dataset_card import dataset_card
from datasets_scripts.loading import load_table
from datasets_scripts.post import REJECTED, rejected_lines
from datasets_scripts.post_files import SUMMARY
from datasets_scripts.prepared import AGAIN, FORMAT_VERSION, IDS, read_summary
from datasets_scripts.table import Table
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside, is_taken, write_whole

SHARD_SIZE = 500_000_000  # bytes of images in a file, about
BATCH = 100  # posts in memory at once, and in a row group


def prepare(name: str, data_dir: str | Path, output_dir: str | Path, **options: Any) -> Table:
    """Read a set and write it as a folder that `load_dataset` and `hybridsent train` take.

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
    if is_taken(target):
        remedy = "It is left as it is. Give another output_dir, or remove that one."
        raise PostsError.about(target, "already exists", remedy=remedy)
    table = load_table(name, data_dir, **options)
    with build_beside(target) as draft:
        _fill(draft, name, table)
    if read_summary(target).counts != json.loads(json.dumps(table.counts)):
        raise PostsError.about(target, "was filled by another process meanwhile", remedy=AGAIN)
    return table


def _fill(draft: Path, name: str, table: Table) -> None:
    # The digest goes into the names of the files: load_dataset caches a folder by its own name and
    # those of its files, and would give the posts of another folder of the same names.
    stem = f"{name}-{table.counts['fingerprint']}"
    (draft / "data").mkdir()
    files = {
        split: _write_parquet(posts, draft / "data" / f"{stem}-{split}")
        for split, posts in table.posts.items()
    }
    ids = {split: list(posts["id"]) for split, posts in table.posts.items()}
    _write_json(ids, draft / IDS)
    write_whole(rejected_lines(table.rejected), draft / REJECTED)
    _write_json(
        {"format_version": FORMAT_VERSION, "set": name, "counts": table.counts}, draft / SUMMARY
    )
    (draft / "README.md").write_text(dataset_card(name, table, files), encoding="utf-8")


def _write_parquet(posts: Dataset, stem: Path) -> list[str]:
    """Write a split with the bytes of its images, which `Dataset.to_parquet` leaves out.

    Args:
        posts: The split; of an empty one nothing is written, for `load_dataset` refuses it.
        stem: What the names of the files begin with.

    Returns:
        Names of the files.
    """
    undecoded = posts.cast_column("image", Image(decode=False))
    count = -(-sum(map(_size, undecoded["image"])) // SHARD_SIZE) or min(len(posts), 1)
    endings = [f"-{i:05d}-of-{count:05d}" for i in range(count)] if count > 1 else [""] * count
    files = [stem.with_name(f"{stem.name}{ending}.parquet") for ending in endings]
    for i, file in enumerate(files):
        shard = posts.shard(count, i).with_format("arrow")
        with file.open("wb") as out, ParquetWriter(out, posts.features.arrow_schema) as writer:
            for batch in shard.iter(BATCH):
                writer.write_table(embed_table_storage(batch))
    return [file.name for file in files]


def _size(image: dict[str, Any] | None) -> int:
    """Return the bytes of an undecoded image."""
    if image is None:
        return 0
    return len(image["bytes"]) if image["bytes"] else Path(image["path"]).stat().st_size


def _write_json(content: Any, file: Path) -> None:
    write_whole(json.dumps(content, indent=1, ensure_ascii=False) + "\n", file)


def push_dataset(folder: str | Path, repo_id: str, private: bool = True) -> str:
    """Upload a prepared folder in one commit.

    The published sets may not be passed on, so the repository is private unless told otherwise; an
    existing one keeps its visibility.

    Args:
        folder: Result of `prepare`.
        repo_id: USER/NAME.
        private: Whether a new repository is private.

    Returns:
        Address of the commit.

    Raises:
        PostsError: The Hub refused, or cannot be reached; the prepared folder is still there.
    """
    api = HfApi()
    # The client reports a lost upload as RuntimeError, a bad name as ValueError.
    failures = (httpx.HTTPError, LocalTokenNotFoundError, OSError, RuntimeError, ValueError)
    try:
        api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=str(folder),
            commit_message="Add prepared posts",
        )
    except failures as error:
        remedy = (
            "Log in with `hf auth login`, see that the name is USER/NAME and yours, and push again."
        )
        raise PostsError.about(
            repo_id, f"{folder} could not be pushed", [str(error)], remedy
        ) from error
    return str(commit.commit_url)
