"""Rows of a data set of the Hub, streamed; pictures stay undecoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import IterableDataset, load_dataset
from datasets.exceptions import DatasetGenerationError
from huggingface_hub import HfApi
from huggingface_hub.utils import httpx

from hybridsent.scoring.preparing import HUB
from hybridsent.scoring.row import COLUMNS, Row, post_row
from hybridsent.scoring.share import Share
from hybridsent.support.errors import PostsError

FAILURES = (httpx.HTTPError, OSError, ValueError, RuntimeError, DatasetGenerationError)


class HubInput:
    """The rows of one split.

    Args:
        name: Id of the data set.
        split: Its split; may be left out where there is one only.
        config: Its configuration, where it has several.

    Raises:
        PostsError: It cannot be reached, or has no such split, or neither texts nor pictures.
    """

    def __init__(self, name: str, split: str | None, config: str | None) -> None:
        self.name, self.config = name, config
        try:
            self.revision = HfApi().dataset_info(name).sha
            splits = load_dataset(name, config, revision=self.revision, streaming=True)
        except FAILURES as error:
            remedy = "Is it a file or folder that does not exist, or a data set that you may read?"
            raise PostsError.about(
                name, "cannot be loaded from the Hub", [str(error)], remedy
            ) from error
        if split is None and len(splits) == 1:
            split = next(iter(splits))
        if split not in splits:
            raise PostsError.about(name, f"no split {split!r}", remedy=f"Give one of {[*splits]}.")
        self.split, self.folder = split, f"{HUB}datasets/{name}@{self.revision}"
        self.posts = self._only_what_counts(splits[split])

    def _only_what_counts(self, posts: IterableDataset) -> IterableDataset:
        names = posts.column_names or list(next(iter(posts), {}))
        columns = [column for column in names if column in COLUMNS]
        if not set(columns) - {"id"}:
            remedy = f"It has {names}."
            raise PostsError.about(self.name, "neither a column 'text' nor 'image'", remedy=remedy)
        return posts.select_columns(columns).decode(False)

    def identity(self) -> list[Any]:
        """Return name, commit, configuration and split."""
        return [self.name, self.revision, self.config, self.split]

    def total(self) -> int | None:
        """Return the number of rows if the data set says it."""
        splits = self.posts.info.splits or {}
        return splits[self.split].num_examples if self.split in splits else None

    def rows(self, share: Share) -> Iterator[Row]:
        """Yield the rows of a share; those before its first are skipped without being read."""
        first = next(filter(share.owns_shard, range(len(share.done) + share.processes)))
        start = first * share.rows_per_shard
        for number, cells in enumerate(self.posts.skip(start), start):
            if share.owns(number):
                yield post_row(number, cells, self.folder)
