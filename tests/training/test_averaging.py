"""The model ends with the mean of the weights of the last steps, also if it was stopped before."""

import re
import shutil
import signal

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_models import tiny_model
from tiny_trainer import tiny_trainer
from transformers import TrainerCallback, TrainerState

from hybridsent.training.averaging import WeightAverage, trained_weights
from hybridsent.training.checkpoints import AVERAGE, checkpoint_to_resume
from hybridsent.training.stopping import EXIT_CODE, TrainingError

STEPS, START = 5, 0.4  # the mean of steps 3, 4 and 5
# Two batches a step, and an evaluation after each step.
SETTINGS = {
    "max_steps": STEPS,
    "average_weights_from": START,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "save_steps": 1,
    "eval_strategy": "steps",
    "eval_steps": 1,
}


class Recorder(TrainerCallback):
    """Keeps the weights after each step; in one of them it sends SIGTERM, noticed in the next."""

    def __init__(self, stop_after=None):
        self.weights, self.stop_after = {}, stop_after

    def on_step_end(self, _args, state, _control, model, **_):
        step = state.global_step
        self.weights[step] = {name: t.clone() for name, t in model.state_dict().items()}
        if step == self.stop_after:
            signal.raise_signal(signal.SIGTERM)


def averaging(posts, folder, stop_after=None, resume=None, **changed):
    """Train with a checkpoint after each step; return the trainer and the weights after each step."""
    trainer = tiny_trainer(posts, folder, **SETTINGS | changed)
    recorder = Recorder(stop_after)
    trainer.add_callback(recorder)
    trainer.train(resume_from_checkpoint=resume and str(resume))
    return trainer, recorder.weights


@pytest.fixture(scope="module")
def whole(posts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer, weights = averaging(posts, folder)
    trainer.save_model()
    return trainer, weights, folder


def mean_of(weights, steps):
    return {
        name: torch.stack([weights[step][name].double() for step in steps]).mean(0)
        for name in weights[steps[0]]
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def test_the_model_ends_with_the_mean_of_the_last_steps(whole):
    trainer, weights, folder = whole
    last, trained = weights[STEPS], trained_weights(trainer.model)
    assert trainer.averaged_steps == 3
    found, moved = trainer.model.state_dict(), 0
    for name, expected in mean_of(weights, [3, 4, 5]).items():
        if name in trained:
            torch.testing.assert_close(found[name].double(), expected, atol=1e-7, rtol=1e-6)
            moved += not torch.equal(found[name], last[name])
        else:
            assert torch.equal(found[name], last[name]), name
    assert moved > len(trained) / 2
    assert_same(load_file(folder / "model.safetensors"), found)


def test_a_checkpoint_has_the_weights_of_its_step_and_the_mean_so_far_apart(whole):
    trainer, weights, folder = whole
    trained = trained_weights(trainer.model)
    for step in range(1, STEPS + 1):
        checkpoint = folder / f"checkpoint-{step}"
        assert_same(load_file(checkpoint / "model.safetensors"), weights[step])
        assert (checkpoint / AVERAGE).exists() == (step >= 3)
    with safe_open(folder / "checkpoint-4" / AVERAGE, "pt") as opened:
        assert opened.metadata()["steps"] == "2"
    mean = load_file(folder / "checkpoint-4" / AVERAGE)
    expected = mean_of(weights, [3, 4])
    assert mean.keys() == trained.keys()
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor.double(), expected[name], atol=1e-7, rtol=1e-6)


def test_evaluations_score_the_mean_so_far_and_do_not_touch_the_training(whole, posts, tmp_path):
    trainer, weights, _ = whole
    plain, expected = averaging(posts, tmp_path, average_weights_from=None, save_strategy="no")
    for step in range(1, STEPS + 1):
        assert_same(weights[step], expected[step])
    losses, others = losses_of(trainer), losses_of(plain)
    assert losses[:3] == others[:3]  # the mean of one step has the weights of that step
    assert losses[4] != others[4]
    assert losses[4] == trainer.evaluate()["eval_loss"]
    assert plain.averaged_steps == 0


def losses_of(trainer):
    return [row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row]


@pytest.mark.parametrize("step", [1, 4, 5])
def test_resumed_it_ends_with_the_very_weights(whole, posts, tmp_path, step):
    """From before the mean begins, from the middle of it, and with no step left."""
    uninterrupted, _, folder = whole
    shutil.copytree(folder / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    checkpoint = tmp_path / f"checkpoint-{step}"
    trainer, weights = averaging(posts, tmp_path, resume=checkpoint)
    assert len(weights) == STEPS - step
    assert trainer.averaged_steps == 3
    assert_same(trainer.model.state_dict(), uninterrupted.model.state_dict())


def test_sigterm_leaves_a_checkpoint_to_resume_from(whole, posts, tmp_path, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        averaging(posts, tmp_path, stop_after=3, save_strategy="no")
    signal.signal(signal.SIGTERM, handler)
    assert stopped.value.code == EXIT_CODE
    checkpoint, _ = checkpoint_to_resume("true", tmp_path)
    assert checkpoint == f"{tmp_path}/checkpoint-3"
    assert f"Saved {checkpoint}." in capsys.readouterr().out
    assert not (tmp_path / "model.safetensors").exists()
    trainer, _ = averaging(posts, tmp_path, resume=checkpoint)
    assert_same(trainer.model.state_dict(), whole[0].model.state_dict())


def test_a_mean_that_cannot_be_continued_is_refused(whole, posts, tmp_path):
    checkpoint = tmp_path / "checkpoint-4"
    shutil.copytree(whole[2] / checkpoint.name, checkpoint)
    said = f"{checkpoint}/{AVERAGE} is a mean over 2 steps, and this run needs one over 3. Resume"
    with pytest.raises(TrainingError, match=re.escape(f"--average_weights_from 0.2: {said}")):
        averaging(posts, tmp_path, resume=checkpoint, average_weights_from=0.2)
    (checkpoint / AVERAGE).unlink()
    with pytest.raises(TrainingError, match=re.escape(f"0.4: {checkpoint}/{AVERAGE} is missing.")):
        averaging(posts, tmp_path, resume=checkpoint)


def test_half_a_mean_makes_a_checkpoint_incomplete(whole, tmp_path):
    shutil.copytree(whole[2] / "checkpoint-3", tmp_path / "checkpoint-3")
    file = tmp_path / "checkpoint-3" / AVERAGE
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    chosen, message = checkpoint_to_resume("true", tmp_path)
    assert chosen is None
    assert f"{tmp_path}/checkpoint-3: {AVERAGE} is damaged." in message


def test_a_mean_that_an_earlier_run_left_is_removed(whole, posts, tmp_path):
    shutil.copytree(whole[2] / "checkpoint-3", tmp_path / "checkpoint-1")
    averaging(posts, tmp_path, max_steps=1, average_weights_from=None)
    assert not (tmp_path / "checkpoint-1" / AVERAGE).exists()


@pytest.mark.parametrize(
    ("start", "all_steps", "expected"),
    [(0, 3, 3), (0.4, 12, 8), (0.29, 100, 71), (0.7, 10, 3), (0.999999999, 4, 1)],
)
def test_so_many_of_the_last_steps_are_averaged(start, all_steps, expected):
    average, model = WeightAverage(start), torch.nn.Linear(1, 1)
    for step in range(1, all_steps + 1):
        state = TrainerState(global_step=step, max_steps=all_steps)
        average.on_step_end(None, state, None, model=model)
    assert average.steps == expected


def step_through(model, values):
    """Set all trained weights to each value in turn, and end with their mean."""
    average = WeightAverage(0)
    for step, value in enumerate(values, start=1):
        for tensor in trained_weights(model).values():
            tensor.fill_(value)
        state = TrainerState(global_step=step, max_steps=len(values))
        average.on_step_end(None, state, None, model=model)
    average.on_train_end(model=model)


def test_bfloat16_weights_are_averaged_in_float32():
    model = torch.nn.Linear(2, 2).bfloat16()
    step_through(model, [256.0] + 7 * [258.0])  # bfloat16 has no number between 256 and 258
    assert model.weight.dtype == torch.bfloat16
    # The mean is 257.75; in bfloat16 every step would round to 256.
    assert model.weight.unique().tolist() == [258.0]


def test_of_a_model_with_adapters_the_adapters_are_averaged():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules="all-linear", task_type="SEQ_CLS")
    model = peft.get_peft_model(tiny_model(), config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step_through(model, [0.0, 0.5])
    trained = trained_weights(model)
    assert any("lora_A" in name for name in trained)
    for name, tensor in model.state_dict().items():
        if name in trained:
            assert tensor.unique().tolist() == [0.25], name
        else:
            assert torch.equal(tensor, before[name]), name
