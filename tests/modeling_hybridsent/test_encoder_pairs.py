"""Evidence of several levels from every kind of encoder that the tests use."""

import pytest
import torch
from tiny_models import TEXT_CONFIGS, VISION_CONFIGS, batch, tiny_model

PAIRS = [(text, "vit") for text in TEXT_CONFIGS] + [("bert", vision) for vision in VISION_CONFIGS]


@pytest.mark.parametrize(("text", "vision"), PAIRS)
def test_every_encoder_gives_evidence_of_several_levels(text, vision):
    model = tiny_model(text, vision).train()
    model(**batch(), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, gradient in trained.items() if gradient is None] == []
    levels = model.config.vision_feature_sizes[1:]
    assert 2 <= len(levels) <= 4
    assert model.hybridsent.image_features.count == 1 + len(levels)
