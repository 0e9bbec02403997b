"""The scores of `SentimentScores` as a metric of the library `evaluate`."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from hybridsent.evaluation.metrics import SentimentScores


class SentimentMetric(evaluate.Metric):
    """Score class probabilities; works offline, because it is instantiated, not loaded by name."""

    def __init__(self, label_names: Sequence[str], **kwargs: Any) -> None:
        self.scores = SentimentScores(label_names)
        # In memory: several processes that score would write to the same file.
        super().__init__(keep_in_memory=True, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        probabilities, label = datasets.Sequence(datasets.Value("float64")), datasets.Value("int64")
        return evaluate.MetricInfo(
            description="Accuracy, F1, likelihood and calibration of class probabilities.",
            citation="",
            features=datasets.Features({"predictions": probabilities, "references": label}),
        )

    def _compute(
        self, predictions: Sequence[Sequence[float]], references: Sequence[int]
    ) -> dict[str, float]:
        return self.scores.of_probabilities(np.asarray(predictions), np.asarray(references))
