"""Make batches of posts: decode, tokenize, pad, and mark what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from hybridsent.training.encoder_states import STATES_COLUMNS, EncoderStates
from modeling_hybridsent import HybridSentProcessor

LABEL_COLUMNS = {"label": "labels", "text_label": "text_labels", "image_label": "image_labels"}
NO_LABEL = -100  # what the loss ignores
POST_IDS = "post_ids"  # in a batch, for messages; the model does not take them


@dataclass
class PostCollator:
    """Make a batch of posts.

    Attributes:
        processor: The joint processor.
        states: Stored states of frozen encoders by modality, "text" or "image". They replace the
            inputs of that encoder; images are not even opened then.
        with_ids: Add the ids of the posts, which the caller removes before the model runs.
    """

    processor: HybridSentProcessor
    states: Mapping[str, EncoderStates] = field(default_factory=dict)
    with_ids: bool = False

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Process rows of the table of posts.

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
