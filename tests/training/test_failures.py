"""Numbers that are none, and memory that is used up, end a training with what one needs to go on."""

import re

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import IMAGE_SIZE
from tiny_trainer import tiny_trainer
from transformers import TrainerCallback

from hybridsent.training.stopping import TrainingError, weight_norms


def message_of(trainer):
    with pytest.raises(TrainingError) as error:
        trainer.train()
    return str(error.value)


def test_a_loss_that_is_no_number_names_step_posts_and_norms(posts, tmp_path):
    trainer = tiny_trainer(posts, tmp_path, save_strategy="steps", save_steps=1)
    weight = next(trainer.model.hybridsent.text_model.parameters())

    class Spoil(TrainerCallback):
        """After the first step, do what a bad update would."""

        def on_save(self, *_, **__):
            weight.data.fill_(float("nan"))

    trainer.add_callback(Spoil())
    message = message_of(trainer)
    assert message.startswith("The loss is nan at step 2 of 2, in a batch of posts ")
    named = re.search(r"batch of posts (.*)\.\n", message)[1].split(", ")
    assert len(named) == 4
    assert set(named) <= set(posts["train"]["id"])
    assert "text_model nan, vision_model " in message
    assert "Highest learning rate 0.01;" in message
    kept = load_file(tmp_path / "checkpoint-1" / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in kept.values())


def test_gradients_that_are_no_numbers_are_not_learnt_from(posts, tmp_path):
    trainer = tiny_trainer(posts, tmp_path)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    weight = next(p for p in trainer.model.parameters() if p.requires_grad)
    weight.register_hook(lambda gradient: gradient / 0)
    assert message_of(trainer).startswith(
        "The norm of the gradients is nan at step 1 of 2, in a batch of "
    )
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def huge_batch(posts):
    """Images without end that take no memory until something is computed of them."""
    return {
        "pixel_values": torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE).expand(posts, -1, -1, -1),
        "has_image": torch.ones(1, dtype=torch.bool).expand(posts),
        "has_text": torch.zeros(1, dtype=torch.bool).expand(posts),
        "labels": torch.zeros(1, dtype=torch.long).expand(posts),
    }


def test_a_batch_to_learn_from_that_is_too_large_says_what_to_try(posts, tmp_path):
    trainer = tiny_trainer(posts, tmp_path, gradient_accumulation_steps=3)
    trainer.create_optimizer()
    with pytest.raises(TrainingError) as error:
        trainer.training_step(trainer.model, huge_batch(10**7))
    message = str(error.value)
    assert message.startswith("Out of memory with a batch of 4 posts: ")
    assert "can't allocate memory" in message
    assert "Try --per_device_train_batch_size 2 with --gradient_accumulation_steps 6" in message


def test_a_batch_to_score_that_is_too_large_says_what_to_try(posts, tmp_path):
    trainer = tiny_trainer(posts, tmp_path, per_device_eval_batch_size=64)
    with pytest.raises(TrainingError) as error:
        trainer.prediction_step(trainer.model, huge_batch(10**7), prediction_loss_only=False)
    assert str(error.value).startswith("Out of memory with a batch of 64 posts: ")
    assert str(error.value).endswith("\nTry --per_device_eval_batch_size 32.")


def test_norms_are_those_of_the_parts(posts, tmp_path):
    model = tiny_trainer(posts, tmp_path).model.requires_grad_(False)
    norms = weight_norms(model)
    expected = (
        torch.cat([p.flatten() for p in model.hybridsent.text_model.parameters()]).norm().item()
    )
    assert norms["text_model"] == pytest.approx(expected, rel=1e-5)
    total = torch.cat([p.flatten() for p in model.parameters()]).norm().item()
    assert sum(norm**2 for norm in norms.values()) ** 0.5 == pytest.approx(total, rel=1e-5)
