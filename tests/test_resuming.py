"""A run that was killed or stopped goes on to the very weights of one that was left alone."""

import os
import random
import signal
import time

import pytest
from forked import Forked
from in_process import train_here
from tiny_runs import MODEL, assert_same_weights, run_here, wait_for_losses, write_recipe

from hybridsent.training.checkpoints import STATE

AGAIN = ("--resume_from_checkpoint", "true")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Evaluated and saved at steps 5, 10 and 12, the last; an epoch ends at step 6 and at 12."""
    return write_recipe(
        tmp_path_factory.mktemp("tiny"),
        eval_strategy="steps",
        eval_steps=5,
        save_strategy="steps",
        save_steps=5,
        logging_steps=1,
        learning_rate=0.01,
        vision_encoder_learning_rate=1.0e-3,  # a frozen one would need no restoring
        train_sampling_strategy="group_by_length",
        encoder_layer_decay=0.8,
        model_config=MODEL | {"hidden_dropout": 0.2},
        cpu_threads=1,
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    run_here(recipe, "--output_dir", folder)
    return folder


def steps_of(folder):
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("checkpoint-*"))


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def kill_in_the_middle_of_a_checkpoint(recipe, folder, step):
    """Let a pipe that nobody reads stand where the optimizer goes: writing it waits for ever."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    os.mkfifo(checkpoint / "optimizer.pt")
    # A limit of 1 would have checkpoint 5 sweep this folder away.
    process = Forked("train", recipe, "--output_dir", folder, "--save_total_limit", 2)
    while not (checkpoint / "tokenizer.json").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    time.sleep(0.2)
    kill(process)
    (checkpoint / "optimizer.pt").unlink()


def test_killed_twice_it_ends_in_the_same_weights(recipe, whole, tmp_path, capsys):
    folder = tmp_path / "out"
    kill_in_the_middle_of_a_checkpoint(recipe, folder, step=10)
    process = Forked("train", recipe, "--output_dir", folder, *AGAIN)
    chance = random.Random(0)
    said = wait_for_losses(process, chance.randint(1, 5))
    time.sleep(chance.random() / 20)
    kill(process)
    half, five = folder / "checkpoint-10", folder / "checkpoint-5"
    lacks = [
        f"{name} is missing" for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", STATE)
    ]
    assert f"Skipping incomplete checkpoint {half}: {', '.join(lacks)}." in said
    assert f"Resuming from {five}." in said
    assert not (folder / "metrics.json").exists()

    run_here(recipe, "--output_dir", folder, *AGAIN)
    assert "Resuming from " in capsys.readouterr().out
    assert_same_weights(folder, whole)


def test_sigterm_saves_the_step_says_so_and_leaves(recipe, whole, tmp_path):
    folder = tmp_path / "out"
    process = Forked("train", recipe, "--output_dir", folder)
    wait_for_losses(process, random.Random(1).randint(6, 8))
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate()
    assert process.returncode == 143, errors
    assert "Traceback" not in errors
    (line,) = [line for line in said.splitlines() if "SIGTERM" in line]
    step = max(steps_of(folder))
    assert line.startswith(
        f"Stopped by SIGTERM after step {step} of 12. Saved {folder}/checkpoint-{step}. "
    )
    assert "--resume_from_checkpoint true" in line
    assert not (folder / "metrics.json").exists()
    assert not (folder / "model.safetensors").exists()

    run_here(recipe, "--output_dir", folder, *AGAIN)
    assert_same_weights(folder, whole)


def test_the_best_model_is_loaded_tensor_by_tensor(whole):
    """What is published is the best checkpoint, and not the last one."""
    (best,) = steps_of(whole)  # save_total_limit leaves that one alone
    assert best < 12
    assert_same_weights(whole, whole / f"checkpoint-{best}")


def test_a_named_checkpoint_that_is_not_whole_is_refused_at_once(recipe, tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    given = ("--resume_from_checkpoint", tmp_path / "checkpoint-3")
    result = train_here(recipe, *given, "--output_dir", tmp_path)
    assert result.returncode == 1
    said = f"{tmp_path}/checkpoint-3: incomplete checkpoint (model.safetensors is missing"
    assert said in result.stderr.splitlines()[-1]
