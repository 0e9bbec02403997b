"""Batches of texts of similar length, so that less padding is computed."""

from collections.abc import Iterator, Sequence

import torch
from datasets import Dataset
from torch.utils.data import Sampler

from modeling_hybridsent import HybridSentProcessor

BATCHES_SORTED_TOGETHER = 16  # few enough that the posts of a batch are still mixed


def text_lengths(posts: Dataset, processor: HybridSentProcessor) -> list[int]:
    """Return the number of tokens of each text, (posts,), at most the limit; 0 for a missing text.

    Args:
        posts: Rows; the column of texts may be absent.
        processor: The joint processor, which has the limit.
    """
    texts = posts["text"] if "text" in posts.column_names else [None] * len(posts)
    tokens = processor.tokenizer([text or "" for text in texts], add_special_tokens=False)
    return [min(len(ids), processor.max_length) for ids in tokens["input_ids"]]


class LengthGroupedOrder(Sampler[int]):
    """Shuffle posts so that those of a batch have texts of similar length.

    The order depends on seed and epoch alone, so that a resumed run skips the batches it has seen.

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
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
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
