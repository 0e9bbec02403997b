"""What all baselines share.

A baseline keeps hybridsent's encoders, projections, masks of missing modalities, stored encoder states
and loss, so that it trains under the same trainer, and puts another network behind them.
"""

from typing import Any

import torch

from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification
from modeling_hybridsent.modeling_hybridsent import HybridSentModel

# Global features, local features or None, mask of the global ones.
Features = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]


class BaselineModel(HybridSentModel):
    """Encoders and projections of hybridsent with another network behind them.

    Args:
        config: A configuration without cross-modal layers.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.text_branch, self.image_branch, self.fusion_branch = None, None, None

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        """Return pooled vectors (batch, hidden_size) by the field that takes them."""
        raise NotImplementedError

    def _fuse(self, text: Features, image: Features) -> dict[str, Any]:
        """Run everything behind the encoders; returns fields of `HybridSentModelOutput`."""
        fields = dict.fromkeys(("last_hidden_state", "text_embeds", "image_embeds"))
        empty = {"hidden_states": (), "attentions": (), "cross_attentions": ()}
        return {**fields, **empty, **self._pooled(text, image)}


class BaselineForSequenceClassification(HybridSentForSequenceClassification):
    """A baseline with its classifier and its loss; the labels of text and image alone are not used.

    Attributes:
        base_class: The network behind the encoders.
        unused_parts: Names of the modules that the baseline never reads; they are not trained.
        takes_text_states: Whether stored states of a frozen text encoder can stand for the texts.
        needs_numbers: Whether training needs the number of each post, as `post_numbers`.

    Args:
        config: The configuration; `num_labels` or `id2label` gives the labels.
    """

    _auto_class = None  # a baseline's code does not go into its folder
    base_class: type[BaselineModel]
    unused_parts: tuple[str, ...] = ()
    takes_text_states = True
    needs_numbers = False

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.hybridsent = self.base_class(config)
        self.post_init()

    def freeze_unused_parts(self) -> None:
        """Keep what this baseline never reads out of the training."""
        for name in self.unused_parts:
            self.get_submodule(name).requires_grad_(False)

    def extra_loss(self, outputs: Any, batch: dict[str, Any]) -> torch.Tensor | None:
        """Return what a publication adds to the cross-entropies in training, a scalar, or None.

        Args:
            outputs: The model's output for the batch.
            batch: All inputs of `forward`; `labels` (batch,) are -100 where unknown, `post_numbers`
                (batch,) are the same for a post in every epoch.
        """
        return None

    def forward(
        self,
        labels: torch.LongTensor | None = None,
        text_labels: torch.LongTensor | None = None,
        image_labels: torch.LongTensor | None = None,
        post_numbers: torch.LongTensor | None = None,
        **inputs: Any,
    ) -> Any:
        """Score a batch as hybridsent does; in training the extra loss counts to part `decision`.

        Args:
            labels: Label of the post, (batch,); -100 is ignored.
            text_labels: Not used.
            image_labels: Not used.
            post_numbers: As in `extra_loss`.
            **inputs: As in `HybridSentForSequenceClassification.forward`.

        Returns:
            A `HybridSentOutput`.

        Raises:
            ValueError: As in `HybridSentForSequenceClassification.forward`.
        """
        outputs = super().forward(labels=labels, **{**inputs, "return_dict": True})
        if labels is not None and self.training:
            batch = {**inputs, "labels": labels, "post_numbers": post_numbers}
            extra = self.extra_loss(outputs, batch)
            if extra is not None:
                outputs.losses["decision"] = outputs.losses["decision"] + extra
                outputs.loss = outputs.loss + extra
        return outputs
