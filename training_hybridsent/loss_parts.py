"""One loss however the batch is cut: each part is a mean over all labelled posts of the step."""

from collections.abc import Mapping

import torch

from modeling_hybridsent import HybridSentForSequenceClassification
from training_hybridsent.data import NO_LABEL

PARTS = ("decision", "text", "image", "fusion")


def labelled_posts(
    model: HybridSentForSequenceClassification, batch: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Count the posts that each part of the loss averages over.

    Args:
        model: The model; it says which branches may decide.
        batch: What the collator made.

    Returns:
        (4,), in the order of `PARTS`.
    """
    labels = batch["labels"]
    present = model.decision_fusion.present_branches(batch["has_text"], batch["has_image"])
    known = [labels != NO_LABEL]
    for i, name in enumerate(("text_labels", "image_labels", "labels")):
        known.append((batch.get(name, labels) != NO_LABEL) & present[:, i].to(labels.device))
    return torch.stack(known).sum(dim=1)


def weigh_parts(
    model: HybridSentForSequenceClassification,
    losses: Mapping[str, torch.Tensor],
    shares: torch.Tensor,
) -> torch.Tensor:
    """Sum the parts of the loss as the model does, each times the share of its posts.

    Args:
        model: The model; its configuration has the weights.
        losses: Parts of the loss over this process's batch.
        shares: What part of the step's posts this batch holds, (4,), in the order of `PARTS`.

    Returns:
        The loss, a scalar.
    """
    weights = model.config.loss_weights
    share = dict(zip(PARTS, shares, strict=True))
    return sum(weights[name] * (share[name] * part) for name, part in losses.items())
