"""Mean and spread over seeds, worked out by hand."""

import copy

import pytest

from hybridsent.evaluation.report import table_over_seeds

ROW = {"input": "both", "decided_by": "decision", "accuracy": 0.7, "macro_f1": 0.6}
RUN = {
    "seed": 0,
    "dataset": {"name": "posts", "protocol": "as given", "counts": {"fingerprint": "ab"}},
    "scored_split": "test",
    "scores": [{**ROW, "weighted_f1": 0.65, "ece": 0.05}],
}


@pytest.fixture
def runs():
    other = copy.deepcopy(RUN)
    other["seed"] = 1
    other["scores"][0]["accuracy"] = 0.8
    return [copy.deepcopy(RUN), other]


def test_mean_and_standard_deviation(runs):
    last = table_over_seeds(runs).splitlines()[-1]
    # sample deviation of 70 and 80: sqrt(2 * 5**2 / 1)
    assert last == "| both | decision | 75.0 ± 7.1 | 60.0 ± 0.0 | 65.0 ± 0.0 | 5.0 ± 0.0 |"


OTHER_POSTS = {**RUN["dataset"], "counts": {"fingerprint": "cd"}}


@pytest.mark.parametrize(
    "change", [{"seed": 0}, {"scored_split": "validation"}, {"dataset": OTHER_POSTS}]
)
def test_runs_that_cannot_be_compared_are_refused(runs, change):
    runs[1] |= change
    with pytest.raises(ValueError, match="same posts with different seeds"):
        table_over_seeds(runs)
