"""Temperatures of the decision and of its weights, thresholds of label sets, limits of energy.

Sources: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017; Liu,
Wang, Owens, Li, "Energy-based Out-of-distribution Detection", NeurIPS 2020.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from hybridsent.evaluation.metrics import SentimentScores, expected_calibration_error
from hybridsent.training.collator import NO_LABEL
from hybridsent.training.run_posts import has_modality

BOUNDS = (0.05, 20.0)
FOLDS = 10
LEAST_POSTS = 30  # with fewer, a temperature tells of these posts alone and may end at a bound
# Even in two folds, the temperatures of each post are then fitted on others: as in the model.
LEAST_POSTS_FOR_SETS = 2 * LEAST_POSTS
# As in the source: the limit that keeps 95 % of the posts it was set on.
KEPT_BY_LIMIT = 0.95
DRAWS = 200  # sets of labels; the mean error is then known to about a twentieth of its value


class Calibration(NamedTuple):
    """Temperatures that turn the logits of branches into a calibrated decision.

    Attributes:
        temperature: Divisor of the decision's log-probabilities.
        weight_temperature: Divisor of the scores behind the dynamic weights.
    """

    temperature: float = 1.0
    weight_temperature: float = 1.0

    def decide(self, decision: BranchAnswers) -> np.ndarray:
        """Return calibrated log-probabilities, up to a constant per post, (posts, labels)."""
        return decision.mixed(self.weight_temperature) / self.temperature


class BranchAnswers(NamedTuple):
    """Logits of branches for posts, and their decision weights.

    Attributes:
        logits: (posts, branches, labels); arbitrary where the weight is 0.
        weights: Weights of the model, (posts, branches); 0 where a branch may not decide.
        dynamic: Whether the weights depend on the post, so that they have a temperature.
    """

    logits: np.ndarray
    weights: np.ndarray
    dynamic: bool

    def __getitem__(self, posts: Any) -> BranchAnswers:
        """Select posts by index or mask."""
        return BranchAnswers(self.logits[posts], self.weights[posts], self.dynamic)

    def tempered_weights(self, temperature: float) -> np.ndarray:
        """Return the weights whose scores are divided by a temperature, (posts, branches)."""
        return np.exp(self._log_weights(temperature))

    def _log_weights(self, temperature: float) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return log_softmax(np.log(self.weights.astype(np.float64)) / temperature, axis=1)

    def mixed(self, weight_temperature: float = 1.0) -> np.ndarray:
        """Return the log-probabilities of the weighted branches, (posts, labels)."""
        log_probabilities = log_softmax(self.logits.astype(np.float64), axis=-1)
        log_weights = self._log_weights(weight_temperature)
        return logsumexp(log_weights[..., None] + log_probabilities, axis=1)

    def one_by_one(self) -> BranchAnswers:
        """Return no and yes to each label of each post, in the place of one answer of several."""
        flat = self.logits.transpose(0, 2, 1).reshape(-1, self.logits.shape[1])
        logits = np.stack([np.zeros_like(flat), flat], axis=-1)  # (posts * labels, branches, 2)
        weights = np.repeat(self.weights, self.logits.shape[2], axis=0)
        return BranchAnswers(logits, weights, self.dynamic)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the least negative log likelihood.

    Args:
        logits: (posts, labels); on validation posts, not those of a test.
        labels: (posts,); -100 is left out.

    Returns:
        Divisor of the logits, within `BOUNDS`.
    """
    known = labels != NO_LABEL
    logits, labels = logits[known].astype(np.float64), labels[known]

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits / np.exp(log_temperature), labels)

    found = minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded")
    return float(np.exp(found.x))


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Average -log p of the labels: logits (posts, labels), labels (posts,), all known."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def fit_calibration(answers: BranchAnswers, labels: np.ndarray) -> Calibration:
    """Find the temperatures with the least negative log likelihood; fixed weights have none.

    Args:
        answers: Answers to validation posts, not to those of a test.
        labels: (posts,); -100 is left out.

    Returns:
        The temperatures, each within `BOUNDS`; 1 where fewer than `LEAST_POSTS` posts have a label.
    """
    known = labels != NO_LABEL
    if known.sum() < LEAST_POSTS:
        return Calibration()
    answers, labels = answers[known], labels[known]
    # A single branch has weight 1 at any temperature.
    if not answers.dynamic or (answers.weights.max(axis=1) == 1).all():
        return Calibration(fit_temperature(answers.mixed(), labels))

    def loss(log_weight_temperature: float) -> float:
        mixed = answers.mixed(np.exp(log_weight_temperature))
        return negative_log_likelihood(mixed / fit_temperature(mixed, labels), labels)

    found = minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded")
    weight_temperature = float(np.exp(found.x))
    mixed = answers.mixed(weight_temperature)
    return Calibration(fit_temperature(mixed, labels), weight_temperature)


def number_of_folds(labels: np.ndarray) -> int | None:
    """Return the number of folds to cross-fit: the posts of the rarest label, but 2 to 10.

    Args:
        labels: (posts,), all known.

    Returns:
        The number; None for fewer than ten posts, or where no label occurs twice: too few.
    """
    posts = np.unique(labels, return_counts=True)[1]
    if len(labels) < FOLDS or posts.max() < 2:
        return None
    return int(np.clip(posts.min(), 2, FOLDS))


def cross_fitted(
    answers: BranchAnswers, labels: np.ndarray, seed: int, groups: np.ndarray | None = None
) -> np.ndarray | None:
    """Decide each post with a calibration that was fitted without this post.

    Scores of the result are unbiased; those after `fit_calibration` on the same posts are not.

    Args:
        answers: Answers to the posts.
        labels: (posts,), all known.
        seed: Seed of the shuffle before the posts are divided into stratified folds.
        groups: What must stay in one fold has the same number here, (posts,).

    Returns:
        Log-probabilities of the held-out posts of all folds, (posts, labels) in the given order; None
        where `number_of_folds` is None.
    """
    folds = number_of_folds(labels)
    if folds is None:
        return None
    decided = np.empty((len(labels), answers.logits.shape[-1]))
    with warnings.catch_warnings():  # about a label with a single post
        warnings.filterwarnings("ignore", message="The least populated class")
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        cut = kind(folds, shuffle=True, random_state=seed)
        splits = list(cut.split(labels, labels, groups))
    for others, held_out in splits:
        fitted = fit_calibration(answers[others], labels[others])
        decided[held_out] = fitted.decide(answers[held_out])
    return decided


def label_set_thresholds(held_out: np.ndarray | None, labels: np.ndarray) -> list[float]:
    """Find the least probability of a label in a set that holds the right one for a share of posts.

    A share c of further posts like these has its right label in the set, on average at least, since
    of n posts the one of rank ceil((n + 1) c) decides. This is split conformal prediction: see
    `modeling_hybridsent/answers_hybridsent.py`.

    Args:
        held_out: Result of `cross_fitted`, for no post may take part in its own temperatures.
        labels: (posts,), all known.

    Returns:
        The least probabilities for c = 0.01, 0.02, ..., as far as so many posts allow; empty for fewer
        than `LEAST_POSTS_FOR_SETS` posts.
    """
    posts = len(labels)
    if held_out is None or posts < LEAST_POSTS_FOR_SETS:
        return []
    right = np.sort(softmax(held_out, axis=1)[np.arange(posts), labels])[::-1]
    ranks = np.ceil((posts + 1) * np.arange(1, 100) / 100 - 1e-9).astype(int)
    chosen = right[ranks[ranks <= posts] - 1]
    return (np.floor(chosen * 1e6) / 1e6).tolist()  # down: a model computes in float32


def error_by_chance(logits: np.ndarray, seed: int) -> float:
    """Return the calibration error that a perfectly calibrated model would still show on these posts.

    It is a mean over labels that are drawn from the scored probabilities: the error is a sum of
    absolute gaps, and chance alone leaves a gap in every bin.

    Args:
        logits: (posts, labels), calibrated.
        seed: Seed of the draws.

    Returns:
        The mean error over `DRAWS` draws, between 0 and 1.
    """
    probabilities = softmax(logits.astype(np.float64), axis=1)
    uniform = np.random.default_rng(seed).random((DRAWS, len(probabilities), 1))
    labels = (uniform > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=2)
    errors = [expected_calibration_error(probabilities, drawn) for drawn in labels]
    return float(np.mean(errors))


def present_branches(posts: Dataset) -> dict[str, np.ndarray]:
    """Return which posts have the modalities of text, image and fusion branch, each bool (posts,)."""
    present = {name: has_modality(posts, name) for name in ("text", "image")}
    return {**present, "fusion": present["text"] & present["image"]}


def fit_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> list[float]:
    """Find the least probability of each label, so that its F1 is highest.

    Args:
        probabilities: Calibrated, (posts, labels); on validation posts, not those of a test.
        labels: 0 or 1, (posts, labels).

    Returns:
        Thresholds, halfway to the next lower probability; 0.5 for a label that no post has.
    """
    found = []
    for p, gold in zip(probabilities.T, labels.T, strict=True):
        if not gold.any():
            found.append(0.5)
            continue
        precision, recall, limits = precision_recall_curve(gold, p)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = limits[f1[:-1].argmax()]
        below = p[p < best].max(initial=0.0)
        found.append(float(np.clip((best + below) / 2, 0.01, 0.99)))
    return found


def energy_limits(
    outputs: dict[str, np.ndarray], posts: Dataset, judge: SentimentScores
) -> dict[str, float]:
    """Find the energy that 95 % of the posts stay below, for each branch.

    A post above the limit of its branch is unlike the posts that the model knows.

    Args:
        outputs: Result of `predict_posts`, with logits of the branches, (posts, labels).
        posts: Posts like those that the model will score.
        judge: Result of `scores_of`.

    Returns:
        Branch -> limit; without branches that are off or that no post has the modalities of.
    """
    limits = {}
    for name, has in present_branches(posts).items():
        if f"{name}_logits" in outputs and has.any():
            energies = judge.energies(outputs[f"{name}_logits"][has])
            if energies is not None:
                limits[name] = float(np.quantile(energies, KEPT_BY_LIMIT))
    return limits
