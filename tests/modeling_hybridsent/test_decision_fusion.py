"""The decision by itself: who may decide, how much each branch weighs, and p = sum_b w_b p_b (S5)."""

import pytest
import torch
from tiny_models import tiny_config

from modeling_hybridsent.fusion_hybridsent import HybridSentDecisionFusion

HIDDEN, CLASSES = 16, 3
KINDS = ["dynamic", "global", "uniform", "fusion_only"]
# Four posts, and not as many as there are branches.
HAS_TEXT = torch.tensor([True, True, False, True])
HAS_IMAGE = torch.tensor([True, False, True, True])
ALL_PRESENT = torch.ones(4, 3, dtype=torch.bool)


def fusion_of(kind, **settings):
    torch.manual_seed(0)
    fusion = HybridSentDecisionFusion(tiny_config(decision_fusion=kind, **settings)).eval()
    with torch.no_grad():
        for name, parameter in fusion.named_parameters():
            parameter.normal_()
            assert parameter.shape[0] in (3, HIDDEN, 3 * HIDDEN + 3 * CLASSES), name
    return fusion


def given(seed=1):
    generator = torch.Generator().manual_seed(seed)
    embeds = torch.randn(4, 3, HIDDEN, generator=generator)
    return embeds, torch.randn(4, 3, CLASSES, generator=generator)


def scores_by_hand(fusion, embeds, probabilities):
    """What the gate says of each branch before a missing one is taken out, (batch, 3)."""
    if fusion.kind == "dynamic":
        features = torch.cat([embeds.flatten(1), probabilities.flatten(1)], dim=1)
        return fusion.scores(torch.nn.functional.gelu(fusion.inner(fusion.norm(features))))
    if fusion.kind == "global":
        return fusion.global_scores[None].repeat(len(embeds), 1)
    return torch.zeros(len(embeds), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_decision_is_the_sum_of_weighted_probabilities(kind):
    fusion, (embeds, logits) = fusion_of(kind), given()
    present = fusion.present_branches(HAS_TEXT, HAS_IMAGE)
    if kind != "fusion_only":
        present[3] = torch.tensor([True, True, False])  # as a caller of the layer may have it
    with torch.no_grad():
        log_p, weights = fusion(embeds, logits, present)
        # A branch that may not decide tells the gate probabilities of 1, whatever its logits are.
        told = logits.softmax(dim=-1).masked_fill(~present[..., None], 1.0)
        scores = scores_by_hand(fusion, embeds, told).masked_fill(~present, -torch.inf)
    expected = scores.softmax(dim=-1)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(
        log_p.exp(), (expected[..., None] * logits.softmax(dim=-1)).sum(dim=1)
    )


def test_the_temperature_of_dynamic_weights_divides_their_scores():
    embeds, logits = given()
    fusion = fusion_of("dynamic", decision_weight_temperature=4.0)
    with torch.no_grad():
        _, weights = fusion(embeds, logits, ALL_PRESENT)
        scores = scores_by_hand(fusion, embeds, logits.softmax(dim=-1))
    torch.testing.assert_close(weights, (scores / 4).softmax(dim=-1))


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_decide(kind):
    text, image = [True, False, False], [False, True, False]
    every = [True, True, True]
    expected = [every, text, image, every]
    if kind == "fusion_only":
        expected = [[False, False, True]] * 4
    present = fusion_of(kind).present_branches(HAS_TEXT, HAS_IMAGE)
    assert present.dtype == torch.bool
    assert present.tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf")])
def test_what_an_absent_branch_says_moves_no_bit_of_decision_or_gradient(kind, garbage):
    fusion, (embeds, logits) = fusion_of(kind), given()
    present = fusion.present_branches(HAS_TEXT, HAS_IMAGE)
    results = []
    for filling in (0.0, garbage):
        fusion.zero_grad()
        said = logits.masked_fill(~present[..., None], filling).requires_grad_()
        log_p, weights = fusion(embeds, said, present)
        (log_p * torch.arange(3.0)).sum().backward()
        assert (weights[~present] == 0).all()
        own = said.grad.masked_fill(~present[..., None], 0.0)
        results.append([log_p, weights, own, *(p.grad for p in fusion.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert all(torch.isfinite(tensor).all() for tensor in results[1])


def test_the_gate_learns_whom_to_trust_without_moving_what_it_trusts():
    """The gate's own way to the logits is cut: only the sum of the branches reaches them."""
    fusion, (embeds, logits) = fusion_of("dynamic"), given()
    logits.requires_grad_()
    weights = fusion(embeds, logits, ALL_PRESENT)[1]
    sources = [logits, fusion.inner.weight]
    by_logits, by_gate = torch.autograd.grad(weights[:, 0].sum(), sources, allow_unused=True)
    assert by_logits is None
    assert by_gate.any()


def test_half_precision_comes_in_and_float32_comes_out():
    embeds, logits = (tensor.bfloat16() for tensor in given())
    for kind in KINDS:
        fusion = fusion_of(kind)
        expected = fusion(embeds.float(), logits.float(), ALL_PRESENT)
        got = fusion.bfloat16()(embeds, logits, ALL_PRESENT)
        assert {tensor.dtype for tensor in got} == {torch.float32}
        torch.testing.assert_close(got, expected, atol=0.1, rtol=0)


def test_its_parts_are_as_the_configuration_says():
    fusion = fusion_of("dynamic", hidden_dropout=0.25, layer_norm_eps=1e-3)
    assert (fusion.dropout.p, fusion.norm.eps) == (0.25, 1e-3)
    assert fusion.training is False
    fusion.train()
    embeds, logits = given()
    torch.manual_seed(2)
    first, second = (fusion(embeds, logits, ALL_PRESENT)[1] for _ in range(2))
    assert not torch.equal(first, second)


def test_global_weights_start_equal():
    fusion = HybridSentDecisionFusion(tiny_config(decision_fusion="global"))
    assert fusion.global_scores.tolist() == [0.0, 0.0, 0.0]
    assert [name for name, _ in fusion.named_parameters()] == ["global_scores"]
