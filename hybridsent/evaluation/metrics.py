"""Scores of probabilities against labels: accuracy, F1, likelihood, calibration, risk by coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.metrics import confusion_matrix, f1_score

from modeling_hybridsent.problems_hybridsent import SingleLabel

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
    return risks_of(probabilities.argmax(axis=1) == labels, probabilities.max(axis=1))


def risks_of(right: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return the same, (posts,), of decisions that are right or not, each with its confidence."""
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    return wrong.cumsum() / np.arange(1, len(wrong) + 1)


@dataclass(frozen=True)
class SentimentScores:
    """Score posts with known labels; classes of `problem_scores.py` do so for other problem types.

    Attributes:
        label_names: Names of the labels by index; they name the per-class scores.
        problem: Problem type of the model.
        columns: Scores in tables, and their titles.
        robustness: Scores in tables of damaged posts.
    """

    label_names: Sequence[str]
    problem: Any = field(default_factory=SingleLabel)
    columns: ClassVar[Mapping[str, str]] = {
        "accuracy": "acc",
        "macro_f1": "macro F1",
        "weighted_f1": "weighted F1",
        "ece": "ECE",
    }
    robustness: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "nll")

    def names_of_scores(self) -> list[str]:
        """Return the names of all scores."""
        every = np.eye(len(self.label_names))
        return list(self.of_probabilities(every, every.argmax(axis=1)))

    def require(self, metric: str | None) -> None:
        """Raise a ValueError if an evaluation does not give the metric that chooses the best model.

        Args:
            metric: Value of `metric_for_best_model`; None if nothing is chosen.
        """
        known = ["loss", *self.names_of_scores()]
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
        """Score logits (posts, labels) against labels of the posts; those without are left out.

        Raises:
            ValueError: No post has a label.
        """
        known = self.known(labels)
        if not known.any():
            raise ValueError("No post to score has a label.")
        return self.of_known(logits[known], labels[known])

    def of_known(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score logits of posts that all have a label."""
        return self.of_probabilities(self.probabilities(logits), labels)

    def known(self, labels: np.ndarray) -> np.ndarray:
        """Return which posts have a label, bool (posts,)."""
        return self.problem.known(labels)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return the probability of each label, float64 (posts, labels)."""
        return softmax(logits, axis=1).astype(np.float64)

    def decided(self, logits: np.ndarray) -> np.ndarray:
        """Return the index of the label that is decided, (posts,)."""
        return logits.argmax(axis=1)

    def same(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return of which posts two labels or decisions are the same, bool (posts,)."""
        return one == other

    def has(self, labels: np.ndarray, index: int) -> np.ndarray:
        """Return which posts have a label, bool (posts,)."""
        return labels == index

    def name(self, label: Any, names: Sequence[str]) -> str:
        """Return the label of one post as a reader should see it."""
        return names[label]

    def confidence(self, logits: np.ndarray) -> np.ndarray | None:
        """Return the probability that the decision is right, (posts,)."""
        return softmax(logits.astype(np.float64), axis=1).max(axis=1)

    def energies(self, logits: np.ndarray) -> np.ndarray | None:
        """Return the free energy of each post, (posts,)."""
        return -logsumexp(logits, axis=1)

    def one_by_one(
        self, probabilities: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities and labels of questions with one answer: here the posts."""
        return probabilities, labels

    def confusion(self, labels: np.ndarray, decided: np.ndarray) -> list[Any]:
        """Count posts by label (row) and decision (column)."""
        return confusion_matrix(labels, decided, labels=range(len(self.label_names))).tolist()
