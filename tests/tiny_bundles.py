"""A finished run on the bundled encoders, with a tiny fusion, changed in all ways of training."""

from functools import cache

import torch
from finished_runs import save_finished_run
from tiny_models import LABELS
from transformers import AutoImageProcessor, AutoTokenizer

from hybridsent.bundled.encoders import resolve_encoder
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor

TEXT, VISION = "bundled/all-minilm-l6-v2", "bundled/efficientnet-lite0"
LORA = "hybridsent.text_model.encoder.layer.2.attention.self.query.weight"
TUNED = "hybridsent.vision_model.timm_model.blocks.1.0.conv_pw.weight"  # a kernel of 1x1
DEPTHWISE = "hybridsent.vision_model.timm_model.blocks.1.0.conv_dw.weight"
NORM = "hybridsent.vision_model.timm_model.blocks.1.0.bn1.running_var"
COUNT = "hybridsent.vision_model.timm_model.blocks.1.0.bn1.num_batches_tracked"
RANK = 4


@cache
def trained_model():
    """The model; its changes have no effect but on bytes, for they are small."""
    torch.manual_seed(0)
    model = HybridSentForSequenceClassification.from_vision_text_pretrained(
        resolve_encoder(VISION),
        resolve_encoder(TEXT),
        id2label=LABELS,
        label2id={name: i for i, name in LABELS.items()},
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=24,
        recurrent_hidden_size=6,
    )
    weights = model.state_dict()
    weights[LORA] += 0.01 * torch.randn(384, RANK) @ torch.randn(RANK, 384)
    for name in (TUNED, DEPTHWISE, NORM):
        weights[name] += 0.01 * torch.randn(weights[name].shape).abs()
    weights[COUNT] += 7
    return model


def save_run(folder, **changed):
    """Lay out the folder of the run; return its model."""
    save_finished_run(folder, **changed)
    model = trained_model()
    model.save_pretrained(folder)
    images = AutoImageProcessor.from_pretrained(resolve_encoder(VISION))
    tokenizer = AutoTokenizer.from_pretrained(resolve_encoder(TEXT))
    HybridSentProcessor(images, tokenizer, max_length=64).save_pretrained(folder)
    return model
