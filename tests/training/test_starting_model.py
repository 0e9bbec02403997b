"""`--model`: a training that starts from a trained model, with its labels or with others."""

import json
from pathlib import Path

import pytest
import torch
from in_process import run_in_process
from safetensors.torch import load_file
from tiny_runs import assert_same_weights, run_here, write_recipe

from hybridsent.training.arguments import parse_arguments
from hybridsent.training.model import OF_LABELS, start_from
from modeling_hybridsent import HybridSentProcessor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained model with its recipe, and posts with other labels."""
    folder = tmp_path_factory.mktemp("start")
    run_here(write_recipe(folder, max_steps=2, clean_text=True), "--output_dir", folder / "out")
    moods = folder / "moods"
    moods.mkdir()
    for name in ("train", "validation", "test"):
        rows = [f"so {mood} today {i},{mood}" for i in range(6) for mood in ("glad", "mad")]
        (moods / f"{name}.csv").write_text("\n".join(["text,label", *rows]))
    return folder


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def train_from(folder, output, *more):
    """Train by the recipe, whose architecture `--model` replaces."""
    words = [folder / "recipe.yaml", "--model", folder / "out", "--max_steps", 2]
    run_here(*words, "--output_dir", output, *more)


def test_the_same_labels_keep_everything(folder, tmp_path):
    train_from(folder, tmp_path / "frozen", "--learning_rate", 0, "--text_encoder_learning_rate", 0)
    assert_same_weights(tmp_path / "frozen", folder / "out")
    assert HybridSentProcessor.from_pretrained(tmp_path / "frozen").clean_text
    run = json.loads((tmp_path / "frozen" / "metrics.json").read_text())
    assert run["started_from"] == "out"
    assert run["encoders"] == {"text": "text", "vision": "vision"}
    assert "started from the model out" in (tmp_path / "frozen" / "README.md").read_text()
    assert str(folder) not in (tmp_path / "frozen" / "config.json").read_text()


def test_other_labels_get_new_classifiers_alone_and_the_seed_decides(folder, tmp_path):
    more = ("--dataset", "posts", "--data_dir", folder / "moods")
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train_from(folder, tmp_path / name, *more, "--seed", seed)
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    a, c = weights_of(tmp_path / "a"), weights_of(tmp_path / "c")
    assert not torch.equal(
        a["fusion_classifier.linear.weight"], c["fusion_classifier.linear.weight"]
    )
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert list(config["id2label"].values()) == ["glad", "mad"]
    model = start_from(str(folder / "out"), ["glad", "so-so", "mad"])  # as many as it has
    old = weights_of(folder / "out")
    for name, tensor in model.state_dict().items():
        is_kept = name.partition(".")[0] not in OF_LABELS
        same = tensor.shape == old[name].shape and torch.equal(tensor, old[name])
        assert same == is_kept or (not is_kept and tensor.ndim == 1), name
    assert model.config.temperature == 1


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["--text_encoder", "x"], "--text_encoder"),
        (
            ['--model_config={"hidden_size": 8}', "--clean_text", "true"],
            "--model_config, --clean_text",
        ),
    ],
)
def test_settings_that_contradict_the_model_are_one_error(given, wrong):
    with pytest.raises(ValueError, match=f"--model m and {wrong}: a trained model brings"):
        parse_arguments(["posts", "--data_dir", "d", "--model", "m", *given])


def test_a_recipe_may_name_the_model_but_then_no_encoders(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(f"model: bundled/mvsa-single\noutput_dir: {tmp_path}\n")
    model, _, _ = parse_arguments([str(file)])
    assert (model.model, model.text_encoder) == ("bundled/mvsa-single", None)
    file.write_text(file.read_text() + "text_encoder: bundled/all-minilm-l6-v2\n")
    with pytest.raises(
        ValueError, match=r"--model bundled/mvsa-single and --text_encoder: .*recipe"
    ):
        parse_arguments([str(file)])
    assert parse_arguments([str(file), "--model=m"])[0].model == "m"


def test_posts_that_could_teach_the_model_nothing_are_refused(folder, tmp_path):
    config = json.loads((folder / "out" / "config.json").read_text()) | {
        "own_label_loss_weight": 0.0
    }
    for file in (folder / "out").iterdir():
        if file.is_file() and file.name != "config.json":
            (tmp_path / file.name).symlink_to(file)
    Path(tmp_path / "config.json").write_text(json.dumps(config))
    words = [folder / "recipe.yaml", "--model", tmp_path, "--output_dir", tmp_path / "out"]
    result = run_in_process("train", [*words, "--use_contradictory_posts", "true"])
    assert "the model has no classifiers of unimodal labels" in result.stderr
