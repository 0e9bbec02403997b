"""Whatever a batch holds: the decision is a mean of the branches that a post has, and of no other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import VOCAB_SIZE, batch, tiny_config, tiny_model

from modeling_hybridsent.fusion_hybridsent import HybridSentDecisionFusion

KINDS = ["dynamic", "global", "uniform"]
HIDDEN, LABELS = 16, 3
OUTPUTS = ["logits", "text_logits", "image_logits", "fusion_logits", "decision_weights"]

has = st.sampled_from([(True, True), (True, False), (False, True)])
posts = st.lists(has, min_size=1, max_size=6)
seeds = st.integers(0, 2**31)
scales = st.sampled_from([0.0, 1e-6, 1.0, 30.0, 1e4, 1e30])


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def fusion(kind):
    torch.manual_seed(3)
    return HybridSentDecisionFusion(tiny_config(decision_fusion=kind)).eval()


FUSIONS = {kind: fusion(kind) for kind in KINDS}


def present_of(kind, has):
    text, image = torch.tensor(has).T
    return FUSIONS[kind].present_branches(text, image)


def branches(seed, scale, count):
    generator = torch.Generator().manual_seed(seed)
    embeds = torch.randn(count, 3, HIDDEN, generator=generator)
    return embeds, scale * torch.randn(count, 3, LABELS, generator=generator)


def mixed_batch(seed, has):
    """Inputs of posts some of which lack their text or image."""
    inputs = batch(len(has), seed=seed)
    inputs["has_text"], inputs["has_image"] = torch.tensor(has).T
    return inputs


@torch.no_grad()
def run(model, inputs):
    return model(**inputs)


@pytest.mark.parametrize("kind", KINDS)
@given(has=posts, seed=seeds, scale=scales)
def test_weights_sum_to_one_over_the_branches_that_a_post_has(kind, has, seed, scale):
    present = present_of(kind, has)
    log_p, weights = FUSIONS[kind](*branches(seed, scale, len(has)), present)
    assert (weights[~present] == 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(has)))
    torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(len(has)))


@settings(max_examples=20)
@given(
    has=posts, seed=seeds, other=seeds, odd=st.sampled_from([0.0, 1e9, float("nan"), float("inf")])
)
def test_what_stands_for_a_missing_modality_changes_no_bit(model, has, seed, other, odd):
    inputs = mixed_batch(seed, has)
    expected = run(model, inputs)
    generator = torch.Generator().manual_seed(other)
    for i, (has_text, has_image) in enumerate(has):
        if not has_text:
            inputs["input_ids"][i] = torch.randint(0, VOCAB_SIZE, (9,), generator=generator)
            inputs["attention_mask"][i] = torch.randint(0, 2, (9,), generator=generator)
        if not has_image:
            inputs["pixel_values"][i] = odd
    got = run(model, inputs)
    for name in OUTPUTS:
        assert torch.equal(got[name], expected[name]), name


@settings(max_examples=20)
@given(has=posts, seed=seeds, data=st.data())
def test_another_order_of_the_posts_is_another_order_of_the_answers(model, has, seed, data):
    inputs = mixed_batch(seed, has)
    order = torch.tensor(data.draw(st.permutations(range(len(has)))))
    expected = run(model, inputs)
    got = run(model, {name: tensor[order] for name, tensor in inputs.items()})
    for name in OUTPUTS:
        torch.testing.assert_close(got[name], expected[name][order], atol=1e-5, rtol=0)


@settings(max_examples=20)
@given(has=posts, seed=seeds, more=st.integers(1, 12), pad=st.integers(0, VOCAB_SIZE - 1))
def test_padding_changes_nothing(model, has, seed, more, pad):
    inputs = mixed_batch(seed, has)
    expected = run(model, inputs)
    shape = (len(has), more)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.full(shape, pad)], dim=1)
    inputs["attention_mask"] = torch.cat(
        [inputs["attention_mask"], torch.zeros(shape, dtype=torch.long)], dim=1
    )
    got = run(model, inputs)
    for name in OUTPUTS:
        torch.testing.assert_close(got[name], expected[name], atol=1e-5, rtol=0)


@settings(max_examples=20)
@given(has=posts, seed=seeds, temperature=st.floats(0.05, 20))
def test_probabilities_sum_to_one_at_any_temperature_and_the_label_stays(
    model, has, seed, temperature
):
    inputs = mixed_batch(seed, has)
    plain = run(model, inputs).logits
    names = ("temperature", "text_only_temperature", "image_only_temperature")
    model.config.update(dict.fromkeys(names, temperature))
    try:
        scaled = run(model, inputs).logits
    finally:
        model.config.update(dict.fromkeys(names, 1.0))
    torch.testing.assert_close(scaled.exp().sum(dim=1), torch.ones(len(has)))
    torch.testing.assert_close(scaled, (plain / temperature).log_softmax(dim=1), atol=1e-4, rtol=0)
    assert torch.equal(scaled.argmax(dim=1), plain.argmax(dim=1))
