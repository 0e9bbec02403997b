"""Tiny random encoders of transformers' own configurations, shrunk by one rule."""

import re
from pathlib import Path

import torch
from tiny_models import LABELS, TEXT_CONFIGS, VISION_CONFIGS
from transformers import CONFIG_MAPPING

from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification

PAGE = Path(__file__).parents[1] / "docs" / "encoders.md"
SIZES = {"hidden_size": 16, "intermediate_size": 24, "recurrent_hidden_size": 6}

TEXT = (
    "albert", "bert", "big_bird", "camembert", "canine", "convbert", "data2vec-text", "deberta",
    "deberta-v2", "distilbert", "electra", "ernie", "esm", "flaubert", "fnet", "funnel", "ibert",
    "layoutlm", "longformer", "luke", "megatron-bert", "mobilebert", "modernbert", "mpnet", "mra",
    "nystromformer", "rembert", "roberta", "roberta-prelayernorm", "roformer", "squeezebert", "t5",
    "xlm", "xlm-roberta", "xlnet", "yoso", "clip_text_model", "siglip_text_model",
    "chinese_clip_text_model", "metaclip_2_text_model", "altclip_text_model", "blip_text_model",
)  # fmt: skip
VISION = (
    "beit", "clip_vision_model", "convnext", "convnextv2", "data2vec-vision", "deit", "dinov2",
    "dinov2_with_registers", "dinov3_vit", "dinov3_convnext", "focalnet", "levit", "mobilenet_v1",
    "mobilenet_v2", "mobilevit", "poolformer", "pvt", "pvt_v2", "resnet", "segformer", "swiftformer",
    "swin", "swinv2", "vit", "vit_mae", "vit_msn", "siglip_vision_model", "siglip2_vision_model",
    "chinese_clip_vision_model", "metaclip_2_vision_model", "altclip_vision_model",
    "blip_vision_model", "timm:test_efficientnet", "timm:test_convnext", "timm:test_vit",
)  # fmt: skip
WIDTH, INNER = 32, 48
SMALL = (
    dict.fromkeys(("hidden_size", "d_model", "dim", "emb_dim", "embedding_size"), WIDTH)
    | dict.fromkeys(("num_hidden_layers", "n_layers", "n_layer", "num_layers"), 2)
    | dict.fromkeys(("num_attention_heads", "n_heads", "n_head", "num_heads"), 2)
    | dict.fromkeys(("intermediate_size", "hidden_dim", "d_inner", "d_ff"), INNER)
    | dict.fromkeys(("vocab_size", "max_position_embeddings", "image_size"), 64)
    | {"d_kv": 16, "d_head": 16, "embed_dim": 16}
)
OWN = {
    "funnel": {"block_sizes": [1, 1], "d_inner": INNER, "architectures": ["FunnelModel"]},
    "luke": {"entity_vocab_size": 64, "entity_emb_size": 16},
    "esm": {"vocab_size": 64, "pad_token_id": 1},
    "modernbert": {"pad_token_id": 0},
    "swin": {"window_size": 4, "num_heads": [1, 1, 2, 2], "patch_size": 2},
    "swinv2": {"window_size": 4, "num_heads": [1, 1, 2, 2], "patch_size": 2},
    "dinov3_convnext": {"hidden_sizes": [8, 16, 24, 32]},
    "convnext": {"hidden_sizes": [8, 16, 24, 32]},
    "convnextv2": {"hidden_sizes": [8, 16, 24, 32]},
    "resnet": {"hidden_sizes": [8, 12, 16, 24], "layer_type": "basic"},
    "poolformer": {"hidden_sizes": [8, 16, 24, 32]},
    "mobilenet_v1": {"depth_multiplier": 0.25},
    "mobilenet_v2": {"depth_multiplier": 0.35},
}
# Names that some configurations have, but not as a size of their own.
FIXED = {"funnel": ("num_hidden_layers", "d_head"), "xlnet": ("max_position_embeddings",)}


def tiny_encoder_config(name):
    """Build the configuration of an encoder by its `model_type`, with small sizes where it has them."""
    if name.startswith("timm:"):
        architecture = name.removeprefix("timm:")
        return CONFIG_MAPPING["timm_wrapper"](architecture=architecture, do_pooling=False)
    kind = CONFIG_MAPPING[name]
    usual = kind()
    small = {x: y for x, y in SMALL.items() if isinstance(getattr(usual, x, None), int)}
    if isinstance(getattr(usual, "depths", None), list):
        small["depths"] = [1] * len(usual.depths)
    kept = {x: y for x, y in small.items() if x not in FIXED.get(name, ())}
    return kind(**kept | OWN.get(name, {}))


def working_encoders():
    """Modality and name of each encoder that works, by the table of the page."""
    page = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^\| (text|vision) \| (\S+) \| works", page, re.MULTILINE)


def build(modality, name):
    """Build a tiny model with this encoder, beside a BERT or a ViT."""
    text, vision = TEXT_CONFIGS["bert"](), VISION_CONFIGS["vit"]()
    if modality == "text":
        text = tiny_encoder_config(name)
    else:
        vision = tiny_encoder_config(name)
    config = HybridSentConfig.from_vision_text_configs(
        vision, text, **SIZES, num_attention_heads=2, id2label=LABELS
    )
    return HybridSentForSequenceClassification(config)


def inputs_of(config, tokens=9, seed=0):
    """Random inputs of two posts, in the size that the encoders take."""
    generator = torch.Generator().manual_seed(seed)
    sizes = getattr(config.vision_config, "image_size", None) or 64
    size = sizes if isinstance(sizes, int) else max(sizes)
    return {
        "input_ids": torch.randint(5, 60, (2, tokens), generator=generator),
        "attention_mask": torch.ones(2, tokens, dtype=torch.long),
        "pixel_values": torch.randn(2, 3, size, size, generator=generator),
    }
