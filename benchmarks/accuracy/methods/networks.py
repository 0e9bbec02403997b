"""Small networks that several of the compared methods are built of."""

import torch
from torch import nn

from modeling_hybridsent import HybridSentConfig


class PooledHead(nn.Module):
    """One hidden layer over the joined mean states of one or both modalities.

    Args:
        config: Width, dropout and epsilon.
        modalities: How many mean states are joined.
    """

    def __init__(self, config: HybridSentConfig, modalities: int) -> None:
        super().__init__()
        width = modalities * config.hidden_size
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.inner = nn.Linear(width, config.hidden_size)

    def forward(self, *pooled: torch.Tensor) -> torch.Tensor:
        """Map as many tensors (batch, hidden_size) as there are modalities to (batch, hidden_size)."""
        joined = self.norm(torch.cat(pooled, dim=-1))  # (batch, modalities * hidden_size)
        return nn.functional.gelu(self.inner(self.dropout(joined)))


class QueryAttention(nn.Module):
    """Additive attention: one vector a post reads a sequence."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.score = nn.Linear(config.hidden_size, 1, bias=False)

    def forward(
        self, query: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Read what the query asks for; zero for a post without a visible token.

        Args:
            query: (batch, hidden_size).
            memory: (batch, tokens, hidden_size).
            mask: True at visible tokens, (batch, tokens).

        Returns:
            (batch, hidden_size).
        """
        scores = self.score(torch.tanh(self.query(query)[:, None] + self.key(memory))).squeeze(-1)
        scores = scores.float().masked_fill(~mask, torch.finfo(torch.float32).min)
        weights = torch.softmax(scores, dim=-1).to(memory.dtype)  # (batch, tokens)
        read = torch.einsum("bt,bth->bh", weights, memory)
        return read.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
