"""Tiny random models, tokenizers and posts that tests share; nothing is downloaded."""

import numpy as np
import torch
import transformers as tf
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from modeling_hybridsent import (
    HybridSentConfig,
    HybridSentForSequenceClassification,
    HybridSentProcessor,
)

WORDS = ["a", "the", "sun", "rain", "happy", "sad", "day", "cat", "very", "not", "good", "bad", "!"]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB_SIZE = 64
IMAGE_SIZE = 64
LABELS = {0: "negative", 1: "neutral", 2: "positive"}

SHARED = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {**SHARED, "vocab_size": VOCAB_SIZE, "intermediate_size": 48, "max_position_embeddings": 64}
# Their positions are counted from behind the padding's.
ROBERTA = {**TEXT, "max_position_embeddings": 66, "pad_token_id": 1}
TOKENS = {"image_size": IMAGE_SIZE, "patch_size": 16, "intermediate_size": 48, **SHARED}

TEXT_CONFIGS = {
    "bert": lambda: tf.BertConfig(**TEXT),
    "roberta": lambda: tf.RobertaConfig(**ROBERTA),
    "distilbert": lambda: tf.DistilBertConfig(
        vocab_size=VOCAB_SIZE, dim=32, hidden_dim=48, n_layers=2, n_heads=2
    ),
    "deberta-v2": lambda: tf.DebertaV2Config(
        **TEXT, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"]
    ),
    "modernbert": lambda: tf.ModernBertConfig(**TEXT, pad_token_id=0),
    "xlm-roberta": lambda: tf.XLMRobertaConfig(**ROBERTA),
    "clip-text": lambda: tf.CLIPTextConfig(**TEXT, pad_token_id=0, eos_token_id=3),
}
VISION_CONFIGS = {
    "vit": lambda: tf.ViTConfig(**TOKENS),
    "clip-vision": lambda: tf.CLIPVisionConfig(**TOKENS),
    "siglip-vision": lambda: tf.SiglipVisionConfig(**TOKENS),
    "dinov2": lambda: tf.Dinov2Config(
        **{k: v for k, v in TOKENS.items() if k != "intermediate_size"}, mlp_ratio=2
    ),
    "resnet": lambda: tf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], layer_type="basic"
    ),
    "convnext": lambda: tf.ConvNextConfig(hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1]),
    "swin": lambda: tf.SwinConfig(
        image_size=IMAGE_SIZE,
        patch_size=2,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
    ),
    "timm": lambda: tf.TimmWrapperConfig(architecture="test_efficientnet", do_pooling=False),
}


def tiny_config(text="bert", vision="vit", **kwargs):
    """Configuration of a tiny model, sized so that a forward takes milliseconds."""
    settings = {
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "recurrent_hidden_size": 6,
        "id2label": LABELS,
        "label2id": {name: i for i, name in LABELS.items()},
        **kwargs,
    }
    return HybridSentConfig.from_vision_text_configs(
        VISION_CONFIGS[vision](), TEXT_CONFIGS[text](), **settings
    )


def tiny_model(text="bert", vision="vit", seed=0, **kwargs):
    """A tiny random model in evaluation mode."""
    torch.manual_seed(seed)
    return HybridSentForSequenceClassification(tiny_config(text, vision, **kwargs)).eval()


def tiny_tokenizer():
    """A real word-level tokenizer with BERT's special tokens and a small vocabulary."""
    vocabulary = {word: i for i, word in enumerate(SPECIALS + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def tiny_processor(**kwargs):
    """A processor that fits every tiny model."""
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    settings = {"max_length": TEXT["max_position_embeddings"], **kwargs}
    return HybridSentProcessor(tf.ViTImageProcessor(size=size), tiny_tokenizer(), **settings)


def save_tiny(folder, **settings):
    """Save a tiny model with its processor, as a published folder, and return both."""
    model, processor = tiny_model(**settings), tiny_processor()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def probabilities_of(answers, labels):
    """What a pipeline said of posts with top_k=None, as a tensor (posts, labels)."""
    scores = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return torch.tensor([[named[name] for name in labels.values()] for named in scores])


def save_tiny_encoders(folder):
    """Save two tiny encoders as folders `text` and `vision`, as a user's own would be."""
    # A ViT, because the library renames its tensors on saving and then resumes without them.
    config, processor = tiny_config("bert", "vit"), tiny_processor()
    config.text_config.max_position_embeddings = 128  # what a training cuts texts to
    torch.manual_seed(0)
    model = HybridSentForSequenceClassification(config)
    model.hybridsent.text_model.save_pretrained(folder / "text")
    processor.tokenizer.save_pretrained(folder / "text")
    model.hybridsent.vision_model.save_pretrained(folder / "vision")
    processor.image_processor.save_pretrained(folder / "vision")


def picture(seed=0, width=48, height=40):
    """An image of seeded noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def batch(size=4, length=9, seed=0):
    """Random inputs of complete posts, with padding behind some texts."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, VOCAB_SIZE, (size, length), generator=generator)
    ids[:, 0], ids[:, -1] = 2, 3
    mask = torch.ones(size, length, dtype=torch.long)
    mask[0, length - 3 :] = 0
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "pixel_values": torch.randn(size, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator),
        "has_text": torch.ones(size, dtype=torch.bool),
        "has_image": torch.ones(size, dtype=torch.bool),
    }
