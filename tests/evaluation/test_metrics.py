"""Scores against scikit-learn and against values worked out by hand."""

import numpy as np
import pytest
from datasets import Dataset
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, f1_score, log_loss

from hybridsent.evaluation.calibration import (
    BranchAnswers,
    cross_fitted,
    energy_limits,
    error_by_chance,
    fit_calibration,
    fit_temperature,
    number_of_folds,
)
from hybridsent.evaluation.metrics import SentimentScores, expected_calibration_error
from hybridsent.evaluation.sentiment_metric import SentimentMetric

NAMES = ["negative", "neutral", "positive"]


@pytest.fixture(scope="module")
def scored():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(200, 3)), random.integers(0, 3, 200)
    return logits, labels, SentimentScores(NAMES).of_logits(logits, labels)


def test_the_metric_that_chooses_must_be_one_that_is_measured():
    scores = SentimentScores(["a", "b"])
    for name in (None, "loss", "eval_loss", "macro_f1", "eval_f1_b"):
        scores.require(name)
    with pytest.raises(ValueError, match="--metric_for_best_model f1: give one of loss, accuracy"):
        scores.require("f1")


def test_scores_agree_with_scikit_learn(scored):
    logits, labels, scores = scored
    best = logits.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, best))
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, best, average="macro"))
    assert scores["weighted_f1"] == pytest.approx(f1_score(labels, best, average="weighted"))
    assert scores["nll"] == pytest.approx(log_loss(labels, softmax(logits, axis=1)))
    for i, f1 in enumerate(f1_score(labels, best, average=None)):
        assert scores[f"f1_{NAMES[i]}"] == pytest.approx(f1)


def test_the_metric_of_the_library_gives_the_same_numbers(scored):
    logits, labels, scores = scored
    metric = SentimentMetric(NAMES)
    assert metric.compute(predictions=softmax(logits, axis=1), references=labels) == scores
    half = logits.astype(np.float32)  # as the model gives them
    expected = SentimentScores(NAMES).of_logits(half, labels)
    assert metric.compute(predictions=softmax(half, axis=1), references=labels) == expected


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


@pytest.fixture
def weighed():
    """Branches and scores of their weights, whose temperature is 3, with labels drawn from them."""
    random = np.random.default_rng(2)
    logits = random.normal(size=(30_000, 3, 4)) * 2
    scores = random.normal(size=(30_000, 3)) * 3
    weights = softmax(scores / 3, axis=1)
    mixed = (weights[..., None] * softmax(logits, axis=-1)).sum(axis=1)
    labels = (mixed.cumsum(axis=1) < random.random((30_000, 1))).sum(axis=1)
    return BranchAnswers(logits, softmax(scores, axis=1), dynamic=True), labels, mixed


def test_the_temperature_of_the_weights_is_recovered(weighed):
    answers, labels, mixed = weighed
    fitted = fit_calibration(answers, labels)
    assert fitted.weight_temperature == pytest.approx(3, rel=0.1)
    assert fitted.temperature == pytest.approx(1, rel=0.05)
    decided = softmax(fitted._replace(temperature=1, weight_temperature=3).decide(answers), axis=1)
    np.testing.assert_allclose(decided, mixed, atol=1e-9)


def test_weights_that_are_the_same_for_all_posts_have_no_temperature(weighed):
    answers, labels, _ = weighed
    fitted = fit_calibration(answers._replace(dynamic=False), labels)
    assert fitted.weight_temperature == 1
    assert fitted.temperature == fit_temperature(answers.mixed(), labels)


def test_tempering_leaves_absent_branches_out_and_single_ones_alone():
    weights = np.array([[0.9, 0.1, 0.0], [0.0, 1.0, 0.0]])
    answers = BranchAnswers(np.zeros((2, 3, 2)), weights, dynamic=True)
    np.testing.assert_allclose(answers.tempered_weights(2), [[0.75, 0.25, 0], [0, 1, 0]])


@pytest.fixture(scope="module")
def sure():
    """Logits that are too sure of themselves, with labels of which the last one is rare."""
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [60, 50, 12])
    return log_softmax(random.normal(size=(122, 3)) * 3 + 2 * np.eye(3)[labels], axis=1), labels


def of_one_branch(logits):
    """Answers with nothing to weigh."""
    return BranchAnswers(logits[:, None], np.ones((len(logits), 1)), dynamic=False)


def test_cross_fitting_scales_each_post_by_what_the_other_folds_say(sure):
    logits, labels = sure
    factors = (logits / cross_fitted(of_one_branch(logits), labels, seed=0))[:, 0]
    different = np.unique(factors.round(9))
    assert len(different) == number_of_folds(labels) == 10
    for factor in different:
        held_out = np.isclose(factors, factor)
        assert factor == pytest.approx(fit_temperature(logits[~held_out], labels[~held_out]))
        assert np.bincount(labels[held_out]).tolist() in ([6, 5, 1], [6, 5, 2])


def test_cross_fitting_is_seeded_and_never_looks_better_than_fitting_on_the_same_posts(sure):
    logits, labels = sure
    scores = SentimentScores(NAMES)
    after = scores.of_logits(logits / fit_temperature(logits, labels), labels)["nll"]
    one, again, other = (cross_fitted(of_one_branch(logits), labels, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert scores.of_logits(one, labels)["nll"] > after


@pytest.mark.parametrize(
    ("posts", "folds"),
    [
        ([40, 30, 11], 10),
        ([40, 30, 4], 4),
        ([40, 30, 1], 2),  # half of the posts never see that label, which is better than nothing
        ([12], 10),  # a single label
        ([5, 4], None),  # fewer than ten posts
        ([1] * 12, None),  # no label twice
    ],
)
@pytest.mark.filterwarnings("error")
def test_folds_are_as_many_as_the_rarest_label_has_posts(posts, folds):
    labels = np.repeat(range(len(posts)), posts)
    assert number_of_folds(labels) == folds
    logits = np.random.default_rng(0).normal(size=(len(labels), 12))
    scaled = cross_fitted(of_one_branch(logits), labels, seed=0)
    assert (scaled is None) is (folds is None)
    assert scaled is None or np.isfinite(scaled).all()


def test_chance_alone_leaves_an_error_that_shrinks_with_the_posts():
    """Against the error of labels that were really drawn from the probabilities."""
    random = np.random.default_rng(1)
    logits = random.normal(size=(450, 3)) * 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = [
        expected_calibration_error(
            probabilities, np.array([random.choice(3, p=row) for row in probabilities])
        )
        for _ in range(40)
    ]
    expected = np.mean(found)
    assert error_by_chance(logits, seed=0) == pytest.approx(expected, rel=0.12)
    assert error_by_chance(logits, seed=0) == error_by_chance(logits, seed=0)
    assert error_by_chance(np.tile(logits, (16, 1)), seed=0) < 0.4 * expected
    certain = 60 * np.eye(3)[[0, 1, 2, 0]]
    assert error_by_chance(certain, seed=0) == pytest.approx(0)


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
    limits = energy_limits(outputs, Dataset.from_dict(posts), SentimentScores(NAMES))
    energy = -np.log(np.exp(logits).sum(axis=1))
    assert list(limits) == ["text", "image", "fusion"]
    assert np.mean(energy <= limits["image"]) == pytest.approx(0.95, abs=1e-3)
    assert np.mean(energy[has_text] <= limits["text"]) == pytest.approx(0.95, abs=1e-3)
    doubled = -np.log(np.exp(2 * logits[has_text]).sum(axis=1))
    assert np.mean(doubled <= limits["fusion"]) == pytest.approx(0.95, abs=1e-3)


def test_a_branch_that_is_off_or_that_no_post_has_gets_no_energy_limit():
    posts = {"text": ["a", "b"], "image": [None, None]}
    outputs = {"image_logits": np.zeros((2, 3)), "fusion_logits": np.zeros((2, 3))}
    assert energy_limits(outputs, Dataset.from_dict(posts), SentimentScores(NAMES)) == {}
