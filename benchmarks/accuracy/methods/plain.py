"""The baselines that need no paper: the text alone, the image alone, and both joined."""

from typing import Any

import torch

from benchmarks.accuracy.methods.baselines import (
    BaselineForSequenceClassification,
    BaselineModel,
    Features,
)
from benchmarks.accuracy.methods.networks import PooledHead
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.encoders_hybridsent import mean_of_tokens


class ConcatenationModel(BaselineModel):
    """Mean token states of the modalities that are read, joined, then one hidden layer."""

    reads: tuple[str, ...] = ("text", "image")

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.head = PooledHead(config, len(self.reads))
        self.post_init()

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        given = {"text": text, "image": image}
        pooled = [mean_of_tokens(given[name][0], given[name][2]) for name in self.reads]
        return {"fusion_embeds": self.head(*pooled)}


class TextOnlyModel(ConcatenationModel):
    """Reads the text; does not look at images."""

    reads = ("text",)

    def _image(
        self, pixel_values: Any, outputs: Any, has_image: torch.Tensor, local: Any
    ) -> Features:
        return self._nothing(has_image.shape[0])


class ImageOnlyModel(ConcatenationModel):
    """Reads the image; does not look at texts."""

    reads = ("image",)

    def _text(self, *given: Any) -> Features:
        return self._nothing(given[-1].shape[0])


class TextOnly(BaselineForSequenceClassification):
    """The text encoder specialised on the posts' labels, as BERT is in the tables of this field."""

    base_class, reads = TextOnlyModel, ("text",)
    unused_parts = ("hybridsent.vision_model", "hybridsent.image_features")


class ImageOnly(BaselineForSequenceClassification):
    """The vision encoder specialised on the posts' labels."""

    base_class, reads = ImageOnlyModel, ("image",)
    unused_parts = ("hybridsent.text_model", "hybridsent.text_features")


class Concatenation(BaselineForSequenceClassification):
    """Joined mean states and a perceptron: the plainest fusion of features.

    A missing modality is a zero vector, as it is for hybridsent's branches.
    """

    base_class = ConcatenationModel
