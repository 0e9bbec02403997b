"""From the settings to the posts, and from posts to batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict, Image, concatenate_datasets

from datasets_scripts import Table, load_table
from datasets_scripts.post import Rejected
from datasets_scripts.prepared import REJECTED, rejected_lines
from hybridsent.bundled.synthetic import write_posts
from hybridsent.support.folders import write_whole
from hybridsent.training.arguments import DataArguments
from hybridsent.training.encoder_states import STATES_COLUMNS, EncoderStates
from modeling_hybridsent import HybridSentProcessor

LABEL_COLUMNS = {"label": "labels", "text_label": "text_labels", "image_label": "image_labels"}
NO_LABEL = -100  # what the loss ignores
POST_IDS = "post_ids"  # in a batch, for messages; the model does not take them
ROWS_AT_ONCE = 1000


def load_posts(arguments: DataArguments, seed_folder: str = "outputs/synthetic-posts") -> Table:
    """Load the set that the settings name, generating the synthetic one where it is absent.

    Args:
        arguments: Settings of the data.
        seed_folder: Where the synthetic set goes unless `data_dir` says otherwise.

    Returns:
        The posts by split and their counts; pictures are not decoded here but in the collator,
        which bounds their size.

    Raises:
        ValueError: No `data_dir` for a set that needs one, or bad posts.
    """
    options = arguments.reader_options()
    if arguments.protocol is not None:
        options["protocol"] = arguments.protocol
    if arguments.dataset == "synthetic":
        table = load_table("posts", write_posts(arguments.data_dir or seed_folder))
    elif arguments.data_dir is None:
        raise ValueError(
            f"dataset {arguments.dataset!r} needs --data_dir, the folder of its files."
        )
    else:
        table = load_table(arguments.dataset, arguments.data_dir, arguments.on_bad_rows, **options)
    return table._replace(posts=table.posts.cast_column("image", Image(decode=False)))


def describe_counts(counts: dict[str, Any]) -> str:
    """Say in one line how many posts each split has, and what was named but is not there.

    Args:
        counts: What the loader counted.

    Returns:
        For instance "train 3611, validation 450, test 0 of 450; without picture 12; rejected 1 (picture
        cannot be read)".
    """
    splits = []
    for name, found in counts["splits"].items():
        gap = "" if found["present"] == found["wanted"] else f" of {found['wanted']}"
        splits.append(f"{name} {found['present']}{gap}")
    named = {"text_missing": "without text", "image_missing": "without picture"}
    gaps = [f"{text} {counts[name]}" for name, text in named.items() if counts[name]]
    gaps += [f"rejected {number} ({why})" for why, number in counts["rejected"].items()]
    return "; ".join([", ".join(splits), *gaps])


def keep_rejected(rejected: list[Rejected], output_dir: str) -> None:
    """Write the rows that became no post into the output folder, if there are any."""
    if rejected:
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(rejected_lines(rejected), folder / REJECTED)


def training_posts(posts: DatasetDict, arguments: DataArguments) -> Dataset:
    """Choose the posts to train on.

    Args:
        posts: All splits.
        arguments: Settings of the data.

    Returns:
        The training split, with the contradictory posts where wanted and kept by the set.
    """
    chosen = posts["train"]
    if arguments.use_contradictory_posts and "contradictory" in posts:
        chosen = concatenate_datasets([chosen, posts["contradictory"]])
    if arguments.max_train_posts is not None:
        chosen = chosen.select(range(min(arguments.max_train_posts, len(chosen))))
    return chosen


def posts_with(posts: Dataset, modality: str) -> np.ndarray:
    """Tell which posts have a modality, without taking in a picture: bool (posts,).

    Args:
        posts: Rows.
        modality: "text" or "image".
    """
    column = posts.select_columns(modality).with_format("arrow")
    parts = [part[modality].is_valid().to_numpy() for part in column.iter(ROWS_AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def with_only(posts: Dataset, modality: str) -> Dataset:
    """Keep one modality of each post, and of the posts those that have it.

    Args:
        posts: Rows with undecoded pictures.
        modality: "text" or "image".

    Returns:
        Rows without the other modality's column.
    """
    keep = posts_with(posts, modality).nonzero()[0]
    return posts.select(keep).remove_columns("image" if modality == "text" else "text")


@dataclass
class PostCollator:
    """Make a batch of posts: decode, tokenize, pad, and mark what is missing.

    Attributes:
        processor: The joint processor.
        states: Stored states of frozen encoders by modality, "text" or "image"; they take the place
            of what that encoder would read, and pictures are not even opened then.
        with_ids: Add the posts' ids, which the caller takes out before the model sees the batch.
    """

    processor: HybridSentProcessor
    states: Mapping[str, EncoderStates] = field(default_factory=dict)
    with_ids: bool = False

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Process rows as the table of posts has them.

        Args:
            rows: Posts with `text`, `image` (undecoded: {"bytes", "path"}) and labels, each of which
                may be None or absent.

        Returns:
            Model inputs with `labels` and, where the set has them, `text_labels` and
            `image_labels`, -100 where unknown; with `with_ids` also `post_ids`, a list of strings.

        Raises:
            ValueError: A post cannot be processed; the message names its id.
        """
        ids = [row.get("id", "?") for row in rows]
        try:
            batch = self._inputs(rows)
        except ValueError as error:
            raise ValueError(f"In the batch of posts {ids}: {error}") from error
        for column, name in LABEL_COLUMNS.items():
            if column in rows[0]:
                values = [row[column] for row in rows]
                batch[name] = torch.tensor([NO_LABEL if x is None else x for x in values])
        return batch | {POST_IDS: ids} if self.with_ids else batch

    def _inputs(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        texts, images = ([row.get(name) for row in rows] for name in ("text", "image"))
        if "image" in self.states:
            numbers = [
                None if image is None else row[STATES_COLUMNS["image"]]
                for row, image in zip(rows, images, strict=True)
            ]
            batch = self.processor.encode_texts(texts) | self.states["image"].of_images(numbers)
        else:
            batch = dict(self.processor(text=texts, images=images))
        if "text" in self.states:
            del batch["input_ids"]
            numbers = [
                row[STATES_COLUMNS["text"]] if has else None
                for row, has in zip(rows, batch["has_text"].tolist(), strict=True)
            ]
            batch |= self.states["text"].of_texts(numbers, batch["attention_mask"])
        return batch
