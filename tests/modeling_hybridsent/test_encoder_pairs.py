"""Every encoder that the project names builds, learns with all its parameters and reloads."""

import pytest
import torch
from tiny_models import TEXT_CONFIGS, VISION_CONFIGS, batch, tiny_model

from modeling_hybridsent import HybridSentForSequenceClassification

PAIRS = [(text, "vit") for text in TEXT_CONFIGS] + [("bert", vision) for vision in VISION_CONFIGS]


@pytest.fixture(params=PAIRS, ids="+".join, scope="module")
def pair(request):
    return tiny_model(*request.param)


@pytest.mark.parametrize(("text", "vision"), PAIRS)
def test_every_encoder_gives_evidence_of_several_levels(text, vision):
    model = tiny_model(text, vision, evidence="levels").train()
    out = model(**batch(), labels=torch.tensor([0, 1, 2, 0]))
    out.loss.backward()
    assert [
        name for name, p in model.named_parameters() if p.requires_grad and p.grad is None
    ] == []
    levels = model.config.vision_feature_sizes[1:]
    assert 2 <= len(levels) <= 4
    assert model.hybridsent.image_features.count == 1 + len(levels)


def test_every_parameter_receives_a_gradient(pair):
    pair.train()
    inputs = {**batch(), "labels": torch.tensor([0, 1, 2, 0])}
    pair(**inputs).loss.backward()
    without = [name for name, p in pair.named_parameters() if p.grad is None]
    pair.zero_grad()
    pair.eval()
    assert without == []


def test_logits_survive_saving_and_loading(pair, tmp_path):
    pair.save_pretrained(tmp_path)
    again = HybridSentForSequenceClassification.from_pretrained(tmp_path).eval()
    inputs = batch()
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, pair(**inputs).logits)
    for name, tensor in pair.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_local_image_features_come_from_a_finer_or_earlier_stage(pair):
    kind = pair.config.vision_config.model_type
    layer = pair.config.vision_local_layer
    inputs = batch()
    with torch.no_grad():
        outputs = pair.hybridsent.vision_model(
            pixel_values=inputs["pixel_values"], output_hidden_states=True
        )
    stages = outputs.hidden_states
    assert layer < len(stages) - 1
    if kind in {"resnet", "convnext", "timm_wrapper"}:
        assert stages[layer].shape[-1] > outputs.last_hidden_state.shape[-1]
