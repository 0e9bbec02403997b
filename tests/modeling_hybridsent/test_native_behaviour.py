"""What users do with any model of transformers works here, and saving and loading after it is exact."""

import copy

import pytest
import torch
from tiny_models import LABELS, VOCAB_SIZE, batch, tiny_config, tiny_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForSequenceClassification

from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentModel
from modeling_hybridsent.encoders_hybridsent import _probe, probe_encoder

TARGETS = torch.tensor([0, 1, 2, 0])
HALVES = [torch.bfloat16, torch.float16]


def lively(text="bert", vision="vit", **kwargs):
    """A tiny model whose answers differ visibly from post to post, unlike freshly initialised."""
    model = tiny_model(text, vision, **kwargs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def model():
    return lively()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def gaps():
    """Post 0 lacks its text, post 1 its picture, whose slot holds garbage."""
    inputs = batch()
    inputs["has_text"][0] = inputs["has_image"][1] = False
    inputs["pixel_values"][1] = float("nan")
    return inputs


@torch.no_grad()
def logits(model, inputs=None, **kwargs):
    return model.eval()(**(batch() if inputs is None else inputs), **kwargs).logits


def load(folder, **kwargs):
    return AutoModelForSequenceClassification.from_pretrained(folder, **kwargs)


def assert_exact_round_trip(model, folder, **kwargs):
    model.save_pretrained(folder)
    again = load(folder, **kwargs)
    assert torch.equal(logits(again), logits(model))
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    return again


# Building and loading


def test_lively_answers_differ(model):
    assert logits(model).exp().std(dim=0).max() > 0.02


def test_from_config_builds_what_the_class_builds():
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(tiny_config())
    assert torch.equal(logits(model), logits(tiny_model(seed=0)))
    model = AutoModelForSequenceClassification.from_config(tiny_config(), dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(("text", "vision"), [("clip-text", "clip-vision"), ("modernbert", "vit")])
def test_fresh_weights_without_a_file_are_those_of_the_encoders_own_making(text, vision):
    """The library leaves out part of an encoder's initialisation when it sits in foreign code."""
    config = tiny_config(text, vision)
    fresh = HybridSentForSequenceClassification.from_pretrained(None, config=config, state_dict={})
    for name, expected in tiny_model(text, vision).named_parameters():
        if expected.numel() > 1000 and expected.std() > 0:
            ratio = fresh.get_parameter(name).std() / expected.std()
            assert 0.8 < ratio < 1.25, name


def test_loading_in_inference_mode(model, folder):
    _probe.cache_clear()  # else what another test found out would serve
    with torch.inference_mode():
        again = HybridSentForSequenceClassification.from_pretrained(folder)
        assert torch.equal(logits(again), logits(model))


class Devices(TorchDispatchMode):
    """Note the devices of all tensors that come to be."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        self.seen |= {x.device.type for x in tree_leaves(found) if isinstance(x, torch.Tensor)}
        return found


@pytest.mark.parametrize("text", ["bert", "roberta", "modernbert"])
def test_a_text_encoder_is_tried_out_without_memory_for_its_weights(text):
    config = tiny_config(text).text_config
    _probe.cache_clear()
    with Devices() as devices:
        probe_encoder(config, "text")
    assert devices.seen == {"meta"}


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES, "float16"])
def test_dtype_is_that_of_the_weights_and_logits_stay_float32(dtype, model, folder, tmp_path):
    loaded = load(folder, dtype=dtype)
    wanted = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert {p.dtype for p in loaded.parameters()} == {wanted}
    got = logits(loaded)
    assert got.dtype == torch.float32
    tolerance = {torch.float32: 0, torch.float16: 5e-3, torch.bfloat16: 5e-2}[wanted]
    torch.testing.assert_close(got, logits(model), atol=tolerance, rtol=0)
    again = assert_exact_round_trip(loaded, tmp_path, dtype="auto")
    assert again.dtype == wanted


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_finite_and_close_also_with_gaps(dtype, model, gaps):
    half = copy.deepcopy(model)
    half = half.half() if dtype == torch.float16 else half.bfloat16()
    got = logits(half, gaps)
    torch.testing.assert_close(got, logits(model, gaps), atol=5e-2, rtol=0)
    half(**gaps, labels=TARGETS).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in half.parameters() if p.grad is not None)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attn_implementation_is_that_of_every_part(implementation, model, folder, tmp_path):
    loaded = load(folder, attn_implementation=implementation)
    for config in (loaded.config, loaded.config.text_config, loaded.config.vision_config):
        assert config._attn_implementation == implementation
    torch.testing.assert_close(logits(loaded), logits(model), atol=1e-5, rtol=0)
    assert_exact_round_trip(loaded, tmp_path, attn_implementation=implementation)


def test_attn_implementation_by_part(folder):
    parts = {"": "sdpa", "text_config": "eager", "vision_config": "sdpa"}
    config = load(folder, attn_implementation=parts).config
    assert config._attn_implementation == "sdpa"
    assert config.text_config._attn_implementation == "eager"
    assert config.vision_config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("implementation", "message"),
    [
        ("flash_attention_2", "HybridSentForSequenceClassification does not support Flash Att"),
        ("flex_attention", "HybridSentForSequenceClassification does not support .*flex_attention"),
        ("foo", 'attn_implementation="foo"` is not supported'),
    ],
)
def test_unsupported_attention_is_a_named_error(implementation, message, folder):
    with pytest.raises(ValueError, match=message):
        load(folder, attn_implementation=implementation)


def test_attention_that_one_encoder_lacks_is_a_named_error(tmp_path):
    lively(vision="resnet").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="ResNetModel does not support"):
        load(tmp_path, attn_implementation="sdpa")
    assert load(tmp_path).config._attn_implementation == "sdpa"  # unasked, each part has its best


def by_part(model, **devices):
    """A device map with every part of the model on the CPU but those named."""
    names = [f"hybridsent.{name}" for name, _ in model.hybridsent.named_children()]
    names += [name for name, _ in model.named_children() if name != "hybridsent"]
    return {name: devices.get(name.removeprefix("hybridsent."), "cpu") for name in names}


@pytest.mark.parametrize("devices", ["cpu", "auto", {"": "cpu"}, "dict", "disk"])
def test_device_map(devices, model, folder, tmp_path):
    if devices == "dict":
        devices = by_part(model)
    elif devices == "disk":
        devices = by_part(model, text_model="disk", fusion_branch="disk", decision_fusion="disk")
    loaded = load(folder, device_map=devices, offload_folder=tmp_path / "offload")
    on_disk = "disk" in devices.values() if isinstance(devices, dict) else False
    assert any(p.device.type == "meta" for p in loaded.parameters()) == on_disk
    assert torch.equal(logits(loaded), logits(model))
    loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(load(tmp_path / "again")), logits(model))


def test_low_cpu_mem_usage(model, folder, tmp_path):
    loaded = load(folder, low_cpu_mem_usage=True)
    assert torch.equal(logits(loaded), logits(model))
    assert_exact_round_trip(loaded, tmp_path)


def test_sharded(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert not (tmp_path / "model.safetensors").exists()
    loaded = load(tmp_path)
    assert torch.equal(logits(loaded), logits(model))
    assert_exact_round_trip(loaded, tmp_path / "whole")


# Changing the model


NAMES = {"id2label": {0: "off", 1: "on"}, "label2id": {"off": 0, "on": 1}}


@pytest.mark.parametrize(("change", "count"), [({"num_labels": 5}, 5), (NAMES, 2)])
def test_other_labels_need_to_be_asked_for(change, count, model, folder, tmp_path):
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes=True") as caught:
        load(folder, **change)
    inner, weight = 3 * 16 + 3 * len(LABELS), 3 * 16 + 3 * count
    told = f"decision_fusion.inner.weight ((16, {inner}) in the file, (16, {weight}) in the model)"
    assert told in str(caught.value)
    assert str(folder / "model.safetensors") in str(caught.value)
    loaded = load(folder, **change, temperature=3.0, ignore_mismatched_sizes=True)
    assert loaded.config.temperature == 1.0  # which was fitted to the heads that are gone
    assert logits(loaded).shape == (4, count)
    assert loaded.config.num_labels == len(loaded.config.id2label) == count
    before = model.state_dict()
    fresh = {n for n, t in loaded.state_dict().items() if not torch.equal(before[n], t)}
    heads = ("text_classifier", "image_classifier", "fusion_classifier", "decision_fusion")
    assert fresh
    assert all(name.startswith(heads) for name in fresh)
    again = assert_exact_round_trip(loaded, tmp_path)
    assert again.config.id2label == loaded.config.id2label


@pytest.mark.parametrize("size", [VOCAB_SIZE + 7, VOCAB_SIZE - 9])
def test_resize_token_embeddings(size, model, tmp_path):
    resized = copy.deepcopy(model)
    resized.resize_token_embeddings(size)
    assert resized.get_input_embeddings().num_embeddings == size
    assert resized.config.text_config.vocab_size == size
    inputs = batch()
    inputs["input_ids"] = inputs["input_ids"].clamp(max=VOCAB_SIZE - 10)  # words of both
    assert torch.equal(logits(resized, inputs), logits(model, inputs))
    inputs["input_ids"][:] = size - 1
    assert torch.isfinite(logits(resized, inputs)).all()
    resized.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert again.config.text_config.vocab_size == size
    assert torch.equal(logits(again, inputs), logits(resized, inputs))


@pytest.mark.parametrize("vision", ["vit", "swin", "resnet"])
def test_gradient_checkpointing_enable(vision, tmp_path):
    gradients, runs = [], []
    for checkpointing in (False, True):
        model = lively(vision=vision, hidden_dropout=0.0)
        if checkpointing:
            model.activation_checkpointing_enable()
            assert model.is_activation_checkpointing
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout) or "DropPath" in type(module).__name__:
                module.eval()
        model.hybridsent.text_model.config.attention_probs_dropout_prob = 0.0
        layer = model.hybridsent.cross_modal_layers[0].text_to_image
        layer.register_forward_hook(lambda *_, key=checkpointing: runs.append(key))
        model(**batch(), labels=TARGETS).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert runs == [False, True, True]  # with checkpointing once more, on the way back
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-5, rtol=1e-4)
    assert_exact_round_trip(model, tmp_path)


# What the model returns


@pytest.mark.parametrize("vision", ["vit", "swin"])
def test_asking_for_more_changes_no_bit_of_the_answer_then_or_later(vision):
    """A vision encoder whose hidden states were recorded twice gave other local features."""
    model = lively(vision=vision)
    before = logits(model)
    during = logits(model, output_hidden_states=True)
    assert torch.equal(during, before)
    assert torch.equal(logits(model), before)


def test_output_attentions_and_hidden_states_also_by_the_config(model, folder):
    eager = load(folder, attn_implementation="eager")
    asked = eager.eval()(**batch(), output_attentions=True, output_hidden_states=True)
    text, image, heads, levels = 9, 17, model.config.num_attention_heads, 7
    shapes = [tuple(x.shape) for x in asked.attentions]
    assert shapes == [(4, heads, n, n) for n in (text, image, levels)]
    for weights in asked.attentions:
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    assert asked.attentions[0][0, :, :, 6:].abs().max() == 0  # padding behind the first text
    assert len(asked.cross_attentions) == 4
    assert len(asked.hidden_states) == model.config.num_hidden_layers + 1
    loaded = load(
        folder, attn_implementation="eager", output_attentions=True, output_hidden_states=True
    )
    configured = loaded.eval()(**batch())
    for name in ("attentions", "cross_attentions", "hidden_states"):
        for one, other in zip(asked[name], configured[name], strict=True):
            assert torch.equal(one, other), name
    chosen = eager(**batch(), output_hidden_states=[0, -1]).hidden_states
    assert [x is None for x in chosen] == [False, True, False]


def test_tuples_by_the_config(model):
    plain = copy.deepcopy(model)
    plain.config.return_dict = False
    with torch.no_grad():
        assert torch.equal(plain(**batch())[0], logits(model))
        base = plain.hybridsent(**batch())
    assert isinstance(base, tuple)


@pytest.mark.parametrize(("text", "vision"), [("bert", "vit"), ("distilbert", "resnet")])
def test_inputs_embeds_in_place_of_input_ids(text, vision, gaps):
    model = lively(text, vision)
    ids = gaps["input_ids"]
    given = {name: value for name, value in gaps.items() if name != "input_ids"}
    given["inputs_embeds"] = model.get_input_embeddings()(ids).detach()
    expected = logits(model, gaps)
    torch.testing.assert_close(logits(model, given), expected, atol=1e-6, rtol=0)
    given["inputs_embeds"][0] = float("nan")  # the slot of the missing text
    torch.testing.assert_close(logits(model, given), expected, atol=1e-6, rtol=0)
    model(**given, labels=TARGETS).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    with pytest.raises(ValueError, match="input_ids or inputs_embeds, not both"):
        model(**given, input_ids=ids)


def test_inputs_embeds_that_the_text_encoder_does_not_take_are_a_named_error():
    model = tiny_model("clip-text")
    with pytest.raises(ValueError, match="'clip_text_model' takes no inputs_embeds"):
        model(inputs_embeds=torch.zeros(2, 5, 32))


# Export and compilation


def test_torch_export_with_open_batch_and_text_length(gaps):
    model = lively("roberta", "resnet")
    posts, tokens = torch.export.Dim("posts", max=64), torch.export.Dim("tokens", max=60)
    shapes = {
        "input_ids": {0: posts, 1: tokens},
        "attention_mask": {0: posts, 1: tokens},
        "pixel_values": {0: posts},
        "has_text": {0: posts},
        "has_image": {0: posts},
    }
    with torch.no_grad():
        program = torch.export.export(model, (), batch(3, 8), dynamic_shapes=shapes).module()
        for inputs in (batch(5, 13), batch(1, 4), gaps):
            got = program(**inputs)
            expected = model(**inputs)
            for name in ("logits", "decision_weights", "text_logits"):
                torch.testing.assert_close(got[name], expected[name], atol=1e-6, rtol=0)
        gaps["pixel_values"][1] = 7.0
        assert torch.equal(program(**gaps)["logits"], got["logits"])  # garbage leaves no trace


def test_torch_compile_in_one_graph(gaps, tmp_path):
    model = lively(vision="resnet")
    expected = logits(model, gaps)
    # The default backend calls a C++ compiler for minutes; what may break is the capture.
    compiled = torch.compile(load_after_saving(model, tmp_path), fullgraph=True, backend="eager")
    torch.testing.assert_close(logits(compiled, gaps), expected, atol=1e-6, rtol=0)
    compiled.train()
    compiled(**gaps, labels=TARGETS).loss.backward()
    assert all(p.grad is not None for p in compiled.parameters())


def load_after_saving(model, folder):
    model.save_pretrained(folder)
    return load(folder)


# PEFT

HEADS = ["text_classifier", "image_classifier", "fusion_classifier", "decision_fusion"]


@pytest.fixture
def lora(folder):
    """LoRA on both encoders, heads trained in full, after a few steps."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=2,
        target_modules=r".*(text_model.*\.(query|value)|vision_model.*\.(q_proj|v_proj))",
        modules_to_save=HEADS,
        task_type="SEQ_CLS",
    )
    model = peft.get_peft_model(load(folder), config).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rate = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        model(**batch(), labels=TARGETS).loss.backward()
        rate.step()
        rate.zero_grad()
    return model.eval(), before


def test_peft_trains_adapters_and_chosen_heads_alone(lora):
    model, before = lora
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "modules_to_save" in name for name in trained)
    assert {part for part in ("text_model", "vision_model") for n in trained if part in n} == {
        "text_model",
        "vision_model",
    }
    moved = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert moved == trained


def test_peft_merges_and_the_merged_model_survives_saving(lora, model, tmp_path):
    expected = logits(lora[0])
    assert not torch.allclose(expected, logits(model), atol=1e-3)
    merged = lora[0].merge_and_unload()
    assert isinstance(merged, HybridSentForSequenceClassification)
    torch.testing.assert_close(logits(merged), expected, atol=1e-5, rtol=0)
    assert set(merged.state_dict()) == set(model.state_dict())
    assert_exact_round_trip(merged, tmp_path)


def test_peft_adapter_is_saved_and_loaded(lora, folder, tmp_path):
    import peft

    expected = logits(lora[0])
    lora[0].save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(load(folder), tmp_path)
    assert torch.equal(logits(again), expected)
    again = peft.AutoPeftModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(logits(again), expected)


def test_base_model_is_part_of_the_head(model, folder):
    base = HybridSentModel.from_pretrained(folder).eval()
    with torch.no_grad():
        out, expected = base(**batch()), model.hybridsent.eval()(**batch())
    assert torch.equal(out.last_hidden_state, expected.last_hidden_state)
    assert out.last_hidden_state.shape == (4, 7, model.config.hidden_size)
