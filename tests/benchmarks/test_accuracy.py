"""The comparison of methods: every method trains and answers, folds do not leak, tables are right."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset, DatasetDict
from tiny_models import batch, tiny_config
from tiny_runs import write_recipe

from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.clmlf import label_contrast, view_contrast
from benchmarks.accuracy.comparison import bootstrap, compare, mcnemar_p
from benchmarks.accuracy.method_scores import method_table
from benchmarks.accuracy.methods import METHODS, OURS, methods_named
from benchmarks.accuracy.protocol import folds_of, pool_posts, posts_and_parts
from benchmarks.accuracy.qmf import LossHistory, ranking_loss
from benchmarks.accuracy.records import HELD_OUT, VALIDATION, Results, answers_table
from benchmarks.accuracy.rule_scores import rule_log_probabilities, weight_table
from benchmarks.accuracy.runs import trial_rates
from benchmarks.accuracy.tables import write_tables
from benchmarks.accuracy.weight_rules import (
    fit_global_weights,
    pdf_rule,
    pdf_weights,
    qmf_rule,
    qmf_weights,
    weigh_probabilities,
)
from hybridsent.training.arguments import DataArguments
from modeling_hybridsent.modeling_hybridsent import HybridSentForSequenceClassification

NAMES = ["negative", "neutral", "positive"]
NETWORKS = [name for name, method in METHODS.items() if method.model_class is not None]
BASELINES = [
    name
    for name in NETWORKS
    if METHODS[name].model_class is not HybridSentForSequenceClassification
]


# Runs of the public command


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
    )
    return [str(recipe), "--folds", "2", "--results", str(folder / "out")], folder / "out"


@pytest.fixture(scope="module")
def results(command):
    """One fold of every method."""
    words, folder = command
    threads = torch.get_num_threads()
    main([*words, "--stop_after_folds", "1"])
    torch.set_num_threads(threads)
    return Results(folder)


@pytest.fixture(scope="module")
def finished(results):
    return {figures["method"]: (figures, answers) for figures, answers in results.finished()}


def values(answers, prefix):
    return answers[[f"{prefix}_{name}" for name in NAMES]].to_numpy()


def test_every_method_answers_for_every_post(finished):
    assert set(finished) == set(METHODS)
    posts = [set(answers["id"]) for _, answers in finished.values()]
    assert all(found == posts[0] for found in posts)
    for name, (_, answers) in finished.items():
        probabilities = values(answers, "p")
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5, err_msg=name)
        assert set(answers["part"]) == {HELD_OUT, VALIDATION}
        assert not set(answers[answers["part"] == HELD_OUT]["id"]) & set(
            answers[answers["part"] == VALIDATION]["id"]
        )


def test_all_methods_share_the_stored_states_of_the_frozen_encoder(command, finished):
    # Global and local states, for those with local features, and global ones alone.
    assert len(list((command[1].parent / "states").glob("image-*"))) == 2


def test_methods_answer_from_the_modality_alone_that_they_read(finished):
    for name, (_, answers) in finished.items():
        for modality in ("text", "image"):
            has = f"{modality}_only_p_neutral" in answers
            assert has == (modality in METHODS[name].reads or not METHODS[name].reads), name
            if has:
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
    for name in set(METHODS) - {"majority", "text_only", "image_only"}:
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
    for name in ("without_local", "without_cross_modal", "without_recurrence", "without_unimodal"):
        assert parameters[name] < parameters[OURS], name
    assert parameters["global_weights"] - parameters["uniform_weights"] == 3
    assert parameters["image_only"] < parameters["text_only"] < parameters["concatenation"]
    assert all(
        figures["seconds"] > 0 for name, (figures, _) in finished.items() if parameters[name]
    )


def test_tables_of_the_runs(results):
    text = (results.folder / "accuracy.md").read_text()
    assert text == write_tables(results)
    for method in METHODS.values():
        assert f"| {method.title} | 1 |" in text
    assert "| QMF's weights | 1 |" in text
    table = pd.read_parquet(results.folder / "accuracy.parquet").set_index("method")
    assert math.isnan(table.loc[OURS, "difference"])
    row = table.loc["majority"]
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["difference"] == pytest.approx(row["accuracy"] - table.loc[OURS, "accuracy"])
    assert len(pd.read_parquet(results.folder / "decision_weights.parquet")) == 7


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


def test_learning_rates_are_tried_on_validation_posts_and_seeds_on_the_recipes_split(command):
    words, folder = command
    main([
        *(word for word in words[:1]), "--results", str(folder / "seeds"), "--seeds", "3", "4",
        "--methods", "concatenation", "--trials", "2", "--stop_after_folds", "1",
    ])  # fmt: skip
    results = Results(folder / "seeds")
    trials = {rate: results.figures(f"concatenation-trial-{rate:g}") for rate in (1e-3, 5e-4)}
    best = max(trials, key=lambda rate: trials[rate]["validation_score"])
    (figures, answers), *others = results.finished()
    assert not others
    assert figures["learning_rate"] == best
    assert figures["run"] == 3
    assert figures["validation_score"] == pytest.approx(trials[best]["validation_score"])
    assert set(answers["id"].str.split("-").str[0]) == {"validation"}


def test_unknown_methods_trials_and_absent_runs_are_named(command, tmp_path):
    with pytest.raises(ValueError, match="No method 'bert'; there are majority, text_only"):
        methods_named(["bert"])
    with pytest.raises(ValueError, match="--trials 0"):
        trial_rates(1.0, 0)
    with pytest.raises(FileNotFoundError, match="Make runs first"):
        main(["--tables_only", "--results", str(tmp_path)])
    assert trial_rates(1.0, 5) == [1.0, 0.5, 2.0, 0.25, 4.0]


# Networks


def tiny(name):
    torch.manual_seed(0)
    method = METHODS[name]
    return method.model_class(tiny_config(**method.config_over({}))).eval()


@pytest.mark.parametrize("name", BASELINES)
def test_what_stands_in_a_missing_slot_changes_nothing(name):
    model, inputs = tiny(name), batch()
    inputs["has_text"][1], inputs["has_image"][2] = False, False
    with torch.no_grad():
        expected = model(**inputs).logits
        inputs["input_ids"] = inputs["input_ids"].clone()
        inputs["input_ids"][1] = 7
        inputs["pixel_values"][2] = 3.0
        assert torch.equal(model(**inputs).logits, expected)
        if name != "image_only":
            inputs["input_ids"][0] = 7
        else:
            inputs["pixel_values"][0] = 3.0
        assert not torch.equal(model(**inputs).logits[0], expected[0])


@pytest.mark.parametrize("name", BASELINES)
def test_batches_without_one_modality_get_what_mixed_batches_get(name):
    model, inputs = tiny(name), batch()
    with torch.no_grad():
        for has, names in (
            ("has_image", ("input_ids", "attention_mask")),
            ("has_text", ("pixel_values",)),
        ):
            masked = model(**inputs | {has: torch.zeros(4, dtype=torch.bool)}).logits
            alone = model(**{key: inputs[key] for key in names}).logits
            torch.testing.assert_close(alone, masked, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_every_trained_parameter_gets_a_gradient(name):
    model = tiny(name).train()
    model.freeze_unused_parts()
    labels, numbers = torch.tensor([0, 1, 2, 0]), torch.tensor([3, 0, 5, 1])
    outputs = model(**batch(), labels=labels, post_numbers=numbers)
    outputs.loss.backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    without = [n for n, p in trained.items() if p.grad is None]
    # Nothing but encoders' own parts that no state depends on, such as a mask token.
    assert [n for n in without if "_model." not in n] == []
    assert any(p.grad.abs().max() > 0 for p in trained.values() if p.grad is not None)
    assert torch.isfinite(outputs.loss)


def test_the_losses_of_a_publication_count_in_training_only():
    inputs, labels = batch(), torch.tensor([0, 1, 2, 0])
    numbers = torch.arange(4)
    for name in ("qmf", "pdf", "clmlf"):
        model = tiny(name)
        model.config.hidden_dropout = 0.0
        plain = model(**inputs, labels=labels, post_numbers=numbers)
        likelihood = -plain.logits[torch.arange(4), labels].mean()
        torch.testing.assert_close(plain.losses["decision"], likelihood)
        model.train()
        trained = model(**inputs, labels=labels, post_numbers=numbers)
        extra = trained.losses["decision"] + trained.logits[torch.arange(4), labels].mean()
        assert extra > 0.01, name


@pytest.mark.parametrize("name", BASELINES)
def test_networks_train_under_bfloat16_autocast_as_recipes_ask_for(name):
    model, labels = tiny(name).train(), torch.tensor([0, 1, 2, 0])
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(**batch(), labels=labels, post_numbers=torch.arange(4))
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_contrastive_losses_equal_their_formulas():
    embeds = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    # Vectors 0 and 2 are equal and share a label; 1 has no partner.
    expected = -math.log(math.exp(1 / 0.07) / (math.exp(1 / 0.07) + 1))
    found = label_contrast(embeds, torch.tensor([0, 1, 0])).item()
    assert found == pytest.approx(expected, abs=1e-6)
    views = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    same = -math.log(math.exp(1 / 0.07) / (math.exp(1 / 0.07) + 1))
    swapped = math.log(math.exp(1 / 0.07) + 1)
    assert view_contrast(views, views).item() == pytest.approx(same, abs=1e-6)
    assert view_contrast(views, views.flip(0)).item() == pytest.approx(swapped, rel=1e-5)


def test_ranking_asks_the_harder_post_to_be_less_confident():
    history = LossHistory()
    history.add(torch.tensor([4, 0]), torch.tensor([1.0, 3.0]))
    history.add(torch.tensor([4, 2]), torch.tensor([3.0, 4.0]))
    scaled = history.of(torch.tensor([4, 0, 2]))  # means 2, 3, 4
    assert scaled.tolist() == pytest.approx([0.0, 0.5, 1.0])
    # Pairs (0, 1), (1, 2), (2, 0): the harder one of each should be less confident by the gap.
    confidence = torch.tensor([0.9, 0.8, 0.1])
    expected = (max(0, 0.8 - 0.9 + 0.5) + max(0, 0.1 - 0.8 + 0.5) + max(0, 0.1 - 0.9 + 1.0)) / 3
    assert ranking_loss(confidence, scaled).item() == pytest.approx(expected)


# Rules of decision

LOGITS = np.array([[[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]]])
ALL = np.ones((1, 3), dtype=bool)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def test_qmf_weights_are_energies_and_sum_logits():
    energy = np.log(np.exp(LOGITS[0]).sum(axis=1)) / 10
    np.testing.assert_allclose(qmf_weights(torch.from_numpy(LOGITS))[0], energy, rtol=1e-6)
    expected = np.log(softmax(energy @ LOGITS[0]))
    np.testing.assert_allclose(qmf_rule(LOGITS, ALL)[0], expected, atol=1e-6)
    two = np.array([[True, False, True]])
    expected = np.log(softmax(energy[0] * LOGITS[0, 0] + energy[2] * LOGITS[0, 2]))
    np.testing.assert_allclose(qmf_rule(LOGITS, two)[0], expected, atol=1e-6)


def test_pdf_weights_equal_the_formula_for_two_modalities():
    confidence, logits = np.array([0.8, 0.4]), LOGITS[:, :2]
    a, b = -np.log(confidence)
    belief = confidence + np.array([b, a]) / (a + b)
    given = torch.tensor(confidence)[None], torch.from_numpy(logits), torch.ones(1, 2).bool()
    found = pdf_weights(*given, calibrated=False)
    np.testing.assert_allclose(found[0], softmax(belief), rtol=1e-5)
    first, second = np.abs(softmax(logits[0]) - 1 / 3).mean(axis=1)
    belief = belief * np.minimum(1, [first / second, second / first])
    found = pdf_weights(*given, calibrated=True)
    np.testing.assert_allclose(found[0], softmax(belief), rtol=1e-5)
    only = pdf_weights(*given[:2], torch.tensor([[False, True]]), calibrated=True)
    assert only.tolist() == [[0.0, 1.0]]


def test_pdf_rule_takes_the_greatest_probability_for_confidence():
    given = torch.from_numpy(softmax(LOGITS).max(axis=-1)), torch.from_numpy(LOGITS)
    weights = pdf_weights(*given, torch.from_numpy(ALL), calibrated=True).numpy()
    expected = np.log(softmax(weights[0] @ LOGITS[0]))
    np.testing.assert_allclose(pdf_rule(LOGITS, ALL)[0], expected, atol=1e-5)


def test_mixtures_leave_out_what_is_missing_and_one_vector_finds_the_right_branch():
    has = np.array([[True, False, True]])
    expected = np.log((softmax(LOGITS[0, 0]) + softmax(LOGITS[0, 2])) / 2)
    np.testing.assert_allclose(weigh_probabilities(np.ones(3), LOGITS, has)[0], expected)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    logits = generator.normal(size=(60, 3, 3))
    logits[:, 1] = 4 * np.eye(3)[labels]  # the second branch knows
    weights = fit_global_weights(logits, np.ones((60, 3), dtype=bool), labels)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.95


# Folds


def posts_with_duplicates():
    """60 labelled posts in three splits, a third of them copies, and 6 without label."""
    rows = [
        {
            "id": str(i),
            # Posts 3k and 3k + 1 share a text, 3k + 1 and 3k + 2 an image, for every fourth k.
            "text": f"text {i - (i % 3 == 1 and i // 3 % 4 == 0)}",
            "image": {"bytes": b"%d" % (i - (i % 3 == 2 and i // 3 % 4 == 0)), "path": None},
            "label": i % 5 % 3,
        }
        for i in range(60)
    ]
    contradictory = [
        {"id": f"c{i}", "text": f"text {12 * i}", "image": None, "label": None} for i in range(5)
    ] + [{"id": "c5", "text": "of its own", "image": None, "label": None}]
    tables = {"train": rows[:40], "validation": rows[40:50], "test": rows[50:]}
    built = {name: Dataset.from_list(part) for name, part in tables.items()}
    features = built["train"].features
    built["contradictory"] = Dataset.from_list(contradictory, features=features)
    return DatasetDict(built)


@pytest.mark.parametrize("seed", [0, 1])
def test_folds_cover_each_post_once_and_keep_copies_together(seed):
    arguments = DataArguments(use_contradictory_posts=True)
    posts, parts = posts_and_parts(posts_with_duplicates(), arguments, 4, None, seed)
    assert posts["number"] == list(range(66))
    held_out = np.concatenate([part.held_out for part in parts])
    assert sorted(held_out) == list(range(60))
    keys = [
        (text, image and image["bytes"])
        for text, image in zip(posts["text"], posts["image"], strict=True)
    ]
    teaching = set()
    for part in parts:
        pieces = [set(part.train), set(part.validation), set(part.held_out)]
        for i, one in enumerate(pieces):
            for other in pieces[i + 1 :]:
                assert not one & other
                assert not {keys[n][0] for n in one} & {keys[n][0] for n in other}
                images = [{keys[n][1] for n in piece} - {None} for piece in (one, other)]
                assert not images[0] & images[1]
        assert pieces[0] | pieces[1] | pieces[2] >= set(range(60))
        assert 2 <= len(part.validation) <= 10
        counts = np.bincount([posts[int(n)]["label"] for n in part.held_out], minlength=3)
        assert counts.min() >= 1
        teaching.update(n for n in part.train if n >= 60)
        assert 65 in part.train
    assert len(teaching) > 1  # those with copies teach where their copies do


def test_folds_are_repeatable_and_obey_the_limit_of_posts():
    posts = pool_posts(posts_with_duplicates(), ("train", "validation", "test"), DataArguments())
    one, other = (folds_of(posts, 3, 0, None) for _ in range(2))
    assert all(np.array_equal(a.train, b.train) for a, b in zip(one, other, strict=True))
    assert len(posts) == 60
    limited = folds_of(posts, 3, 0, 7)[0]
    assert np.array_equal(limited.train, one[0].train[:7])
    assert np.array_equal(limited.held_out, one[0].held_out)


def test_a_repeat_cuts_all_posts_anew():
    posts = pool_posts(posts_with_duplicates(), ("train", "validation", "test"), DataArguments())
    once, twice = folds_of(posts, 3, 5, None), folds_of(posts, 3, 5, None, repeats=2)
    assert [part.run for part in twice] == list(range(6))
    assert [part.seed for part in twice] == [5] * 3 + [6] * 3
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(once, twice, strict=False))
    assert sorted(np.concatenate([part.held_out for part in twice[3:]])) == list(range(60))
    assert not any(np.array_equal(once[0].held_out, part.held_out) for part in twice[3:])


def test_bad_folds_and_ids_are_named():
    posts = posts_with_duplicates()
    pooled = pool_posts(posts, ("train",), DataArguments())
    with pytest.raises(ValueError, match="--folds 1: give at least 2"):
        folds_of(pooled, 1, 0, None)
    with pytest.raises(ValueError, match="--repeats 0: give at least 1"):
        folds_of(pooled, 3, 0, None, repeats=0)
    with pytest.raises(ValueError, match="--repeats is for --folds"):
        posts_and_parts(posts, DataArguments(), None, [0, 1], 0, repeats=2)
    posts["test"] = posts["train"]
    with pytest.raises(ValueError, match="same id"):
        pool_posts(posts, ("train", "test"), DataArguments())


# Tables


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
    table = method_table(runs, NAMES).set_index("method")
    ours, theirs = table.loc[OURS], table.loc["qmf"]
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
    assert math.isnan(ours["difference"])
    assert ours["seconds"] == 2.5
    assert theirs["difference"] == pytest.approx(-0.25)  # 2 of 8 posts fewer
    assert theirs["posts"] == 8
    assert theirs["p_value"] == pytest.approx(0.5)  # of two discordant posts both are ours
    assert theirs["low"] < -0.25 < theirs["high"]
    # Of our 8 answers 5, 2, 1 are labels 0, 1, 2, of which 2, 1, 1 are right.
    ours, others = (4 / 7 + 2 / 4 + 2 / 5) / 3, 4 / 10 / 3
    assert theirs["f1_difference"] == pytest.approx(others - ours)
    assert theirs["f1_low"] < others - ours < theirs["f1_high"]


def test_methods_are_compared_in_the_runs_that_both_have():
    """A repeat that only one of them has says nothing of the other."""
    labels = [0, 1, 2, 2]
    good, poor = (np.eye(3)[said] for said in (labels, [1, 1, 1, 1]))  # 4 and 1 of 4
    (figures, again) = run_of(OURS, 1, poor, labels)
    again["id"] = run_of(OURS, 0, poor, labels)[1]["id"]  # the posts of the first run
    runs = [run_of(OURS, 0, good, labels), (figures, again), run_of("qmf", 0, poor, labels)]
    theirs = method_table(runs, NAMES).set_index("method").loc["qmf"]
    assert theirs["difference"] == pytest.approx(-0.75)
    assert theirs["p_value"] == pytest.approx(0.25)  # of three discordant posts all are ours
    runs[2] = run_of("qmf", 7, poor, labels)
    assert np.isnan(method_table(runs, NAMES).set_index("method").loc["qmf", "difference"])


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
    table = weight_table([(figures, answers)], NAMES).set_index("rule")
    assert np.isnan(table.loc["dynamic weights of hybridsent", "nll_difference"])
    row, ours = table.loc["uniform"], table.loc["dynamic weights of hybridsent"]
    assert row["nll_difference"] == pytest.approx(row["nll"] - ours["nll"], abs=1e-6)
    assert row["nll_low"] < row["nll_difference"] < row["nll_high"]
    assert np.isnan(ours["f1_difference"])
    assert row["f1_difference"] == pytest.approx(row["macro_f1"] - ours["macro_f1"])
    assert row["difference"] == pytest.approx(row["accuracy"] - ours["accuracy"])


def counts_of(right):
    """Counts of posts of the first of two labels, which are called right or the second."""
    said = np.stack([right, 1 - right], axis=1)
    true = np.tile([1.0, 0.0], (len(right), 1))
    return np.stack([said * true, said, true], axis=1)


def test_bootstrap_of_equal_methods_contains_zero_and_of_unequal_ones_does_not():
    right = counts_of(np.array([1.0, 0.0] * 100))
    same = compare(right, right)
    assert same == ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1.0, 200)
    swapped = compare(right, np.roll(right, 1, axis=0))  # as good, on other posts
    assert swapped.accuracy.mean == 0
    assert swapped.accuracy.low < 0 < swapped.accuracy.high
    assert swapped.p_value == 1
    better = compare(counts_of(np.ones(200)), right)
    assert better.accuracy.mean == 0.5
    assert 0 < better.accuracy.low < 0.5 < better.accuracy.high
    assert better.macro_f1.mean == pytest.approx((1 - 2 / 3) / 2)  # the second label has 0 in both
    assert better.macro_f1.low < better.macro_f1.mean < better.macro_f1.high
    assert better.p_value < 1e-20


def test_bootstrap_is_as_wide_as_statistics_has_it():
    right = counts_of(np.array([1.0, 0.0] * 100))
    both = np.stack([right, counts_of(np.ones(200))], axis=1)
    drawn = bootstrap(both, seed=1)[:, 0]
    # Of a share p the mean's standard deviation is sqrt(p (1 - p) / posts).
    assert drawn.std() == pytest.approx(math.sqrt(0.25 / 200), rel=0.05)
    assert drawn.mean() == pytest.approx(-0.5, abs=0.01)
    assert np.array_equal(bootstrap(both, seed=1)[:, 0], drawn)


def test_mcnemar_counts_only_posts_on_which_one_errs():
    right, wrong = np.ones(5, dtype=bool), np.zeros(5, dtype=bool)
    assert mcnemar_p(right, wrong) == pytest.approx(2 * 0.5**5)
    both = np.concatenate([right, right]), np.concatenate([wrong, right])
    assert mcnemar_p(*both) == pytest.approx(2 * 0.5**5)
