"""Tiny random encoders of transformers' own configurations, shrunk by one rule."""

from transformers import CONFIG_MAPPING

TEXT = (
    "albert", "bert", "big_bird", "camembert", "canine", "convbert", "data2vec-text", "deberta",
    "deberta-v2", "distilbert", "electra", "ernie", "esm", "flaubert", "fnet", "ibert", "layoutlm",
    "longformer", "megatron-bert", "mobilebert", "modernbert", "mpnet", "nystromformer", "rembert",
    "roberta", "roberta-prelayernorm", "roformer", "squeezebert", "t5", "xlm", "xlm-roberta", "xlnet",
    "yoso", "clip_text_model", "siglip_text_model", "chinese_clip_text_model",
    "metaclip_2_text_model", "altclip_text_model", "blip_text_model",
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
FIXED = {"xlnet": ("max_position_embeddings",)}


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
