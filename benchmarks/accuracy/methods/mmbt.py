"""Early fusion: image tokens inside the text encoder."""

from typing import Any

import torch
from torch import nn

from benchmarks.accuracy.methods.baselines import (
    BaselineForSequenceClassification,
    BaselineModel,
    Features,
)
from benchmarks.accuracy.methods.networks import PooledHead
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.encoders_hybridsent import encode_text, mean_of_tokens

IMAGE_TOKENS = 7  # an image's tokens are averaged down to so many; of a 7 x 7 grid, its rows


class MMBTModel(BaselineModel):
    """Projected image tokens in front of the word embeddings, then the text encoder."""

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        width = config.text_config.hidden_size
        self.image_norm = nn.LayerNorm(config.vision_feature_sizes[0], eps=config.layer_norm_eps)
        self.image_projection = nn.Linear(config.vision_feature_sizes[0], width)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.head = PooledHead(config, 1)
        self.post_init()

    def _text(
        self,
        given: dict[str, torch.Tensor | None],
        outputs: Any,
        attention_mask: torch.Tensor,
        has_text: torch.Tensor,
    ) -> Features:
        """Return word embeddings (batch, tokens, text width); the encoder runs in `_pooled`."""
        if outputs is not None:
            raise ValueError("MMBT runs images through the text encoder: give input_ids.")
        mask = attention_mask.bool() & has_text[:, None]
        words = given["inputs_embeds"]
        if words is None:
            words = self.get_input_embeddings()(given["input_ids"].masked_fill(~mask, 0))
        return words.masked_fill(~mask[..., None], 0.0), None, mask

    def _image(
        self,
        pixel_values: torch.Tensor | None,
        outputs: Any,
        has_image: torch.Tensor,
        local: torch.Tensor | None,
    ) -> Features:
        """Return image tokens (batch, IMAGE_TOKENS at most, channels)."""
        if outputs is None:
            pixel_values = pixel_values.masked_fill(~has_image[:, None, None, None], 0.0)
            outputs = self.get_image_encoder_outputs(pixel_values, local)
        states = outputs[0].to(self.dtype).masked_fill(~has_image[:, None, None], 0.0)
        count = min(IMAGE_TOKENS, states.shape[1])
        states = nn.functional.adaptive_avg_pool1d(states.transpose(1, 2), count).transpose(1, 2)
        return states, None, has_image[:, None].expand(-1, count)

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        given = {}
        if image[2].any():
            images = self.image_projection(self.dropout(self.image_norm(image[0])))
            given["image_embeds"] = images.to(self.dtype), image[2]
        if text[2].any():
            given["text_embeds"] = text[0], text[2]
        tokens, masks = zip(*given.values(), strict=True)
        mask = torch.cat(masks, dim=1)  # (batch, image + text tokens)
        inputs = {"inputs_embeds": torch.cat(tokens, dim=1), "attention_mask": mask.long()}
        states, _ = encode_text(self.text_model, inputs | self._places(masks))
        states = self.text_features.global_projection(states, mask)
        pooled = {"fusion_embeds": self.head(mean_of_tokens(states, mask))}
        if self.pools_modalities:  # means of the image's and of the text's tokens
            pooled |= dict.fromkeys(("text_embeds", "image_embeds"), torch.zeros_like(states[:, 0]))
            parts = states.split([mask.shape[1] for mask in masks], dim=1)
            pooled |= dict(zip(given, map(mean_of_tokens, parts, masks), strict=True))
        return pooled

    def _by_modality(self, text: Features, image: Features) -> dict[str, torch.Tensor]:
        """Return nothing: here, inputs of the text encoder are no states yet."""
        return {}

    def _places(self, masks: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Count positions of image and text each from 0, where the encoder is a BERT."""
        if self.config.text_config.model_type != "bert":
            return {}
        places = [torch.arange(mask.shape[1], device=mask.device) for mask in masks]
        return {"position_ids": torch.cat(places)[None]}


class MMBT(BaselineForSequenceClassification):
    """Multimodal bitransformer (Kiela, Bhooshan, Firooz, Perez, Testuggine, arXiv:1909.02950, 2019).

    Image states, averaged to seven and projected to the width of the word embeddings, stand before
    the text in a pretrained text encoder, whose states are classified. Departures: the mean of all
    states is classified by one hidden layer, in place of the first state, since the encoder here was
    pretrained for its mean; image and text share one segment embedding; both encoders keep the
    tuning of the other methods, without staged unfreezing.
    """

    base_class = MMBTModel
    unused_parts = ("hybridsent.image_features",)
    takes_text_states = False
