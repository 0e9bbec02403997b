"""A damaged folder gives one error that names the file and says what to do, never fresh weights."""

import json
import shutil

import pytest
import torch
from isolated_python import run_isolated
from safetensors.torch import load_file, save_file
from tiny_models import batch, tiny_model
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from modeling_hybridsent import (
    HybridSentConfig,
    HybridSentForSequenceClassification,
    HybridSentModel,
)

LOADERS = [AutoModelForSequenceClassification, AutoModel, HybridSentForSequenceClassification]
TENSOR = "hybridsent.fusion_branch.text_pooling.inner.weight"
REMEDY = "Save or download it again"


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intact")
    tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(intact, tmp_path):
    return shutil.copytree(intact, tmp_path / "model")


def error_of(loader, folder, **kwargs):
    with pytest.raises((OSError, RuntimeError, ValueError)) as caught:
        loader.from_pretrained(folder, **kwargs)
    return caught.value


def change_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        if isinstance(value, dict):
            config[name].update(value)
        else:
            config[name] = value
    (folder / "config.json").write_text(json.dumps(config))


# Weights

DAMAGES = {
    "truncated": lambda whole: whole[: len(whole) // 2],
    "last byte gone": lambda whole: whole[:-1],
    "cut in the header": lambda whole: whole[:20],
    "empty": lambda whole: b"",
    "garbage": lambda whole: b"\xff\x13" * 5000,
    "a page of HTML": lambda whole: b"<!DOCTYPE html><html>not found</html>" * 50,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights(damage, folder):
    file = folder / "model.safetensors"
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    error = error_of(AutoModel, folder)
    assert isinstance(error, OSError)
    assert str(error).startswith(f"{file} is damaged")
    assert REMEDY in str(error)


@pytest.mark.parametrize("damage", ["shard", "index"])
def test_damaged_shards(damage, folder):
    (folder / "model.safetensors").unlink()
    tiny_model().save_pretrained(folder, max_shard_size="50KB")
    files = {
        "shard": sorted(folder.glob("model-*.safetensors"))[2],
        "index": folder / "model.safetensors.index.json",
    }
    files[damage].write_bytes(files[damage].read_bytes()[:-30])
    error = error_of(AutoModel, folder)
    assert str(error).startswith(f"{files[damage]} is damaged")


def test_an_index_that_names_a_file_elsewhere_is_refused(folder):
    (folder / "model.safetensors").rename(folder.parent / "other.safetensors")
    names = dict.fromkeys(load_file(folder.parent / "other.safetensors"), "../other.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    said = str(error_of(HybridSentForSequenceClassification, folder))
    assert f"{index} names '../other.safetensors', which is no file beside it" in said


def test_absent_files_are_named(folder):
    (folder / "model.safetensors").unlink()
    error = error_of(AutoModel, folder)
    assert isinstance(error, OSError)
    assert f"model.safetensors, or pytorch_model.bin, found in directory {folder}" in str(error)
    tiny_model().save_pretrained(folder, max_shard_size="50KB")
    shard = sorted(folder.glob("model-*.safetensors"))[2]
    shard.unlink()
    assert str(shard) in str(error_of(AutoModel, folder))


@pytest.mark.parametrize("loader", [*LOADERS, HybridSentModel])
def test_missing_tensor(loader, folder):
    change_tensors(folder, lambda tensors: tensors.pop(TENSOR))
    error = error_of(loader, folder)
    assert isinstance(error, RuntimeError)
    assert f"{folder / 'model.safetensors'} lacks 1 tensor(s) of the model" in str(error)
    assert TENSOR.removeprefix("hybridsent.") in str(error)
    assert REMEDY in str(error)


def test_misnamed_tensor(folder):
    change_tensors(folder, lambda tensors: tensors.update({"renamed": tensors.pop(TENSOR)}))
    error = error_of(AutoModel, folder)
    assert TENSOR in str(error)
    assert "holds tensors the model does not know: renamed" in str(error)


@pytest.mark.parametrize("part", ["hybridsent.text_model.", "hybridsent.vision_model."])
def test_missing_encoder(part, folder):
    def drop(tensors):
        for name in [name for name in tensors if name.startswith(part)]:
            del tensors[name]

    change_tensors(folder, drop)
    error = error_of(AutoModel, folder, ignore_mismatched_sizes=True)
    assert "lacks" in str(error)
    assert part in str(error)


def test_tensor_of_another_shape(folder):
    change_tensors(folder, lambda tensors: tensors.update({TENSOR: torch.zeros(3, 3)}))
    error = error_of(AutoModel, folder)
    assert isinstance(error, RuntimeError)
    assert f"{TENSOR} ((3, 3) in the file, (16, 16) in the model)" in str(error)
    assert str(folder / "model.safetensors") in str(error)


def test_base_model_alone_does_not_become_a_classifier_without_a_word(tmp_path):
    tiny_model().hybridsent.save_pretrained(tmp_path)
    loader = HybridSentForSequenceClassification
    assert "without its classifiers" in str(error_of(loader, tmp_path))
    model, info = loader.from_pretrained(tmp_path, output_loading_info=True)
    assert any("classifier" in name for name in info["missing_keys"])
    assert isinstance(model, loader)


def test_intact_folder_loads_with_and_without_information(folder):
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        expected = tiny_model()(**batch()).logits
        assert torch.equal(model(**batch()).logits, expected)
        assert torch.equal(AutoModel.from_pretrained(folder)(**batch()).logits, expected)


# Configuration


@pytest.mark.parametrize("text", ['{"model_type": "hybridsent",', "\x00\x01"])
@pytest.mark.parametrize("loader", [*LOADERS, AutoConfig, HybridSentConfig])
def test_configuration_that_is_not_json(text, loader, folder):
    (folder / "config.json").write_text(text)
    error = error_of(loader, folder)
    assert isinstance(error, OSError)
    assert str(folder / "config.json") in str(error)
    assert "not a valid JSON file" in str(error)
    if loader in (HybridSentForSequenceClassification, HybridSentConfig):  # reached our code
        assert REMEDY in str(error)


@pytest.mark.parametrize("loader", [HybridSentForSequenceClassification, HybridSentConfig])
@pytest.mark.parametrize("kind", ["bert", "nonsense"])
def test_configuration_of_another_model(kind, loader, folder):
    change_config(folder, model_type=kind)
    error = error_of(loader, folder)
    assert str(folder / "config.json") in str(error)
    assert f"its model_type is '{kind}', not 'hybridsent'" in str(error)
    assert REMEDY in str(error)


NONSENSE = {
    "hidden_size": "big",
    "num_attention_heads": 0,
    "intermediate_size": -4,
    "hidden_act": "foo",
    "hidden_dropout": 3.0,
    "temperature": float("nan"),
    "image_only_temperature": float("inf"),
    "fusion_loss_weight": -1.0,
    "recurrence": "lstm",
    "hiden_size": 16,
    "problem_type": "ranking",
    "score_std": -1.0,
    "text_config": {"hidden_size": 33},
    "vision_config": {"model_type": "no-such-model"},
}


@pytest.mark.parametrize("field", NONSENSE)
def test_nonsense_in_the_configuration(field, folder):
    change_config(folder, **{field: NONSENSE[field]})
    error = error_of(AutoModel, folder)
    assert isinstance(error, ValueError)
    assert str(folder / "config.json") in str(error)
    assert REMEDY in str(error)
    told = {"text_config": "33", "vision_config": "no-such-model"}.get(field, field)
    assert told in str(error)


OLDER = {"evidence": "tokens", "text_ngram_sizes": [1, 3, 5]}  # before that there was one form


@pytest.mark.parametrize("loader", [AutoModel, HybridSentConfig])
@pytest.mark.parametrize("field", OLDER)
def test_a_model_of_the_form_before_0_2_is_refused(field, loader, folder):
    change_config(folder, **{field: OLDER[field]})
    error = str(error_of(loader, folder))
    assert f"{folder / 'config.json'} cannot be used: {field}={OLDER[field]!r} belongs" in error
    assert error.endswith("Train it again, or use it with hybridsent 0.1.")


def test_a_configuration_that_names_todays_form_loads(folder):
    change_config(folder, evidence="levels", text_ngram_sizes=[1, 3, 5])
    model = HybridSentForSequenceClassification.from_pretrained(folder)
    assert not {"evidence", "text_ngram_sizes"} & set(model.config.to_dict())


def test_nonsense_given_as_an_override(folder):
    error = error_of(HybridSentConfig, folder, num_attention_heads=3)
    assert "hidden_size (16) must be a multiple of num_attention_heads (3)" in str(error)


def test_configuration_that_does_not_fit_the_weights(folder):
    change_config(folder, num_cross_modal_layers=3)
    assert "cross_modal_layers.2" in str(error_of(AutoModel, folder))
    change_config(folder, num_cross_modal_layers=2, intermediate_size=40)
    assert "(24,) in the file, (40,) in the model" in str(error_of(AutoModel, folder))


def test_errors_that_are_not_the_files_fault_stay_as_they_are(folder):
    error = error_of(AutoModel, folder, attn_implementation="foo")
    assert REMEDY not in str(error)
    error = error_of(HybridSentForSequenceClassification, folder / "nowhere")
    assert isinstance(error, OSError)
    assert REMEDY not in str(error)


# Where the project is not installed, and out of the cache of the Hub

REMOTE = """
from pathlib import Path
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

def attempt(name, loader, folder):
    try:
        loader.from_pretrained(folder, trust_remote_code=True)
    except Exception as error:
        print(name, type(error).__name__, str(error).replace(chr(10), " "))
    else:
        print(name, "loaded")

for name in NAMES:
    attempt(name, AutoModel, f"{BASE}/{name}")
attempt("config", AutoConfig, f"{BASE}/nonsense")
attempt("hub", AutoModel, "someone/damaged")
attempt("hub-intact", AutoModel, "someone/intact")
"""


def cache(folder, hub, name):
    """Put a folder where a download of repository `name` would have put it."""
    repository = hub / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    return shutil.copytree(folder, repository / "snapshots" / ("a" * 40))


def test_remote_code_says_the_same(intact, tmp_path):
    names = ["intact", "truncated", "lacking", "nonsense", "bert"]
    folders = {name: shutil.copytree(intact, tmp_path / name) for name in names}
    file = folders["truncated"] / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    change_tensors(folders["lacking"], lambda tensors: tensors.pop(TENSOR))
    change_config(folders["nonsense"], temperature=0)
    change_config(folders["bert"], model_type="bert")
    cached = cache(folders["truncated"], tmp_path / "hf" / "hub", "someone/damaged")
    cache(intact, tmp_path / "hf" / "hub", "someone/intact")

    code = f"BASE, NAMES = {str(tmp_path)!r}, {names!r}\n" + REMOTE
    result = run_isolated(code, tmp_path)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line]
    said = dict(line.split(" ", 1) for line in lines)
    assert said["intact"] == said["hub-intact"] == "loaded"
    assert said["truncated"].startswith(f"OSError {file} is damaged")
    assert said["lacking"].startswith(f"RuntimeError {folders['lacking'] / 'model.safetensors'}")
    assert TENSOR in said["lacking"]
    for name in ("nonsense", "config"):
        assert said[name].startswith(f"ValueError {folders['nonsense'] / 'config.json'}")
    assert said["bert"].startswith(f"ValueError {folders['bert'] / 'config.json'}")
    assert said["hub"].startswith(f"OSError {cached / 'model.safetensors'} is damaged")
