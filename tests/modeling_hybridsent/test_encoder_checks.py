"""An encoder must answer a post by the post alone: asked twice, it must answer alike."""

import random

import numpy as np
import pytest
import torch
import transformers as tf
from tiny_models import TEXT_CONFIGS, VISION_CONFIGS
from torch import nn

from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification

SIZES = {"hidden_size": 16, "intermediate_size": 24, "recurrent_hidden_size": 6}


class OwnTextConfig(tf.PreTrainedConfig):
    model_type = "own-text"
    hidden_size: int = 16
    whim: str = "none"


class OwnVisionConfig(OwnTextConfig):
    model_type = "own-vision"
    image_size: int = 32


class Own(tf.PreTrainedModel):
    """An encoder of one layer, with a whim."""

    config_class = OwnTextConfig

    def __init__(self, config):
        super().__init__(config)
        self.calls = 0
        self.layer = self.first_layer()
        self.post_init()

    def answer(self, first):
        self.calls += 1
        last = first
        if self.config.whim == "numpy":
            last = last + float(np.random.standard_normal())
        elif self.config.whim == "random":
            last = last + random.random()
        elif self.config.whim == "calls":
            last = last * self.calls
        elif self.config.whim == "neighbours":
            last = last + 10 * last.sum(dim=0, keepdim=True)
        return tf.modeling_outputs.BaseModelOutput(last, hidden_states=(first, last))


class OwnText(Own):
    def first_layer(self):
        return nn.Embedding(64, 16)

    def forward(self, input_ids, attention_mask, output_hidden_states=True, return_dict=True):
        return self.answer(self.layer(input_ids))


class OwnVision(Own):
    config_class = OwnVisionConfig

    def first_layer(self):
        return nn.Conv2d(3, 16, 8, 8)

    def forward(self, pixel_values, output_hidden_states=True, return_dict=True):
        return self.answer(self.layer(pixel_values).flatten(2).transpose(1, 2))


for kind, model in ((OwnTextConfig, OwnText), (OwnVisionConfig, OwnVision)):
    tf.AutoConfig.register(kind.model_type, kind)
    tf.AutoModel.register(kind, model)


def build(modality, whim):
    text, vision = TEXT_CONFIGS["bert"](), VISION_CONFIGS["vit"]()
    if modality == "text":
        text = OwnTextConfig(whim=whim)
    else:
        vision = OwnVisionConfig(whim=whim)
    config = HybridSentConfig.from_vision_text_configs(vision, text, **SIZES, num_attention_heads=2)
    return HybridSentForSequenceClassification(config)


WHIMS = dict.fromkeys(("numpy", "random", "calls"), "when called again")
WHIMS["neighbours"] = "beside another post"


@pytest.mark.parametrize("whim", WHIMS)
@pytest.mark.parametrize("modality", ["text", "vision"])
def test_an_encoder_with_a_whim_is_refused(modality, whim):
    what = f"encoder 'own-{modality}' cannot be used: it answers otherwise {WHIMS[whim]}. Tested"
    np.random.seed(0)  # else one draw in some hundreds is almost the one before
    random.seed(0)
    for _ in range(2):
        with pytest.raises(ValueError, match=what):
            build(modality, whim)


@pytest.mark.parametrize("modality", ["text", "vision"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_encoder_without_a_whim_works(modality, dtype):
    torch.set_default_dtype(dtype)
    try:
        assert build(modality, "none").dtype == dtype
    finally:
        torch.set_default_dtype(torch.float32)
