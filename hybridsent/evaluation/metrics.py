"""Scores of probabilities against labels: accuracy, F1, likelihood, calibration, risk by coverage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.metrics import f1_score

from hybridsent.training.collator import NO_LABEL

CALIBRATION_BINS = 15


class CalibrationBins(NamedTuple):
    """Equally wide bins of the top label's confidence, each array (bins,).

    Attributes:
        posts: Number of posts.
        confidence: Sum of their confidences.
        correct: Number of posts whose top label is right.
    """

    posts: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray


def calibration_bins(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS
) -> CalibrationBins:
    """Sort posts into bins of confidence.

    Args:
        probabilities: (posts, labels).
        labels: (posts,).
        bins: Number of bins between 0 and 1.

    Returns:
        The bins, from the least confident one on.
    """
    return _bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins)


def _bins(confidence: np.ndarray, correct: np.ndarray, bins: int) -> CalibrationBins:
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    weights = (None, confidence, correct)
    return CalibrationBins(*(np.bincount(which, weights=w, minlength=bins) for w in weights))


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Average the gap between confidence and accuracy over equally wide bins of confidence.

    Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.

    Args:
        probabilities: (posts, labels).
        labels: (posts,).
        bins: Number of bins between 0 and 1.

    Returns:
        ECE of the top label, between 0 and 1.
    """
    binned = calibration_bins(probabilities, labels, bins)
    return float(np.abs(binned.correct - binned.confidence).sum() / len(labels))


def classwise_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Average over all labels the gap between a label's probability and its frequency, in bins.

    Source: Kull, Perello Nieto, Kängsepp et al., "Beyond temperature scaling", NeurIPS 2019.

    Args:
        probabilities: (posts, labels).
        labels: (posts,).
        bins: Number of equally wide bins of the probability of each label.

    Returns:
        Mean over the labels, between 0 and 1.
    """
    gaps = []
    for label, given in enumerate(probabilities.T):
        binned = _bins(given, labels == label, bins)
        gaps.append(np.abs(binned.correct - binned.confidence).sum() / len(labels))
    return float(np.mean(gaps))


def risks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the error among the most confident post, the two most confident, and so on, (posts,).

    Its mean is the area under the curve of risk by coverage (AURC): Geifman, Uziel, El-Yaniv,
    "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = (probabilities.argmax(axis=1) != labels)[order]
    return wrong.cumsum() / np.arange(1, len(labels) + 1)


@dataclass(frozen=True)
class SentimentScores:
    """Score posts with known labels.

    Attributes:
        label_names: Names of the labels by index; they name the per-class scores.
    """

    label_names: Sequence[str]

    def require(self, metric: str | None) -> None:
        """Raise a ValueError if an evaluation does not give the metric that chooses the best model.

        Args:
            metric: Value of `metric_for_best_model`; None if nothing is chosen.
        """
        every = np.eye(len(self.label_names))
        known = ["loss", *self.of_probabilities(every, every.argmax(axis=1))]
        if metric is not None and metric.removeprefix("eval_") not in known:
            raise ValueError(f"--metric_for_best_model {metric}: give one of {', '.join(known)}.")

    def of_probabilities(self, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score probabilities (posts, labels), float64, against labels (posts,), all known."""
        best = probabilities.argmax(axis=1)
        every = range(len(self.label_names))
        per_class = f1_score(labels, best, labels=every, average=None, zero_division=0)
        likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)
        one_hot = np.eye(len(self.label_names))[labels]
        return {
            "accuracy": float((best == labels).mean()),
            "macro_f1": float(per_class.mean()),
            "weighted_f1": float(
                f1_score(labels, best, labels=every, average="weighted", zero_division=0)
            ),
            **{f"f1_{name}": float(f) for name, f in zip(self.label_names, per_class, strict=True)},
            "nll": float(-np.log(likelihood).mean()),
            "ece": expected_calibration_error(probabilities, labels),
            "classwise_ece": classwise_calibration_error(probabilities, labels),
            "brier": float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
            "aurc": float(risks(probabilities, labels).mean()),
        }

    def of_logits(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score logits (posts, labels) against labels (posts,); posts without a label are left out.

        Raises:
            ValueError: No post has a label.
        """
        known = labels != NO_LABEL
        if not known.any():
            raise ValueError("No post to score has a label.")
        probabilities = softmax(logits[known], axis=1).astype(np.float64)
        return self.of_probabilities(probabilities, labels[known])
