"""Batches of posts: their order, and their content, decoded, tokenized and padded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Sampler

from modeling_hybridsent import HybridSentProcessor
from modeling_hybridsent.problems_hybridsent import NO_LABEL, SingleLabel

if TYPE_CHECKING:  # loaded by what caches alone
    from hybridsent.training.encoder_states import EncoderStates

# Columns of the posts with the number of their row among the stored states; None: not stored.
STATES_COLUMNS = MappingProxyType({"text": "text_states", "image": "image_states"})
LABEL_COLUMNS = {"label": "labels", "text_label": "text_labels", "image_label": "image_labels"}
BATCHES_SORTED_TOGETHER = 16  # few enough that the posts of a batch are still mixed
SOFT_LABEL, SOFT_LABELS = "soft_label", "soft_labels"  # column; and in a batch, for the trainer
POST_IDS = "post_ids"  # in a batch, for messages; the model does not take them


@dataclass
class PostCollator:
    """Make a batch of posts.

    Attributes:
        processor: The joint processor.
        states: Stored states of frozen encoders by modality, "text" or "image". They replace the
            inputs of that encoder; images are not even opened then.
        with_ids: Add the ids of the posts, which the caller removes before the model runs.
        problem: Problem type of the model, which makes labels tensors.
    """

    processor: HybridSentProcessor
    states: Mapping[str, "EncoderStates"] = field(default_factory=dict)
    with_ids: bool = False
    problem: SingleLabel = field(default_factory=SingleLabel)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Process rows of the table of posts.

        Args:
            rows: Posts with `text`, `image` (undecoded: {"bytes", "path"}) and labels, each of which
                may be None or absent.

        Returns:
            Model inputs with `labels` and, where the set has them, `text_labels` and
            `image_labels`, as the model takes them; where rows have a `soft_label` also `soft_labels`,
            (batch, num_labels), NaN for None; with `with_ids` also `post_ids`, a list of strings.

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
                batch[name] = self.problem.encode([row[column] for row in rows])
        if SOFT_LABEL in rows[0]:
            none = [float("nan")] * self.problem.config.num_labels
            batch[SOFT_LABELS] = torch.tensor([row[SOFT_LABEL] or none for row in rows])
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


def text_lengths(posts: Dataset, processor: HybridSentProcessor) -> list[int]:
    """Return the number of tokens of each text, (posts,), at most the limit; 0 for a missing text.

    Args:
        posts: Rows; the column of texts may be absent.
        processor: The joint processor, which has the limit.
    """
    texts = posts["text"] if "text" in posts.column_names else [None] * len(posts)
    given = [processor.prepare_text(text or "") for text in texts]
    tokens = processor.tokenizer(given, add_special_tokens=False)
    return [min(len(ids), processor.max_length) for ids in tokens["input_ids"]]


class LengthGroupedOrder(Sampler[int]):
    """Shuffle posts so that those of a batch have texts of similar length.

    The order depends on seed and epoch alone, so that a resumed run skips the batches it has seen.
    Both are hashed together: no epoch of one seed has the order of an epoch of another.

    Args:
        lengths: Number of tokens of each post, (posts,).
        batch_size: Posts of a step over all processes and accumulated batches, so that a step is the
            same however it is split.
        seed: Seed of the shuffle.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = torch.tensor(lengths)
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; the data loader calls this."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        (hashed,) = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(hashed))
        order = torch.randperm(len(self.lengths), generator=generator)
        sorted_parts = [
            part[self.lengths[part].argsort(stable=True)]
            for part in order.split(self.batch_size * BATCHES_SORTED_TOGETHER)
        ]
        batches = list(torch.cat(sorted_parts).split(self.batch_size)) if len(order) else []
        # A short last batch stays last; anywhere else it would shift the limits of those after it.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = batches[len(full) :]
        shuffled = [full[i] for i in torch.randperm(len(full), generator=generator)]
        for batch in [*shuffled, *rest]:
            yield from batch.tolist()


__all__ = ["NO_LABEL", "LengthGroupedOrder", "PostCollator", "text_lengths"]
