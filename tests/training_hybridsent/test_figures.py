"""The card's pictures show the figures they claim to show."""

import numpy as np
import pytest
from finished_runs import LABELS, TEMPERATURE, made_up_answers
from sklearn.metrics import confusion_matrix

from training_hybridsent.figures import (
    BRANCHES,
    draw_confusion,
    draw_figures,
    draw_reliability,
    draw_weights,
)
from training_hybridsent.metrics import expected_calibration_error, softmax


@pytest.fixture(scope="module")
def answers():
    return made_up_answers()


def known(answers):
    labelled = answers.labels != -100
    return answers.logits[labelled], answers.labels[labelled]


def test_confusion_shows_counts_and_shares(answers):
    logits, labels = known(answers)
    axes = draw_confusion(logits, labels, LABELS, "test").axes[0]
    expected = confusion_matrix(labels, logits.argmax(axis=1))
    shown = [text.get_text().split("\n") for text in axes.texts]
    assert [int(count) for count, _ in shown] == expected.ravel().tolist()
    shares = expected / expected.sum(axis=1, keepdims=True)
    assert [share for _, share in shown] == [f"{100 * x:.0f} %" for x in shares.ravel()]
    assert axes.get_title() == "57 test posts"


def test_reliability_shows_the_bins_and_the_error_before_and_after(answers):
    logits, labels = known(answers)
    before, after = draw_reliability(logits, labels, TEMPERATURE, "test").axes
    for axes, probabilities in ((before, softmax(logits * TEMPERATURE)), (after, softmax(logits))):
        ece = 100 * expected_calibration_error(probabilities, labels)
        assert f"ECE {ece:.1f} %" in axes.get_title()
        assert sum(int(text.get_text()) for text in axes.texts) == len(labels)
        right = sum(
            bar.get_height() * int(text.get_text())
            for bar, text in zip(axes.patches, axes.texts, strict=True)
        )
        assert right == pytest.approx((probabilities.argmax(axis=1) == labels).sum())


def test_weights_are_those_of_complete_posts_by_label(answers):
    axes = draw_weights(answers, LABELS).axes[0]
    medians = sorted(
        (line.get_xdata().mean(), line.get_ydata()[0])
        for line in axes.lines
        if len(line.get_xdata()) == 2 and line.get_color() == "black"
        and np.ptp(line.get_ydata()) == 0 and np.ptp(line.get_xdata()) > 0.7
    )  # fmt: skip
    expected = [
        float(np.median(answers.decision_weights[answers.complete & (answers.labels == k), i]))
        for k in range(len(LABELS))
        for i in range(len(BRANCHES))
    ]
    assert [y for _, y in medians] == pytest.approx(expected)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(BRANCHES)
    assert axes.get_title() == f"{answers.complete.sum()} test posts with text and picture"


@pytest.mark.parametrize("labels", [["bad", "good"], [f"emotion {i}" for i in range(7)]])
def test_any_number_of_labels_can_be_drawn(tmp_path, labels):
    draw_figures(made_up_answers(labels=labels), 1.0, labels, tmp_path)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {
        "confusion.png", "decision_weights.png", "reliability.png",
    }  # fmt: skip
