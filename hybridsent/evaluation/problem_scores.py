"""Scores of several labels a post, and of a number a post, in the place of `SentimentScores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, root_mean_squared_error

from hybridsent.evaluation.metrics import (
    SentimentScores,
    classwise_calibration_error,
    expected_calibration_error,
    risks_of,
)
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.answers_hybridsent import NO_LABELS
from modeling_hybridsent.problems_hybridsent import MultiLabel, Regression, problem_of


def scores_of(config: HybridSentConfig) -> SentimentScores:
    """Return what scores the problem type of a model; thresholds are read when it scores."""
    names = [name for _, name in sorted((config.id2label or {}).items())]
    problem = problem_of(config)
    kinds = {MultiLabel.name: MultiLabelScores, Regression.name: RegressionScores}
    return kinds.get(problem.name, SentimentScores)(names, problem)


def headline(answer: Mapping[str, Any]) -> tuple[str, str]:
    """Return what an answer decides and its probability; of several labels all, by their names.

    Args:
        answer: What the pipeline gives a post with `return_branches=True`.
    """
    named = sorted((x["label"], f"{x['score']:.2f}") for x in answer.get("labels", [answer]))
    labels, scores = zip(*named, strict=True) if named else ((NO_LABELS,), ("-",))
    return ", ".join(labels), ", ".join(scores)


@dataclass(frozen=True)
class MultiLabelScores(SentimentScores):
    """Score posts that may have several labels, each yes or no."""

    columns: ClassVar[Mapping[str, str]] = {
        "accuracy": "all right",
        "macro_f1": "macro F1",
        "micro_f1": "micro F1",
        "weighted_f1": "weighted F1",
        "ece": "ECE",
    }
    robustness: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "micro_f1", "nll")

    def names_of_scores(self) -> list[str]:
        """Return the names of all scores."""
        every = np.eye(len(self.label_names))
        return list(self.of_probabilities(every, every))

    def of_probabilities(self, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score probabilities (posts, labels), float64, against labels (posts, labels), 0 or 1."""
        decided = self._reaches(probabilities)
        per_class = f1_score(labels, decided, average=None, zero_division=0)
        single, yes = self.one_by_one(probabilities, labels)
        micro, weighted = (
            float(f1_score(labels, decided, average=kind, zero_division=0))
            for kind in ("micro", "weighted")
        )
        likelihood = np.clip(single[np.arange(len(yes)), yes], 1e-12, 1)
        right = self.same(decided, labels)
        return {
            "accuracy": float(right.mean()),
            "macro_f1": float(per_class.mean()),
            "micro_f1": micro,
            "weighted_f1": weighted,
            **{f"f1_{name}": float(f) for name, f in zip(self.label_names, per_class, strict=True)},
            "nll": float(-np.log(likelihood).mean()),
            "ece": expected_calibration_error(single, yes),
            "classwise_ece": float(
                np.mean(
                    [
                        classwise_calibration_error(np.stack([1 - p, p], axis=1), y)
                        for p, y in zip(probabilities.T, labels.T.astype(int), strict=True)
                    ]
                )
            ),
            "brier": float(((probabilities - labels) ** 2).sum(axis=1).mean()),
            "aurc": float(risks_of(right, self._confidence(probabilities)).mean()),
        }

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return the probability of each label, (posts, labels)."""
        return expit(logits).astype(np.float64)

    def decided(self, logits: np.ndarray) -> np.ndarray:
        """Return which labels reach their thresholds, bool (posts, labels)."""
        return self._reaches(self.probabilities(logits))

    def _reaches(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities >= np.array(self.problem.thresholds)

    def same(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return of which posts all labels are the same, bool (posts,)."""
        return (one == other).all(axis=1)

    def has(self, labels: np.ndarray, index: int) -> np.ndarray:
        """Return which posts have a label, bool (posts,)."""
        return labels[:, index] == 1

    def name(self, label: Any, names: Sequence[str]) -> str:
        """Return the labels of one post with commas between them."""
        chosen = [name for name, has in zip(names, label, strict=True) if has == 1]
        return ", ".join(chosen) or NO_LABELS

    def confidence(self, logits: np.ndarray) -> np.ndarray:
        """Return the probability that all decisions about a post are right, if independent."""
        return self._confidence(self.probabilities(logits))

    def _confidence(self, probabilities: np.ndarray) -> np.ndarray:
        return np.where(self._reaches(probabilities), probabilities, 1 - probabilities).prod(axis=1)

    def energies(self, logits: np.ndarray) -> np.ndarray | None:
        """Return the sum of the labels' energies, (posts,)."""
        return -np.logaddexp(0, logits).sum(axis=1)

    def one_by_one(
        self, probabilities: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return no and yes of each label of each post as a question with one of two answers."""
        flat = probabilities.reshape(-1)
        return np.stack([1 - flat, flat], axis=1), labels.reshape(-1).astype(int)

    def confusion(self, labels: np.ndarray, decided: np.ndarray) -> list[Any]:
        """Count for each label posts by label (row: without, with it) and decision (column)."""
        pairs = [(gold == a) & (said == b) for gold, said in zip(labels.T, decided.T, strict=True)
                 for a in (0, 1) for b in (0, 1)]  # fmt: skip
        return np.array([pair.sum() for pair in pairs]).reshape(-1, 2, 2).tolist()


@dataclass(frozen=True)
class RegressionScores(SentimentScores):
    """Score posts that have a number."""

    columns: ClassVar[Mapping[str, str]] = {
        "r2": "R²",
        "mae": "MAE",
        "rmse": "RMSE",
        "pearson": "Pearson",
        "spearman": "Spearman",
    }
    robustness: ClassVar[tuple[str, ...]] = ("r2", "mae")

    def names_of_scores(self) -> list[str]:
        """Return the names of all scores."""
        return list(self.columns)

    def of_known(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score numbers (posts, 1) against labels (posts,), all known."""
        said, gold = logits[:, 0].astype(np.float64), labels.astype(np.float64)
        varies = len(gold) > 1 and np.ptp(said) > 0 and np.ptp(gold) > 0
        return {
            "r2": float(r2_score(gold, said)) if len(gold) > 1 else 0.0,
            "mae": float(mean_absolute_error(gold, said)),
            "rmse": float(root_mean_squared_error(gold, said)),
            "pearson": float(pearsonr(gold, said)[0]) if varies else 0.0,
            "spearman": float(spearmanr(gold, said)[0]) if varies else 0.0,
        }

    def decided(self, logits: np.ndarray) -> np.ndarray:
        """Return the scores, (posts,)."""
        return logits[:, 0]

    def name(self, label: Any, names: Sequence[str]) -> str:
        """Return the score of one post."""
        return f"{label:.3g}"

    def confidence(self, logits: np.ndarray) -> np.ndarray | None:
        """Return None: a score has no probability."""
        return None

    def energies(self, logits: np.ndarray) -> np.ndarray | None:
        """Return None: a score has no energy."""
        return None

    def has(self, labels: np.ndarray, index: int) -> np.ndarray:
        """Return which posts have a score, bool (posts,)."""
        return self.known(labels)

    def confusion(self, labels: np.ndarray, decided: np.ndarray) -> list[Any]:
        """Return nothing: a score is not right or wrong."""
        return []
