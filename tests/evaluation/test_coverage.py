"""Sets of labels with stated coverage: fitted for real, kept in the configuration, answered."""

import csv
import json

import numpy as np
import pytest
from huggingface_hub.errors import StrictDataclassError
from in_process import score_here
from many_posts import read_answers
from scipy.special import softmax
from tiny_models import LABELS, tiny_config, tiny_model
from tiny_trainer import tiny_posts, trainer_of
from transformers import pipeline

from hybridsent import Predictor
from hybridsent.evaluation.calibration import (
    BranchAnswers,
    cross_fitted,
    fit_calibration,
    label_set_thresholds,
)
from hybridsent.evaluation.final_scores import fit_temperatures, score_posts, store_temperatures
from hybridsent.evaluation.robustness import STATED, label_sets
from hybridsent.training.arguments import HybridSentTrainingArguments
from hybridsent.training.run_posts import ScoredSet
from modeling_hybridsent.answers_hybridsent import label_set, least_scores

SIZES = {"train": 4, "validation": 90, "test": 40}


def overconfident_answers(seed, posts, labels=4):
    """Three branches that know something, and are far surer than they should be."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, labels, posts)
    logits = random.normal(size=(posts, 3, labels)) + 1.5 * np.eye(labels)[gold][:, None]
    weights = random.dirichlet([1, 1, 1], posts)
    return BranchAnswers(4 * logits, weights, dynamic=False), gold


def coverage_of(asked, seed, validation=6000, held_out=8000):
    answers, gold = overconfident_answers(seed, validation + held_out)
    first, rest = answers[:validation], answers[validation:]
    table = label_set_thresholds(cross_fitted(first, gold[:validation], seed), gold[:validation])
    config = tiny_config(label_set_thresholds={"both": table})
    least = least_scores(config, asked)[True, True]
    decided = softmax(fit_calibration(first, gold[:validation]).decide(rest), axis=1)
    sets = (label_set(dict(enumerate(row)), least)[0] for row in decided.tolist())
    return np.mean([label in found for label, found in zip(gold[validation:], sets, strict=True)])


@pytest.mark.parametrize("asked", [0.8, 0.9, 0.95])
def test_coverage_is_within_two_points_of_what_was_asked_over_five_seeds(asked):
    found = [coverage_of(asked, seed) for seed in range(5)]
    assert found == pytest.approx([asked] * 5, abs=0.02)
    assert np.mean(found) == pytest.approx(asked, abs=0.01)


def test_few_posts_are_covered_on_average_too():
    """Where the correction for a finite number of posts and their own temperatures matters."""
    found = [coverage_of(0.9, seed, validation=60, held_out=400) for seed in range(100, 200)]
    assert np.mean(found) == pytest.approx(55 / 61, abs=0.012)


def test_thresholds_by_hand():
    right = np.linspace(0.99, 0.01, 99)  # probabilities of the right label, a percent apart
    logits = np.log(np.stack([right, 1 - right], axis=1))
    table = label_set_thresholds(logits, np.zeros(99, dtype=int))
    assert table == pytest.approx(right, abs=2e-6)  # of 99 posts, rank (99 + 1) c decides
    assert len(label_set_thresholds(logits[:60], np.zeros(60, dtype=int))) == 98
    assert label_set_thresholds(logits[:59], np.zeros(59, dtype=int)) == []
    assert label_set_thresholds(None, np.zeros(99, dtype=int)) == []


def test_a_set_of_no_label_or_of_all_abstains():
    scores = {"a": 0.2, "b": 0.5, "c": 0.3}
    assert label_set(scores, 0.3) == (["b", "c"], False)
    assert label_set(scores, 0.6) == ([], True)
    assert label_set(scores, 0.2) == (["b", "c", "a"], True)


def test_a_kind_of_posts_without_thresholds_keeps_every_label_and_shares_are_rounded_up():
    config = tiny_config(label_set_thresholds={"both": [i / 100 for i in range(99, 0, -1)]})
    assert least_scores(config, 0.9) == {(True, True): 0.1, (True, False): 0, (False, True): 0}
    assert least_scores(config, 0.895)[True, True] == 0.1


@pytest.mark.parametrize(
    ("tables", "asked", "message"),
    [
        (None, 0.9, "this model has no label_set_thresholds. Train it again"),
        ({"both": [0.5] * 99, "text only": [0.4] * 95}, 0.96, r"\(text only\) allow at most 0.95"),
        ({"both": [0.5] * 99}, 1.0, "coverage=1.0: give a number between 0 and 1"),
        ({"both": [0.5] * 99}, "0.9", "coverage='0.9': give a number"),
        ({"both": [0.5] * 99}, True, "coverage=True: give a number"),
        ({"both": [0.5] * 99}, float("nan"), "coverage=nan: give a number"),
    ],
)
def test_what_cannot_be_stated_is_one_error(tables, asked, message):
    with pytest.raises(ValueError, match=message):
        least_scores(tiny_config(label_set_thresholds=tables), asked)


def test_other_problems_are_refused():
    config = tiny_config(label_set_thresholds={"both": [0.5] * 99})
    object.__setattr__(config, "problem_type", "regression")
    with pytest.raises(ValueError, match="give each post one label, not regression"):
        least_scores(config, 0.9)


@pytest.mark.parametrize(
    "table", [{"bothh": [0.5]}, {"both": [0.4, 0.5]}, {"both": [1.2]}, {"both": [0.5] * 100}]
)
def test_a_damaged_table_is_refused(table):
    with pytest.raises(StrictDataclassError, match=r"label_set_thresholds .* must hold"):
        tiny_config(label_set_thresholds=table)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A model whose training has ended, its folder of posts, and its scores on the test posts."""
    folder = tmp_path_factory.mktemp("fitted")
    posts = tiny_posts(folder / "posts", SIZES)
    arguments = HybridSentTrainingArguments(
        output_dir=str(folder), disable_tqdm=True, per_device_eval_batch_size=20, cpu_threads=1
    )
    trainer = trainer_of(tiny_model(initializer_range=0.5), arguments)
    store_temperatures(trainer.model.config, fit_temperatures(trainer, posts["validation"]))
    trainer.save_model(folder / "model")
    scored = score_posts(trainer, ScoredSet("test", "", posts["test"]))
    return folder, scored, label_sets(scored, trainer.model.config)


def test_pipeline_command_and_report_answer_alike(fitted, tmp_path):
    folder, scored, rows = fitted
    assert [row["coverage"] for row in rows] == [*STATED]
    result = score_here(
        "--model", folder / "model", "--input", folder / "posts" / "test.csv",
        "--output", tmp_path / "answers", "--coverage", 0.8,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    answers = read_answers(tmp_path / "answers")
    right = [
        LABELS[label] in x["label_set"] for x, label in zip(answers, scored.labels, strict=True)
    ]
    assert np.mean(right) == pytest.approx(rows[0]["covered"])
    assert np.mean([x["abstains"] for x in answers]) == pytest.approx(rows[0]["abstained"])
    assert np.mean([len(x["label_set"]) for x in answers]) == pytest.approx(rows[0]["labels"])
    assert len({len(x["label_set"]) for x in answers}) > 1
    assert json.loads((tmp_path / "answers/manifest.json").read_text())["coverage"] == 0.8

    place = {"model": str(folder / "model"), "trust_remote_code": True, "device": "cpu"}
    pipe = pipeline("image-text-sentiment", **place)
    posts = tiny_rows(folder / "posts")
    for answer, given in zip(pipe(posts, coverage=0.8, batch_size=7), answers, strict=True):
        assert (answer["label_set"], answer["abstains"]) == (given["label_set"], given["abstains"])
    best, *others = pipe(posts[0], coverage=0.8, top_k=None)
    assert best["label_set"] == answers[0]["label_set"]
    assert all("label_set" not in other for other in others)


def tiny_rows(folder):
    """The test posts as a user gives them to a pipeline."""
    with (folder / "test.csv").open(encoding="utf-8") as file:
        return [
            {"text": row["text"], "image": row["image"] and str(folder / row["image"])}
            for row in csv.DictReader(file)
        ]


def test_what_the_model_cannot_state_ends_before_any_answer(fitted, tmp_path):
    folder, *_ = fitted
    given = ("--model", folder / "model", "--input", folder / "posts" / "test.csv")
    result = score_here(*given, "--output", tmp_path / "answers", "--coverage", 0.999)
    assert result.returncode == 1
    assert "allow at most 0.98" in result.stderr
    assert not (tmp_path / "answers").exists()
    result = score_here(*given, "--output", tmp_path / "answers", "--coverage", 90)
    assert "--coverage 90.0: give a number between 0 and 1" in result.stderr
    with pytest.raises(ValueError, match="allow at most"):
        Predictor(str(folder / "model"), coverage=0.999).load()
    batch = {"text": ["a good day", ""], "image": [None, None]}
    answers = Predictor(str(folder / "model"), coverage=0.8)(batch)
    assert (answers["label_set"][1], answers["abstains"][1]) == (None, None)
    assert answers["label"][0] in answers["label_set"][0]
