"""transformers' Trainer with a learning rate per encoder, exact resuming and named predictions."""

import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput, TrainOutput

from hybridsent.training.checkpoints import STATE, remove_averages
from hybridsent.training.collator import (
    POST_IDS,
    SOFT_LABELS,
    LengthGroupedOrder,
    PostCollator,
    text_lengths,
)
from hybridsent.training.encoder_layers import learning_rates
from hybridsent.training.loss_parts import PARTS, PartsLog, labelled_posts, soften
from hybridsent.training.stopping import (
    StopOnSigterm,
    TrainingError,
    memory_for_a_batch,
    not_finite,
)
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentOutput
from modeling_hybridsent.problems_hybridsent import SingleLabel

if TYPE_CHECKING:
    from hybridsent.training.arguments import HybridSentTrainingArguments
    from hybridsent.training.averaging import WeightAverage
    from hybridsent.training.encoder_states import EncoderStates
    from hybridsent.training.lora import LowRankFactors

DRAFT = ".model-draft"  # folder in the output folder


class HybridSentTrainer(Trainer):
    """Train on posts; images and texts are processed in the collator.

    The loss of a step does not depend on how its posts are split over processes and accumulated
    batches: each part is a mean over all posts of the step that have its label. A killed run resumes
    from its last complete checkpoint and ends with the same weights; SIGTERM makes it write one and
    exit (`StopOnSigterm`).

    Args:
        scores: Computes named scores from logits (posts, labels) and labels (posts,).
        states: Stored states of frozen encoders by modality; those encoders do not run.
        problem: Problem type of the models of a search; else that of the model.
        **kwargs: As in `transformers.Trainer`; `processing_class` is the joint processor.

    Attributes:
        trained_parameters: Number of parameters that the last training changed, factors in place of
            the weights that they end in.
    """

    trained_parameters = 0

    def __init__(
        self,
        scores: Callable[[np.ndarray, np.ndarray], dict[str, float]],
        states: "Mapping[str, EncoderStates] | None" = None,
        problem: SingleLabel | None = None,
        **kwargs: Any,
    ) -> None:
        patience = kwargs["args"].early_stopping_patience
        problem = problem or kwargs["model"].problem
        if kwargs["args"].label_smoothing_factor and problem.name != SingleLabel.name:
            raise ValueError(f"--label_smoothing_factor is for single labels, not {problem.name}.")
        super().__init__(
            data_collator=PostCollator(kwargs["processing_class"], states or {}, True, problem),
            compute_metrics=self._compute_metrics,
            callbacks=[] if patience is None else [EarlyStoppingCallback(patience)],
            **kwargs,
        )
        self.scores, self.parts_log = scores, PartsLog()
        self._post_ids: list[str] = []  # of the last batch
        self.add_callback(StopOnSigterm(self.accelerator))
        self.loss_is_scaled_for_ga = self.label_smoother is None
        self.average = self._weight_average()
        if self.average:
            self.add_callback(self.average)

    def _weight_average(self) -> "WeightAverage | None":
        """Return what averages the weights, where a setting asks for it."""
        if self.args.average_weights_from is None:
            return None
        from hybridsent.training.averaging import WeightAverage

        shard = self.args.process_index if self.is_fsdp_enabled else None
        return WeightAverage(self.args.average_weights_from, shard)

    @property
    def averaged_steps(self) -> int:
        """Number of steps whose mean weights the model has after training; 0 without averaging."""
        return self.average.steps if self.average else 0

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train; low-rank factors of the encoders are there meanwhile, and end in their weights."""
        factors = low_rank_factors(self.model, self.args)
        self.trained_parameters = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        result = super().train(*args, **kwargs)
        if factors:
            factors.merge()
        return result

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Build the optimizer with a learning rate for each encoder."""
        optimizer = super().create_optimizer(model)
        rates = learning_rates(self.accelerator.unwrap_model(model or self.model), self.args)
        groups = []
        for group in optimizer.param_groups:
            for rate in sorted({rates.get(id(p), group["lr"]) for p in group["params"]}):
                members = [p for p in group["params"] if rates.get(id(p), group["lr"]) == rate]
                groups.append({**group, "params": members, "lr": rate})
        optimizer.param_groups = groups
        return optimizer

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int] | None:
        """Shuffle, with texts of similar length together if `train_sampling_strategy` asks for it."""
        posts = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        lengths = text_lengths(posts, self.processing_class)
        step = self.args.train_batch_size * self.args.world_size
        step *= self.args.gradient_accumulation_steps
        return LengthGroupedOrder(lengths, step, self.args.seed)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler[int] | None:
        """Keep the order of the posts, to which their scores belong."""
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None

    def _get_dataloader(
        self, *args: Any, is_training: bool = False, **kwargs: Any
    ) -> DataLoader[Any]:
        """Build a data loader; `dataloader_drop_last` drops posts in training alone."""
        wanted = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = wanted and is_training
        try:
            return super()._get_dataloader(*args, is_training=is_training, **kwargs)
        finally:
            self.args.dataloader_drop_last = wanted

    def _get_num_items_in_batch(
        self, batch_samples: list[dict[str, torch.Tensor]], device: torch.device
    ) -> torch.Tensor | None:
        """Count the labelled posts of a step, over its batches and all processes, (6,)."""
        if self.label_smoother is not None or not batch_samples:
            return None
        counts = sum(labelled_posts(self.model, batch) for batch in batch_samples)
        return self.accelerator.reduce(counts.to(device))

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute loss and gradients of a batch.

        Raises:
            TrainingError: The loss is not finite, or the batch does not fit into memory.
        """
        with memory_for_a_batch(self.args, training=True):
            loss = super().training_step(model, inputs, num_items_in_batch)
        self._require_finite("loss", float(loss))
        return loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        """Return the norm of the gradients; NaN or Inf ends the training."""
        norm = super()._get_grad_norm(model, grad_norm)
        # The scaler of float16 finds such gradients itself and skips the step.
        if self.accelerator.scaler is None:
            self._require_finite("norm of the gradients", float(norm))
        return norm

    def _require_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            model = self.accelerator.unwrap_model(self.model)
            rate = max(group["lr"] for group in self.optimizer.param_groups)
            raise not_finite(what, value, model, self._post_ids, self.state, rate)

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Score a batch; what `_named` names is gathered.

        Raises:
            TrainingError: The batch does not fit into memory.
        """
        with memory_for_a_batch(self.args, training=False):
            return super().prediction_step(model, inputs, prediction_loss_only, self._ignored())

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """Compute the loss; in training, this batch's share of the loss over the whole step."""
        self._post_ids = inputs.pop(POST_IDS, [])
        soft = inputs.pop(SOFT_LABELS, None)
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        if soft is not None:
            weight = self.args.soft_label_weight
            outputs["losses"] = soften(self.model, outputs, inputs, soft, weight)
            loss = self.model.config.total_loss(outputs["losses"])
        if num_items_in_batch is not None:
            shares = labelled_posts(self.model, inputs) / num_items_in_batch.clamp(min=1)
            # Gradients are averaged over the processes, not summed.
            share = dict(zip(PARTS, shares * self.accelerator.num_processes, strict=True))
            parts = {name: share[name] * part for name, part in outputs["losses"].items()}
            loss = self.model.config.total_loss(parts)
            if model.training:  # evaluation comes here, too
                self.parts_log.add(parts)
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the parts of the loss if it is among the values."""
        if "loss" in logs:
            logs |= self.parts_log.means(self.state.global_step, self.accelerator)
        super().log(logs, start_time)

    def _init_training_state(
        self, max_steps: int, steps_per_epoch: int, epochs: int, checkpoint: str | None, trial: Any
    ) -> tuple[int, int]:
        """Restore the state of a checkpoint; a finished run does not train further."""
        begin = super()._init_training_state(max_steps, steps_per_epoch, epochs, checkpoint, trial)
        if self.state.global_step > max_steps:
            raise TrainingError(
                f"{checkpoint}/{STATE} is of step {self.state.global_step}, but this run ends at step "
                f"{max_steps}. Resume with the settings that wrote it, or from another checkpoint."
            )
        self.parts_log.start_at(self.state.global_step)
        if self.average:
            self.average.restore(checkpoint, self.state.global_step, max_steps)
        ended = self.state.global_step >= max_steps
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, EarlyStoppingCallback):
                patience = callback.early_stopping_patience = self.args.early_stopping_patience
                ended |= callback.early_stopping_patience_counter >= patience
        return (epochs, 0) if checkpoint is not None and ended else begin

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Save a checkpoint; its state file, written last, marks it as complete."""
        if self.args.should_save:
            name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder = Path(self.args.output_dir) / name
            (folder / STATE).unlink(missing_ok=True)
            remove_averages(folder)
        super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir: str) -> None:
        """Save random states and mean weights before the first process writes the state file."""
        super()._save_rng_state(output_dir)
        if self.average:
            self.average.save(output_dir, is_first=self.args.should_save)
        self.accelerator.wait_for_everyone()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save model, code and processor, without the pickled settings that the library adds.

        The files are written to a draft folder and then moved, the weights last: a full disk or a kill
        leaves no incomplete file. A checkpoint is complete only with its state file, and is written in
        place.
        """
        folder = Path(output_dir or self.args.output_dir)
        if _internal_call:
            self._save_files(folder, _internal_call)
            return
        draft = folder / DRAFT
        try:
            self._save_files(draft, _internal_call)
            if self.args.should_save:
                _move_files(draft, folder)
        finally:
            if self.args.should_save:
                shutil.rmtree(draft, ignore_errors=True)

    def _save_files(self, folder: Path, internal: bool) -> None:
        super().save_model(str(folder), internal)
        if self.args.should_save:
            (folder / "training_args.bin").unlink(missing_ok=True)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Return whether the scores are the best yet; of equal ones, those of the lowest loss are.

        Few validation posts often have equal scores, and the first epoch is rarely sure of them.
        """
        best, step = self.state.best_metric, self.state.best_global_step
        if super()._determine_best_metric(metrics, trial):
            return True
        value = metrics.get(f"eval_{str(self.args.metric_for_best_model).removeprefix('eval_')}")
        losses = {x["step"]: x["eval_loss"] for x in self.state.log_history if "eval_loss" in x}
        if value is None or value != best or metrics["eval_loss"] >= losses.get(step, -math.inf):
            return False
        self.state.best_global_step = self.state.global_step
        return True

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Score posts; in the middle of training with the mean of the weights, once it has begun."""
        with self.average.swapped_in(self.model) if self.average else nullcontext():
            return super().evaluation_loop(*args, **kwargs)

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        return self.scores(self._named(prediction.predictions)["logits"], prediction.label_ids)

    def _named(self, predictions: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        """Name the fields of the model's output that evaluation gathers."""
        return dict(zip(self._names(), predictions, strict=True))

    def _names(self) -> list[str]:
        names = ["logits", "fusion_logits", "decision_weights"]
        if self.model.config.use_unimodal_branches:
            names[1:1] = ["text_logits", "image_logits"]
        return names

    def _ignored(self) -> list[str]:
        """Return the fields of the model's output that evaluation does not gather."""
        return [field.name for field in fields(HybridSentOutput) if field.name not in self._names()]

    def predict_posts(self, posts: Dataset) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Score posts.

        Args:
            posts: Rows of the table of posts.

        Returns:
            Logits of decision and branches, each (posts, labels), `decision_weights` (posts, 3); and
            the labels, as the model takes them.
        """
        output = self.predict(posts)
        return self._named(output.predictions), output.label_ids


def low_rank_factors(
    model: HybridSentForSequenceClassification, arguments: "HybridSentTrainingArguments"
) -> "LowRankFactors | None":
    """Give the encoders low-rank factors if a setting asks for them; peft is loaded for these only."""
    if arguments.text_encoder_lora_rank is arguments.vision_encoder_lora_rank is None:
        return None
    from hybridsent.training.lora import LowRankFactors

    return LowRankFactors(model, arguments)


def _move_files(source: Path, target: Path) -> None:
    """Move the files of a folder into another on the same disk, the weights last."""
    for file in sorted(source.iterdir(), key=lambda file: (".safetensors" in file.name, file.name)):
        file.replace(target / file.name)
