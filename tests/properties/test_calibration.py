"""Whatever the logits: a fitted temperature is no worse than none, and moves no label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from hybridsent.evaluation.calibration import (
    BOUNDS,
    BranchAnswers,
    cross_fitted,
    error_by_chance,
    fit_temperature,
)


@st.composite
def logits_and_labels(draw, smallest=2):
    """Logits (posts, labels) that say something about the labels (posts,)."""
    count, names = draw(st.integers(smallest, 60)), draw(st.integers(2, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    labels = random.integers(0, names, count)
    logits = random.normal(size=(count, names)) + draw(st.floats(0, 2)) * np.eye(names)[labels]
    return draw(st.sampled_from([0.2, 1.0, 4.0])) * logits, labels


def likelihood(logits, labels, temperature):
    return log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean()


@given(logits_and_labels(), st.floats(*BOUNDS))
def test_no_other_temperature_is_better(given_posts, other):
    logits, labels = given_posts
    fitted = fit_temperature(logits, labels)
    assert BOUNDS[0] <= fitted <= BOUNDS[1]
    assert likelihood(logits, labels, fitted) >= likelihood(logits, labels, other) - 1e-4


@given(logits_and_labels(), st.integers(0, 9), st.randoms(use_true_random=False))
def test_order_and_posts_without_label_do_not_matter(given_posts, extra, random):
    logits, labels = given_posts
    more = np.concatenate([logits, np.full((extra, logits.shape[1]), 7.0)])
    marked = np.concatenate([labels, np.full(extra, -100)])
    order = list(range(len(marked)))
    random.shuffle(order)
    fitted = fit_temperature(logits, labels)
    assert fit_temperature(more[order], marked[order]) == pytest.approx(fitted, rel=1e-3)


@given(logits_and_labels(), st.sampled_from([0.5, 2.0]))
def test_logits_times_a_number_need_the_temperature_times_that_number(given_posts, factor):
    logits, labels = given_posts
    fitted, other = fit_temperature(logits, labels), fit_temperature(factor * logits, labels)
    if 4 * BOUNDS[0] < fitted < BOUNDS[1] / 4:
        # By what it is worth: posts that are all right leave the likelihood flat.
        expected = likelihood(factor * logits, labels, factor * fitted)
        assert likelihood(factor * logits, labels, other) == pytest.approx(expected, abs=1e-6)


@given(logits_and_labels(smallest=10), st.integers(0, 9))
def test_cross_fitting_keeps_place_and_label_of_each_post(given_posts, seed):
    logits, labels = log_softmax(given_posts[0], axis=1), given_posts[1]
    answers = BranchAnswers(logits[:, None], np.ones((len(labels), 1)), dynamic=False)
    scaled = cross_fitted(answers, labels, seed)
    if scaled is None:
        assert max(np.bincount(labels)) < 2
        return
    factors = logits / scaled
    assert np.allclose(factors, factors[:, :1])
    assert ((BOUNDS[0] <= factors) & (factors <= BOUNDS[1])).all()


@given(logits_and_labels(), st.integers(0, 9))
def test_the_error_by_chance_is_a_share_and_the_same_again(given_posts, seed):
    logits, _ = given_posts
    error = error_by_chance(logits, seed)
    assert 0 <= error <= 1
    assert error_by_chance(logits, seed) == error
