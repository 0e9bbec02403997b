"""Each encoder learns at its own rate, and a frozen one not at all."""

import shutil

import pytest
import torch
from tiny_trainer import SIZES, tiny_trainer

from hybridsent.training.stopping import TrainingError

PARTS = {"text": "hybridsent.text_model.", "vision": "hybridsent.vision_model."}


@pytest.fixture
def trainer(posts, tmp_path):
    return tiny_trainer(posts, tmp_path)


def part_of(name):
    return next((part for part, prefix in PARTS.items() if name.startswith(prefix)), "fusion")


def test_every_trained_parameter_has_the_rate_of_its_part_once(trainer):
    optimizer = trainer.create_optimizer()
    rates = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert id(parameter) not in rates
            rates[id(parameter)] = group["lr"]
    expected = {"text": 0.001, "fusion": 0.01}
    for name, parameter in trainer.model.named_parameters():
        assert rates.get(id(parameter)) == expected.get(part_of(name)), name
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}


def test_training_moves_what_it_should_and_nothing_else(trainer):
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.train()
    moved = {"text": False, "vision": False, "fusion": False}
    for name, tensor in trainer.model.state_dict().items():
        moved[part_of(name)] |= not torch.equal(tensor, before[name])
    assert moved == {"text": True, "vision": False, "fusion": True}


def test_logged_parts_are_those_of_training_and_sum_to_its_loss(trainer):
    args = trainer.args
    args.logging_steps, args.eval_steps, args.num_train_epochs = 1, 1, 3
    args.eval_strategy, args.max_steps = "steps", 6
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert len(lines) == 6
    for line in lines:
        parts = {name: line[f"loss_{name}"] for name in ("decision", "text", "image", "fusion")}
        weighed = sum(trainer.model.config.loss_weights[name] * x for name, x in parts.items())
        assert line["loss"] == pytest.approx(weighed, rel=1e-3)


def test_predictions_are_named_and_agree_with_the_model(trainer, posts):
    outputs, labels = trainer.predict_posts(posts["test"])
    rows = [posts["test"][i] for i in range(SIZES["test"])]
    batch = trainer.data_collator(rows)
    with torch.no_grad():
        expected = trainer.model.eval()(**batch)
    assert labels.tolist() == batch["labels"].tolist()
    assert set(outputs) == {
        "logits", "text_logits", "image_logits", "fusion_logits", "decision_weights"
    }  # fmt: skip
    for name, values in outputs.items():
        torch.testing.assert_close(torch.tensor(values), expected[name], atol=1e-5, rtol=0)


def test_of_epochs_with_equal_scores_the_one_of_lowest_loss_is_kept(posts, tmp_path):
    epochs = {"max_steps": -1, "num_train_epochs": 3, "eval_strategy": "epoch"}
    best = {"load_best_model_at_end": True, "metric_for_best_model": "accuracy"}
    trainer = tiny_trainer(posts, tmp_path, save_strategy="epoch", **epochs, **best)
    trainer.scores = lambda logits, labels: {"accuracy": 1.0}  # as of very few, easy posts
    trainer.train()
    losses = {x["eval_loss"]: x["step"] for x in trainer.state.log_history if "eval_loss" in x}
    assert losses[min(losses)] == trainer.state.best_global_step > 2
    assert trainer.state.best_model_checkpoint.endswith(f"-{losses[min(losses)]}")


def early_stopped(posts, folder, patience=1):
    """A trainer of up to 4 epochs that learns nothing, so that patience ends after the second."""
    return tiny_trainer(
        posts,
        folder,
        learning_rate=0,
        text_encoder_learning_rate=0,
        max_steps=-1,
        num_train_epochs=4,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="nll",
        early_stopping_patience=patience,
    )


@pytest.fixture(scope="module")
def stopped(posts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    early_stopped(posts, folder).train()
    return folder


@pytest.mark.parametrize(("checkpoint", "patience", "steps"), [(2, 1, 4), (4, 1, 4), (4, 2, 6)])
def test_resuming_goes_on_with_the_patience_that_is_left(
    posts, stopped, tmp_path, checkpoint, patience, steps
):
    folder = shutil.copytree(stopped, tmp_path / "out")
    trainer = early_stopped(posts, folder, patience)
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{checkpoint}"))
    assert trainer.state.global_step == steps


def test_a_finished_run_trains_no_step_more(posts, trainer):
    trainer.args.max_steps, trainer.args.save_steps = 3, 3  # the middle of the second epoch
    trainer.train()
    expected = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-3")
    assert trainer.state.global_step == 3
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_checkpoint_of_a_later_step_than_the_last_is_refused(posts, trainer):
    trainer.args.save_steps = 2
    trainer.train()
    trainer.args.max_steps = 1
    with pytest.raises(TrainingError, match="is of step 2, but this run ends at step 1"):
        trainer.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-2")


def test_incomplete_batches_are_dropped_in_training_alone(posts, trainer):
    trainer.args.dataloader_drop_last, trainer.args.per_device_eval_batch_size = True, 4
    assert len(trainer.predict_posts(posts["test"])[1]) == len(posts["test"]) == 6
    assert trainer.args.dataloader_drop_last
    trainer._train_batch_size = 3
    assert len(trainer.get_train_dataloader()) == len(posts["train"]) // 3 == 2


def test_best_model_and_resuming_restore_every_tensor(posts, trainer):
    """Of every tensor: the library does so by half with some vision encoders, and only warns."""
    trainer.args.save_steps = 2
    trainer.train()
    saved = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    folder = f"{trainer.args.output_dir}/checkpoint-2"
    trainer.state.best_model_checkpoint = folder
    for load in (lambda: trainer._load_from_checkpoint(folder), trainer._load_best_model):
        for tensor in trainer.model.state_dict().values():
            tensor.zero_()
        load()
        for name, tensor in trainer.model.state_dict().items():
            assert torch.equal(tensor, saved[name]), name
