"""Attention blocks of the fusion: self-attention, cross-attention, feed-forward and pooling.

All masks here are key masks: True where a token may be looked at, (batch, keys). A post without any
visible key (its modality is missing) gets no update from that block, so a missing modality changes
nothing instead of giving NaN.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_hybridsent import HybridSentConfig


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend with plain matrix products, which keeps the weights for explanations.

    Args:
        module: The attention module; its mode decides whether dropout is on.
        query: (batch, heads, queries, head_size).
        key: (batch, heads, keys, head_size).
        value: (batch, heads, keys, head_size).
        attention_mask: Added to the scores, (batch, 1, queries, keys), or None.
        scaling: Multiplies the scores.
        dropout: Dropout probability on the weights.
        **kwargs: What other implementations need.

    Returns:
        Attended values (batch, queries, heads, head_size) and weights (batch, heads, queries, keys).
    """
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class HybridSentAttention(nn.Module):
    """Multi-head attention from one sequence to another (or to itself)."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.config = config
        self.head_size = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_size**-0.5
        self.attention_dropout = config.attention_dropout
        self.is_causal = False
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        batch, length, _ = projected.shape
        return projected.view(batch, length, -1, self.head_size).transpose(1, 2)

    def forward(
        self, queries: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Let `queries` look at `memory`.

        Args:
            queries: (batch, queries, hidden_size).
            memory: (batch, keys, hidden_size).
            memory_mask: True where a key may be looked at, (batch, keys).

        Returns:
            The update (batch, queries, hidden_size), zero for a post without a visible key, and the
            attention weights (batch, heads, queries, keys), None unless attention is eager.
        """
        any_key = memory_mask.any(dim=-1, keepdim=True)  # (batch, 1)
        attend: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        attended, weights = attend(
            self,
            self._heads(self.query(queries)),
            self._heads(self.key(memory)),
            self._heads(self.value(memory)),
            # Rows without a visible key look everywhere, because softmax over nothing is NaN; what
            # they see is dropped below.
            create_bidirectional_mask(
                config=self.config,
                inputs_embeds=queries,
                attention_mask=memory_mask | ~any_key,
                encoder_hidden_states=memory,
            ),
            scaling=self.scaling,
            dropout=self.attention_dropout if self.training else 0.0,
        )
        update = self.output(attended.flatten(2))  # (batch, queries, hidden_size)
        return update.masked_fill(~any_key[..., None], 0.0), weights


class HybridSentFeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.inner = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.outer = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map (batch, length, hidden_size) to the same shape."""
        return self.outer(self.activation(self.inner(hidden_states)))


class HybridSentSelfAttentionBlock(GradientCheckpointingLayer):
    """Self-attention and feed-forward, each normalised first and added to its input."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = HybridSentAttention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = HybridSentFeedForward(config)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self, hidden_states: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Let every token look at the visible tokens of its own sequence.

        Args:
            hidden_states: (batch, length, hidden_size).
            mask: True at real tokens, (batch, length).

        Returns:
            The updated sequence (batch, length, hidden_size) and the attention weights (batch, heads,
            length, length), None unless attention is eager.
        """
        normed = self.attention_norm(hidden_states)
        update, weights = self.attention(normed, normed, mask)
        hidden_states = hidden_states + self.dropout(update)
        update = self.feed_forward(self.feed_forward_norm(hidden_states))
        return hidden_states + self.dropout(update), weights


class HybridSentAttentionPooling(nn.Module):
    """Pool a sequence into one vector, each token weighted by a learned score."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.inner = nn.Linear(config.hidden_size, config.hidden_size)
        # No bias: softmax would not see it, so it would never learn.
        self.score = nn.Linear(config.hidden_size, 1, bias=False)

    def forward(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return one vector a post, zero for a post without a real token.

        Args:
            hidden_states: (batch, length, hidden_size).
            mask: True at real tokens, (batch, length).

        Returns:
            (batch, hidden_size).
        """
        hidden_states = self.norm(hidden_states)
        scores = self.score(torch.tanh(self.inner(hidden_states))).squeeze(-1)  # (batch, length)
        scores = scores.float().masked_fill(~mask, torch.finfo(torch.float32).min)
        weights = torch.softmax(scores, dim=-1).to(hidden_states.dtype)
        pooled = torch.einsum("bl,blh->bh", weights, hidden_states)
        return pooled.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
