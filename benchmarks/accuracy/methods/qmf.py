"""Late fusion weighted by energies, which training history ranks."""

from typing import Any

import torch
from torch import nn

from benchmarks.accuracy.methods.late_fusion import LateDecision, RankedLateFusion
from benchmarks.accuracy.methods.weight_rules import qmf_weights, weigh_logits
from modeling_hybridsent import HybridSentConfig


class QMFDecision(LateDecision):
    """Sum of logits, each times a tenth of its negative energy."""

    def forward(
        self, embeds: torch.Tensor, logits: torch.Tensor, present: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse as in `LateDecision`; the returned weights are normalised, those used are not."""
        weights = qmf_weights(logits)
        shown = weights.clamp(min=1e-6).masked_fill(~present, 0.0)
        return weigh_logits(weights, logits, present), shown / shown.sum(dim=1, keepdim=True)


class LossHistory:
    """Mean training loss of each post so far."""

    def __init__(self) -> None:
        self._sums, self._counts = torch.zeros(0), torch.zeros(0)

    def add(self, numbers: torch.Tensor, losses: torch.Tensor) -> None:
        """Note the losses (posts,) of the posts with these numbers (posts,)."""
        missing = int(numbers.max()) + 1 - len(self._sums)
        if missing > 0:
            self._sums = nn.functional.pad(self._sums, (0, missing))
            self._counts = nn.functional.pad(self._counts, (0, missing))
        self._sums.index_add_(0, numbers, losses)
        self._counts.index_add_(0, numbers, torch.ones_like(losses))

    def of(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the posts' mean losses, scaled so that the least of all is 0 and the greatest 1."""
        seen = self._counts > 0
        means = self._sums / self._counts.clamp(min=1)
        low, high = means[seen].min(), means[seen].max()
        return (means[numbers] - low) / (high - low).clamp(min=1e-6)


def ranking_loss(confidence: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
    """Ask of each post and the next that the one that was harder to learn be less confident.

    Args:
        confidence: (posts,).
        history: Their mean losses between 0 and 1, (posts,).

    Returns:
        Mean over the pairs of how much the harder one's confidence exceeds the other's less their
        distance in loss; a scalar.
    """
    gap = history - torch.roll(history, -1)
    difference = confidence - torch.roll(confidence, -1)
    excess = torch.relu(torch.sign(gap) * difference + gap.abs())
    return excess.masked_fill(gap == 0, 0.0).mean()


class QMF(RankedLateFusion):
    """Quality-aware multimodal fusion (Zhang et al., ICML 2023).

    Logits are summed, each times its detached negative energy / 10; cross-entropies of both
    classifiers and of the sum, and for each modality a loss that ranks the energies by training
    history. Departures: encoders, pooling and hidden layer are those of the other methods here; the
    history is each post's mean loss in training so far.
    """

    decision_class = QMFDecision
    needs_numbers = True

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.histories = {"text": LossHistory(), "image": LossHistory()}

    def modality_loss(
        self, name: str, logits: torch.Tensor, known: torch.Tensor, batch: dict[str, Any]
    ) -> torch.Tensor:
        """Return the ranking loss; 0 for fewer than two posts."""
        if known.sum() < 2:
            return logits.new_zeros(())
        logits, numbers = logits[known], batch["post_numbers"][known].cpu()
        losses = nn.functional.cross_entropy(logits, batch["labels"][known], reduction="none")
        history = self.histories[name]
        history.add(numbers, losses.detach().cpu())
        confidence = torch.logsumexp(logits, dim=-1) / 10
        return ranking_loss(confidence, history.of(numbers).to(logits.device))
