"""What stops a training: numbers that are none, and memory that is used up."""

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
    """A training that cannot go on; the message says where it stands, why, and what to do."""


def not_finite(
    what: str,
    value: float,
    model: torch.nn.Module,
    post_ids: Sequence[str],
    state: TrainerState,
    rate: float,
) -> TrainingError:
    """Word that a number of a step is infinite or none at all.

    Args:
        what: Such as "loss".
        value: Its value.
        model: As it was before the step, with the gradients there are.
        post_ids: Of the batch that it happened with.
        state: How far the training is.
        rate: Highest learning rate.

    Returns:
        The error, to be raised by the caller.
    """
    shown = ", ".join(post_ids[:SHOWN]) + (", ..." if len(post_ids) > SHOWN else "")
    norms = ", ".join(f"{name} {norm:.4g}" for name, norm in weight_norms(model).items())
    step = f"step {state.global_step + 1} of {state.max_steps}"
    return TrainingError(
        f"The {what} is {value} in {step}, with posts {shown}.\n"
        f"Highest learning rate {rate:.3g}; norms of the weights: {norms}.\n"
        "No step was taken with it, and checkpoints written before are as they were. Try a lower "
        "--learning_rate, a longer --warmup_steps, or without --bf16; and look at those posts."
    )


def weight_norms(model: torch.nn.Module) -> dict[str, float]:
    """Return the norm of the weights of each part of a model.

    Args:
        model: Any; its base model's children are told apart.

    Returns:
        Part -> Euclidean norm of all its parameters, NaN where one is.
    """
    squares: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        words = name.removeprefix("module.").split(".")
        part = words[1] if words[0] == getattr(model, "base_model_prefix", "") else words[0]
        square = float(parameter.detach().float().square().sum())
        squares[part] = squares.get(part, 0.0) + square
    return {part: math.sqrt(square) for part, square in squares.items()}


@contextmanager
def memory_for_a_batch(arguments: HybridSentTrainingArguments, training: bool) -> Iterator[None]:
    """Say which setting to lower where a batch does not fit into memory.

    Args:
        arguments: Settings of the training.
        training: Whether it is a batch to learn from, not one to score.

    Raises:
        TrainingError: The block ran out of memory.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise _used_up_memory(error, arguments, training) from error
        raise


def _used_up_memory(
    error: BaseException, arguments: HybridSentTrainingArguments, training: bool
) -> TrainingError:
    name = f"per_device_{'train' if training else 'eval'}_batch_size"
    size = getattr(arguments, name)
    advice = f"Try --{name} {max(1, size // 2)}."
    if training:
        advice = (
            f"{advice[:-1]} with --gradient_accumulation_steps "
            f"{2 * arguments.gradient_accumulation_steps}, which gives the same result; "
            "--gradient_checkpointing true; --bf16 true; a lower --max_text_length."
        )
    return TrainingError(f"A batch of {size} posts does not fit into memory: {error}\n{advice}")
