"""Temperatures of the decision and of its weights, and how familiar a post must look.

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
from sklearn.model_selection import StratifiedKFold

from hybridsent.evaluation.metrics import expected_calibration_error
from hybridsent.training.data import NO_LABEL, posts_with

BOUNDS = (0.05, 20.0)
FOLDS = 10
# As in the source: the limit that keeps 95 % of the posts it was set on.
KEPT_BY_LIMIT = 0.95
DRAWS = 200  # sets of labels, which settle the mean error to about a twentieth of its value


class Calibration(NamedTuple):
    """What turns the answers of branches into a calibrated decision.

    Attributes:
        temperature: What the decision's log-probabilities are divided by.
        weight_temperature: What the scores behind the dynamic weights are divided by.
    """

    temperature: float = 1.0
    weight_temperature: float = 1.0

    def decide(self, decision: BranchAnswers) -> np.ndarray:
        """Decide: calibrated log-probabilities up to a constant a post, (posts, labels)."""
        return decision.mixed(self.weight_temperature) / self.temperature


class BranchAnswers(NamedTuple):
    """What branches say of posts, and how they are weighed.

    Attributes:
        logits: (posts, branches, labels); any where the weight is 0.
        weights: As the model gave them, (posts, branches); 0 where a branch may not decide.
        dynamic: Whether the weights depend on the post, so that they have a temperature.
    """

    logits: np.ndarray
    weights: np.ndarray
    dynamic: bool

    def __getitem__(self, posts: Any) -> BranchAnswers:
        """Choose posts, by numbers or a mask."""
        return BranchAnswers(self.logits[posts], self.weights[posts], self.dynamic)

    def tempered_weights(self, temperature: float) -> np.ndarray:
        """Return the weights that their scores over a temperature give, (posts, branches)."""
        return np.exp(self._log_weights(temperature))

    def _log_weights(self, temperature: float) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return log_softmax(np.log(self.weights.astype(np.float64)) / temperature, axis=1)

    def mixed(self, weight_temperature: float = 1.0) -> np.ndarray:
        """Mix the branches' distributions: log-probabilities, (posts, labels)."""
        log_probabilities = log_softmax(self.logits.astype(np.float64), axis=-1)
        log_weights = self._log_weights(weight_temperature)
        return logsumexp(log_weights[..., None] + log_probabilities, axis=1)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the least negative log likelihood.

    Args:
        logits: (posts, labels); on validation posts, not those of a test.
        labels: (posts,); -100 is left out.

    Returns:
        What to divide the logits by, within `BOUNDS`.
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
    """Find both temperatures with the least negative log likelihood; of fixed weights only one.

    Args:
        answers: Of validation posts, not those of a test.
        labels: (posts,); -100 is left out.

    Returns:
        The temperatures, each within `BOUNDS`.
    """
    known = labels != NO_LABEL
    answers, labels = answers[known], labels[known]
    # Of one branch alone, the weight is 1 whatever its temperature.
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
    """Say in how many folds to cross-fit: ten, or as many as the rarest label has posts, at least two.

    Args:
        labels: (posts,), all known.

    Returns:
        The number; None for fewer than ten posts, or where no label occurs twice: too few to tell.
    """
    posts = np.unique(labels, return_counts=True)[1]
    if len(labels) < FOLDS or posts.max() < 2:
        return None
    return int(np.clip(posts.min(), 2, FOLDS))


def cross_fitted(answers: BranchAnswers, labels: np.ndarray, seed: int) -> np.ndarray | None:
    """Decide each post with a calibration that was fitted without this post.

    Scores of the result are honest where those after `fit_calibration` on the same posts flatter.

    Args:
        answers: Of the posts.
        labels: (posts,), all known.
        seed: Of the shuffle before the posts are cut into folds, each with its share of every label.

    Returns:
        Log-probabilities of the held-out posts of all folds, (posts, labels) in the given order; None
        where `number_of_folds` says that the posts are too few.
    """
    folds = number_of_folds(labels)
    if folds is None:
        return None
    decided = np.empty((len(labels), answers.logits.shape[-1]))
    with warnings.catch_warnings():  # of a label with a single post, which the two folds must bear
        warnings.filterwarnings("ignore", message="The least populated class")
        cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
        splits = list(cut.split(labels, labels))
    for others, held_out in splits:
        fitted = fit_calibration(answers[others], labels[others])
        decided[held_out] = fitted.decide(answers[held_out])
    return decided


def error_by_chance(logits: np.ndarray, seed: int) -> float:
    """Say what expected calibration error a perfectly calibrated model shows on so few posts.

    Its mean over labels that are drawn from the very probabilities that are scored: the error is a
    sum of absolute gaps, and chance alone leaves one in every bin.

    Args:
        logits: (posts, labels), calibrated.
        seed: Of the draws.

    Returns:
        The mean error over `DRAWS` draws, between 0 and 1.
    """
    probabilities = softmax(logits.astype(np.float64), axis=1)
    uniform = np.random.default_rng(seed).random((DRAWS, len(probabilities), 1))
    labels = (uniform > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=2)
    errors = [expected_calibration_error(probabilities, drawn) for drawn in labels]
    return float(np.mean(errors))


def present_branches(posts: Dataset) -> dict[str, np.ndarray]:
    """Tell which posts have what a branch reads: bool (posts,) for text, image and fusion."""
    present = {name: posts_with(posts, name) for name in ("text", "image")}
    return {**present, "fusion": present["text"] & present["image"]}


def energy_limits(outputs: dict[str, np.ndarray], posts: Dataset) -> dict[str, float]:
    """Find the energy, -logsumexp(logits), that 95 % of the posts stay below, for each branch.

    A post above its branch's limit looks unlike those that the model knows.

    Args:
        outputs: Result of `predict_posts`, with logits of the branches, (posts, labels).
        posts: The posts, of the kind that the model was made for.

    Returns:
        Branch -> limit; without branches that are off or that no post has.
    """
    return {
        name: float(np.quantile(-logsumexp(outputs[f"{name}_logits"][has], axis=1), KEPT_BY_LIMIT))
        for name, has in present_branches(posts).items()
        if f"{name}_logits" in outputs and has.any()
    }
