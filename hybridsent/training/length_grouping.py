"""Batches of texts of like length, so that less padding is computed; the order depends on the epoch."""

from collections.abc import Iterator, Sequence

import torch
from datasets import Dataset
from torch.utils.data import Sampler

from modeling_hybridsent import HybridSentProcessor

BATCHES_SORTED_TOGETHER = 16  # few enough that a batch's posts are still a mixed lot


def text_lengths(posts: Dataset, processor: HybridSentProcessor) -> list[int]:
    """Count the tokens of each post's text.

    Args:
        posts: Rows with a text, which may be None or, for all, absent.
        processor: The joint processor.

    Returns:
        (posts,), at most the processor's limit; 0 for a missing text.
    """
    texts = posts["text"] if "text" in posts.column_names else [None] * len(posts)
    tokens = processor.tokenizer([text or "" for text in texts], add_special_tokens=False)
    return [min(len(ids), processor.max_length) for ids in tokens["input_ids"]]


class LengthGroupedOrder(Sampler[int]):
    """Shuffle posts so that those of a batch have texts of like length.

    The whole order is made from seed and epoch, so that a resumed run finds the batches it has seen.

    Args:
        lengths: Tokens of each post, (posts,).
        batch_size: Posts of a step, over all processes and accumulated batches, so that a step is the
            same however it is cut.
        seed: Of the shuffle.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = torch.tensor(lengths)
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch; what loads the data calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        sorted_parts = [
            part[self.lengths[part].argsort(stable=True)]
            for part in order.split(self.batch_size * BATCHES_SORTED_TOGETHER)
        ]
        batches = list(torch.cat(sorted_parts).split(self.batch_size)) if len(order) else []
        # An uneven last batch stays the last, else all that follow it would be cut elsewhere.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = batches[len(full) :]
        shuffled = [full[i] for i in torch.randperm(len(full), generator=generator)]
        for batch in [*shuffled, *rest]:
            yield from batch.tolist()
