"""A `datasets` builder for every set; used directly, since loading scripts are a thing of the past.

builder = PostsBuilder("mvsa_single", "mvsa_single", protocol="grouped")
builder.download_and_prepare("prepared/data", file_format="parquet")
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import (
    Dataset,
    DatasetInfo,
    DownloadManager,
    GeneratorBasedBuilder,
    Image,
    SplitGenerator,
)

from datasets_scripts.loading import load_table


class PostsBuilder(GeneratorBasedBuilder):
    """Build one set under one protocol; empty splits are left out, for `load_dataset` refuses them.

    Args:
        name: Name of the set, as in `load_table`.
        data_dir: Folder with its files.
        cache_dir: Where `download_and_prepare` writes when it is given no folder.
        **options: As in `load_table`.

    Attributes:
        table: The posts in memory, pictures undecoded.
    """

    def __init__(
        self, name: str, data_dir: str | Path, cache_dir: str | None = None, **options: Any
    ) -> None:
        self.table = load_table(name, data_dir, **options)
        # The digest goes into the names of the files: load_dataset caches a folder by its own name and
        # those of its files, and would give the posts of another folder of the same names.
        digest = self.table.counts["fingerprint"]
        super().__init__(cache_dir=cache_dir, dataset_name=f"{name}-{digest}")

    def _info(self) -> DatasetInfo:
        return DatasetInfo(features=self.table.posts["train"].features)

    def _split_generators(self, dl_manager: DownloadManager) -> list[SplitGenerator]:
        undecoded = self.table.posts.cast_column("image", Image(decode=False))
        return [
            SplitGenerator(name, gen_kwargs={"posts": posts})
            for name, posts in undecoded.items()
            if len(posts)
        ]

    def _generate_examples(self, posts: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from enumerate(posts)
