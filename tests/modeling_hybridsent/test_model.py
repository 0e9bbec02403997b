"""Outputs, losses, ablation switches and native behaviour of the model."""

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassClassValidationError
from tiny_models import batch, tiny_config, tiny_model

from modeling_hybridsent import HybridSentForSequenceClassification
from modeling_hybridsent.encoders_hybridsent import level_layers, pool_statistics

LABELS = torch.tensor([0, 1, 2, 0])
# name -> (settings, part of a parameter's name that must be gone, seed row)
ABLATIONS = {
    "S1 no local features": (
        {"use_local_features": False},
        ("local_projection", "features.evidence.1"),
    ),
    "S2 no unimodal branches": (
        {"use_unimodal_branches": False, "decision_fusion": "fusion_only"},
        ("text_branch", "image_branch", "text_classifier", "image_classifier"),
    ),
    "S3 no cross-modal layers": ({"num_cross_modal_layers": 0}, ("cross_modal",)),
    "S4 bigru": ({"recurrence": "bigru"}, ()),
    "S4 no recurrence": ({"recurrence": "none"}, ("recurrence",)),
    "S5 global weights": ({"decision_fusion": "global"}, ("decision_fusion.inner",)),
    "S5 uniform weights": ({"decision_fusion": "uniform"}, ("decision_fusion",)),
}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_probabilities_are_the_weighted_sum_of_the_branches(model):
    with torch.no_grad():
        out = model(**batch())
    branches = torch.stack([out.text_logits, out.image_logits, out.fusion_logits], dim=1)
    expected = (out.decision_weights[..., None] * branches.softmax(dim=-1)).sum(dim=1)
    torch.testing.assert_close(out.logits.softmax(dim=-1), expected)
    torch.testing.assert_close(out.logits.exp(), expected)  # logits are log p


def test_posts_with_one_modality_have_temperatures_of_their_own():
    model, has = tiny_model(), {"has_text": [1, 1, 0, 1], "has_image": [1, 0, 1, 1]}
    inputs = {**batch(), **{name: torch.tensor(which) for name, which in has.items()}}
    with torch.no_grad():
        plain = model(**inputs).logits
        model.config.update(
            {"temperature": 2.5, "text_only_temperature": 4.0, "image_only_temperature": 0.5}
        )
        calibrated = model(**inputs).logits
    temperatures = torch.tensor([[2.5], [4.0], [0.5], [2.5]])
    torch.testing.assert_close(calibrated, torch.log_softmax(plain / temperatures, dim=-1))


def test_loss_is_the_weighted_sum_of_its_named_parts():
    model = tiny_model(text_loss_weight=0.25, image_loss_weight=2.0, fusion_loss_weight=0)
    out = model(**batch(), labels=LABELS)
    parts = out.losses
    torch.testing.assert_close(
        out.loss, parts["decision"] + 0.25 * parts["text"] + 2 * parts["image"]
    )
    torch.testing.assert_close(parts["decision"], torch.nn.functional.nll_loss(out.logits, LABELS))


def test_branches_learn_the_label_of_the_post(model):
    own = torch.tensor([2, -100, 2, -100])
    out = model(**batch(), labels=LABELS, text_labels=own, image_labels=own)
    for name in ("text", "image", "fusion"):
        expected = torch.nn.functional.cross_entropy(out[f"{name}_logits"], LABELS)
        torch.testing.assert_close(out.losses[name], expected)
    assert set(out.losses) == {"decision", "text", "image", "fusion"}


def test_own_labels_teach_the_unimodal_branches_alone():
    model = tiny_model(own_label_loss_weight=2.0)
    own = torch.tensor([2, -100, 2, -100])
    unknown = torch.full((4,), -100)
    out = model(**batch(), labels=unknown, text_labels=own)
    expected = torch.nn.functional.cross_entropy(
        model.own_label_classifiers["text"](out.text_embeds), own
    )
    torch.testing.assert_close(out.losses["own_text"], expected)
    torch.testing.assert_close(out.loss, 2 * expected)
    assert out.losses["own_image"] == 0
    out.loss.backward()
    reached = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert any("text_branch" in name for name in reached)
    assert not [n for n in reached if "image_" in n or "fusion" in n or "text_classifier" in n]


def test_a_missing_text_has_no_own_label():
    model = tiny_model(own_label_loss_weight=1.0)
    own = torch.tensor([2, 1, 2, 0])
    given = batch() | {"has_text": torch.tensor([True, False, True, False])}
    out = model(**given, labels=LABELS, text_labels=own)
    logits = model.own_label_classifiers["text"](out.text_embeds)
    expected = torch.nn.functional.cross_entropy(logits[::2], own[::2])
    torch.testing.assert_close(out.losses["own_text"], expected)


def test_own_labels_need_unimodal_branches():
    with pytest.raises(StrictDataclassClassValidationError, match="own_label_loss_weight"):
        tiny_config(
            use_unimodal_branches=False, decision_fusion="fusion_only", own_label_loss_weight=1.0
        )


def test_an_early_stage_reaches_every_branch_that_reads_the_image():
    model = tiny_model(vision="resnet")
    with torch.no_grad():
        last, statistics = model.hybridsent.get_image_encoder_outputs(batch()["pixel_values"])
        given = {name: x for name, x in batch().items() if name != "pixel_values"}
        before = model(**given, image_encoder_outputs=(last, statistics))
        changed = statistics.clone()
        changed[..., :8] += 3.0  # means of the earliest stage
        after = model(**given, image_encoder_outputs=(last, changed))
    assert torch.equal(before.text_logits, after.text_logits)
    for name in ("image_logits", "fusion_logits"):
        assert not torch.allclose(before[name], after[name], atol=1e-6, rtol=0), name


def test_statistics_of_a_stage_are_its_mean_deviation_and_maximum():
    stage = torch.tensor([[[1.0, -2.0], [3.0, -2.0]]])  # two tokens of two channels
    expected = torch.tensor([[2.0, -2.0, 1.0, 0.001, 3.0, -2.0]])
    torch.testing.assert_close(pool_statistics(stage), expected, atol=1e-6, rtol=0)


def test_the_number_of_tokens_can_be_open_in_a_graph():
    class Pool(torch.nn.Module):
        def forward(self, tokens):
            return pool_statistics(tokens)

    graph = torch.export.export(
        Pool(),
        (torch.randn(2, 16, 8),),
        dynamic_shapes={"tokens": {1: torch.export.Dim("n", min=2)}},
    )
    tokens = torch.randn(2, 13, 8)
    torch.testing.assert_close(graph.module()(tokens), pool_statistics(tokens))


@pytest.mark.parametrize("shape", [(2, 16, 12, 12), (3, 40, 7, 7), (1, 5, 8, 1)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_maximum_of_a_stage_is_exact_in_any_layout_and_has_torchs_gradient(shape, layout):
    torch.manual_seed(0)
    stage = torch.randn(shape).clamp(0, 6).contiguous(memory_format=layout)  # zeros share a maximum
    tokens = stage.flatten(2).transpose(1, 2)
    expected = stage.amax(dim=(2, 3))
    channels = shape[1]
    assert torch.equal(pool_statistics(tokens)[:, -channels:], expected)
    trained = tokens.detach().requires_grad_()
    pool_statistics(trained)[:, -channels:].sum().backward()
    (gradient,) = torch.autograd.grad(
        (other := tokens.detach().requires_grad_()).amax(1).sum(), other
    )
    torch.testing.assert_close(trained.grad, gradient)


@pytest.mark.parametrize(
    ("states", "levels"), [(2, [0]), (3, [0, 1]), (5, [0, 1, 2, 3]), (13, [2, 5, 8, 11])]
)
def test_levels_are_spread_over_the_hidden_states_before_the_last(states, levels):
    assert level_layers(states) == levels


def test_a_fresh_fusion_hands_features_on():
    """Residual branches start near zero, so cross-modal layers change their input by little."""
    for name, parameter in tiny_model().named_parameters():
        if name.endswith(("attention.output.weight", "outer.weight", "recurrence_output.weight")):
            assert "_model." in name or parameter.std() < 0.004, name
    states = tiny_model()(**batch(), output_hidden_states=True).hidden_states
    change = (states[-1] - states[0]).norm() / states[0].norm()
    assert 0 < change < 0.1


def test_a_picture_keeps_which_of_its_parts_is_strong():
    projection = tiny_model().hybridsent.image_features.global_projection
    features = torch.randn(1, 4, 32) * torch.tensor([1.0, 1.0, 1.0, 20.0])[:, None]
    strength = projection.norm(features).norm(dim=-1)[0]
    assert strength[3] > 5 * strength[:3].max()
    torch.testing.assert_close(projection.norm(3 * features), projection.norm(features))


def test_the_fusion_branch_pools_each_modality_by_itself(model):
    inner = model.hybridsent
    evidence = [torch.randn(2, x.count, 16) for x in (inner.text_features, inner.image_features)]
    states = torch.randn(2, 9, 16)
    doubled = torch.cat([states, states[:, 2:]], dim=1)  # twice the same image tokens
    few, many = (
        inner.fusion_branch(x, torch.ones(x.shape[:2], dtype=torch.bool), 2, *evidence)[1]
        for x in (states, doubled)
    )
    torch.testing.assert_close(many, few)


def test_a_batch_without_any_label_has_loss_zero_not_nan(model):
    assert model(**batch(), labels=torch.full((4,), -100)).loss == 0


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablation_removes_its_part_trains_and_reloads(name, tmp_path):
    settings, gone = ABLATIONS[name]
    model = tiny_model(**settings)
    names = [n for n, _ in model.named_parameters()]
    assert not [n for n in names for part in gone if part in n]
    model(**batch(), labels=LABELS).loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    model.save_pretrained(tmp_path)
    again = HybridSentForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        out, reloaded = model(**batch()), again(**batch())
    assert torch.equal(out.logits, reloaded.logits)
    torch.testing.assert_close(out.decision_weights.sum(dim=1), torch.ones(4))


def test_each_ablation_changes_the_number_of_parameters_or_the_weights():
    full = tiny_model().num_parameters()
    for settings, _ in ABLATIONS.values():
        assert tiny_model(**settings).num_parameters() < full


def test_eager_attention_agrees_with_sdpa_and_returns_cross_attentions(model):
    inputs = batch()
    inputs["has_image"][1] = False
    with torch.no_grad():
        sdpa = model(**inputs)
        model.set_attn_implementation("eager")
        eager = model(**inputs, output_attentions=True, output_hidden_states=True)
        model.set_attn_implementation("sdpa")
    torch.testing.assert_close(eager.logits, sdpa.logits, atol=1e-5, rtol=0)
    layers, heads = model.config.num_cross_modal_layers, model.config.num_attention_heads
    assert len(eager.cross_attentions) == 2 * layers
    assert len(eager.hidden_states) == layers + 1
    text_to_image, image_to_text = eager.cross_attentions[:2]
    text, image = 9, 17  # ViT: 16 patches and a class token
    assert text_to_image.shape == (4, heads, text, image + 3)  # the last stage and two before it
    assert image_to_text.shape == (4, heads, image, text + 2)
    assert eager.attentions[-1].shape == (4, heads, 7, 7)  # and each modality after these layers
    assert eager.hidden_states[0].shape == (4, text + image, model.config.hidden_size)
    torch.testing.assert_close(text_to_image.sum(dim=-1), torch.ones(4, heads, text))
    padded = image_to_text[0, :, :, [6, 7, 8]]
    assert torch.equal(padded, torch.zeros_like(padded))


def test_unasked_extras_are_none(model):
    with torch.no_grad():
        out = model(**batch())
    assert out.hidden_states is None
    assert out.cross_attentions is None
    assert out.loss is None
    assert out.losses is None


def test_frozen_encoder_stays_in_eval_mode():
    model = tiny_model(vision="resnet")
    model.hybridsent.vision_model.requires_grad_(False)
    model.train()
    assert not model.hybridsent.vision_model.training
    assert model.hybridsent.text_model.training
    before = {k: v.clone() for k, v in model.hybridsent.vision_model.state_dict().items()}
    model(**batch(), labels=LABELS).loss.backward()
    for name, tensor in model.hybridsent.vision_model.state_dict().items():
        assert torch.equal(tensor, before[name]), name  # batch statistics did not move


def test_fresh_weights_are_initialised():
    model = tiny_model(decision_fusion="global")
    assert torch.equal(model.decision_fusion.global_scores, torch.zeros(3))
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter).all(), name
    weight = model.hybridsent.fusion_branch.recurrence.forward_unit.recurrent_weight
    assert weight.abs().max() <= 6**-0.5
    assert weight.std() > 0.1


def test_labels_of_any_whole_type_give_one_loss():
    model, labels = tiny_model(), torch.tensor([0, 1, 2, 1])
    kinds = (torch.uint8, torch.int8, torch.int32, torch.int64)
    losses = {model(**batch(), labels=labels.to(kind)).loss.item() for kind in kinds}
    assert len(losses) == 1


def test_from_vision_text_pretrained_keeps_the_encoders_weights(tmp_path):
    donor = tiny_model()
    donor.hybridsent.text_model.save_pretrained(tmp_path / "text")
    donor.hybridsent.vision_model.save_pretrained(tmp_path / "vision")
    model = HybridSentForSequenceClassification.from_vision_text_pretrained(
        str(tmp_path / "vision"), str(tmp_path / "text"), num_labels=5, hidden_size=16
    )
    assert model.config.num_labels == 5
    for part in ("text_model", "vision_model"):
        got = getattr(model.hybridsent, part).state_dict()
        for name, tensor in getattr(donor.hybridsent, part).state_dict().items():
            assert torch.equal(got[name], tensor), name
    model.save_pretrained(tmp_path / "joint")
    assert str(tmp_path) not in (tmp_path / "joint" / "config.json").read_text()


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_a_checkpoint_with_both_modalities_gives_the_part_asked_for(kind, tmp_path):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    parts = {
        "text_config": {**sizes, "num_attention_heads": 2, "vocab_size": 64},
        "vision_config": {**sizes, "num_attention_heads": 2, "image_size": 64, "patch_size": 16},
    }
    joint = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**parts))
    joint.save_pretrained(tmp_path / "joint")
    tiny_model().hybridsent.text_model.save_pretrained(tmp_path / "bert")
    text = tmp_path / ("joint" if kind == "CLIP" else "bert")
    model = HybridSentForSequenceClassification.from_vision_text_pretrained(
        str(tmp_path / "joint"), str(text), num_labels=3, hidden_size=16
    )
    expected = joint.vision_model.state_dict()
    for name, tensor in model.hybridsent.vision_model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    if kind == "CLIP":
        expected = joint.text_model.state_dict()
        for name, tensor in model.hybridsent.text_model.state_dict().items():
            assert torch.equal(tensor, expected[name]), name


def test_saved_weights_are_readable_by_others(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_config_measures_the_vision_encoder_only_once():
    config = tiny_config(vision="resnet")
    assert config.vision_feature_sizes is None
    HybridSentForSequenceClassification(config)
    assert config.vision_feature_sizes == [24, 8, 8, 12, 16]
