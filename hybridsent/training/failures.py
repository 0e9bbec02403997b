"""Errors that stop a training: NaN and Inf values, and out-of-memory errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import TrainerState

from hybridsent.support.command_line import is_out_of_memory
from hybridsent.training.arguments import HybridSentTrainingArguments

SHOWN = 32


class TrainingError(RuntimeError):
    """A training that cannot continue; the message says at which step, why, and what to do."""


def not_finite(
    what: str,
    value: float,
    model: torch.nn.Module,
    post_ids: Sequence[str],
    state: TrainerState,
    rate: float,
) -> TrainingError:
    """Build the error for a value that is NaN or infinite.

    Args:
        what: What it is the value of, such as "loss".
        value: The value.
        model: The model before the step.
        post_ids: Ids of the posts of the batch.
        state: Progress of the training.
        rate: Highest learning rate.
    """
    shown = ", ".join(post_ids[:SHOWN]) + (", ..." if len(post_ids) > SHOWN else "")
    norms = ", ".join(f"{name} {norm:.4g}" for name, norm in weight_norms(model).items())
    step = f"step {state.global_step + 1} of {state.max_steps}"
    return TrainingError(
        f"The {what} is {value} at {step}, in a batch of posts {shown}.\n"
        f"Highest learning rate {rate:.3g}; norms of the weights: {norms}.\n"
        "The weights were not updated with it, and earlier checkpoints are intact. Check these posts; "
        "try a lower --learning_rate, more --warmup_steps, or --bf16 false."
    )


def weight_norms(model: torch.nn.Module) -> dict[str, float]:
    """Return the Euclidean norm of the parameters of each part of a model; NaN if one of them is.

    Args:
        model: The model; the parts are the children of its base model, and the heads.
    """
    squares: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        names = name.removeprefix("module.").split(".")
        part = names[1] if names[0] == getattr(model, "base_model_prefix", "") else names[0]
        square = float(parameter.detach().float().square().sum())
        squares[part] = squares.get(part, 0.0) + square
    return {part: math.sqrt(square) for part, square in squares.items()}


@contextmanager
def memory_for_a_batch(arguments: HybridSentTrainingArguments, training: bool) -> Iterator[None]:
    """Raise an error that names the setting to lower if the block runs out of memory.

    Args:
        arguments: Settings of the training.
        training: Whether the batch is one to learn from, not one to score.

    Raises:
        TrainingError: The block ran out of memory.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise _out_of_memory(error, arguments, training) from error
        raise


def _out_of_memory(
    error: BaseException, arguments: HybridSentTrainingArguments, training: bool
) -> TrainingError:
    name = f"per_device_{'train' if training else 'eval'}_batch_size"
    size = getattr(arguments, name)
    advice = f"Try --{name} {max(1, size // 2)}."
    if training:
        advice = (
            f"{advice[:-1]} with --gradient_accumulation_steps "
            f"{2 * arguments.gradient_accumulation_steps}, which gives the same result; or "
            "--gradient_checkpointing true, --bf16 true, or a lower --max_text_length."
        )
    return TrainingError(f"Out of memory with a batch of {size} posts: {error}\n{advice}")
