"""The two methods without a network of their own: the training posts' shares, logistic regression."""

from collections.abc import Callable

import numpy as np
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from benchmarks.accuracy.networks import mean_of_tokens
from benchmarks.accuracy.records import DECISION, IMAGE_ONLY, TEXT_ONLY, Answers, Trained
from hybridsent.training.collator import PostCollator
from modeling_hybridsent import HybridSentForSequenceClassification

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # values of C


class FrozenFeatures:
    """Mean states of both pretrained encoders, computed for each post once.

    Args:
        model: Whose encoders are used as they are.
        posts: All posts.
        collator: Makes batches of them.
        batch_size: Posts a batch.
    """

    def __init__(
        self,
        model: HybridSentForSequenceClassification,
        posts: Dataset,
        collator: PostCollator,
        batch_size: int,
    ) -> None:
        self._base, self._posts, self._collator = model.eval().hybridsent, posts, collator
        self._batch_size = batch_size
        self._known: dict[int, np.ndarray] = {}
        self.text_width = model.config.text_config.hidden_size

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the features of posts.

        Args:
            numbers: (posts,).

        Returns:
            Text then image, (posts, text width + channels), NaN for a missing modality.
        """
        missing = [int(i) for i in numbers if int(i) not in self._known]
        starts = range(0, len(missing), self._batch_size)
        for start in tqdm(starts, "frozen features", disable=None):
            chosen = missing[start : start + self._batch_size]
            rows = self._posts.select(chosen).to_list()
            self._known.update(zip(chosen, self._encode(rows), strict=True))
        return np.stack([self._known[int(i)] for i in numbers])

    @torch.no_grad()
    def _encode(self, rows: list[dict]) -> np.ndarray:
        batch = self._collator(rows)
        has_text, has_image = batch["has_text"], batch["has_image"]
        mask = batch["attention_mask"].bool()
        # A text that is missing has no visible token; one is shown, and the answer is dropped.
        shown = mask.clone()
        shown[:, 0] |= ~has_text
        text, _ = self._base.get_text_encoder_outputs(batch["input_ids"], shown.long())
        image, _ = self._base.get_image_encoder_outputs(batch["pixel_values"])
        text = mean_of_tokens(text, mask).masked_fill(~has_text[:, None], torch.nan)
        image = image.mean(dim=1).masked_fill(~has_image[:, None], torch.nan)
        return torch.cat([text.float(), image.float()], dim=1).numpy()


def without(features: np.ndarray, columns: slice) -> np.ndarray:
    """Return features (posts, width) in which these columns are missing."""
    features = features.copy()
    features[:, columns] = np.nan
    return features


class MeanForMissing(StandardScaler):
    """Standardise each feature; a missing one becomes the training posts' mean, which is 0."""

    def transform(self, X: np.ndarray, copy: bool | None = None) -> np.ndarray:  # noqa: N803
        """Map (posts, width) with NaN to (posts, width) without."""
        return np.nan_to_num(super().transform(X, copy=copy))


def fit_regression(
    features: FrozenFeatures,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    count: int,
    score: Callable[[np.ndarray, np.ndarray], float],
) -> Trained:
    """Fit a logistic regression with the strength that scores best on validation posts.

    Args:
        features: Of all posts.
        train: Numbers and labels of the posts to learn from, each (posts,).
        validation: Likewise, to choose the strength on.
        count: Number of all labels.
        score: Takes log-probabilities (posts, labels) and labels (posts,); greater is better.

    Returns:
        The fitted method, without its seconds.
    """
    inputs, chosen_on = features.of(train[0]), features.of(validation[0])
    fitted = [
        make_pipeline(MeanForMissing(), LogisticRegression(C=c, max_iter=2000)).fit(
            inputs, train[1]
        )
        for c in STRENGTHS
    ]
    scores = [score(log_probabilities(x, chosen_on, count), validation[1]) for x in fitted]
    best = fitted[int(np.argmax(scores))]
    text, image = slice(None, features.text_width), slice(features.text_width, None)

    def answer(numbers: np.ndarray, alone: bool) -> Answers:
        found = features.of(numbers)
        kinds = {DECISION: found}
        if alone:
            kinds |= {TEXT_ONLY: without(found, image), IMAGE_ONLY: without(found, text)}
        return {kind: log_probabilities(best, x, count) for kind, x in kinds.items()}

    return Trained(answer, {"trainable_parameters": best[-1].coef_.size + best[-1].intercept_.size})


def log_probabilities(model: Pipeline, features: np.ndarray, labels: int) -> np.ndarray:
    """Score posts; a label that no training post has gets the lowest probability.

    Args:
        model: The fitted regression.
        features: (posts, width).
        labels: Number of all labels.

    Returns:
        (posts, labels).
    """
    found = np.full((len(features), labels), np.log(1e-12))
    found[:, model.classes_] = model.predict_log_proba(features)
    return found


def fit_shares(labels: np.ndarray, count: int) -> Trained:
    """Answer for every post with the labels' shares among training posts, one post added to each.

    Args:
        labels: Of the training posts, (posts,).
        count: Number of all labels.

    Returns:
        The fitted method.
    """
    numbers = np.bincount(labels, minlength=count) + 1
    shares = np.log(numbers / numbers.sum())

    def answer(numbers: np.ndarray, alone: bool) -> Answers:
        kinds = (DECISION, TEXT_ONLY, IMAGE_ONLY) if alone else (DECISION,)
        return {kind: np.tile(shares, (len(numbers), 1)) for kind in kinds}

    return Trained(answer, {"seconds": 0.0, "trainable_parameters": 0})
