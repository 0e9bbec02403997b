"""Multi-layer transformer fusion with contrastive losses."""

from typing import Any

import torch
from torch import nn

from benchmarks.accuracy.methods.baselines import (
    BaselineForSequenceClassification,
    BaselineModel,
    Features,
)
from benchmarks.accuracy.methods.networks import QueryAttention
from hybridsent.training.collator import NO_LABEL
from modeling_hybridsent import HybridSentConfig

LAYERS = 3
CONTRASTIVE_TEMPERATURE = 0.07
CONTRASTIVE_WEIGHT = 0.1  # of each of the two losses
DROPPED_TOKENS = 0.2  # share of the tokens that the second view of a post lacks


def _similarity(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return cosines over the temperature, (posts, others), in float32 also under autocast."""
    first, second = (nn.functional.normalize(x.float(), dim=-1) for x in (first, second))
    with torch.autocast(first.device.type, enabled=False):
        return first @ second.T / CONTRASTIVE_TEMPERATURE


def label_contrast(embeds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Draw posts of the same label together and push the others away.

    Args:
        embeds: (posts, width).
        labels: (posts,), all known.

    Returns:
        Mean negative log share of same-label posts among all others; 0 where no two share a label.
    """
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    similarity = _similarity(embeds, embeds).masked_fill(itself, torch.finfo(torch.float32).min)
    log_share = torch.log_softmax(similarity, dim=-1)  # (posts, posts)
    same = (labels[:, None] == labels) & ~itself
    of_post = -(log_share * same).sum(dim=-1) / same.sum(dim=-1).clamp(min=1)
    return of_post.sum() / same.any(dim=-1).sum().clamp(min=1)


def view_contrast(embeds: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
    """Draw each post to its own second view and push the others' away: (posts, width) each."""
    places = torch.arange(len(embeds), device=embeds.device)
    return nn.functional.cross_entropy(_similarity(embeds, views), places)


class CLMLFModel(BaselineModel):
    """Transformer layers over the tokens of both modalities, then attention pooling.

    Attributes:
        second_view: In training, vectors (batch, hidden_size) of the batch with dropped tokens.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.modality_embedding = nn.Embedding(2, config.hidden_size)
        layer = nn.TransformerEncoderLayer(
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.hidden_dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooling = QueryAttention(config)
        self.second_view: torch.Tensor | None = None
        self.post_init()

    def _joined(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Fuse (batch, tokens, hidden_size) into one vector a post, (batch, hidden_size)."""
        states = self.norm(self.layers(tokens, src_key_padding_mask=~mask))
        states = states.masked_fill(~mask[..., None], 0.0)
        return self.pooling(torch.zeros_like(states[:, 0]), states, mask)

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        kinds = self.modality_embedding.weight
        tokens = torch.cat([text[0] + kinds[0], image[0] + kinds[1]], dim=1)
        mask = torch.cat([text[2], image[2]], dim=1)
        tokens = tokens.masked_fill(~mask[..., None], 0.0)
        self.second_view = None
        if self.training:
            kept = mask & (torch.rand(mask.shape, device=mask.device) >= DROPPED_TOKENS)
            self.second_view = self._joined(tokens, torch.where(kept.any(1)[:, None], kept, mask))
        return {"fusion_embeds": self._joined(tokens, mask)}


class CLMLF(BaselineForSequenceClassification):
    """Contrastive learning and multi-layer fusion (Li, Xu, Zhu, Wu, Findings of NAACL 2022).

    Transformer layers over text and image tokens, attention pooling, cross-entropy and two
    contrastive losses. Departures: the label-based loss is the supervised contrastive one on unit
    vectors; for the augmentation-based loss, the second view of a post lacks a fifth of its tokens and
    has other dropout, in place of back-translated texts and augmented images; no transformer
    layers over the image alone; the weights of the losses are ours.
    """

    base_class = CLMLFModel

    def extra_loss(self, outputs: Any, batch: dict[str, Any]) -> torch.Tensor | None:
        """Sum both contrastive losses; posts without label take part in the second alone."""
        embeds, labels = outputs.fusion_embeds, batch["labels"]
        known = labels != NO_LABEL
        by_label = label_contrast(embeds[known], labels[known])
        by_view = view_contrast(embeds, self.hybridsent.second_view)
        return CONTRASTIVE_WEIGHT * (by_label + by_view)
