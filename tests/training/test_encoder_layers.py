"""Which layers of an encoder learn, how fast, and what runs in front of them."""

import pytest
import torch
from tiny_models import IMAGE_SIZE, TEXT_CONFIGS, VISION_CONFIGS, batch, tiny_model, tiny_processor

from hybridsent.training.arguments import HybridSentTrainingArguments
from hybridsent.training.encoder_layers import (
    EncoderLayers,
    FrozenFront,
    learning_rates,
    prepare_encoders,
)

LABELS = torch.tensor([0, 1, 2, 0])
CHAINS_OF_MAPS = {"resnet", "convnext", "timm"}


def arguments(folder, **changed):
    settings = {"output_dir": str(folder), "learning_rate": 0.01, "cpu_threads": 1, "use_cpu": True}
    return HybridSentTrainingArguments(**settings | changed)


def trained(encoder):
    return {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("vision", VISION_CONFIGS)
def test_the_last_layer_alone_is_trained(vision, tmp_path):
    model = tiny_model(vision=vision)
    encoder = model.hybridsent.vision_model
    prepare_encoders(model, arguments(tmp_path, vision_encoder_trained_layers=1))
    layers = EncoderLayers(encoder).layers
    assert len(layers) == (
        2 if vision in ("vit", "clip-vision", "siglip-vision", "dinov2") else 4
    ) or (vision == "timm")
    assert trained(layers[-1])
    assert not any(trained(layer) for layer in layers[:-1])
    model.train()(**batch(), labels=LABELS).loss.backward()
    got = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert got == trained(encoder)
    first = next(encoder.named_parameters())[0]  # embeddings or stem
    assert first not in got


def test_frozen_layers_and_batch_norms_stay_in_eval(tmp_path):
    model = tiny_model(vision="resnet")
    prepare_encoders(model, arguments(tmp_path, vision_encoder_trained_layers=1))
    encoder = model.hybridsent.vision_model
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    model.train()(**batch(), labels=LABELS)
    *front, last = EncoderLayers(encoder).layers
    assert last.training
    assert not any(layer.training for layer in front)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("text", TEXT_CONFIGS)
def test_rates_fall_from_layer_to_layer(text, tmp_path):
    model = tiny_model(text=text)
    settings = arguments(
        tmp_path,
        text_encoder_learning_rate=0.1,
        vision_encoder_learning_rate=0.2,
        encoder_layer_decay=0.5,
    )
    rates = learning_rates(model, settings)
    for encoder, rate in ((model.hybridsent.text_model, 0.1), (model.hybridsent.vision_model, 0.2)):
        first, last = EncoderLayers(encoder).layers
        assert {rates[id(p)] for p in last.parameters()} == {rate}
        assert {rates[id(p)] for p in first.parameters()} == {rate / 2}
        assert rates[id(next(encoder.parameters()))] == rate / 4  # embeddings
        assert set(map(id, encoder.parameters())) <= set(rates)
    assert id(model.fusion_classifier.linear.weight) not in rates


@pytest.mark.parametrize("count", [0, 3])
def test_a_wrong_number_of_layers_is_named(count, tmp_path):
    settings = arguments(tmp_path, vision_encoder_trained_layers=count)
    with pytest.raises(ValueError, match=f"vision_encoder_trained_layers {count}: give 1 to 2"):
        prepare_encoders(tiny_model(), settings)


@pytest.mark.parametrize("decay", [0, 1.1])
def test_a_wrong_decay_is_named(decay, tmp_path):
    with pytest.raises(ValueError, match="encoder_layer_decay"):
        arguments(tmp_path, encoder_layer_decay=decay)


@pytest.mark.parametrize("vision", VISION_CONFIGS)
def test_a_front_is_skipped_where_the_encoder_is_a_chain(vision, tmp_path):
    model = tiny_model(vision=vision)
    encoder = model.hybridsent.vision_model
    prepare_encoders(model, arguments(tmp_path, vision_encoder_trained_layers=2))
    if vision not in CHAINS_OF_MAPS:
        with pytest.raises(ValueError, match=r"--cache_features: .* is not a plain chain"):
            FrozenFront(encoder, tiny_processor())
        return
    front = FrozenFront(encoder, tiny_processor())
    images = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE)
    names = list(encoder.state_dict())
    expected = encoder(pixel_values=images).last_hidden_state
    states = front(images)
    assert states.shape == (2, *front.shape)
    front.skip()
    assert torch.equal(encoder(pixel_values=states).last_hidden_state, expected)
    assert list(encoder.state_dict()) == names
    front.unskip()
    assert torch.equal(encoder(pixel_values=images).last_hidden_state, expected)


def test_grouped_convolutions_leave_autocast_on_a_cpu(tmp_path):
    model = tiny_model(vision="timm")
    encoder = model.hybridsent.vision_model
    grouped = [m for m in encoder.modules() if getattr(m, "groups", 1) > 1]
    seen = set()
    for module in grouped:
        module.register_forward_hook(lambda *call: seen.add(call[2].dtype))
    images = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    for bf16, expected in ((False, torch.bfloat16), (True, torch.float32)):
        seen.clear()
        prepare_encoders(model, arguments(tmp_path, bf16=bf16))
        with torch.autocast("cpu", torch.bfloat16):
            encoder(pixel_values=images)
        assert seen == {expected}
