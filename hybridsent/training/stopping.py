"""SIGTERM, by which clusters announce that they take a machine away: save a checkpoint and end."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

EXIT_CODE = 128 + signal.SIGTERM  # 143, as of any program that SIGTERM ended


class StopOnSigterm(TrainerCallback):
    """Finish the step in hand, write a checkpoint and raise SystemExit, on all processes at once.

    The library's own `enable_jit_checkpoint` may save between gradient and step and lets every
    process stop by itself, so a run that goes on from there ends in other weights.

    It also has every checkpoint of an epoch's last step wait for what the end of the epoch does: a
    run that goes on from there does not evaluate that epoch again.

    Args:
        accelerator: Of the Trainer; through it the processes agree on the step.
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
        """Tell whether any process got the signal; all of them ask together."""
        if self.asked and not self.stopping:
            self.accelerator.set_trigger()
        self.stopping = self.stopping or self.accelerator.check_trigger()
        return self.stopping

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Wait for the signal from now on."""
        self.asked = self.stopping = self._save_after_epoch = False
        self._handler_before = signal.signal(signal.SIGTERM, self._note)

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save now if asked to stop, or after the evaluation when the epoch ends here."""
        control.should_save |= self._is_stopping()
        if state.epoch == int(state.epoch or 0):
            self._save_after_epoch, control.should_save = control.should_save, False

    def on_epoch_end(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Do what was left for the end of the epoch."""
        control.should_save |= self._save_after_epoch
        self._save_after_epoch = False

    def on_evaluate(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save now if asked to stop meanwhile."""
        control.should_save |= self._is_stopping()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Leave once the checkpoint is there."""
        if not self.stopping:
            return
        self.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            print(
                f"\nStopped by SIGTERM after step {state.global_step} of {state.max_steps}, {folder} "
                "is written: the same command with --resume_from_checkpoint true goes on from there.",
                flush=True,
            )
        raise SystemExit(EXIT_CODE)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Let the signal end the process again, also one that came too late for another checkpoint."""
        signal.signal(signal.SIGTERM, self._handler_before or signal.SIG_DFL)
        if self.asked:
            signal.raise_signal(signal.SIGTERM)
