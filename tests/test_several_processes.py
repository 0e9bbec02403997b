"""Two processes, or accumulated batches, learn and score what one process with one batch does."""

import csv
import json
import signal

import pytest
import torch
from forked import run_two, two_forked
from safetensors.torch import load_file
from tiny_runs import MODEL, assert_same_weights, run_here, wait_for_losses, write_recipe

from hybridsent.training.loss_parts import PARTS

SIZES = {"train": 64, "validation": 13, "test": 11}  # the last batch of an evaluation is uneven
STEPS = 50
BATCH = "--per_device_train_batch_size"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """32 posts a step, no dropout anywhere, and labels that are spread unevenly over the batches.

    The model is the mean over steps 6 to 50.
    """
    folder = tmp_path_factory.mktemp("tiny")
    recipe = write_recipe(
        folder,
        SIZES,
        model_config=MODEL | {"hidden_dropout": 0.0},
        max_steps=STEPS,
        per_device_eval_batch_size=4,
        eval_strategy="no",
        save_strategy="steps",
        save_steps=STEPS,
        load_best_model_at_end=False,
        early_stopping_patience=None,
        average_weights_from=0.1,
        logging_steps=1,
        cpu_threads=1,
        train_sampling_strategy="group_by_length",
    )
    config = json.loads((folder / "text" / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "text" / "config.json").write_text(json.dumps(config))
    forget_labels(folder / "posts" / "train.csv")
    return recipe


def forget_labels(file):
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    for i, row in enumerate(rows):
        if i % 3 == 0:
            row["text_label"] = ""
        if i % 5 == 0:
            row["image_label"] = ""
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def one(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "out"
    run_here(recipe, "--output_dir", folder, BATCH, 32)
    return folder


@pytest.fixture(scope="module")
def two(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "out"
    for result in run_two("train", recipe, "--output_dir", folder, BATCH, 16):
        assert result.returncode == 0, result.stderr
    return folder


def losses(folder):
    """Loss and its parts at each step, one after the other: first those of step 1."""
    state = json.loads((folder / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())
    names = ["loss", *(f"loss_{part}" for part in PARTS)]
    found = [[entry[name] for name in names] for entry in state["log_history"] if "loss" in entry]
    assert len(found) == STEPS
    return [value for step in found for value in step]


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_two_processes_learn_what_one_does(one, two):
    assert (metrics(one)["processes"], metrics(two)["processes"]) == (1, 2)
    assert losses(one)[-1 - len(PARTS)] < losses(one)[0] - 0.05
    assert losses(two) == pytest.approx(losses(one), abs=1e-3)


def test_two_processes_save_their_mean_weights_and_not_those_of_the_last_step(two):
    found = load_file(two / "model.safetensors")
    mean = load_file(two / f"checkpoint-{STEPS}" / "weight_average.safetensors")
    last = load_file(two / f"checkpoint-{STEPS}" / "model.safetensors")
    assert metrics(two)["learning"]["averaged_steps"] == 45
    assert mean.keys() < found.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, mean.get(name, last[name])), name
    assert any(not torch.equal(mean[name], last[name]) for name in mean)


def test_accumulated_batches_learn_what_one_batch_does(recipe, one, tmp_path):
    run_here(
        recipe, "--output_dir", tmp_path / "out", BATCH, 16, "--gradient_accumulation_steps", 2
    )
    assert losses(tmp_path / "out") == pytest.approx(losses(one), abs=1e-3)


def test_two_processes_score_the_very_posts_that_one_does(recipe, two, tmp_path):
    """One process scores the weights that two have trained: it finds nothing left to train."""
    last = two / f"checkpoint-{STEPS}"
    run_here(recipe, "--output_dir", tmp_path / "out", "--resume_from_checkpoint", last)
    found, expected = metrics(two), metrics(tmp_path / "out")
    assert found["scores"][-1]["posts"] == SIZES["test"]
    assert found["confusion"] == expected["confusion"]
    for name in ("scores", "calibration", "decision_weights"):
        assert flat(found[name]) == pytest.approx(flat(expected[name]), abs=1e-5), name


def flat(value, name=""):
    """Numbers and strings in lists and mappings, by the path that leads there."""
    if not isinstance(value, list | dict):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, part in items for k, v in flat(part, f"{name}/{key}").items()}


def test_sigterm_to_one_of_two_stops_both_at_one_step(recipe, two, tmp_path):
    folder = tmp_path / "out"
    command = ("train", recipe, "--output_dir", folder, BATCH, 16)
    first, second = two_forked(*command)
    wait_for_losses(first, 7)
    second.send_signal(signal.SIGTERM)
    first, second = (process.finish() for process in (first, second))
    assert (first.returncode, second.returncode) == (143, 143), first.stderr
    (checkpoint,) = folder.glob("checkpoint-*")
    step = int(checkpoint.name.split("-")[1])
    assert 7 <= step < STEPS
    assert f"Stopped by SIGTERM after step {step} of {STEPS}. Saved {checkpoint}." in first.stdout
    assert not (folder / "metrics.json").exists()

    first, _ = run_two(*command, "--resume_from_checkpoint", "true")
    assert first.returncode == 0, first.stderr
    assert f"Resuming from {checkpoint}." in first.stdout
    assert first.stdout.count("{'loss'") == STEPS - step
    assert_same_weights(folder, two)
