"""Calibration and final scores on posts of every kind: few, one-sided, incomplete, without labels."""

import numpy as np
import pytest
from tiny_models import tiny_model
from tiny_trainer import tiny_posts, trainer_of

from hybridsent.evaluation.final_scores import (
    TEMPERATURES,
    fit_temperatures,
    score_posts,
    store_temperatures,
)
from hybridsent.evaluation.report import describe_calibration, learning_curves
from hybridsent.training.arguments import HybridSentTrainingArguments
from hybridsent.training.run_posts import ScoredSet

SIZES = {"train": 4, "validation": 40, "test": 6}
FUSION_ONLY = {"use_unimodal_branches": False, "decision_fusion": "fusion_only"}


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    return tiny_posts(tmp_path_factory.mktemp("posts") / "posts", SIZES)


def trainer(folder, **settings):
    arguments = HybridSentTrainingArguments(
        output_dir=str(folder), disable_tqdm=True, per_device_eval_batch_size=20, cpu_threads=1
    )
    return trainer_of(tiny_model(**settings), arguments)


def calibrate(trainer, posts):
    found = fit_temperatures(trainer, posts)
    store_temperatures(trainer.model.config, found)
    return found


def without(posts, column):
    """The posts that have the other modality, with this column empty."""
    other = {"text": "image", "image": "text"}[column]
    kept = posts.filter(lambda row: row[other] is not None)
    return kept.map(lambda row: {column: None}, features=posts.features)


def test_calibration_is_stored_and_says_how_it_did(posts, tmp_path):
    fitted = trainer(tmp_path, initializer_range=0.5)  # so that it is too sure of itself
    found = fit_temperatures(fitted, posts["validation"])
    config = fitted.model.config
    assert config.decision_weight_temperature == config.temperature == 1  # it only computes
    store_temperatures(config, found)
    assert config.decision_weight_temperature == found["weight_temperature"] != 1
    _, _, *lines, last = describe_calibration(found).splitlines()
    assert last.endswith(f"decision weights: {config.decision_weight_temperature:.3f}")
    for line, (given, row) in zip(lines, found["inputs"].items(), strict=True):
        assert getattr(config, TEMPERATURES[given]) == row["temperature"] != 1
        assert row["folds"] in (9, 10)
        assert row["nll_after"] < row["nll_cross_fitted"]
        assert row["nll_after"] < row["nll_before"]
        assert line.startswith(f"  {given}: {100 * row['ece_before']:.1f} before, ")
        assert line.endswith(f"(temperature {row['temperature']:.3f})")
        assert f" {100 * row['ece_cross_fitted']:.1f} cross-fitted, " in line
        assert f" {100 * row['ece_by_chance']:.1f} by chance" in line
    assert len({row["temperature"] for row in found["inputs"].values()}) == 3


def test_the_model_decides_as_was_calibrated(posts, tmp_path):
    """Of complete posts and of each modality alone, scored by the model with its new configuration."""
    fitted = trainer(tmp_path, initializer_range=0.5)
    complete = posts["validation"].filter(lambda row: None not in (row["text"], row["image"]))
    found = calibrate(fitted, complete)["inputs"]
    scored = score_posts(fitted, ScoredSet("validation", "", complete))
    rows = {row["input"]: row for row in scored.rows if row["decided_by"] == "decision"}
    assert rows.keys() == found.keys()
    for given, row in rows.items():
        assert row["ece"] == pytest.approx(found[given]["ece_after"], abs=1e-5)
        assert row["nll"] == pytest.approx(found[given]["nll_after"], abs=1e-5)
    before = fitted.scores(scored.uncalibrated, scored.labels)
    assert before["nll"] == pytest.approx(found["both"]["nll_before"], abs=1e-5)


def test_answers_to_one_modality_stand_at_the_posts_that_have_it(posts, tmp_path):
    given = posts["validation"]
    fitted = trainer(tmp_path, initializer_range=0.5)
    scored = score_posts(fitted, ScoredSet("validation", "", given))
    assert scored.ids == given["id"][:]
    for name, row in zip(("text", "image"), scored.rows, strict=False):
        has = np.array([value is not None for value in given[name]])
        assert np.array_equal(np.isnan(scored.alone[name]).any(axis=1), ~has)
        assert fitted.scores(scored.alone[name][has], scored.labels[has])["nll"] == row["nll"]
        # A post that has nothing else is decided by it alone in any case.
        only = has & ~scored.complete
        assert only.any()
        np.testing.assert_allclose(scored.alone[name][only], scored.logits[only], atol=1e-5)
        expected = [-100 if label is None else label for label in given[f"{name}_label"]]
        assert scored.own_labels[name].tolist() == expected


def test_one_label_in_validation_still_calibrates(posts, tmp_path):
    same = posts["validation"].filter(lambda row: row["label"] == 0)
    found = calibrate(trainer(tmp_path), same)
    assert found["inputs"]["text only"]["folds"] == 10
    fitted = trainer(tmp_path, initializer_range=0.5)
    few = calibrate(fitted, same.select(range(3)))
    temperatures = [getattr(fitted.model.config, name) for name in TEMPERATURES.values()]
    assert {*temperatures, few["weight_temperature"]} == {1}
    (line,) = describe_calibration(few).splitlines()
    assert line.startswith(
        "Not calibrated, for fewer than 30 validation posts have a label: both 3"
    )
    for row in few["inputs"].values():
        assert row["nll_before"] == row["nll_after"]
        assert (row["folds"], row["ece_cross_fitted"], row["nll_cross_fitted"]) == (None,) * 3


def test_without_a_complete_post_only_the_modality_at_hand_is_calibrated(posts, tmp_path):
    fitted = trainer(tmp_path, initializer_range=0.5)
    found = calibrate(fitted, without(posts["validation"], "image"))
    assert list(found["inputs"]) == ["text only"]
    config = fitted.model.config
    assert config.text_only_temperature == found["inputs"]["text only"]["temperature"] != 1
    assert (config.temperature, config.image_only_temperature) == (1, 1)
    assert config.decision_weight_temperature == found["weight_temperature"] == 1


@pytest.mark.parametrize("column", ["text", "image"])
def test_posts_that_all_lack_a_modality_are_scored_by_what_they_have(posts, tmp_path, column):
    other = {"text": "image", "image": "text"}[column]
    scored = score_posts(trainer(tmp_path), ScoredSet("test", "", without(posts["test"], column)))
    assert [(row["input"], row["decided_by"]) for row in scored.rows] == [
        (f"{other} only", "decision"), ("both", f"{other} branch"), ("both", "decision"),
    ]  # fmt: skip
    assert not scored.complete.any()


def test_branches_that_are_off_are_left_out(posts, tmp_path):
    scored = score_posts(trainer(tmp_path, **FUSION_ONLY), ScoredSet("test", "", posts["test"]))
    assert list(scored.branches) == ["fusion"]
    assert [row["decided_by"] for row in scored.rows] == [
        "decision", "decision", "fusion branch", "decision",
    ]  # fmt: skip


def test_learning_curves_are_taken_from_the_log_of_the_trainer(tmp_path):
    state = trainer(tmp_path).state
    scores = {"eval_loss": 0.5, "eval_macro_f1": 0.6, "eval_runtime": 1.0, "eval_f1_step": 0.2}
    state.log_history = [
        {"epoch": 0.5, "loss": 2.0, "loss_text": 0.5, "grad_norm": 1.0, "step": 5},
        {"epoch": 1.0, **scores, "eval_steps_per_second": 3.0, "step": 10},
        {"epoch": 2.0, **scores, "step": 20},
        {"epoch": 2.0, "train_loss": 1.0, "train_runtime": 9.0, "step": 20},
    ]
    state.best_global_step, state.epoch = 10, 2.0
    found = learning_curves(state, kept_best=True)
    assert found["training"] == [{"epoch": 0.5, "loss": 2.0, "loss_text": 0.5}]
    named = {"loss": 0.5, "macro_f1": 0.6, "f1_step": 0.2}
    assert found["validation"] == [{"epoch": 1.0, **named}, {"epoch": 2.0, **named}]
    assert found["kept_epoch"] == 1.0
    assert learning_curves(state, kept_best=False)["kept_epoch"] == 2.0
