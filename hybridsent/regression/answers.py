"""Fit a logistic regression to features of posts, and choose its strength in inner folds."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from hybridsent.evaluation.calibration import negative_log_likelihood

STRENGTHS = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # values of C for frozen features
NGRAM_STRENGTH = 2.0  # C for character n-grams, of which each post has few
NGRAM_SHARES = (0.0, 0.15, 0.3)  # of the n-grams' probabilities in the answer
NGRAMS = "text_ngrams"  # block of features that is made in each fold
INNER_FOLDS = 5
LEAST = 1e-12  # probability of a label that no training post has


class MeanForMissing(StandardScaler):
    """Standardise each feature; a missing one becomes the training posts' mean, which is 0."""

    def fit(self, X: np.ndarray, *args: Any, **kwargs: Any) -> "MeanForMissing":  # noqa: N803
        """Measure (posts, width) with NaN; a feature that no post has says nothing."""
        with np.errstate(invalid="ignore"):
            super().fit(X, *args, **kwargs)
        return self

    def transform(self, X: np.ndarray, copy: bool | None = None) -> np.ndarray:  # noqa: N803
        """Map (posts, width) with NaN to (posts, width) without."""
        return np.nan_to_num(super().transform(X, copy=copy))


class Inputs(NamedTuple):
    """What a logistic regression reads of posts.

    Attributes:
        blocks: Features by name, each (posts, width).
        texts: For character n-grams; None without them.
    """

    blocks: dict[str, np.ndarray]
    texts: list[str] | None

    def select(self, numbers: np.ndarray) -> "Inputs":
        """Select posts by number."""
        blocks = {name: values[numbers] for name, values in self.blocks.items()}
        texts = None if self.texts is None else [self.texts[i] for i in numbers]
        return Inputs(blocks, texts)

    def without(self, modality: str) -> "Inputs":
        """Return the same posts without their text or image."""
        blocks = {
            name: np.full_like(values, np.nan) if name.startswith(modality) else values
            for name, values in self.blocks.items()
        }
        texts = self.texts
        if modality == "text":
            texts = texts and [""] * len(texts)
        return Inputs(blocks, texts)

    def matrix(self) -> np.ndarray:
        """Return all blocks side by side, (posts, width)."""
        return np.concatenate(list(self.blocks.values()), axis=1, dtype=np.float32)


class Choice(NamedTuple):
    """What is chosen on answers for posts that the answering regression did not see."""

    strength: float
    ngram_share: float


def inner_answers(
    known: Inputs, labels: np.ndarray, inner_folds: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Answer for the posts of each inner fold by regressions over the others, as `choose` takes it."""
    frozen = np.empty((len(STRENGTHS), len(labels), count))
    ngrams = None if known.texts is None else np.empty((len(labels), count))
    for fold in np.unique(inner_folds):
        learn, ask = np.flatnonzero(inner_folds != fold), np.flatnonzero(inner_folds == fold)
        posts, asked = known.select(learn), known.select(ask)
        for i, model in enumerate(_path(posts.matrix(), labels[learn])):
            frozen[i, ask] = log_probabilities(model, asked.matrix(), count)
        if ngrams is not None:
            model = _ngram_regression().fit(posts.texts, labels[learn])
            ngrams[ask] = log_probabilities(model, asked.texts or [], count)
    return frozen, ngrams


def _path(
    features: np.ndarray, labels: np.ndarray, strengths: Sequence[float] = STRENGTHS
) -> list[Pipeline]:
    """Fit one regression a strength, each from the coefficients of the one before."""
    scaler = MeanForMissing().fit(features)
    scaled, models = scaler.transform(features), []
    model = LogisticRegression(max_iter=2000, tol=1e-3, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength).fit(scaled, labels)
        models.append(make_pipeline(scaler, deepcopy(model)))
    return models


def _ngram_regression() -> Pipeline:
    """Build a regression over weighted character 2- to 5-grams within words."""
    return make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
        LogisticRegression(C=NGRAM_STRENGTH, max_iter=2000, tol=1e-3),
    )


def choose(
    frozen: np.ndarray, ngrams: np.ndarray | None, labels: np.ndarray
) -> tuple[Choice, np.ndarray]:
    """Return the choice of least negative log likelihood and its log-probabilities.

    Args:
        frozen: Log-probabilities for each strength, (strengths, posts, labels).
        ngrams: Of the n-grams, (posts, labels); None without them.
        labels: (posts,).
    """
    found = {
        Choice(strength, share): mix(own, ngrams, share)
        for strength, own in zip(STRENGTHS, frozen, strict=True)
        for share in (NGRAM_SHARES if ngrams is not None else (0.0,))
    }
    best = min(found, key=lambda choice: negative_log_likelihood(found[choice], labels))
    return best, found[best]


def mix(own: np.ndarray, ngrams: np.ndarray | None, share: float) -> np.ndarray:
    """Mix the distributions of two regressions: log-probabilities (posts, labels) of each."""
    if ngrams is None or share == 0:
        return own
    return np.log((1 - share) * softmax(own, axis=1) + share * softmax(ngrams, axis=1))


def fitted(
    known: Inputs, labels: np.ndarray, count: int, choice: Choice
) -> tuple[Callable[[Inputs], np.ndarray], int]:
    """Fit what was chosen on all posts to learn from; return what decides, and its parameters."""
    upto = STRENGTHS[: STRENGTHS.index(choice.strength) + 1]
    model = _path(known.matrix(), labels, upto)[-1]
    parts, ngrams = [model], None
    if choice.ngram_share:
        ngrams = _ngram_regression().fit(known.texts, labels)
        parts.append(ngrams)

    def decide(asked: Inputs) -> np.ndarray:
        own = log_probabilities(model, asked.matrix(), count)
        if ngrams is None:
            return own
        return mix(own, log_probabilities(ngrams, asked.texts or [], count), choice.ngram_share)

    return decide, sum(part[-1].coef_.size + part[-1].intercept_.size for part in parts)


def log_probabilities(model: Pipeline, inputs: np.ndarray | list[str], labels: int) -> np.ndarray:
    """Score posts; a label that no training post has gets the lowest probability.

    Args:
        model: The fitted regression.
        inputs: Features (posts, width), or texts.
        labels: Number of all labels.

    Returns:
        (posts, labels).
    """
    found = np.full((len(inputs), labels), np.log(LEAST))
    found[:, model.classes_] = model.predict_log_proba(inputs)
    return found
