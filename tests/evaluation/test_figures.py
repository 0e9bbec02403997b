"""The figures of report and card show what they claim to show."""

import numpy as np
import pytest
from finished_runs import LABELS, TEMPERATURE, finished_run, made_up_answers
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import confusion_matrix

from hybridsent.evaluation.figures import (
    MOST_DOTS,
    draw_confusion,
    draw_learning,
    draw_reliability,
    draw_weights,
    write_figures,
)
from hybridsent.evaluation.final_scores import (
    agreement_groups,
    describe_groups,
    label_groups,
)
from hybridsent.evaluation.metrics import calibration_bins, expected_calibration_error
from modeling_hybridsent.answers_hybridsent import BRANCHES

ALL = {"confusion.png", "decision_weights.png", "learning.png", "reliability.png", "agreement.png"}


@pytest.fixture(scope="module")
def answers():
    return made_up_answers()


def test_confusion_shows_counts_and_shares(answers):
    figure = draw_confusion(answers, LABELS)
    gold, decided = answers.labels[3:], answers.decided[3:]  # the first three have no label
    expected = confusion_matrix(gold, decided)
    shown = [text.get_text().split("\n") for text in figure.axes[0].texts]
    assert [int(count) for count, _ in shown] == expected.ravel().tolist()
    shares = expected / expected.sum(axis=1, keepdims=True)
    assert [share for _, share in shown] == [f"{100 * x:.0f} %" for x in shares.ravel()]
    assert "57 test posts" in figure.get_suptitle()


def test_reliability_shows_the_bins_and_the_error_before_and_after(answers):
    logits, labels = answers.logits[3:], answers.labels[3:]
    axes = draw_reliability(answers).axes
    for column, factor in ((0, TEMPERATURE), (1, 1)):
        above, below = axes[column], axes[2 + column]
        probabilities = softmax(factor * logits, axis=1)
        bins = calibration_bins(probabilities, labels)
        ece = 100 * expected_calibration_error(probabilities, labels)
        assert f"ECE {ece:.1f} %" in above.get_title()
        assert [bar.get_height() for bar in below.patches] == bins.posts.tolist()
        filled = bins.posts > 0
        expected = 100 * bins.correct[filled] / bins.posts[filled]
        assert [bar.get_height() for bar in above.patches] == pytest.approx(expected.tolist())
        places = [bar.get_x() for bar in above.patches]
        assert places == pytest.approx((np.flatnonzero(filled) / 0.15).tolist())


@pytest.mark.parametrize("kind", ["label", "agreement"])
def test_weights_are_those_of_complete_posts_by_group(answers, kind):
    groups = agreement_groups(answers) if kind == "agreement" else label_groups(answers, LABELS)
    figure = draw_weights(answers, groups, kind)
    axes = figure.axes[0]
    dots = iter(axes.collections)
    for branch, name in [(i, name) for i in range(len(BRANCHES)) for name in groups]:
        expected = answers.decision_weights[groups[name], branch]
        assert np.array_equal(next(dots).get_offsets()[:, 0], expected), (branch, name)
        (stroke,) = next(dots).get_segments()
        assert stroke[:, 0] == pytest.approx(np.median(expected))
    assert next(dots, None) is None
    shown = [tick.get_text() for tick in axes.get_yticklabels()]
    assert shown == [f"{name}\n{group.sum()} posts" for name, group in groups.items()]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(BRANCHES)


def test_many_posts_are_thinned_out_to_the_same_distribution():
    answers = made_up_answers(posts=5000)
    dots = draw_weights(answers, {"all": answers.complete}, "all").axes[0].collections[0]
    shown = np.asarray(dots.get_offsets())[:, 0]
    assert len(shown) == MOST_DOTS
    weights = answers.decision_weights[answers.complete, 0]
    for share in (0, 0.25, 0.5, 0.75, 1):
        assert np.quantile(shown, share) == pytest.approx(np.quantile(weights, share), abs=0.01)


def test_agreement_names_the_branch_that_says_something_else():
    says = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 2], [1, 0, 0]])
    branches = {name: np.eye(3)[says[:, i]] for i, name in enumerate(BRANCHES)}
    complete = np.array([True] * 5 + [False])
    answers = made_up_answers(posts=6)._replace(branches=branches, complete=complete)
    groups = agreement_groups(answers)
    assert {name: np.flatnonzero(group).tolist() for name, group in groups.items()} == {
        "all agree": [0], "text differs": [1], "image differs": [2], "fusion differs": [3],
        "all differ": [4],
    }  # fmt: skip


def test_groups_are_described_by_their_own_posts(answers):
    some = np.arange(60) >= 40
    none = np.zeros(60, dtype=bool)
    unlabelled = np.arange(60) < 3
    found = describe_groups(answers, {"some": some, "none": none, "unlabelled": unlabelled})
    right = answers.decided[40:] == answers.labels[40:]
    assert found["some"]["posts"] == 20
    assert found["some"]["accuracy"] == pytest.approx(right.mean())
    assert found["some"]["weights"] == pytest.approx(answers.decision_weights[40:].mean(axis=0))
    assert found["none"] == {"posts": 0, "accuracy": None, "weights": None}
    assert (found["unlabelled"]["posts"], found["unlabelled"]["accuracy"]) == (3, None)


def test_learning_shows_what_was_logged():
    training = [{"epoch": 0.5, "loss": 2.0, "loss_text": 0.7}, {"epoch": 1.0, "loss": 1.5}]
    validation = [{"epoch": 1.0, "loss": 1.8, "accuracy": 0.5, "macro_f1": 0.4, "weighted_f1": 0.3}]
    learning = {"training": training, "validation": validation, "kept_epoch": 1.0}
    drawn = {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for axes in draw_learning(learning).axes
        for line in axes.lines
    }
    assert drawn == {
        "training posts": ([0.5, 1.0], [2.0, 1.5]),
        "part: text branch": ([0.5], [0.7]),
        "validation posts": ([1.0], [1.8]),
        "accuracy": ([1.0], [50.0]),
        "macro F1": ([1.0], [40.0]),
        "weighted F1": ([1.0], [30.0]),
        "model kept": ([1.0, 1.0], [0, 1]),
    }
    empty = draw_learning({"training": [], "validation": [], "kept_epoch": 0.1})
    assert [axes.texts[0].get_text() for axes in empty.axes] == ["nothing was logged"] * 2


HOSTILE = ["$\\frac$ bad", "<b>good</b>", "x" * 300, *(f"emotion {i}" for i in range(4))]


@pytest.mark.parametrize("labels", [["bad", "good"], LABELS, HOSTILE], ids=["2", "3", "7"])
def test_any_labels_can_be_drawn_wide_enough_to_be_read(tmp_path, labels):
    answers = made_up_answers(labels=labels)
    write_figures(answers, finished_run(labels=labels), tmp_path)
    files = list((tmp_path / "report").iterdir())
    assert {file.name for file in files} == ALL
    for file in files:
        with Image.open(file) as image:
            assert image.width == 1024
            assert image.height < 1200


def test_a_model_without_branches_of_text_and_image_has_no_agreement(tmp_path, answers):
    write_figures(answers, finished_run(), tmp_path)
    fusion = {"fusion": answers.branches["fusion"]}
    write_figures(answers._replace(branches=fusion), finished_run(), tmp_path)
    assert {file.name for file in (tmp_path / "report").iterdir()} == ALL - {"agreement.png"}


@pytest.mark.filterwarnings("error")
def test_posts_without_a_pair_leave_an_empty_figure_that_says_so(answers):
    alone = answers._replace(complete=np.zeros(60, dtype=bool))
    axes = draw_weights(alone, label_groups(alone, LABELS), "label").axes[0]
    assert "no post has both" in axes.texts[0].get_text()
