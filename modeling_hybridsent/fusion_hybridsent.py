"""Rows S2 to S5 of the system: unimodal branches, cross-modal layers, fusion branch, decision."""

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_hybridsent import (
    HybridSentAttention,
    HybridSentAttentionPooling,
    HybridSentFeedForward,
    HybridSentSelfAttentionBlock,
)
from .birau_hybridsent import BiRAU
from .configuration_hybridsent import HybridSentConfig
from .problems_hybridsent import problem_of


class HybridSentClassifierLinear(nn.Module):
    """A linear layer that adapters leave alone.

    peft trains a classifier as a whole; it cannot reload one that "all-linear" put an adapter into.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.in_features = inputs
        nn.Linear.reset_parameters(self)  # type: ignore[arg-type]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return nn.functional.linear(inputs, self.weight, self.bias)


class HybridSentClassifier(nn.Module):
    """Classify a pooled vector."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.linear = HybridSentClassifierLinear(config.hidden_size, config.num_labels)  # type: ignore[arg-type]

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        """Map (batch, hidden_size) to logits (batch, num_labels)."""
        return self.linear(self.dropout(embeds))


class HybridSentUnimodalBranch(nn.Module):
    """Self-attention over one modality's global features, then pooling (S2).

    The attended features go on to the cross-modal layers; the pooled vector goes to the modality's
    own classifier.

    Args:
        config: The configuration.
        evidence: Vectors of evidence that join the pooled one.
    """

    def __init__(self, config: HybridSentConfig, evidence: int) -> None:
        super().__init__()
        self.self_attention = HybridSentSelfAttentionBlock(config)
        self.pooling = HybridSentAttentionPooling(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.joint = nn.Linear((1 + evidence) * config.hidden_size, config.hidden_size)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, evidence: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Attend and pool.

        Args:
            features: Global features, (batch, tokens, hidden_size).
            mask: True at real tokens, (batch, tokens).
            evidence: (batch, vectors, hidden_size), zero for a missing modality.

        Returns:
            Attended features (batch, tokens, hidden_size), pooled vector (batch, hidden_size) and
            attention weights (batch, heads, tokens, tokens), None unless attention is eager.
        """
        features, weights = self.self_attention(features, mask)
        pooled = self.pooling(features, mask)
        both = self.dropout(torch.cat([pooled, evidence.flatten(1)], dim=-1))
        pooled = pooled + nn.functional.gelu(self.joint(both))
        return features, pooled.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0), weights


class HybridSentCrossAttentionBlock(nn.Module):
    """One modality looks at the other: cross-attention, then feed-forward (half a layer of S3)."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.memory_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = HybridSentAttention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = HybridSentFeedForward(config)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self, hidden_states: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Update one modality from the visible part of the other.

        Args:
            hidden_states: (batch, tokens, hidden_size).
            memory: (batch, keys, hidden_size).
            memory_mask: True where a key may be looked at, (batch, keys).

        Returns:
            The updated states (batch, tokens, hidden_size) and the attention weights (batch, heads,
            tokens, keys), None unless attention is eager.
        """
        update, weights = self.attention(
            self.query_norm(hidden_states), self.memory_norm(memory), memory_mask
        )
        hidden_states = hidden_states + self.dropout(update)
        update = self.feed_forward(self.feed_forward_norm(hidden_states))
        return hidden_states + self.dropout(update), weights


def _with_evidence(
    states: torch.Tensor, mask: torch.Tensor, evidence: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Append evidence, which is visible where any token is, to states; and to their mask."""
    seen = mask.any(dim=1, keepdim=True).expand(-1, evidence.shape[1])
    return torch.cat([states, evidence], dim=1), torch.cat([mask, seen], dim=1)


class HybridSentCrossModalLayer(GradientCheckpointingLayer):
    """Text looks at the image and the image at the text, at once (one layer of S3).

    Each side sees the other's tokens as the layer below left them, and its evidence.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.text_to_image = HybridSentCrossAttentionBlock(config)
        self.image_to_text = HybridSentCrossAttentionBlock(config)

    def forward(
        self,
        hidden_states: torch.Tensor,
        mask: torch.Tensor,
        text_length: int,
        text_evidence: torch.Tensor,
        image_evidence: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Exchange information between the two halves of the sequence.

        Args:
            hidden_states: Text states then image states, (batch, text + image tokens, hidden_size).
            mask: True at real tokens of present modalities, (batch, text + image tokens).
            text_length: Number of text tokens at the front.
            text_evidence: (batch, its vectors, hidden_size).
            image_evidence: (batch, its vectors, hidden_size).

        Returns:
            The updated sequence in the same order; the weights of the text's attention to the image
            (batch, heads, text tokens, image tokens + vectors) and of the image's to the text (batch,
            heads, image tokens, text tokens + vectors), None unless attention is eager.
        """
        text, image = hidden_states[:, :text_length], hidden_states[:, text_length:]
        text_mask, image_mask = mask[:, :text_length], mask[:, text_length:]
        regions = _with_evidence(image, image_mask, image_evidence)
        words = _with_evidence(text, text_mask, text_evidence)
        new_text, to_image = self.text_to_image(text, *regions)
        new_image, to_text = self.image_to_text(image, *words)
        return torch.cat([new_text, new_image], dim=1), to_image, to_text


class HybridSentFusionBranch(nn.Module):
    """Fuse a short sequence, one vector a level: BiRAU, self-attention, pooling (S4).

    Its order is the recurrence's: middle and last layer of the text, the text after it looked at the
    image, the image after it looked at the text, the last stage of the image, its earlier stages.

    Args:
        config: The configuration.
        text: Vectors of evidence a text.
        image: Vectors of evidence an image.
    """

    def __init__(self, config: HybridSentConfig, text: int, image: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.text_pooling = HybridSentAttentionPooling(config)
        self.image_pooling = HybridSentAttentionPooling(config)
        self.level_embedding = nn.Embedding(text + 2 + image, size)
        self.recurrence, self.recurrence_output = None, None
        if config.recurrence != "none":
            self.recurrence_norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
            gate = config.recurrence == "birau"
            self.recurrence = BiRAU(size, config.recurrent_hidden_size, attention_gate=gate)
            self.recurrence_output = nn.Linear(2 * config.recurrent_hidden_size, size)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.self_attention = HybridSentSelfAttentionBlock(config)
        self.pooling = HybridSentAttentionPooling(config)
        self.joint_norm = nn.LayerNorm(3 * size, eps=config.layer_norm_eps)
        self.joint = nn.Linear(3 * size, size)

    def forward(
        self,
        hidden_states: torch.Tensor,
        mask: torch.Tensor,
        text_length: int,
        text_evidence: torch.Tensor,
        image_evidence: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Fuse the evidence of a post and pool it.

        Args:
            hidden_states: Text states then image states, (batch, text + image tokens, hidden_size).
            mask: True at real tokens of present modalities, (batch, text + image tokens).
            text_length: Number of text tokens at the front.
            text_evidence: (batch, its vectors, hidden_size), zero for a missing text.
            image_evidence: (batch, its vectors, hidden_size), zero for a missing image.

        Returns:
            The fused levels (batch, levels, hidden_size), the pooled vector (batch, hidden_size) and
            the attention weights (batch, heads, levels, levels), None unless attention is eager.
        """
        text_mask, image_mask = mask[:, :text_length], mask[:, text_length:]
        text = self.text_pooling(hidden_states[:, :text_length], text_mask)
        image = self.image_pooling(hidden_states[:, text_length:], image_mask)
        levels = torch.cat([text_evidence, text[:, None], image[:, None], image_evidence], dim=1)
        # Called, not read: offloaded weights come back for a call.
        levels = levels + self.level_embedding(torch.arange(levels.shape[1], device=levels.device))
        seen = [
            side.any(dim=1, keepdim=True).expand(-1, 1 + evidence.shape[1])
            for side, evidence in ((text_mask, text_evidence), (image_mask, image_evidence))
        ]
        visible = torch.cat(seen, dim=1)  # (batch, levels)
        levels = levels.masked_fill(~visible[..., None], 0.0)
        if self.recurrence is not None:
            update = self.recurrence(self.recurrence_norm(levels), visible)
            levels = levels + self.dropout(self.recurrence_output(update))  # type: ignore[misc]
        levels, weights = self.self_attention(levels, visible)
        joined = torch.cat([text, image, self.pooling(levels, visible)], dim=-1)
        joined = self.joint(self.dropout(self.joint_norm(joined)))
        return levels, nn.functional.gelu(joined), weights


class HybridSentDecisionFusion(nn.Module):
    """Weigh the branches into one decision, such as p = sum_b w_b p_b (S5); see `SingleLabel`.

    The weights of a post sum to 1 over the branches that it has. A branch whose modality is missing
    weighs exactly 0, and so does the fusion branch then: with one modality there is nothing to fuse,
    and the remaining unimodal branch answers alone. Only `decision_fusion="fusion_only"` differs:
    its single branch answers for every post, over whatever tokens are there.

    The gate of "dynamic" is a small network with one hidden layer over the three pooled vectors and
    the three branches' probabilities, or scores; these are detached, so that the gate learns whom
    to trust without making a branch more confident than its own loss asks for. That form is ours.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.config, self.kind = config, config.decision_fusion
        self.problem = problem_of(config)
        if self.kind == "dynamic":
            features = 3 * config.hidden_size + 3 * config.num_labels  # type: ignore[operator]
            self.norm = nn.LayerNorm(features, eps=config.layer_norm_eps)
            self.inner = nn.Linear(features, config.hidden_size)
            self.dropout = nn.Dropout(config.hidden_dropout)
            self.scores = nn.Linear(config.hidden_size, 3)
        elif self.kind == "global":
            self.global_scores = nn.Parameter(torch.zeros(3))

    def present_branches(self, has_text: torch.Tensor, has_image: torch.Tensor) -> torch.Tensor:
        """Return which of text, image and fusion may decide: (batch,), (batch,) -> bool (batch, 3)."""
        if self.kind == "fusion_only":
            no, yes = torch.zeros_like(has_text), torch.ones_like(has_text)
            return torch.stack([no, no, yes], dim=1)
        return torch.stack([has_text, has_image, has_text & has_image], dim=1)

    def _branch_scores(self, embeds: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Score the branches before the softmax: (batch, 3, ...) each -> (batch, 3)."""
        if self.kind == "dynamic":
            told = self.problem.tell_gate(said.detach())
            features = torch.cat([embeds.flatten(1), told.flatten(1)], dim=1)
            hidden = nn.functional.gelu(self.inner(self.norm(features.to(embeds.dtype))))
            scores = self.scores(self.dropout(hidden)).float()
            return scores / self.config.decision_weight_temperature
        if self.kind == "global":
            return self.global_scores.float().expand(embeds.shape[0], 3)
        return said.new_zeros(embeds.shape[0], 3)

    def forward(
        self, embeds: torch.Tensor, logits: torch.Tensor, present: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse the branches.

        Args:
            embeds: Pooled vectors of text, image and fusion, (batch, 3, hidden_size).
            logits: Their logits, (batch, 3, num_labels); ignored where not present.
            present: Which branches may decide, (batch, 3); at least one a post.

        Returns:
            Logits (batch, num_labels), of single labels log p, and the weights (batch, 3), both
            float32.
        """
        said = self.problem.say(logits.float())  # (batch, 3, num_labels)
        said = said.masked_fill(~present[..., None], 0.0)
        scores = self._branch_scores(embeds, said)  # (batch, 3)
        # The lowest float instead of -inf: exp() still gives exactly 0 and no gradient is NaN.
        scores = scores.masked_fill(~present, torch.finfo(scores.dtype).min)
        log_weights = torch.log_softmax(scores, dim=-1)
        return self.problem.mix(log_weights, said), log_weights.exp()
