"""The loss of a step, however its posts are split into batches: each part is a mean over them all."""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from modeling_hybridsent import HybridSentForSequenceClassification

PARTS = ("decision", "text", "image", "fusion", "own_text", "own_image")


def labelled_posts(
    model: HybridSentForSequenceClassification, batch: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Count the posts that each part of the loss averages over.

    Args:
        model: The model, which knows the branches that may decide.
        batch: Result of the collator.

    Returns:
        (6,), in the order of `PARTS`.
    """
    labels, problem = batch["labels"], model.problem
    has = {name: batch[f"has_{name}"].bool().to(labels.device) for name in ("text", "image")}
    present = model.decision_fusion.present_branches(has["text"], has["image"])
    known = problem.known(labels)
    counted = [known, *(known & branch for branch in present.unbind(dim=1))]
    for name, of_modality in has.items():
        unimodal = batch.get(f"{name}_labels", problem.unknown(of_modality))
        counted.append(problem.known(unimodal) & of_modality)
    return torch.stack(counted).sum(dim=1)


def soften(
    model: HybridSentForSequenceClassification,
    outputs: Mapping[str, Any],
    batch: Mapping[str, torch.Tensor],
    soft_labels: torch.Tensor,
    weight: float,
) -> dict[str, torch.Tensor]:
    """Mix the cross-entropy of labels with that of soft labels, in each part that judges the post.

    Args:
        model: The model, which knows the branches that may decide.
        outputs: What it said of the batch, with its losses.
        batch: Result of the collator.
        soft_labels: Probabilities (batch, labels); NaN for posts without, which are those without
            label, so that each part stays a mean over the same posts.
        weight: Of the soft labels, 0 to 1.

    Returns:
        The parts of the loss, each a scalar.
    """
    has = [batch[f"has_{name}"].bool().to(soft_labels.device) for name in ("text", "image")]
    branches = model.decision_fusion.present_branches(*has).unbind(dim=1)
    known = ~soft_labels[:, 0].isnan()
    losses = dict(outputs["losses"])
    for name, present in zip(PARTS, (known, *branches), strict=False):
        if name in losses:
            logits = outputs["logits" if name == "decision" else f"{name}_logits"].float()
            each = nn.functional.cross_entropy(logits, soft_labels.nan_to_num(), reduction="none")
            judged = known & present
            mean = (each * judged).sum() / judged.sum().clamp(min=1)
            losses[name] = (1 - weight) * losses[name] + weight * mean
    return losses


class PartsLog:
    """Sum the parts of the loss from one line of the log to the next."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._since = 0

    def add(self, parts: Mapping[str, torch.Tensor]) -> None:
        """Add the shared parts of one batch."""
        for name, part in parts.items():
            self._sums[name] = self._sums.get(name, 0) + part.detach()

    def means(self, step: int, accelerator: Accelerator) -> dict[str, float]:
        """Return each part as `loss_NAME`, a mean over steps and processes, and reset the sums.

        Args:
            step: The step that is being logged.
            accelerator: Reduces over processes, all of which must call this.

        Returns:
            The means; empty if no step was added.
        """
        steps, self._since = step - self._since, step
        sums, self._sums = self._sums, {}
        if not sums or steps <= 0:
            return {}
        total = accelerator.reduce(torch.stack(list(sums.values())), "mean") / steps
        return {f"loss_{name}": value for name, value in zip(sums, total.tolist(), strict=True)}

    def start_at(self, step: int) -> None:
        """Count steps from a given one, as a resumed run must."""
        self._sums, self._since = {}, step
