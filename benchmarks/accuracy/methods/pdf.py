"""Late fusion weighted by predicted confidences."""

from typing import Any

import torch
from torch import nn

from benchmarks.accuracy.methods.late_fusion import LateDecision, RankedLateFusion
from benchmarks.accuracy.methods.weight_rules import pdf_weights, weigh_logits
from modeling_hybridsent import HybridSentConfig


class PDFDecision(LateDecision):
    """Sum of logits, each times its share of the predicted confidences.

    Args:
        config: The configuration.

    Attributes:
        confidence: Of the last batch: estimated probability of the right label, (batch, 2).
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.estimators = nn.ModuleList(
            nn.Sequential(
                nn.Linear(config.hidden_size, config.hidden_size),
                nn.ReLU(),
                nn.Dropout(config.hidden_dropout),
                nn.Linear(config.hidden_size, 1),
                nn.Sigmoid(),
            )
            for _ in range(2)
        )
        self.confidence: torch.Tensor | None = None

    def forward(
        self, embeds: torch.Tensor, logits: torch.Tensor, present: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse as in `LateDecision`; the weights are calibrated unless in training."""
        both, has = logits[:, :2], present[:, :2]
        estimated = [net(embeds[:, i].detach()) for i, net in enumerate(self.estimators)]
        self.confidence = torch.cat(estimated, dim=1).float()
        weights = pdf_weights(self.confidence, both, has, calibrated=not self.training)
        return weigh_logits(weights, both, has), nn.functional.pad(weights, (0, 1))


class PDF(RankedLateFusion):
    """Predictive dynamic fusion (Cao et al., ICML 2024).

    Logits are summed, weighted by confidence and relative confidence, at test time calibrated by
    the distance from a uniform distribution; cross-entropies of both classifiers and of the sum, and
    the absolute error of each predicted confidence to the probability of the right label. Departures:
    encoders, pooling and hidden layer are those of the other methods here; the estimators are two
    linear layers that send no gradient into the features.
    """

    decision_class = PDFDecision

    def modality_loss(
        self, name: str, logits: torch.Tensor, known: torch.Tensor, batch: dict[str, Any]
    ) -> torch.Tensor:
        """Return the mean absolute error of the predicted confidence."""
        shares = torch.softmax(logits.detach(), dim=-1)
        right = shares.gather(1, batch["labels"].clamp(min=0)[:, None])[:, 0]
        predicted = self.decision_fusion.confidence[:, ("text", "image").index(name)]
        return ((predicted - right).abs() * known).sum() / known.sum().clamp(min=1)
