"""On SIGTERM, which clusters send before they take a machine away, save a checkpoint and exit."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

EXIT_CODE = 128 + signal.SIGTERM  # 143, as of any program that SIGTERM ended


class StopOnSigterm(TrainerCallback):
    """Finish the current step, write a checkpoint and raise SystemExit, on all processes at once.

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
