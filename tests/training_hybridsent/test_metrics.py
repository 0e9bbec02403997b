"""Scores against scikit-learn and against values worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from training_hybridsent.calibration import energy_limits, fit_temperature
from training_hybridsent.metrics import SentimentScores, expected_calibration_error, softmax

NAMES = ["negative", "neutral", "positive"]


@pytest.fixture(scope="module")
def scored():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(200, 3)), random.integers(0, 3, 200)
    return logits, labels, SentimentScores(NAMES).of_logits(logits, labels)


def test_scores_agree_with_scikit_learn(scored):
    logits, labels, scores = scored
    best = logits.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, best))
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, best, average="macro"))
    assert scores["weighted_f1"] == pytest.approx(f1_score(labels, best, average="weighted"))
    assert scores["nll"] == pytest.approx(log_loss(labels, softmax(logits)))
    for i, f1 in enumerate(f1_score(labels, best, average=None)):
        assert scores[f"f1_{NAMES[i]}"] == pytest.approx(f1)


def test_brier_and_ece_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4]])
    scores = SentimentScores(["a", "b"]).of_logits(np.log(probabilities), np.array([0, 1]))
    assert scores["brier"] == pytest.approx((0.2**2 * 2 + 0.6**2 * 2) / 2)
    # bins of confidence 0.8 (right) and 0.6 (wrong), one post each
    assert scores["ece"] == pytest.approx((0.2 + 0.6) / 2)


def test_ece_is_zero_when_confidence_is_accuracy():
    probabilities = np.array([[0.75, 0.25]] * 4)
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0)


def test_posts_without_label_are_left_out(scored):
    logits, labels, scores = scored
    more = np.vstack([logits, logits[:5]])
    again = SentimentScores(NAMES).of_logits(more, np.append(labels, [-100] * 5))
    assert again == scores


def test_no_label_at_all_is_an_error():
    with pytest.raises(ValueError, match="No post"):
        SentimentScores(NAMES).of_logits(np.zeros((2, 3)), np.array([-100, -100]))


def test_a_class_that_never_occurs_counts_as_zero_in_macro_f1():
    scores = SentimentScores(NAMES).of_logits(np.eye(3)[[0, 2]] * 9, np.array([0, 2]))
    assert scores["accuracy"] == 1
    assert scores["macro_f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(true_temperature):
    random = np.random.default_rng(1)
    calibrated = random.normal(size=(20_000, 3)) * 2
    gumbel = random.gumbel(size=calibrated.shape)
    labels = (calibrated + gumbel).argmax(axis=1)  # a draw from softmax(calibrated)
    fitted = fit_temperature(calibrated * true_temperature, labels)
    assert fitted == pytest.approx(true_temperature, rel=0.05)


def test_energy_limit_keeps_95_percent_of_the_posts_that_have_what_a_branch_reads():
    random = np.random.default_rng(0)
    has_text = np.arange(2000) % 4 != 0
    posts = {
        "text": ["words" if has else None for has in has_text],
        "image": [{"bytes": b"x", "path": None}] * 2000,
    }
    logits = random.normal(size=(2000, 3))
    outputs = {
        "text_logits": np.where(has_text[:, None], logits, -1e6),  # what is missing must not count
        "image_logits": logits,
        "fusion_logits": np.where(has_text[:, None], 2 * logits, 1e6),
        "logits": logits,
    }
    limits = energy_limits(outputs, posts)
    energy = -np.log(np.exp(logits).sum(axis=1))
    assert list(limits) == ["text", "image", "fusion"]
    assert np.mean(energy <= limits["image"]) == pytest.approx(0.95, abs=1e-3)
    assert np.mean(energy[has_text] <= limits["text"]) == pytest.approx(0.95, abs=1e-3)
    doubled = -np.log(np.exp(2 * logits[has_text]).sum(axis=1))
    assert np.mean(doubled <= limits["fusion"]) == pytest.approx(0.95, abs=1e-3)


def test_a_branch_that_is_off_or_that_no_post_has_gets_no_energy_limit():
    posts = {"text": ["a", "b"], "image": [None, None]}
    outputs = {"image_logits": np.zeros((2, 3)), "fusion_logits": np.zeros((2, 3))}
    assert energy_limits(outputs, posts) == {}
