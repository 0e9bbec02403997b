"""Robustness from answers that are there: worked out by hand."""

import numpy as np
import pytest
from finished_runs import CONFIG, LABELS, finished_run, made_up_answers
from scipy.special import softmax

from hybridsent.evaluation.metrics import SentimentScores, classwise_calibration_error, risks
from hybridsent.evaluation.report import robustness_table
from hybridsent.evaluation.robustness import (
    LOST_SHARES,
    confidence_rises,
    describe_robustness,
    hash_order,
    lost_modality,
    own_label_groups,
    risk_by_coverage,
)

SCORES = SentimentScores(LABELS).of_logits
# Rows of logits for label 0, with little and with much confidence.
UNSURE, SURE = [1.0, 0, 0], [9.0, 0, 0]
RIGHT, WRONG = (np.tile(row, (10, 1)) for row in (SURE, [0.0, 3, 0]))


def answers(**changed):
    """Ten complete posts of label 0: right with both modalities, wrong with one of them alone."""
    given = {
        "logits": RIGHT,
        "labels": np.zeros(10, dtype=int),
        "complete": np.ones(10, dtype=bool),
        "alone": {"text": WRONG, "image": WRONG},
        "own_labels": {},
    }
    return made_up_answers(posts=10)._replace(**given | changed)


def test_a_growing_share_of_the_complete_posts_loses_a_modality():
    rows = lost_modality(answers(), SCORES)
    assert [row["share"] for row in rows] == [*LOST_SHARES]
    assert [row["accuracy"] for row in rows] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])
    incomplete = answers(labels=np.array([-100, *[0] * 9]), complete=np.arange(10) < 9)
    assert {row["posts"] for row in lost_modality(incomplete, SCORES)} == {8}
    assert lost_modality(answers(complete=np.zeros(10, dtype=bool)), SCORES) == []


@pytest.mark.parametrize("left", ["text", "image"])
def test_half_of_those_posts_lose_the_text_and_half_the_image(left):
    rows = lost_modality(answers(alone={"text": RIGHT, "image": RIGHT, left: WRONG}), SCORES)
    assert [row["accuracy"] for row in rows] == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5])


def test_the_order_depends_on_ids_and_purpose_alone():
    ids = [f"post-{i}" for i in range(50)]
    order = hash_order(ids, "lost")
    assert [ids[i] for i in order[:3]] == ["post-40", "post-10", "post-45"]  # as sha256sum sorts
    again = hash_order(ids[::-1], "lost")
    assert [ids[i] for i in order] == [ids[::-1][i] for i in again]
    assert order.tolist() != hash_order(ids, "swap").tolist()


def test_confidence_that_rises_without_a_modality_is_counted():
    logits = np.array([UNSURE] * 3 + [SURE] * 7)
    alone = {"image": np.tile([0, 5.0, 0], (10, 1)), "text": np.tile(UNSURE, (10, 1))}
    assert confidence_rises(answers(logits=logits, alone=alone)) == {"text": 0.3, "image": 0}
    assert confidence_rises(answers(complete=np.zeros(10, dtype=bool))) == {}


def test_risk_is_the_error_among_the_most_confident():
    logits = np.array([[10.0 - i, 0, 0] for i in range(10)])  # most confident first
    labels = np.array([0] * 7 + [1] * 3)
    errors = [row["error"] for row in risk_by_coverage(answers(logits=logits, labels=labels))]
    assert errors == pytest.approx([0, 0, 0, 1 / 8, 2 / 9, 3 / 10])
    expected = (1 / 8 + 2 / 9 + 3 / 10) / 10
    assert SCORES(logits, labels)["aurc"] == pytest.approx(expected)
    assert risks(softmax(logits[::-1], axis=1), labels[::-1]).mean() == pytest.approx(expected)


def test_classwise_error_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4]])
    # Of each label two bins with one post: |0.8 - 1| and |0.6 - 0|; |0.2 - 0| and |0.4 - 1|.
    found = classwise_calibration_error(probabilities, np.array([0, 1]))
    assert found == pytest.approx((0.2 + 0.6) / 2)
    certain = np.array([[1.0, 0, 0], [1.0, 0, 0]])
    assert classwise_calibration_error(certain, np.array([0, 1])) == pytest.approx(1 / 3)


def test_posts_are_grouped_by_which_unimodal_labels_are_theirs():
    own = {"text": np.array([0, 0, 1, 1, -100] * 2), "image": np.array([0, 1, 0, 1, 0] * 2)}
    groups = own_label_groups(answers(own_labels=own))
    assert {name: group.nonzero()[0].tolist() for name, group in groups.items()} == {
        "text and image": [0, 5],
        "text alone": [1, 6],
        "image alone": [2, 7],
        "neither": [3, 8],
    }
    assert own_label_groups(answers()) == {}


def test_what_metrics_json_holds_agrees_with_the_other_scores():
    scored = made_up_answers()
    found = describe_robustness(scored, SCORES, CONFIG)
    assert found == finished_run()["robustness"]
    whole = SCORES(scored.logits, scored.labels)
    assert found["risk"][-1]["error"] == pytest.approx(1 - whole["accuracy"])
    first = found["lost_modality"][0]
    accuracy, macro_f1 = (f"{100 * first[name]:.1f}" for name in ("accuracy", "macro_f1"))
    line = f"| 0 % lost a modality | {accuracy} | {macro_f1} | "
    assert robustness_table(found["lost_modality"]).splitlines()[2].startswith(line)
