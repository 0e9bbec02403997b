"""transformers' Trainer with a learning rate for each encoder and named predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer

from training_hybridsent.data import PostCollator
from training_hybridsent.encoder_states import EncoderStates
from training_hybridsent.metrics import SentimentScores


class HybridSentTrainer(Trainer):
    """Train on posts; pictures and texts are processed in the collator.

    Args:
        scores: What evaluation computes from the decision's logits.
        states: Stored states of frozen encoders by modality, which then do not run.
        **kwargs: As in `transformers.Trainer`; `processing_class` is the joint processor.
    """

    def __init__(
        self,
        scores: SentimentScores,
        states: Mapping[str, EncoderStates] | None = None,
        **kwargs: Any,
    ) -> None:
        patience = kwargs["args"].early_stopping_patience
        super().__init__(
            data_collator=PostCollator(kwargs["processing_class"], states or {}),
            compute_metrics=self._compute_metrics,
            callbacks=[] if patience is None else [EarlyStoppingCallback(patience)],
            **kwargs,
        )
        self.scores = scores

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Build the optimizer, then give each encoder's parameters their own learning rate."""
        optimizer = super().create_optimizer(model)
        rates = {
            "hybridsent.text_model.": self.args.text_encoder_learning_rate,
            "hybridsent.vision_model.": self.args.vision_encoder_learning_rate,
        }
        own = {
            id(parameter): rate
            for name, parameter in (model or self.model).named_parameters()
            for part, rate in rates.items()
            if part in name and rate is not None
        }
        groups = []
        for group in optimizer.param_groups:
            for rate in sorted({own.get(id(p), group["lr"]) for p in group["params"]}):
                members = [p for p in group["params"] if own.get(id(p), group["lr"]) == rate]
                groups.append({**group, "params": members, "lr": rate})
        optimizer.param_groups = groups
        return optimizer

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save model, code and processor, without the pickle of the settings that the library adds."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            (folder / "training_args.bin").unlink(missing_ok=True)

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        return self.scores.of_logits(
            self._named(prediction.predictions)["logits"], prediction.label_ids
        )

    def _named(self, predictions: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        """Name what the model returned: the fields of its output that evaluation gathers."""
        names = ["logits", "fusion_logits", "decision_weights"]
        if self.model.config.use_unimodal_branches:
            names[1:1] = ["text_logits", "image_logits"]
        return dict(zip(names, predictions, strict=True))

    def predict_posts(self, posts: Dataset) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Score posts.

        Args:
            posts: Rows as the table of posts has them.

        Returns:
            Logits of decision and branches, each (posts, labels), `decision_weights` (posts, 3); and
            the labels (posts,).
        """
        output = self.predict(posts)
        return self._named(output.predictions), output.label_ids
