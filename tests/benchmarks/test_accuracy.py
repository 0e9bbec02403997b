"""The comparison of methods, by its public command: every method trains, answers and is judged."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_runs import write_recipe

from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.methods.listing import METHODS, OURS, methods_named
from benchmarks.accuracy.records import HELD_OUT, VALIDATION, Results
from benchmarks.accuracy.runs import trial_rates
from benchmarks.accuracy.tables import write_tables
from hybridsent.regression.answers import NGRAM_SHARES, STRENGTHS

NAMES = ["negative", "neutral", "positive"]
COLUMNS = [f"p_{name}" for name in NAMES]
# One of each kind; the others differ in settings that tests of the networks cover.
RUN = [
    *("majority", "plain_logistic_regression", "logistic_regression"),
    *("text_only", "image_only", "concatenation", "late_fusion", "qmf", "pdf"),
    *("mmbt", "clmlf", "mvan", "concatenation_own_labels"),
    *(OURS, "without_local", "without_unimodal", "without_own_labels"),
    *("joint_labels_fusion_only", "without_soft_labels"),
]


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The words of a command on tiny encoders, and its folder of results."""
    folder = tmp_path_factory.mktemp("accuracy")
    recipe = write_recipe(
        folder,
        sizes={"train": 20, "validation": 10, "test": 10},
        num_train_epochs=1,
        per_device_train_batch_size=8,
        cache_features=True,
        cache_folder=str(folder / "states"),
        cpu_threads=1,
        text_encoder_lora_rank=2,
        soft_label_weight=0.3,
    )
    return [str(recipe), "--folds", "2", "--results", str(folder / "out")], folder / "out"


@pytest.fixture(scope="module")
def results(command):
    """One fold of every kind of method."""
    words, folder = command
    threads = torch.get_num_threads()
    main(["run", *words, "--runs", "0", "--methods", *RUN])
    torch.set_num_threads(threads)
    return Results(folder)


@pytest.fixture(scope="module")
def finished(results):
    return {figures["method"]: (figures, answers) for figures, answers in results.finished()}


def values(answers, prefix):
    return answers[[f"{prefix}_{name}" for name in NAMES]].to_numpy()


def test_every_method_answers_for_every_post(finished):
    assert set(finished) == set(RUN)
    posts = [set(answers[answers["part"] == HELD_OUT]["id"]) for _, answers in finished.values()]
    assert all(found == posts[0] for found in posts)
    for name, (figures, answers) in finished.items():
        assert figures["protocol"] == 2
        probabilities = values(answers, "p")
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5, err_msg=name)
        assert set(answers["part"]) == {HELD_OUT, VALIDATION}
        assert not set(answers[answers["part"] == HELD_OUT]["id"]) & set(
            answers[answers["part"] == VALIDATION]["id"]
        )


def test_all_methods_share_the_stored_states_of_the_frozen_encoder(command, finished):
    # Last stage alone, with another stage (MVAN), and with statistics of several (ours).
    assert len(list((command[1].parent / "states").glob("image-*"))) == 3


def test_methods_answer_from_the_modality_alone_that_they_read(finished):
    for name, (_, answers) in finished.items():
        for modality in ("text", "image"):
            has = f"{modality}_only_p_neutral" in answers
            assert has == (modality in METHODS[name].reads or not METHODS[name].reads), name
            if has:
                answers = answers[answers["part"] == HELD_OUT]
                alone = values(answers, f"{modality}_only_p")
                said = ~np.isnan(alone).any(axis=1)
                assert said.sum() > len(answers) / 2
                np.testing.assert_allclose(alone[said].sum(axis=1), 1, atol=1e-5, err_msg=name)


def test_a_method_of_one_modality_says_the_same_without_the_other(finished):
    for name, modality in (("text_only", "text"), ("image_only", "image")):
        answers = finished[name][1]
        alone = values(answers, f"{modality}_only_p")
        said = ~np.isnan(alone).any(axis=1)
        np.testing.assert_allclose(alone[said], values(answers, "p")[said], atol=1e-4)


def test_both_modalities_together_say_something_else_than_one(finished):
    for name in set(RUN) - {"majority", "text_only", "image_only", "sentence_transformers"}:
        figures, answers = finished[name]
        both, text = (
            figures["temperature"] * np.log(values(answers, kind)) for kind in ("p", "text_only_p")
        )
        assert np.nanmax(np.abs(text - both)) > 1e-4, name


def test_our_runs_keep_branches_and_weights(finished):
    figures, answers = finished[OURS]
    assert figures["weight_temperature"] > 0
    weights = answers[["weight_text", "weight_image", "weight_fusion"]].to_numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    mixed = sum(
        weights[:, [i]] * softmax(values(answers, f"{name}_logit"))
        for i, name in enumerate(("text", "image", "fusion"))
    )
    sharpened = mixed ** (1 / figures["temperature"])
    sharpened /= sharpened.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sharpened, values(answers, "p"), atol=1e-3)


def test_ablations_and_rivals_have_networks_of_their_own(finished):
    parameters = {name: figures["trainable_parameters"] for name, (figures, _) in finished.items()}
    assert parameters["majority"] == 0
    for name in ("without_local", "without_unimodal"):
        assert parameters[name] < parameters[OURS], name
    assert parameters["concatenation"] < parameters["concatenation_own_labels"]
    assert parameters["image_only"] < parameters["text_only"] < parameters["concatenation"]
    assert all(
        figures["seconds"] > 0 for name, (figures, _) in finished.items() if parameters[name]
    )


def test_regressions_choose_in_inner_folds_and_learn_from_the_whole_training_part(finished):
    figures, answers = finished["logistic_regression"]
    assert figures["strength"] in STRENGTHS
    assert figures["ngram_share"] in NGRAM_SHARES
    chosen = answers[answers["part"] == VALIDATION]
    network = finished["concatenation"][1]
    assert len(chosen) == 40 - len(answers[answers["part"] == HELD_OUT])
    assert len(chosen) > 2 * len(network[network["part"] == VALIDATION])


def test_tables_of_the_runs(results):
    text = (results.folder / "accuracy.md").read_text()
    assert text == write_tables(results)
    for name in RUN:
        assert f"| {METHODS[name].title} | 1 |" in text
    assert "| QMF's weights | 1 |" in text
    table = pd.read_parquet(results.folder / "accuracy.parquet").set_index("method")
    less = pd.read_parquet(results.folder / "less_ours.parquet").set_index("method")
    assert set(less.index) == set(RUN) - {OURS}
    row = less.loc["majority"]
    assert row["accuracy_low"] <= row["accuracy_difference"] <= row["accuracy_high"]
    gap = table.loc["majority", "accuracy"] - table.loc[OURS, "accuracy"]
    assert row["accuracy_difference"] == pytest.approx(gap)
    assert math.isnan(row["accuracy_fold_low"])  # of a single run
    controls = pd.read_parquet(results.folder / "less_control.parquet").set_index("method")
    assert controls.loc["without_unimodal", "less"] == "joint_labels_fusion_only"
    assert controls.loc["mmbt", "less"] == "without_own_labels"
    assert len(pd.read_parquet(results.folder / "decision_weights.parquet")) == 7


def test_all_answers_are_in_one_file_that_score_judges(command, results, capsys):
    folder = command[1]
    answers = pd.read_parquet(folder / "answers.parquet")
    assert list(answers) == ["protocol", "method", "run", "id", "label", *COLUMNS]
    assert set(answers["protocol"]) == {2}
    assert set(answers["method"]) == set(RUN)
    assert not answers.duplicated(["method", "run", "id"]).any()
    main([
        "score", str(folder / "answers.parquet"), "--folds_file", str(folder / "folds.json"),
        "--runs", "0",
    ])  # fmt: skip
    printed = capsys.readouterr().out
    assert printed.count("| majority | 1 |") == 2
    assert printed.count(f"| {OURS} | 1 |") == 1


def test_records_of_another_protocol_are_refused(command, results, tmp_path):
    words, folder = command
    copied = shutil.copytree(folder, tmp_path / "copy")
    for file in (copied / "settings.json", copied / "runs" / "majority-0.json"):
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "protocol": 3}))
        with pytest.raises(ValueError, match=f"{file.name} is of protocol 3, not 2"):
            main(["--tables_only", "--results", str(copied)])
        file.write_text(json.dumps(content))
    content = json.loads((copied / "settings.json").read_text())
    del content["protocol"]
    (copied / "settings.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is of protocol 1, not 2"):
        main([*words[:-1], str(copied)])


def test_the_same_command_goes_on_and_repeats_nothing(command, results, capsys):
    words, folder = command
    before = {file: file.stat().st_mtime_ns for file in (folder / "runs").iterdir()}
    main([*words, "--methods", OURS, "majority"])
    assert "hybridsent-0: finished before" in capsys.readouterr().out
    after = {file: file.stat().st_mtime_ns for file in (folder / "runs").iterdir()}
    assert {file: after[file] for file in before} == before
    assert {file.name for file in after.keys() - before.keys()} == {
        f"{name}-1.{ending}" for name in (OURS, "majority") for ending in ("json", "parquet")
    }
    ids = [
        i
        for run in (0, 1)
        for i in pd.read_parquet(folder / "runs" / f"{OURS}-{run}.parquet").query(
            f"part == '{HELD_OUT}'"
        )["id"]
    ]
    assert len(ids) == len(set(ids)) == 40


def test_other_settings_are_refused_in_the_same_folder(command, results):
    words, folder = command
    with pytest.raises(ValueError, match=r"learning_rate = \['0.001'\], not \['0.5'\]"):
        main([*words, "--learning_rate", "0.5"])
    with pytest.raises(ValueError, match="trials = 1, not 2"):
        main([*words, "--trials", "2"])
    kept = json.loads((folder / "runs" / f"{OURS}-0.json").read_text())["settings"]
    assert kept["learning_rate"] == ["0.001"]
    assert kept["folds"] == 2


def test_learning_rates_are_tried_on_posts_that_are_not_scored(command):
    words, folder = command
    main([
        words[0], "--results", str(folder / "seeds"), "--seeds", "3", "4",
        "--methods", "concatenation", "--trials", "2", "--runs", "4",
    ])  # fmt: skip
    (figures, answers), *others = Results(folder / "seeds").finished()
    assert not others
    assert figures["run"] == 4
    scores = figures["validation_scores"]
    assert set(scores) == {"0.001", "0.0005"}
    assert figures["learning_rate"] == float(max(scores, key=scores.get))
    held_out = answers[answers["part"] == HELD_OUT]
    assert set(held_out["id"].str.split("-").str[0]) == {"validation"}
    chosen = answers[answers["part"] == VALIDATION]
    assert set(chosen["id"].str.split("-").str[0]) == {"train"}


def test_a_method_whose_package_is_absent_is_skipped_or_named(monkeypatch, capsys):
    absent = replace(METHODS["logistic_regression_lexicon"], requires="no_such_package")
    monkeypatch.setitem(METHODS, absent.name, absent)
    assert absent not in methods_named(None)
    assert "needs the package no_such_package" in capsys.readouterr().out
    with pytest.raises(ImportError, match=r"no_such_package, which is not installed\. Install it"):
        methods_named([absent.name])


def test_unknown_methods_trials_and_absent_runs_are_named(command, tmp_path):
    with pytest.raises(
        ValueError, match="No method 'bert'; there are majority, sentence_transformers"
    ):
        methods_named(["bert"])
    with pytest.raises(ValueError, match="--trials 0"):
        trial_rates(1.0, 0)
    with pytest.raises(FileNotFoundError, match="Make runs first"):
        main(["--tables_only", "--results", str(tmp_path)])
    assert trial_rates(1.0, 5) == [1.0, 0.5, 2.0, 0.25, 4.0]
