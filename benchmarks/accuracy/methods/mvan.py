"""Multi-view attention with memory hops."""

from typing import Any

from torch import nn

from benchmarks.accuracy.methods.baselines import (
    BaselineForSequenceClassification,
    BaselineModel,
    Features,
)
from benchmarks.accuracy.methods.networks import PooledHead, QueryAttention, mean_of_tokens
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.encoders_hybridsent import HybridSentImageFeatures

HOPS = 2
VIEWS = ("text", "object", "scene")


class MVANModel(BaselineModel):
    """Text and two views of the image read each other over several hops."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.image_features = HybridSentImageFeatures(config)
        self.hops = nn.ModuleList(
            nn.ModuleDict({view: QueryAttention(config) for view in VIEWS}) for _ in range(HOPS)
        )
        self.norms = nn.ModuleDict(
            {view: nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) for view in VIEWS}
        )
        self.head = PooledHead(config, len(VIEWS))
        self.post_init()

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
