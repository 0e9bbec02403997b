"""The compared networks and rules of decision: missing modalities, losses, formulas of papers."""

import math

import numpy as np
import pytest
import torch
from tiny_models import batch, tiny_config

from benchmarks.accuracy.methods.clmlf import label_contrast, view_contrast
from benchmarks.accuracy.methods.listing import ABLATIONS, METHODS, OURS
from benchmarks.accuracy.methods.qmf import LossHistory, ranking_loss
from benchmarks.accuracy.methods.weight_rules import (
    fit_global_weights,
    pdf_rule,
    pdf_weights,
    qmf_rule,
    qmf_weights,
    weigh_probabilities,
)
from hybridsent.training.loss_parts import labelled_posts

BASELINES = [
    name
    for name, method in METHODS.items()
    if method.model_class is not None and name not in (OURS, *ABLATIONS)
]
PLAIN = [name for name in BASELINES if not METHODS[name].own_labels]
TAUGHT = [name for name in BASELINES if METHODS[name].own_labels]


def tiny(name):
    torch.manual_seed(0)
    method = METHODS[name]
    recipe = {"own_label_loss_weight": 0.5}
    return method.model_class(tiny_config(**method.config_over(recipe))).eval()


@pytest.mark.parametrize("name", PLAIN)
def test_what_stands_in_a_missing_slot_changes_nothing(name):
    model, inputs = tiny(name), batch()
    inputs["has_text"][1], inputs["has_image"][2] = False, False
    with torch.no_grad():
        expected = model(**inputs).logits
        inputs["input_ids"] = inputs["input_ids"].clone()
        inputs["input_ids"][1] = 7
        inputs["pixel_values"][2] = 3.0
        assert torch.equal(model(**inputs).logits, expected)
        if name != "image_only":
            inputs["input_ids"][0] = 7
        else:
            inputs["pixel_values"][0] = 3.0
        assert not torch.equal(model(**inputs).logits[0], expected[0])


@pytest.mark.parametrize("name", PLAIN)
def test_batches_without_one_modality_get_what_mixed_batches_get(name):
    model, inputs = tiny(name), batch()
    with torch.no_grad():
        for has, names in (
            ("has_image", ("input_ids", "attention_mask")),
            ("has_text", ("pixel_values",)),
        ):
            masked = model(**inputs | {has: torch.zeros(4, dtype=torch.bool)}).logits
            alone = model(**{key: inputs[key] for key in names}).logits
            torch.testing.assert_close(alone, masked, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_every_trained_parameter_gets_a_gradient(name):
    model = tiny(name).train()
    model.freeze_unused_parts()
    labels, numbers = torch.tensor([0, 1, 2, 0]), torch.tensor([3, 0, 5, 1])
    own = {"text_labels": labels, "image_labels": labels}
    outputs = model(**batch(), labels=labels, post_numbers=numbers, **own)
    outputs.loss.backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    without = [n for n, p in trained.items() if p.grad is None]
    # Nothing but encoders' own parts that no state depends on, such as a mask token.
    assert [n for n in without if "_model." not in n] == []
    assert any(p.grad.abs().max() > 0 for p in trained.values() if p.grad is not None)
    assert torch.isfinite(outputs.loss)


def test_the_losses_of_a_publication_count_in_training_only():
    inputs, labels = batch(), torch.tensor([0, 1, 2, 0])
    numbers = torch.arange(4)
    for name in ("qmf", "pdf", "clmlf"):
        model = tiny(name)
        model.config.hidden_dropout = 0.0
        plain = model(**inputs, labels=labels, post_numbers=numbers)
        likelihood = -plain.logits[torch.arange(4), labels].mean()
        torch.testing.assert_close(plain.losses["decision"], likelihood)
        model.train()
        trained = model(**inputs, labels=labels, post_numbers=numbers)
        extra = trained.losses["decision"] + trained.logits[torch.arange(4), labels].mean()
        assert extra > 0.01, name


@pytest.mark.parametrize("name", PLAIN)
def test_networks_train_under_bfloat16_autocast_as_recipes_ask_for(name):
    model, labels = tiny(name).train(), torch.tensor([0, 1, 2, 0])
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(**batch(), labels=labels, post_numbers=torch.arange(4))
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_contrastive_losses_equal_their_formulas():
    embeds = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    # Vectors 0 and 2 are equal and share a label; 1 has no partner.
    expected = -math.log(math.exp(1 / 0.07) / (math.exp(1 / 0.07) + 1))
    found = label_contrast(embeds, torch.tensor([0, 1, 0])).item()
    assert found == pytest.approx(expected, abs=1e-6)
    views = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    same = -math.log(math.exp(1 / 0.07) / (math.exp(1 / 0.07) + 1))
    swapped = math.log(math.exp(1 / 0.07) + 1)
    assert view_contrast(views, views).item() == pytest.approx(same, abs=1e-6)
    assert view_contrast(views, views.flip(0)).item() == pytest.approx(swapped, rel=1e-5)


def test_ranking_asks_the_harder_post_to_be_less_confident():
    history = LossHistory()
    history.add(torch.tensor([4, 0]), torch.tensor([1.0, 3.0]))
    history.add(torch.tensor([4, 2]), torch.tensor([3.0, 4.0]))
    scaled = history.of(torch.tensor([4, 0, 2]))  # means 2, 3, 4
    assert scaled.tolist() == pytest.approx([0.0, 0.5, 1.0])
    # Pairs (0, 1), (1, 2), (2, 0): the harder one of each should be less confident by the gap.
    confidence = torch.tensor([0.9, 0.8, 0.1])
    expected = (max(0, 0.8 - 0.9 + 0.5) + max(0, 0.1 - 0.8 + 0.5) + max(0, 0.1 - 0.9 + 1.0)) / 3
    assert ranking_loss(confidence, scaled).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", TAUGHT)
def test_unimodal_labels_teach_each_modality_that_a_baseline_reads(name):
    model, nothing = tiny(name), torch.full((4,), -100)
    model.config.hidden_dropout = 0.0
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.train()
    numbers, labels = torch.arange(4), torch.tensor([0, 1, 2, 0])

    def loss(**own):
        torch.manual_seed(0)  # of the views of CLMLF
        return model(**batch(), labels=nothing, post_numbers=numbers, **own).loss.item()

    without = loss(text_labels=nothing, image_labels=nothing)
    for modality in ("text", "image"):
        others = {"text_labels": nothing, "image_labels": nothing}
        taught = loss(**others | {f"{modality}_labels": labels})
        reads = modality in METHODS[name].reads
        assert (taught > without + 0.01) == reads, modality
        hidden = batch() | {f"has_{modality}": torch.zeros(4, dtype=torch.bool)}
        if METHODS[name].reads == ("text", "image"):
            torch.manual_seed(0)
            given = {**others, f"{modality}_labels": labels}
            unseen = model(**hidden, labels=nothing, post_numbers=numbers, **given).loss
            torch.manual_seed(0)
            nobody = model(**hidden, labels=nothing, post_numbers=numbers, **others).loss
            assert unseen.item() == nobody.item()


def test_plain_baselines_are_not_taught_unimodal_labels():
    labels = torch.tensor([0, 1, 2, 0])
    own = {"text_labels": labels, "image_labels": labels}
    for name in ("concatenation", "late_fusion"):
        model = tiny(name)
        losses = model(**batch(), labels=labels, **own).losses
        assert not {"own_text", "own_image"} & set(losses)
        assert not model.unimodal_classifiers
        assert labelled_posts(model, {**batch(), "labels": labels})[0] == 4


RECIPE = {"own_label_loss_weight": 0.5, "hidden_size": 16}
DEFAULTS = tiny_config().to_dict()


def factors(name):
    """The settings that make a method what it is."""
    method = METHODS[name]
    config = {**DEFAULTS, **method.config_over(RECIPE)}
    taught = {"contradictory": method.contradictory, "soft_labels": method.soft_labels}
    return {**config, **taught, "class": method.model_class}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_differs_from_its_control_in_one_factor(name):
    one, other = factors(name), factors(METHODS[name].control)
    assert len([key for key in one if one[key] != other[key]]) == 1
    tiny(name)  # the model can be built


def test_baselines_are_held_against_ours_with_the_same_labels():
    for name in BASELINES:
        method, control = METHODS[name], METHODS[METHODS[name].control]
        assert method.contradictory == control.contradictory == method.own_labels, name
        taught = control.config_over(RECIPE)["own_label_loss_weight"] > 0
        assert taught == method.own_labels, name


# Rules of decision

LOGITS = np.array([[[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]]])
ALL = np.ones((1, 3), dtype=bool)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def test_qmf_weights_are_energies_and_sum_logits():
    energy = np.log(np.exp(LOGITS[0]).sum(axis=1)) / 10
    np.testing.assert_allclose(qmf_weights(torch.from_numpy(LOGITS))[0], energy, rtol=1e-6)
    expected = np.log(softmax(energy @ LOGITS[0]))
    np.testing.assert_allclose(qmf_rule(LOGITS, ALL)[0], expected, atol=1e-6)
    two = np.array([[True, False, True]])
    expected = np.log(softmax(energy[0] * LOGITS[0, 0] + energy[2] * LOGITS[0, 2]))
    np.testing.assert_allclose(qmf_rule(LOGITS, two)[0], expected, atol=1e-6)


def test_pdf_weights_equal_the_formula_for_two_modalities():
    confidence, logits = np.array([0.8, 0.4]), LOGITS[:, :2]
    a, b = -np.log(confidence)
    belief = confidence + np.array([b, a]) / (a + b)
    given = torch.tensor(confidence)[None], torch.from_numpy(logits), torch.ones(1, 2).bool()
    found = pdf_weights(*given, calibrated=False)
    np.testing.assert_allclose(found[0], softmax(belief), rtol=1e-5)
    first, second = np.abs(softmax(logits[0]) - 1 / 3).mean(axis=1)
    belief = belief * np.minimum(1, [first / second, second / first])
    found = pdf_weights(*given, calibrated=True)
    np.testing.assert_allclose(found[0], softmax(belief), rtol=1e-5)
    only = pdf_weights(*given[:2], torch.tensor([[False, True]]), calibrated=True)
    assert only.tolist() == [[0.0, 1.0]]


def test_pdf_rule_takes_the_greatest_probability_for_confidence():
    given = torch.from_numpy(softmax(LOGITS).max(axis=-1)), torch.from_numpy(LOGITS)
    weights = pdf_weights(*given, torch.from_numpy(ALL), calibrated=True).numpy()
    expected = np.log(softmax(weights[0] @ LOGITS[0]))
    np.testing.assert_allclose(pdf_rule(LOGITS, ALL)[0], expected, atol=1e-5)


def test_mixtures_leave_out_what_is_missing_and_one_vector_finds_the_right_branch():
    has = np.array([[True, False, True]])
    expected = np.log((softmax(LOGITS[0, 0]) + softmax(LOGITS[0, 2])) / 2)
    np.testing.assert_allclose(weigh_probabilities(np.ones(3), LOGITS, has)[0], expected)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    logits = generator.normal(size=(60, 3, 3))
    logits[:, 1] = 4 * np.eye(3)[labels]  # the second branch knows
    weights = fit_global_weights(logits, np.ones((60, 3), dtype=bool), labels)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.95
