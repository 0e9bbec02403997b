"""Scores, intervals and tests equal those by hand, and do not find differences that are not there."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test
from sklearn.metrics import f1_score

from benchmarks.accuracy.methods.listing import OURS
from benchmarks.accuracy.protocol.layout import Layout, Run
from benchmarks.accuracy.records import HELD_OUT, VALIDATION, answers_table
from benchmarks.accuracy.statistics.comparison import compare, scores_with_intervals
from benchmarks.accuracy.statistics.inference import (
    draw_groups,
    fold_interval,
    holm,
    permutation_p,
)
from benchmarks.accuracy.statistics.method_scores import difference_table, method_table
from benchmarks.accuracy.statistics.rule_scores import rule_log_probabilities, weight_table
from benchmarks.accuracy.statistics.sums import scores_of, sums_of_posts
from hybridsent.evaluation.metrics import expected_calibration_error

NAMES = ["negative", "neutral", "positive"]
LOGITS = np.array([[[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]]])


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def layout(labels, runs):
    """The posts that `run_of` makes, each a group of its own."""
    ids = [[f"{HELD_OUT}-{run}-{i}" for i in range(len(labels))] for run in range(runs)]
    every = [post for part in ids for post in part]
    learned_from = 2 * len(labels)
    return Layout(
        NAMES,
        dict(zip(every, [*labels] * runs, strict=True)),
        {post: i for i, post in enumerate(every)},
        {run: Run(learned_from, part) for run, part in enumerate(ids)},
    )


def run_of(method, run, probabilities, labels, **more):
    probabilities = np.array(probabilities)
    parts = [
        answers_table(
            [f"{part}-{run}-{i}" for i in range(len(labels))],
            np.array(labels),
            {"p": probabilities, **more},
            NAMES,
            part=part,
            method=method,
            run=run,
        )
        for part in (VALIDATION, HELD_OUT)
    ]
    figures = {"method": method, "run": run, "seconds": 2.0 + run, "trainable_parameters": 9}
    return figures, pd.concat(parts, ignore_index=True)


def test_table_numbers_equal_those_by_hand():
    labels = [0, 1, 2, 2]
    good = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.1, 0.6, 0.3]]  # 3 of 4
    poor = [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.6, 0.1, 0.3], [0.6, 0.1, 0.3]]  # 1 of 4
    alone = np.array([[0.8, 0.1, 0.1], [np.nan] * 3, [0.1, 0.1, 0.8], [0.6, 0.1, 0.3]])
    runs = [
        run_of(OURS, 0, good, labels, text_only_p=alone),
        run_of(OURS, 1, poor, labels, text_only_p=alone),
        run_of("qmf", 0, poor, labels),
        run_of("qmf", 1, poor, labels),
    ]
    table = method_table(runs, layout(labels, 2)).set_index("method")
    ours = table.loc[OURS]
    assert ours["accuracy"] == pytest.approx(0.5)
    assert ours["accuracy_std"] == pytest.approx(math.sqrt(0.125))
    nll = [-np.log([0.8, 0.7, 0.8, 0.3]).mean(), -np.log([0.8, 0.3, 0.3, 0.3]).mean()]
    assert ours["nll"] == pytest.approx(np.mean(nll), abs=1e-6)
    macro_f1 = [(1 + 2 / 3 + 2 / 3) / 3, (2 / 5) / 3]
    assert ours["macro_f1"] == pytest.approx(np.mean(macro_f1))
    weighted_f1 = [(1 + 2 / 3 + 2 * 2 / 3) / 4, (2 / 5) / 4]
    assert ours["weighted_f1"] == pytest.approx(np.mean(weighted_f1))
    # Confidence 0.8 (twice, right), 0.7 (right), 0.6 (wrong); 0.8 (right), 0.6 (thrice, wrong).
    ece = [(0.4 + 0.3 + 0.6) / 4, (0.2 + 1.8) / 4]
    assert ours["ece"] == pytest.approx(np.mean(ece), abs=1e-6)
    # Confidence 0.8 (thrice, right), 0.7 (right), 0.6 (four times, wrong), of both runs together.
    assert ours["ece_pooled"] == pytest.approx((3 * 0.2 + 0.3 + 4 * 0.6) / 8)
    assert 0 < ours["ece_by_chance"] < 0.5
    assert ours["text_only"] == pytest.approx(2 / 3)
    assert math.isnan(ours["image_only"])
    assert table.loc["qmf", "accuracy"] == pytest.approx(0.25)


def test_differences_are_those_of_the_runs_that_both_have():
    labels = [0, 1, 2, 2]
    good, poor = (np.eye(3)[said] for said in (labels, [1, 1, 1, 1]))  # 4 and 1 of 4
    runs = [
        run_of(OURS, 0, good, labels),
        run_of(OURS, 1, poor, labels),  # says nothing of the other, which has no such run
        run_of("qmf", 0, poor, labels),
        run_of("pdf", 7, poor, labels),
    ]
    table = difference_table(
        runs, layout(labels, 8), [("qmf", OURS), ("pdf", OURS), ("mvan", OURS)]
    )
    (row,) = table.to_dict("records")
    assert (row["method"], row["less"], row["common_runs"]) == ("qmf", OURS, 1)
    assert row["accuracy_difference"] == pytest.approx(-0.75)
    assert row["macro_f1_difference"] == pytest.approx((2 / 5) / 3 - 1)
    assert row["nll_difference"] == pytest.approx(0.75 * -math.log(1e-12), rel=1e-6)
    assert row["accuracy_holm"] >= row["accuracy_p"]


def test_rules_are_read_off_the_kept_branches():
    logits = np.repeat(LOGITS, 4, axis=0) + np.arange(4)[:, None, None] * np.eye(3)
    more = {f"{name}_logit": logits[:, i] for i, name in enumerate(("text", "image", "fusion"))}
    more["weight"] = np.array([[0.2, 0.3, 0.5]] * 3 + [[1.0, 0.0, 0.0]])
    _, answers = run_of(OURS, 0, np.full((4, 3), 1 / 3), [0, 1, 2, 2], **more)
    chosen, scored = (answers[answers["part"] == part] for part in (VALIDATION, HELD_OUT))
    rules = rule_log_probabilities(chosen, scored, NAMES)
    shares = softmax(logits)
    dynamic = np.exp(rules["dynamic weights of hybridsent"][1])
    np.testing.assert_allclose(dynamic[:3], np.einsum("b,pbl->pl", [0.2, 0.3, 0.5], shares[:3]))
    np.testing.assert_allclose(np.exp(rules["uniform"][1])[0], shares[0].mean(axis=0))
    pooled = np.log(shares[0]).mean(axis=0)
    np.testing.assert_allclose(rules["mean of log-probabilities"][1][0], pooled)
    fusion = np.exp(rules["fusion branch alone"][1])
    np.testing.assert_allclose(fusion[:3], shares[:3, 2])
    for name, (_, found) in rules.items():  # the last post has its text alone
        assert found[3].argmax() == shares[3, 0].argmax(), name
    np.testing.assert_allclose(fusion[3], shares[3, 0])
    figures = {"method": OURS, "run": 0, "seconds": 1.0, "trainable_parameters": 9}
    table = weight_table([(figures, answers)], layout([0, 1, 2, 2], 1)).set_index("rule")
    row, ours = table.loc["uniform"], table.loc["dynamic weights of hybridsent"]
    assert np.isnan(ours["nll_difference"])
    for name in ("nll", "macro_f1", "accuracy"):
        gap = row[name] - ours[name]
        assert row[f"{name}_difference"] == pytest.approx(gap, abs=1e-6)
    assert row["nll_low"] < row["nll_difference"] < row["nll_high"]


def random_answers(seed, posts=200):
    generator = np.random.default_rng(seed)
    probabilities = softmax(generator.normal(size=(posts, 3)))
    return probabilities, generator.integers(0, 3, posts)


def test_sums_give_the_scores_of_the_libraries():
    probabilities, labels = random_answers(0)
    found = scores_of(sums_of_posts(probabilities, labels).sum(axis=0))
    said = probabilities.argmax(axis=1)
    expected = [
        (said == labels).mean(),
        f1_score(labels, said, average="macro"),
        -np.log(probabilities[np.arange(200), labels]).mean(),
        expected_calibration_error(probabilities, labels),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_draws_are_as_wide_as_statistics_has_it():
    right = np.eye(2)[[0, 1] * 100]  # half of 200 posts of the first label are right
    sums = sums_of_posts(right, np.zeros(200, dtype=int))[:, None]
    drawn = draw_groups(sums, seed=1, draws=2000)[:, 0, 0]
    # Of a share p the mean's standard deviation is sqrt(p (1 - p) / posts).
    assert drawn.std() == pytest.approx(math.sqrt(0.25 / 200), rel=0.05)
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    # Posts that come in pairs of copies count half.
    pairs = np.concatenate([sums[:100], sums[:100]]).reshape(2, 100, 1, -1).sum(axis=0)
    by_pairs = draw_groups(pairs, seed=1, draws=2000)[:, 0, 0]
    assert by_pairs.std() == pytest.approx(math.sqrt(0.25 / 100), rel=0.05)


def test_permutation_p_is_the_share_of_swaps_with_as_large_a_difference():
    """Five groups of which one method has all right: 2 of 32 swaps are as large."""
    labels = np.zeros(5, dtype=int)
    right, wrong = (sums_of_posts(np.eye(2)[[said] * 5], labels) for said in (0, 1))
    assert permutation_p(right, wrong)[0] == pytest.approx(2 / 32, abs=0.01)
    assert permutation_p(right, right).tolist() == [1, 1, 1, 1]
    both = np.concatenate([right, wrong]), np.concatenate([wrong, wrong])  # ties say nothing
    assert permutation_p(*both)[0] == pytest.approx(2 / 32, abs=0.01)


def test_permutation_p_agrees_with_scipy_over_groups_of_several_posts():
    groups = np.repeat(np.arange(8), [1, 3, 1, 2, 1, 1, 2, 1])
    labels = np.arange(12) % 3
    generator = np.random.default_rng(4)
    posts = [sums_of_posts(softmax(generator.normal(size=(12, 3))), labels) for _ in range(2)]
    one, other = (np.stack([x[groups == g].sum(axis=0) for g in range(8)]) for x in posts)
    for column, score in ((9, 2), (slice(0, 3), 0)):  # likelihoods, right answers
        sums = [x[:, column].reshape(8, -1).sum(axis=1) for x in (one, other)]
        expected = permutation_test(
            sums, lambda a, b: (a - b).sum() / 12, permutation_type="samples", n_resamples=1000
        ).pvalue
        assert permutation_p(one, other)[score] == pytest.approx(expected, abs=0.015)


def test_permutation_p_of_macro_f1_counts_all_swaps():
    one, other = np.array([0, 1, 2, 2]), np.array([0, 0, 1, 2])
    labels = np.array([0, 1, 2, 2])
    gaps = []
    for swaps in product([False, True], repeat=4):
        swapped = [np.where(swaps, b, a) for a, b in ((one, other), (other, one))]
        first, second = (f1_score(labels, x, average="macro") for x in swapped)
        gaps.append(abs(first - second))
    expected = np.mean(np.array(gaps) >= gaps[0] - 1e-12)
    sums = [sums_of_posts(np.eye(3)[x], labels) for x in (one, other)]
    assert permutation_p(*sums)[1] == pytest.approx(expected, abs=0.015)


def test_equally_good_methods_are_told_apart_about_as_often_as_the_level_says():
    """Runs of one method agree with themselves, which must not count as evidence."""
    generator, rejected = np.random.default_rng(0), 0
    labels = np.zeros(120, dtype=int)
    hard = generator.random(120)
    for trial in range(200):
        both = [
            sum(
                sums_of_posts(np.eye(2)[(generator.random(120) < taste).astype(int)], labels)
                for _ in range(2)
            )
            for taste in np.clip(hard + generator.normal(0, 0.2, (2, 120)), 0, 1)
        ]
        grouped = [x.reshape(60, 2, -1).sum(axis=1) for x in both]
        rejected += permutation_p(*grouped, seed=trial, swaps=199)[0] <= 0.05
    assert 2 <= rejected <= 20


def test_the_fold_corrected_interval_equals_the_formula():
    found = fold_interval(np.array([1.0, 2.0, 3.0]), ratio=0.5)
    half = 4.302652729696142 * math.sqrt(1 / 3 + 1 / 2)  # Student's t with 2 degrees; variance 1
    assert found == pytest.approx((2, 2 - half, 2 + half))
    alone = fold_interval(np.array([0.25]), ratio=0.1)
    assert alone.mean == 0.25
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)


def test_holm_multiplies_by_the_number_of_tests_that_are_left():
    found = holm(np.array([0.01, 0.04, np.nan, 0.03, 0.5]))
    np.testing.assert_allclose(found, [0.04, 0.09, np.nan, 0.09, 0.5])
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]


def posts_table(said, labels, runs):
    """Answers of one method to posts of several runs."""
    size = len(labels) // runs
    tables = [
        answers_table(
            [f"{HELD_OUT}-{run}-{i}" for i in range(size)],
            np.array(labels[run * size : (run + 1) * size]),
            {"p": np.eye(3)[said[run * size : (run + 1) * size]]},
            NAMES,
            run=run,
        )
        for run in range(runs)
    ]
    return pd.concat(tables, ignore_index=True)


def test_intervals_of_one_method_and_of_a_pair():
    labels = [0, 1, 2, 2] * 6
    mostly = [0, 1, 2, 2] * 5 + [1, 2, 0, 0]
    less = [0, 1, 2, 1] * 3 + [1, 1, 1, 1] * 3
    posts = layout([0, 1, 2, 2] * 2, 3)
    one, other = (posts_table(said, labels, 3) for said in (mostly, less))
    found = scores_with_intervals(one, posts)["accuracy"]
    assert found["groups"].mean == pytest.approx(20 / 24)
    assert found["groups"].low < 20 / 24 < found["groups"].high
    assert found["folds"] == fold_interval(np.array([1.0, 1.0, 0.5]), 0.5)
    row = compare(one, other, posts)
    assert row["accuracy_difference"] == pytest.approx((20 - 12) / 24)
    assert row["accuracy_low"] < 8 / 24 < row["accuracy_high"]
    by_run = np.array([1 - 6 / 8, 1 - 4 / 8, 0.5 - 2 / 8])
    folds = fold_interval(by_run, 0.5)
    assert (row["accuracy_fold_low"], row["accuracy_fold_high"]) == pytest.approx(folds[1:])
    assert 0 < row["accuracy_p"] < 0.1
    same = compare(one, one, posts)
    assert same["accuracy_difference"] == same["nll_low"] == same["macro_f1_high"] == 0
    assert same["accuracy_p"] == 1


def test_copies_widen_the_interval():
    labels, said = [0, 1, 2, 2] * 6, [0, 1, 2, 1] * 3 + [1, 1, 1, 1] * 3
    posts, table = layout([0, 1, 2, 2] * 2, 3), posts_table(said, labels, 3)
    together = posts._replace(groups={post: i // 4 for post, i in posts.groups.items()})
    widths = []
    for each in (posts, together):
        interval = scores_with_intervals(table, each)["nll"]["groups"]
        widths.append(interval.high - interval.low)
    assert widths[1] != widths[0]
