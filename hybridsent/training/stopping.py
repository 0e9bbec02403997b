"""What stops a training early: NaN and Inf values, out-of-memory errors, and SIGTERM."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hybridsent.support.command_line import is_out_of_memory
from hybridsent.training.arguments import HybridSentTrainingArguments

SHOWN = 32  # ids of posts in a message
EXIT_CODE = 128 + signal.SIGTERM  # 143, as of any program that SIGTERM ended


class StopOnSigterm(TrainerCallback):
    """On SIGTERM, finish the step, write a checkpoint and raise SystemExit, on all processes at once.

    The library's own `enable_jit_checkpoint` may save between gradient and step, and each process
    stops by itself: a run that resumes from there ends with different weights.

    A checkpoint of the last step of an epoch is written after the evaluation of that epoch, so that
    a resumed run does not evaluate it again.

    Args:
        accelerator: The Trainer's; the processes agree on the step through it.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.asked = False  # this process got the signal
        self.stopping = False  # all processes know that one got it
        self._save_after_epoch = False
        self._handler_before: Any = None

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def _is_stopping(self) -> bool:
        """Check whether any process got the signal; all processes must call this."""
        if self.asked and not self.stopping:
            self.accelerator.set_trigger()
        self.stopping = self.stopping or self.accelerator.check_trigger()
        return self.stopping

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Handle the signal from now on."""
        self.asked = self.stopping = self._save_after_epoch = False
        self._handler_before = signal.signal(signal.SIGTERM, self._note)

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save now if asked to stop; at the end of an epoch, leave it until after the evaluation."""
        control.should_save |= self._is_stopping()
        if state.epoch == int(state.epoch or 0):
            self._save_after_epoch, control.should_save = control.should_save, False

    def on_epoch_end(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save if that was left for the end of the epoch."""
        control.should_save |= self._save_after_epoch
        self._save_after_epoch = False

    def on_evaluate(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save now if asked to stop during the evaluation."""
        control.should_save |= self._is_stopping()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Exit once the checkpoint is written."""
        if not self.stopping:
            return
        self.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            print(
                f"\nStopped by SIGTERM after step {state.global_step} of {state.max_steps}. Saved "
                f"{folder}. To continue, run the same command with --resume_from_checkpoint true.",
                flush=True,
            )
        raise SystemExit(EXIT_CODE)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Restore the earlier handler; a signal that came after the last step ends the process now."""
        signal.signal(signal.SIGTERM, self._handler_before or signal.SIG_DFL)
        if self.asked:
            signal.raise_signal(signal.SIGTERM)


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
