"""A missing text or picture: no trace in the output, weight 0, the same alone and in a batch."""

import pytest
import torch
from tiny_models import VOCAB_SIZE, batch, tiny_model

OUTPUTS = ["logits", "text_logits", "image_logits", "fusion_logits", "decision_weights"]
KINDS = ["dynamic", "global", "uniform", "fusion_only"]


@pytest.fixture(scope="module")
def model():
    """Other encoders than in tests/properties/test_decision.py."""
    return tiny_model("roberta", "resnet")


@pytest.fixture
def mixed():
    """Post 0 is complete, post 1 has no picture, post 2 no text, post 3 is complete."""
    inputs = batch(4)
    inputs["has_image"][1] = False
    inputs["has_text"][2] = False
    return inputs


@torch.no_grad()
def run(model, inputs):
    return model(**inputs)


@pytest.mark.parametrize("garbage", [123.0, float("nan")])
def test_what_stands_in_for_a_missing_picture_changes_no_bit(model, mixed, garbage):
    """Nor what stands in for a missing text."""
    expected = run(model, mixed)
    mixed["pixel_values"][1] = garbage
    mixed["input_ids"][2] = torch.randint(5, VOCAB_SIZE, (9,))
    mixed["attention_mask"][2] = torch.tensor([0, 1, 0, 1, 1, 0, 0, 0, 1])
    got = run(model, mixed)
    for name in OUTPUTS:
        assert torch.equal(got[name], expected[name]), name


def test_weights_are_exactly_zero_for_what_cannot_decide_and_sum_to_one(model, mixed):
    weights = run(model, mixed).decision_weights
    assert weights[1:3].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert (weights[[0, 3]] > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_batch_equals_one_by_one(mixed, kind):
    model = tiny_model(decision_fusion=kind)
    together = run(model, mixed)
    for i in range(4):
        alone = run(model, {name: tensor[i : i + 1] for name, tensor in mixed.items()})
        for name in ("logits", "decision_weights", "fusion_logits"):
            torch.testing.assert_close(alone[name][0], together[name][i], atol=1e-5, rtol=0)


def test_modality_not_passed_equals_modality_marked_missing(model, mixed):
    mixed["has_image"][:] = False
    mixed["has_text"][:] = True
    marked = run(model, mixed)
    names = ("input_ids", "attention_mask", "has_text")
    absent = run(model, {name: mixed[name] for name in names})
    torch.testing.assert_close(absent.logits, marked.logits, atol=1e-6, rtol=0)


def test_complete_posts_do_not_notice_their_neighbours_gaps(model, mixed):
    complete, gaps = run(model, batch(4)), run(model, mixed)
    torch.testing.assert_close(gaps.logits[0], complete.logits[0], atol=1e-5, rtol=0)
    assert not torch.allclose(gaps.logits[1], complete.logits[1], atol=1e-5)


def test_text_without_a_token_to_look_at_is_a_missing_text(model):
    inputs = batch(2)
    marked = {**inputs, "has_text": torch.tensor([True, False])}
    inputs["attention_mask"][1] = 0
    assert torch.equal(run(model, inputs).logits, run(model, marked).logits)


def test_post_with_neither_is_an_error_naming_its_index(model, mixed):
    mixed["has_text"][1] = False
    mixed["has_image"][2] = False
    message = r"Posts \[1, 2\] of the batch have neither text nor image"
    with pytest.raises(ValueError, match=message):
        model(**mixed)


def test_nothing_at_all_is_an_error(model):
    with pytest.raises(ValueError, match="input_ids, pixel_values or both"):
        model()


def test_gradients_stay_finite_with_gaps(model, mixed):
    mixed["pixel_values"][1] = float("nan")
    model.train()
    model(**mixed, labels=torch.tensor([0, 1, 2, -100])).loss.backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    model.zero_grad()
    model.eval()


def test_branch_learns_nothing_from_posts_without_its_modality(model):
    inputs = batch(2)
    inputs["has_image"][:] = False
    losses = model(**inputs, labels=torch.tensor([0, 1])).losses
    assert losses["image"] == 0
    assert losses["fusion"] == 0
    assert losses["text"] > 0
