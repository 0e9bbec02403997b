"""Recipes and the command line are one language, and mistakes are named."""

from pathlib import Path

import pytest
import yaml

from hybridsent.training.arguments import HybridSentTrainingArguments, parse_arguments

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "hybridsent" / "recipes").glob("*.yaml"))


@pytest.fixture
def recipe(tmp_path):
    def write(**settings):
        file = tmp_path / "recipe.yaml"
        file.write_text(yaml.safe_dump({"output_dir": str(tmp_path / "out"), **settings}))
        return str(file)

    return write


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_of_the_project_parses(file):
    model, data, training = parse_arguments([str(file), "--bf16", "false"])
    written = yaml.safe_load(file.read_text())
    for group in (model, data, training):
        for name in set(vars(group)) & set(written) - {"model_config", "bf16"}:
            assert getattr(group, name) == written[name], name


def test_recipes_that_clean_texts():
    cleaning = {file.stem for file in RECIPES if yaml.safe_load(file.read_text()).get("clean_text")}
    assert cleaning == {"mvsa_single", "mvsa_single_base", "posts", "tumemo"}


def test_command_line_wins_over_the_recipe(recipe):
    file = recipe(learning_rate=0.5, seed=3, dataset="posts")
    _, data, training = parse_arguments([file, "--learning_rate", "1.0e-4", "--seed=7"])
    assert (training.learning_rate, training.seed, data.dataset) == (1e-4, 7, "posts")


def test_fields_of_the_model_are_overridden_one_by_one(recipe):
    file = recipe(model_config={"hidden_size": 64, "recurrence": "none"})
    model, _, _ = parse_arguments([file, "--model_config", '{"recurrence": "bigru"}'])
    assert model.fields_of_config() == {"hidden_size": 64, "recurrence": "bigru"}
    model, _, _ = parse_arguments([recipe(), "--model_config", '{"recurrence": "bigru"}'])
    assert model.fields_of_config() == {"recurrence": "bigru"}


def test_contradictory_posts_need_own_labels_to_be_learned(recipe):
    settings = {"dataset": "mvsa_single", "use_contradictory_posts": True}
    with pytest.raises(ValueError, match=r"--use_contradictory_posts: .* own_label_loss_weight"):
        parse_arguments([recipe(**settings)])
    _, data, _ = parse_arguments([recipe(**settings, model_config={"own_label_loss_weight": 0.1})])
    assert data.use_contradictory_posts


def test_without_arguments_the_quickstart_is_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    _, data, training = parse_arguments([])
    assert data.dataset == "synthetic"
    assert training.output_dir == "outputs/quickstart"


def test_unknown_setting_is_named(recipe, capsys):
    with pytest.raises((SystemExit, ValueError)) as error:
        parse_arguments([recipe(learning_rat=1.0)])
    assert "learning_rat" in str(error.value) + capsys.readouterr().err


def test_missing_recipe_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        parse_arguments(["nowhere.yaml"])


def test_recipe_that_is_no_mapping_is_named(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("- one\n- two\n")
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        parse_arguments([str(file)])


def test_publishing_needs_a_name_and_is_kept_from_the_trainer(tmp_path):
    with pytest.raises(ValueError, match="--hub_model_id USER/NAME"):
        HybridSentTrainingArguments(output_dir=str(tmp_path), push_to_hub=True)
    arguments = HybridSentTrainingArguments(
        output_dir=str(tmp_path), push_to_hub=True, hub_model_id="someone/x"
    )
    assert arguments.publish_at_end
    assert not arguments.push_to_hub  # or the Trainer would push every checkpoint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eval_do_concat_batches", "false"),
        ("prediction_loss_only", "true"),
        ("batch_eval_metrics", "true"),
    ],
)
def test_settings_that_leave_no_answers_to_score_are_refused(recipe, name, value):
    with pytest.raises(ValueError, match=rf"--{name} {value}: scores and calibration need"):
        parse_arguments([recipe(), f"--{name}", value])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"load_best_model_at_end": True}, r"0\.4 and --load_best_model_at_end true: averaging"),
        ({"early_stopping_patience": 2}, r"0\.4 and --early_stopping_patience 2: averaging"),
        (
            {"average_weights_from": 1},
            r"--average_weights_from 1\.0: give a fraction from 0 to below 1",
        ),
        ({"average_weights_from": -0.1}, r"--average_weights_from -0\.1: give a fraction"),
        ({"deepspeed": "zero.json"}, r"DeepSpeed or FSDP1 hold cannot be averaged\. Train with"),
    ],
)
def test_averaged_weights_and_another_choice_are_refused(recipe, settings, said):
    epochs = {"eval_strategy": "epoch", "save_strategy": "epoch", "average_weights_from": 0.4}
    with pytest.raises(ValueError, match=said):
        parse_arguments([recipe(**epochs | settings)])


def test_the_error_about_averaged_weights_names_all_that_must_go():
    with pytest.raises(ValueError, match="_at_end true and --early_stopping_patience 2: averaging"):
        parse_arguments(["quickstart", "--average_weights_from", "0.4"])


def test_debug_without_a_value_is_ours_and_with_one_the_librarys():
    recipe = ["quickstart"]
    for words in (["--debug"], ["--debug", "--seed", "3"], ["--seed", "3", "--debug"]):
        assert parse_arguments(recipe + words)[2].debug == []
    (option,) = parse_arguments([*recipe, "--debug", "underflow_overflow"])[2].debug
    assert option.value == "underflow_overflow"
