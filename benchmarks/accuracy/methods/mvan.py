"""Multi-view attention with memory hops."""

from typing import Any

import torch
from torch import nn

from benchmarks.accuracy.methods.baselines import (
    BaselineForSequenceClassification,
    BaselineModel,
    Features,
    ImageTokens,
)
from benchmarks.accuracy.methods.networks import PooledHead, QueryAttention
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.encoders_hybridsent import (
    HybridSentImageNorm,
    HybridSentProjection,
    mean_of_tokens,
    probe_encoder,
)

HOPS = 2
VIEWS = ("text", "object", "scene")


class TwoViews(ImageTokens):
    """Tokens of the last stage and of an earlier one.

    Attributes:
        layer: Index of the earlier one among the hidden states: the last with a finer grid, or the
            middle layer where all share one grid.
        width: Its channels.
    """

    reads_local = True

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        (tokens, _), *stages = probe_encoder(config.vision_config, "vision").sizes
        finer = [i for i, (count, _) in enumerate(stages) if count > tokens]
        self.layer = finer[-1] if finer else len(stages) // 2
        self.width = stages[self.layer][1]
        self.local_projection = HybridSentProjection(self.width, config, HybridSentImageNorm)

    def forward(
        self, last: torch.Tensor, local: torch.Tensor | None, has_image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Project both, each (batch, tokens, its channels), of the images there are, (batch,)."""
        assert local is not None
        seen = has_image[:, None].expand(-1, local.shape[1])
        scene, _, mask = super().forward(last, None, has_image)
        return scene, self.local_projection(local, seen), mask


class MVANModel(BaselineModel):
    """Text and two views of the image read each other over several hops."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.image_features = TwoViews(config)
        self.hops = nn.ModuleList(
            nn.ModuleDict({view: QueryAttention(config) for view in VIEWS}) for _ in range(HOPS)
        )
        self.norms = nn.ModuleDict(
            {view: nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) for view in VIEWS}
        )
        self.head = PooledHead(config, len(VIEWS))
        self.post_init()

    def _local_states(self, stages: list[torch.Tensor]) -> torch.Tensor:
        return stages[self.image_features.layer]

    def encoder_output_widths(self) -> dict[str, tuple[int, int | None]]:
        """Return the widths of precomputed states by modality."""
        widths = super().encoder_output_widths()
        return {**widths, "image": (widths["image"][0], self.image_features.width)}

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        scene, objects, scene_mask = image
        objects = scene if objects is None else objects  # no image in the whole batch
        object_mask = scene_mask[:, :1].expand(-1, objects.shape[1])
        memories = {
            "text": (text[0], text[2]),
            "object": (objects, object_mask),
            "scene": (scene, scene_mask),
        }
        states = {view: mean_of_tokens(*memory) for view, memory in memories.items()}
        for hop in self.hops:
            queries = {"text": states["object"] + states["scene"]}
            queries |= {view: states["text"] for view in ("object", "scene")}
            for view, (memory, mask) in memories.items():
                read = hop[view](queries[view], memory, mask)
                updated = self.norms[view](states[view] + read)
                states[view] = updated.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
        return {"fusion_embeds": self.head(*states.values())}


class MVAN(BaselineForSequenceClassification):
    """Multi-view attentional network (Yang, Feng, Wang, Zhang, IEEE TMM 23, 2021).

    The text asks two views of the image, the image asks the text, over two memory hops; what
    was read is joined by a hidden layer. Departures: the object view is an earlier stage of the vision
    encoder and the scene view its last, in place of two networks trained on objects and on places;
    the text encoder stands for word vectors and a recurrent network.
    """

    base_class = MVANModel
