"""Local image features of every kind of vision encoder that the tests use."""

import pytest
import torch
from tiny_models import VISION_CONFIGS, batch, tiny_model


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
