"""Encoder states computed beforehand stand for input_ids and pixel_values, and the encoders rest."""

import pytest
import torch
from tiny_models import batch, tiny_model

LABELS = torch.tensor([0, 1, 2, 0])
OUTPUTS = ["loss", "logits", "text_logits", "image_logits", "fusion_logits", "decision_weights"]


MODELS = {
    "bert+vit": {},
    "distilbert+resnet": {"text": "distilbert", "vision": "resnet"},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return tiny_model(**MODELS[request.param])


@pytest.fixture
def mixed():
    """Post 1 has no picture, post 2 no text."""
    inputs = batch(4)
    inputs["has_image"][1] = inputs["has_text"][2] = False
    return inputs


@torch.no_grad()
def precompute(model, inputs, which=("text", "image")):
    """The same inputs with the encoders' states in place of what the encoders read."""
    base, given = model.hybridsent, dict(inputs)
    if "text" in which:
        ids = given.pop("input_ids")
        given["text_encoder_outputs"] = base.get_text_encoder_outputs(ids, inputs["attention_mask"])
    if "image" in which:
        pixels = given.pop("pixel_values")
        given["image_encoder_outputs"] = base.get_image_encoder_outputs(pixels)
    return given


@pytest.mark.parametrize("which", [("text",), ("image",), ("text", "image")], ids="+".join)
def test_states_give_the_answers_of_what_they_stand_for(model, mixed, which):
    calls = []
    with torch.no_grad():
        expected = model(**mixed, labels=LABELS)
        given = precompute(model, mixed, which)
        encoders = {"text": model.hybridsent.text_model, "image": model.hybridsent.vision_model}
        hooks = [
            encoder.register_forward_hook(lambda *_, name=name: calls.append(name))
            for name, encoder in encoders.items()
        ]
        got = model(**given, labels=LABELS)
    for hook in hooks:
        hook.remove()
    assert sorted({*calls, *which}) == ["image", "text"]
    assert not set(calls) & set(which)
    for name in OUTPUTS:
        torch.testing.assert_close(got[name], expected[name], atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("garbage", [123.0, float("nan"), float("inf")])
def test_garbage_in_missing_slots_and_behind_texts_leaves_no_trace(model, mixed, garbage):
    given = precompute(model, mixed)
    with torch.no_grad():
        expected = model(**given).logits
    for states in given["image_encoder_outputs"]:
        states[1] = garbage
    for states in given["text_encoder_outputs"]:
        states[2] = garbage
        states[0, mixed["attention_mask"][0] == 0] = garbage
    model.train()
    model(**given, labels=LABELS).loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    model.zero_grad()
    with torch.no_grad():
        assert torch.equal(model.eval()(**given).logits, expected)


def test_one_modality_alone(model, mixed):
    mixed["has_text"][:] = mixed["has_image"][:] = True
    given = precompute(model, mixed)
    for name, other in (("text", "image"), ("image", "text")):
        alone = {f"{name}_encoder_outputs": given[f"{name}_encoder_outputs"]}
        alone |= {"attention_mask": mixed["attention_mask"]} if name == "text" else {}
        got = model(**alone)
        assert torch.isfinite(got.logits).all()
        assert (got.decision_weights[:, 0 if other == "text" else 1] == 0).all()


def test_float32_states_serve_a_model_of_half_precision(mixed):
    model = tiny_model()
    given = precompute(model, mixed)
    with torch.no_grad():
        expected = model(**given).logits
        got = model.bfloat16()(**given).logits
    torch.testing.assert_close(got, expected, atol=5e-2, rtol=0)


@pytest.mark.parametrize("switch", [{"use_local_features": False}, {"num_cross_modal_layers": 0}])
def test_without_local_features_there_are_no_local_states(switch, mixed):
    model = tiny_model(**switch)
    given = precompute(model, mixed)
    with torch.no_grad():
        expected, got = model(**mixed).logits, model(**given).logits
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)
    if "use_local_features" in switch:
        assert given["text_encoder_outputs"][1] is given["image_encoder_outputs"][1] is None


def test_a_modality_in_two_forms_is_an_error(model, mixed):
    given = precompute(model, mixed)
    with pytest.raises(ValueError, match="Give pixel_values or image_encoder_outputs, not both"):
        model(**given, pixel_values=mixed["pixel_values"])
    with pytest.raises(ValueError, match="Give input_ids or text_encoder_outputs, not both"):
        model(**given, input_ids=mixed["input_ids"])


def test_states_that_do_not_fit_are_named(model, mixed):
    given = precompute(model, mixed)
    last, local = given["image_encoder_outputs"]
    width = last.shape[-1]
    for outputs, problem in {
        (last,): r"image_encoder_outputs: give a pair",
        (last, None): r"image_encoder_outputs: local states must be .*, not None",
        (
            last[..., 1:],
            local,
        ): rf"image_encoder_outputs: global .* \(batch, tokens, {width}\), not",
    }.items():
        with pytest.raises(ValueError, match=problem):
            model(**{**given, "image_encoder_outputs": outputs})
    short = tuple(states[:, :-1] for states in given["text_encoder_outputs"])
    with pytest.raises(ValueError, match=r"\(4, 8\), but attention_mask is \(4, 9\)"):
        model(**{**given, "text_encoder_outputs": short})
