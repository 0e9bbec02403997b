"""Whatever is predicted: our scores are those of scikit-learn and of torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_f1_score

from hybridsent.evaluation.metrics import (
    SentimentScores,
    calibration_bins,
    expected_calibration_error,
)


@st.composite
def predictions(draw):
    """Logits (posts, labels) and labels (posts,), of which some may never occur."""
    count, names = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0]))
    known = draw(st.integers(1, names))
    return random.normal(scale=scale, size=(count, names)), random.integers(0, known, count)


def scores_of(logits, labels):
    return SentimentScores([str(i) for i in range(logits.shape[1])]).of_logits(logits, labels)


@given(predictions())
def test_scores_are_those_of_scikit_learn(predicted):
    logits, labels = predicted
    scores, best, names = scores_of(logits, labels), logits.argmax(axis=1), range(logits.shape[1])
    p = softmax(logits, axis=1)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, best))
    for average in ("macro", "weighted"):
        theirs = f1_score(labels, best, labels=names, average=average, zero_division=0)
        assert scores[f"{average}_f1"] == pytest.approx(theirs)
    assert scores["nll"] == pytest.approx(log_loss(labels, p, labels=names))
    brier = brier_score_loss(labels, p, labels=list(names), scale_by_half=False)
    assert scores["brier"] == pytest.approx(brier)


@given(predictions())
def test_scores_are_those_of_torchmetrics(predicted):
    logits, labels = predicted
    scores, names = scores_of(logits, labels), logits.shape[1]
    p, target = torch.tensor(softmax(logits, axis=1)), torch.tensor(labels)
    error = multiclass_calibration_error(p, target, names, n_bins=15, norm="l1")
    assert scores["ece"] == pytest.approx(float(error), abs=1e-6)
    weighted = multiclass_f1_score(p, target, names, average="weighted")
    assert scores["weighted_f1"] == pytest.approx(float(weighted), abs=1e-6)


@given(predictions(), st.integers(1, 30))
def test_every_post_is_in_one_bin_and_the_error_is_a_share(predicted, bins):
    logits, labels = predicted
    p = softmax(logits, axis=1)
    found = calibration_bins(p, labels, bins)
    assert [len(part) for part in found] == [bins] * 3
    assert found.posts.sum() == len(labels)
    assert (found.correct <= found.posts).all()
    assert (found.confidence <= found.posts * (np.arange(bins) + 1) / bins + 1e-9).all()
    assert (found.confidence >= found.posts * np.arange(bins) / bins - 1e-9).all()
    assert 0 <= expected_calibration_error(p, labels, bins) <= 1


@given(predictions(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_posts_without_label_and_their_order_change_no_score(predicted, extra, random):
    logits, labels = predicted
    expected = scores_of(logits, labels)
    order = list(range(len(labels) + extra))
    random.shuffle(order)
    more = np.concatenate([logits, log_softmax(np.ones((extra, logits.shape[1])), axis=1)])
    marked = np.concatenate([labels, np.full(extra, -100)])
    got = scores_of(more[order], marked[order])
    assert got == pytest.approx(expected)
