"""The running mean of the weights over the last steps of a training, in place of the best epoch."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hybridsent.training.checkpoints import AVERAGE
from hybridsent.training.stopping import TrainingError

Weights = dict[str, torch.Tensor]


class WeightAverage(TrainerCallback):
    """Average the weights after each of the last steps; the model ends with the mean.

    The mean is taken in float32, over the parameters that are trained. Buffers and frozen parameters
    stay as they are. Each process averages what it holds: all parameters, or its shards of them.

    Lu et al. average over steps, too: Improving Generalization of Pre-trained Language Models via
    Stochastic Weight Averaging, 2022, arXiv 2212.05956.

    `torch.optim.swa_utils.AveragedModel` would copy the frozen encoders as well, and would average in
    the type of the parameters.

    Args:
        start: Fraction of all steps after which the weights of each step enter the mean.
        shard: Number of this process if the parameters are divided over the processes, else None.

    Attributes:
        steps: Number of steps in the mean; 0 before the first.
    """

    def __init__(self, start: float, shard: int | None = None) -> None:
        self.start, self.steps = start, 0
        self.is_sharded = shard is not None
        self.file_name = AVERAGE if shard is None else f"{Path(AVERAGE).stem}_{shard}.safetensors"
        self._mean: Weights = {}

    def _steps_until(self, step: int, all_steps: int) -> int:
        """Return how many steps are in the mean after this one."""
        # Rounded: 0.29 * 100 is 28.999999999999996.
        before = math.floor(round(self.start * all_steps, 6))
        return max(0, step - min(before, all_steps - 1))

    def restore(self, checkpoint: str | Path | None, step: int, all_steps: int) -> None:
        """Load the mean of a checkpoint; without one, or before the first step of the mean, forget it.

        Args:
            checkpoint: Folder of the checkpoint, None at the start of a training.
            step: Step of the checkpoint.
            all_steps: Number of steps of the whole training.

        Raises:
            TrainingError: The checkpoint has no mean, or one over another number of steps.
        """
        self.steps, self._mean = self._steps_until(step, all_steps), {}
        if checkpoint is None or self.steps == 0:
            self.steps = 0
            return
        file = Path(checkpoint) / self.file_name
        if not file.is_file():
            raise _cannot_resume(f"{file} is missing", self.start)
        with safe_open(file, "pt") as opened:
            found = (opened.metadata() or {}).get("steps")
            self._mean = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if found != str(self.steps):
            fault = f"{file} is a mean over {found} steps, and this run needs one over {self.steps}"
            raise _cannot_resume(fault, self.start)

    def on_train_begin(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        """Move a restored mean to where the parameters are."""
        weights = trained_weights(model)
        self._mean = {name: mean.to(weights[name].device) for name, mean in self._mean.items()}

    def on_step_end(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        *,
        model: torch.nn.Module,
        **_: Any,
    ) -> None:
        """Add the weights of the step to the mean, once the share of steps before it is over."""
        if self._steps_until(state.global_step, state.max_steps) == 0:
            return
        self.steps += 1
        weights = trained_weights(model)
        if self.steps == 1:
            self._mean = {name: t.to(torch.float32, copy=True) for name, t in weights.items()}
            return
        for name, mean in self._mean.items():
            mean.lerp_(weights[name].float(), 1 / self.steps)

    def on_train_end(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        """Give the model the mean weights for good."""
        _copy(self._mean, trained_weights(model))
        self._mean = {}

    @contextmanager
    def swapped_in(self, model: torch.nn.Module) -> Iterator[None]:
        """Give a model the mean weights for the block, if there is a mean; then its own again."""
        if not self._mean:
            yield
            return
        own = {name: tensor.clone() for name, tensor in trained_weights(model).items()}
        try:
            _copy(self._mean, trained_weights(model))
            yield
        finally:
            _copy(own, trained_weights(model))

    def save(self, checkpoint: str | Path, is_first: bool) -> None:
        """Write the mean, if there is one, into the folder of a checkpoint.

        Args:
            checkpoint: The folder.
            is_first: Whether this process writes what all processes have alike.
        """
        if self._mean and (is_first or self.is_sharded):
            tensors = {name: tensor.contiguous() for name, tensor in self._mean.items()}
            file = Path(checkpoint) / self.file_name
            save_file(tensors, file, {"steps": str(self.steps)})
            file.chmod(0o644)  # written for the owner alone, unlike the other files


def trained_weights(model: torch.nn.Module) -> Weights:
    """Return the trained floating-point parameters by name; of sharded ones, this process's shards.

    Args:
        model: The model; the tensors share its memory.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # a forward pass leaves whole copies, which would hide the shards
    return {
        name: (parameter.to_local() if isinstance(parameter, DTensor) else parameter).detach()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.is_floating_point()
    }


def _copy(source: Mapping[str, torch.Tensor], target: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in source.items():
        target[name].copy_(tensor)


def _cannot_resume(fault: str, start: float) -> TrainingError:
    return TrainingError(
        f"--average_weights_from {start}: {fault}. Resume with the settings that wrote the checkpoint, "
        "or from one before the averaging began."
    )
