"""`hybridsent train --hyperparameter_search`: chosen on validation posts alone, the same each time."""

import csv
import json
import shutil
import sys

import optuna
import pytest
from in_process import train_here
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tiny_runs import assert_same_weights, write_recipe

RATES = ("learning_rate", "text_encoder_learning_rate")
SHORT = ("--num_train_epochs", 1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("tiny"))


def search(recipe, trials, folder, *options):
    """Search and train; return the table of trials and what the command said."""
    given = ("--hyperparameter_search", trials, "--output_dir", folder, *SHORT, *options)
    result = train_here(recipe, *given)
    assert result.returncode == 0, result.stderr
    return json.loads((folder / "search.json").read_text()), result.stdout


@pytest.fixture(scope="module")
def searched(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "out"
    return folder, *search(recipe, 3, folder)


def test_the_best_of_the_trials_is_trained(searched, recipe, tmp_path):
    """A plain run with its settings ends with the same weights, and no trial leaves a file."""
    folder, table, said = searched
    first, *others = table["trials"]
    assert first["settings"]["learning_rate"] == 1e-3
    assert len({tuple(trial["settings"].values()) for trial in table["trials"]}) == 3
    for trial in others:
        for name, value in trial["settings"].items():
            low, high = table["space"][name]
            assert low <= value <= high
    best = table["chosen"]
    assert best["macro_f1"] == max(trial["macro_f1"] for trial in table["trials"])
    assert best in table["trials"]
    assert f"trial {best['trial']} has the best macro_f1" in said
    assert {file.name for file in (folder / "search").iterdir()} == {"trials.jsonl"}
    rates = [word for name in RATES for word in (f"--{name}", best["settings"][name])]
    dropout = json.dumps({"hidden_dropout": best["settings"]["hidden_dropout"]})
    plain = tmp_path / "plain"
    result = train_here(recipe, "--output_dir", plain, *SHORT, *rates, "--model_config", dropout)
    assert result.returncode == 0, result.stderr
    assert_same_weights(plain, folder)
    found = [json.loads((each / "metrics.json").read_text()) for each in (plain, folder)]
    assert found[0]["scores"] == found[1]["scores"]


def study_of(folder):
    """Open the only study of a folder."""
    backend = JournalFileBackend(str(folder / "search" / "trials.jsonl"))
    return optuna.load_study(study_name=None, storage=JournalStorage(backend))


@pytest.fixture(scope="module")
def begun(recipe, tmp_path_factory):
    """A search of one trial on the same posts, but for other labels of the test posts."""
    folder = tmp_path_factory.mktemp("begun")
    shutil.copytree(recipe.parent / "posts", folder / "posts")
    with (folder / "posts" / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    others = {"negative": "positive", "positive": "neutral", "neutral": "negative"}
    with (folder / "posts" / "test.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows([{**row, "label": others[row["label"]]} for row in rows])
    search(recipe, 1, folder / "out", "--data_dir", folder / "posts")
    return folder / "out", ("--data_dir", folder / "posts")


def test_an_interrupted_search_ends_as_any_whatever_the_test_posts_say(begun, searched, recipe):
    folder, posts = begun
    study_of(folder).ask()  # a kill leaves a trial that seems to run
    assert search(recipe, 3, folder, *posts)[0] == searched[1]
    assert_same_weights(folder, searched[0])
    scores = [
        json.loads((each / "metrics.json").read_text())["scores"] for each in (folder, searched[0])
    ]
    assert scores[0] != scores[1]


def test_a_trial_that_diverges_is_given_up_and_those_before_are_not_run_again(
    searched, recipe, tmp_path
):
    folder = tmp_path / "out"
    shutil.copytree(searched[0] / "search", folder / "search")
    study = study_of(folder)
    study.enqueue_trial(study.best_params | {"learning_rate": 1e30})
    table, _ = search(recipe, 4, folder)
    assert len(study_of(folder).trials) == 4
    assert table["trials"][:3] == searched[1]["trials"]
    assert table["trials"][3]["macro_f1"] is None
    assert table["chosen"] == searched[1]["chosen"]


def test_a_recipe_that_diverges_is_an_error(recipe, tmp_path):
    given = ("--hyperparameter_search", 1, "--learning_rate", 1e30, "--output_dir", tmp_path)
    result = train_here(recipe, *given, *SHORT)
    assert result.returncode == 1
    assert "Check these posts" in result.stderr


@pytest.mark.parametrize(
    ("trials", "processes", "message"),
    [
        (0, 1, "--hyperparameter_search 0: give the number of trials"),
        (3, 2, "--hyperparameter_search 3: a search runs in one process"),
    ],
)
def test_a_search_that_cannot_run_is_refused(trials, processes, message, recipe, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    result = train_here(recipe, "--hyperparameter_search", trials)
    assert (result.returncode, message in result.stderr) == (1, True), result.stderr


def test_without_optuna_the_message_says_what_to_install(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = train_here(recipe, "--hyperparameter_search", 3)
    assert result.returncode == 1
    assert 'pip install "hybridsent[search]"' in result.stderr
