"""Local features of every kind of encoder that the tests use."""

import pytest
import torch
from tiny_models import TEXT_CONFIGS, VISION_CONFIGS, batch, tiny_model

PAIRS = [(text, "vit") for text in TEXT_CONFIGS] + [("bert", vision) for vision in VISION_CONFIGS]


@pytest.mark.parametrize(("text", "vision"), PAIRS)
def test_every_encoder_gives_evidence_of_several_levels(text, vision):
    model = tiny_model(text, vision, evidence="levels").train()
    model(**batch(), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, gradient in trained.items() if gradient is None] == []
    levels = model.config.vision_feature_sizes[1:]
    assert 2 <= len(levels) <= 4
    assert model.hybridsent.image_features.count == 1 + len(levels)


@pytest.mark.parametrize("vision", VISION_CONFIGS)
def test_local_image_features_come_from_a_finer_or_earlier_stage(vision):
    model = tiny_model(vision=vision)
    kind = model.config.vision_config.model_type
    layer = model.config.vision_local_layer
    inputs = batch()
    with torch.no_grad():
        outputs = model.hybridsent.vision_model(
            pixel_values=inputs["pixel_values"], output_hidden_states=True
        )
    stages = outputs.hidden_states
    assert layer < len(stages) - 1
    if kind in {"resnet", "convnext", "timm_wrapper"}:
        assert stages[layer].shape[-1] > outputs.last_hidden_state.shape[-1]
