"""What the models return: every field says its shape and when it is None."""

from dataclasses import dataclass

import torch
from transformers.modeling_outputs import ModelOutput


@dataclass
class HybridSentModelOutput(ModelOutput):
    """Fused tokens and pooled vectors of the three branches.

    Attributes:
        last_hidden_state: Fused sequence, (batch, text + image tokens, hidden_size).
        fusion_embeds: (batch, hidden_size).
        text_embeds: (batch, hidden_size), zero where the text is missing; None without unimodal
            branches.
        image_embeds: (batch, hidden_size), zero where the image is missing; None without unimodal
            branches.
        has_text: 1 where the post has a text, else 0, (batch,).
        has_image: 1 where the post has an image, else 0, (batch,).
        hidden_states: With `output_hidden_states=True`, a tuple of num_cross_modal_layers + 1 tensors
            (batch, text + image tokens, hidden_size): what enters the first cross-modal layer and
            what leaves each; empty when there are none.
        attentions: With `output_attentions=True` and eager attention, the self-attention of text
            branch (batch, heads, text tokens, text tokens), image branch (batch, heads, image
            tokens, image tokens) and fusion branch (batch, heads, text + image tokens, text + image
            tokens); without unimodal branches only the last. Empty with sdpa, which does not keep
            weights.
        cross_attentions: With `output_attentions=True` and eager attention, a tuple of
            2 * num_cross_modal_layers tensors: for each layer the text's attention to the image
            (batch, heads, text tokens, image global + local tokens), then the image's to the text
            (batch, heads, image tokens, text global + local tokens). Empty with sdpa;
            meaningless for posts with a missing modality.
    """

    last_hidden_state: torch.FloatTensor | None = None
    fusion_embeds: torch.FloatTensor | None = None
    text_embeds: torch.FloatTensor | None = None
    image_embeds: torch.FloatTensor | None = None
    has_text: torch.LongTensor | None = None
    has_image: torch.LongTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    cross_attentions: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class HybridSentOutput(ModelOutput):
    """Scores of a batch of posts, with each branch's part in the decision.

    Attributes:
        loss: Weighted sum of `losses`, scalar; None without labels.
        logits: log p of the calibrated decision, (batch, num_labels), float32, so that
            softmax(logits) is p itself.
        text_logits: Text branch, (batch, num_labels), not calibrated; None without unimodal branches.
        image_logits: Image branch, (batch, num_labels), not calibrated; None without unimodal branches.
        fusion_logits: Fusion branch, (batch, num_labels), not calibrated.
        decision_weights: Weights of text, image and fusion, (batch, 3), float32; each row sums to 1,
            exactly 0 for a branch that cannot decide.
        text_embeds: As in `HybridSentModelOutput`.
        image_embeds: As in `HybridSentModelOutput`.
        fusion_embeds: As in `HybridSentModelOutput`.
        hidden_states: As in `HybridSentModelOutput`; None unless asked for.
        attentions: As in `HybridSentModelOutput`; None unless asked for.
        cross_attentions: As in `HybridSentModelOutput`; None unless asked for.
        losses: Named parts of the loss before weighting, each scalar: `decision` (negative log
            likelihood of p), `text`, `image`, `fusion` (cross-entropies of the branches), and with
            `own_label_loss_weight` `own_text`, `own_image` (of unimodal labels); None
            without labels.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    text_logits: torch.FloatTensor | None = None
    image_logits: torch.FloatTensor | None = None
    fusion_logits: torch.FloatTensor | None = None
    decision_weights: torch.FloatTensor | None = None
    text_embeds: torch.FloatTensor | None = None
    image_embeds: torch.FloatTensor | None = None
    fusion_embeds: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    cross_attentions: tuple[torch.FloatTensor, ...] | None = None
    losses: dict[str, torch.FloatTensor] | None = None


__all__ = ["HybridSentModelOutput", "HybridSentOutput"]
