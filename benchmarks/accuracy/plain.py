"""The rivals that need no paper: the text alone, the picture alone, and both joined."""

from typing import Any

from benchmarks.accuracy.networks import PooledHead, mean_of_tokens
from benchmarks.accuracy.rivals import Features, RivalForSequenceClassification, RivalModel
from modeling_hybridsent import HybridSentConfig


class TextOnlyModel(RivalModel):
    """Mean of the text's token states, then one hidden layer; pictures are not looked at."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.head = PooledHead(config, 1)
        self.post_init()

    def _image(self, *given: Any) -> Features:
        return self._nothing(given[-1].shape[0])

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        return {"fusion_embeds": self.head(mean_of_tokens(text[0], text[2]))}


class TextOnly(RivalForSequenceClassification):
    """The text encoder specialised on the posts' labels, as BERT is in the tables of this field."""

    base_class = TextOnlyModel
    unused_parts = ("hybridsent.vision_model", "hybridsent.image_features")


class ImageOnlyModel(RivalModel):
    """Mean of the picture's token states, then one hidden layer; texts are not looked at."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.head = PooledHead(config, 1)
        self.post_init()

    def _text(self, *given: Any) -> Features:
        return self._nothing(given[-1].shape[0])

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        return {"fusion_embeds": self.head(mean_of_tokens(image[0], image[2]))}


class ImageOnly(RivalForSequenceClassification):
    """The vision encoder specialised on the posts' labels."""

    base_class = ImageOnlyModel
    unused_parts = ("hybridsent.text_model", "hybridsent.text_features")


class ConcatenationModel(RivalModel):
    """Mean states of both modalities joined, then one hidden layer."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.head = PooledHead(config, 2)
        self.post_init()

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        pooled = [mean_of_tokens(states, mask) for states, _, mask in (text, image)]
        return {"fusion_embeds": self.head(*pooled)}


class Concatenation(RivalForSequenceClassification):
    """Joined mean states and a perceptron: the plainest fusion of features.

    A missing modality is a zero vector, as it is for hybridsent's branches.
    """

    base_class = ConcatenationModel
