"""Late fusion: one classifier a modality, and the mean of what they say."""

from typing import Any

import torch
from torch import nn

from benchmarks.accuracy.methods.baselines import (
    BaselineForSequenceClassification,
    BaselineModel,
    Features,
)
from benchmarks.accuracy.methods.networks import PooledHead
from hybridsent.training.collator import NO_LABEL
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.encoders_hybridsent import mean_of_tokens


class NoClassifier(nn.Module):
    """Stand where a fusion branch's classifier would be: the same score for every label.

    Args:
        labels: Number of labels.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        """Map (batch, hidden_size) to zeros (batch, labels)."""
        return embeds.new_zeros(embeds.shape[0], self.labels)


class LateFusionModel(BaselineModel):
    """One hidden layer over the mean token states of each modality by itself."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.text_head, self.image_head = PooledHead(config, 1), PooledHead(config, 1)
        self.post_init()

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        text_embeds = self.text_head(mean_of_tokens(text[0], text[2]))
        image_embeds = self.image_head(mean_of_tokens(image[0], image[2]))
        return {
            "text_embeds": text_embeds.masked_fill(~text[2].any(dim=1, keepdim=True), 0.0),
            "image_embeds": image_embeds.masked_fill(~image[2].any(dim=1, keepdim=True), 0.0),
            "fusion_embeds": torch.zeros_like(text_embeds),
        }


class LateDecision(nn.Module):
    """Weigh a text and an image classifier alike: p is the mean of their probabilities.

    Args:
        config: The configuration.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()

    def present_branches(self, has_text: torch.Tensor, has_image: torch.Tensor) -> torch.Tensor:
        """Return which of text, image and fusion may decide: (batch,), (batch,) -> bool (batch, 3)."""
        return torch.stack([has_text, has_image, torch.zeros_like(has_text)], dim=1)

    def forward(
        self, embeds: torch.Tensor, logits: torch.Tensor, present: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse the classifiers.

        Args:
            embeds: Pooled vectors, (batch, 3, hidden_size).
            logits: (batch, 3, num_labels); ignored where not present.
            present: (batch, 3).

        Returns:
            log p (batch, num_labels) and the weights (batch, 3), summing to 1, both float32.
        """
        weights = present.float() / present.sum(dim=1, keepdim=True)
        log_p = torch.log_softmax(logits.float(), dim=-1) + torch.log(weights)[..., None]
        return torch.logsumexp(log_p, dim=1), weights


class LateFusion(BaselineForSequenceClassification):
    """Two classifiers, one a modality, whose probabilities are averaged.

    Both learn the post's label, and their mean does too, as in the code that QMF and PDF build on.
    """

    base_class = LateFusionModel
    decision_class = LateDecision

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.fusion_classifier = NoClassifier(config.num_labels)
        self.decision_fusion = self.decision_class(config)
        self.post_init()


class RankedLateFusion(LateFusion):
    """Late fusion whose weights a further loss teaches, for each modality by itself."""

    def modality_loss(
        self, name: str, logits: torch.Tensor, known: torch.Tensor, batch: dict[str, Any]
    ) -> torch.Tensor:
        """Return what one modality adds to the loss, a scalar.

        Args:
            name: "text" or "image".
            logits: Of its classifier, (batch, labels), float32.
            known: Which posts have label and modality, bool (batch,).
            batch: As in `extra_loss`.
        """
        raise NotImplementedError

    def extra_loss(self, outputs: Any, batch: dict[str, Any]) -> torch.Tensor | None:
        """Sum the losses of both modalities."""
        total = torch.zeros((), device=outputs.logits.device)
        for name in ("text", "image"):
            known = (batch["labels"] != NO_LABEL) & batch[f"has_{name}"]
            logits = getattr(outputs, f"{name}_logits").float()
            total = total + self.modality_loss(name, logits, known, batch)
        return total
