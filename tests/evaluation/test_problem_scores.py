"""Scores of several labels a post and of numbers, against scikit-learn and by hand."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn import metrics
from tiny_models import tiny_config

from hybridsent.evaluation.calibration import BranchAnswers, fit_calibration, fit_thresholds
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.evaluation.problem_scores import scores_of

NAMES = {0: "joy", 1: "fear", 2: "anger"}
MULTI = {"problem_type": "multi_label_classification", "id2label": NAMES}
SCORE = {"problem_type": "regression", "id2label": {0: "score"}}
THRESHOLDS = [0.5, 0.3, 0.7]


@pytest.fixture(scope="module")
def several():
    random = np.random.default_rng(0)
    labels = (random.random((200, 3)) < [0.5, 0.2, 0.3]).astype(np.float32)
    logits = random.normal(size=(200, 3)) + 2 * labels - 1
    return logits, labels


def test_several_labels_are_scored_as_scikit_learn_does(several):
    logits, labels = several
    judge = scores_of(tiny_config(**MULTI, label_thresholds=THRESHOLDS))
    found = judge.of_logits(logits, labels)
    decided = expit(logits) >= THRESHOLDS
    for kind in ("macro", "micro", "weighted"):
        assert found[f"{kind}_f1"] == pytest.approx(metrics.f1_score(labels, decided, average=kind))
    assert found["f1_fear"] == pytest.approx(metrics.f1_score(labels[:, 1], decided[:, 1]))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, decided))
    assert found["nll"] == pytest.approx(
        np.mean([metrics.log_loss(y, p) for y, p in zip(labels.T, expit(logits).T, strict=True)])
    )
    counts = metrics.multilabel_confusion_matrix(labels, decided)
    assert judge.confusion(labels, judge.decided(logits)) == counts.tolist()
    assert found.keys() == set(judge.names_of_scores())
    unknown = np.concatenate([labels, [[-100, -100, -100]]])
    assert judge.of_logits(np.concatenate([logits, [[9, 9, 9]]]), unknown) == found


def test_chance_has_no_calibration_error(several):
    logits, _ = several
    sure = np.repeat(logits, 50, axis=0)
    drawn = (np.random.default_rng(1).random(sure.shape) < expit(sure)).astype(int)
    found = scores_of(tiny_config(**MULTI)).of_logits(sure, drawn)
    assert max(found["ece"], found["classwise_ece"]) < 0.02
    wrong = scores_of(tiny_config(**MULTI)).of_logits(4 * sure, drawn)
    assert min(wrong["ece"], wrong["classwise_ece"]) > 0.08


def test_one_temperature_calibrates_every_label(several):
    logits, _ = several
    many = np.repeat(logits, 20, axis=0)
    drawn = (np.random.default_rng(2).random(many.shape) < expit(many)).astype(int)
    weights = np.tile([0.0, 0.0, 1.0], (len(many), 1))
    answers = BranchAnswers(np.repeat(3 * many[:, None], 3, axis=1), weights, dynamic=False)
    flat = answers.one_by_one()
    fitted = fit_calibration(flat, drawn.reshape(-1))
    assert fitted.temperature == pytest.approx(3, rel=0.05)
    no, yes = flat.mixed().T
    np.testing.assert_allclose((yes - no).reshape(many.shape), 3 * many, atol=1e-9)


def test_thresholds_give_each_label_its_best_f1():
    probabilities = np.array([[0.9, 0.2, 0.4], [0.8, 0.15, 0.6], [0.3, 0.1, 0.5], [0.1, 0.05, 0.2]])
    labels = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert fit_thresholds(probabilities, labels) == pytest.approx([0.55, 0.125, 0.5])
    decided = probabilities >= fit_thresholds(probabilities, labels)
    assert decided[:, :2].tolist() == (labels[:, :2] == 1).tolist()


def test_numbers_are_scored_by_hand():
    judge = scores_of(tiny_config(**SCORE))
    found = judge.of_logits(np.array([[1.0], [2.0], [4.0], [9.0]]), np.array([1, 2, 3, np.nan]))
    assert found["mae"] == pytest.approx(1 / 3)
    assert found["rmse"] == pytest.approx((1 / 3) ** 0.5)
    assert found["r2"] == pytest.approx(1 - 1 / 2)
    assert found["pearson"] == pytest.approx(np.corrcoef([1, 2, 4], [1, 2, 3])[0, 1])
    assert found["spearman"] == pytest.approx(1)
    constant = judge.of_logits(np.ones((3, 1)), np.array([1.0, 2, 3]))
    assert (constant["pearson"], constant["spearman"]) == (0, 0)
    with pytest.raises(ValueError, match="No post to score has a label"):
        judge.of_logits(np.ones((1, 1)), np.array([np.nan]))


def test_the_metric_that_chooses_is_one_of_the_problem():
    assert type(scores_of(tiny_config())) is SentimentScores
    scores_of(tiny_config(**MULTI)).require("micro_f1")
    scores_of(tiny_config(**SCORE)).require("eval_rmse")
    with pytest.raises(ValueError, match="macro_f1: give one of loss, r2, mae, rmse"):
        scores_of(tiny_config(**SCORE)).require("macro_f1")


def test_confidence_is_the_chance_that_every_label_is_right():
    judge = scores_of(tiny_config(**MULTI))
    assert judge.confidence(logit([[0.9, 0.2, 0.5]])) == pytest.approx(0.9 * 0.8 * 0.5)
