"""The card is filled from the run, wholly and truly, and its example runs."""

import json
import re

import pytest
import yaml
from documented_commands import blocks, python_here
from finished_runs import LABELS, finished_run, save_finished_run, scores
from huggingface_hub import ModelCard
from in_process import run_in_process
from tiny_models import picture

from datasets_scripts import READERS
from hybridsent.bundled.encoders import BUNDLED_ENCODERS
from hybridsent.evaluation.report import robustness_table
from hybridsent.publishing.model_card import DATA, TEMPLATE, fill_card
from hybridsent.support.folders import write_whole

RUN = finished_run()


@pytest.fixture(scope="module")
def card():
    return fill_card([RUN], "someone/tiny")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with what a run has left in `outputs/tiny`."""
    folder = tmp_path_factory.mktemp("finished")
    save_finished_run(folder / "outputs" / "tiny")
    return folder


def test_no_place_is_left_empty(card):
    assert not re.search(r"\$\w+", card)
    assert "None" not in card


def test_header_is_what_the_hub_reads(card):
    header = yaml.safe_load(card.split("---")[1])
    assert header["library_name"] == "transformers"
    assert header["license"] == "apache-2.0"
    assert header["pipeline_tag"] == "text-classification"
    assert {"image-text-sentiment", "hybridsent"} <= set(header["tags"])
    assert header["datasets"] == ["synthetic"]
    text, vision = "sentence-transformers/all-MiniLM-L6-v2", "timm/tf_efficientnet_lite0.in1k"
    assert header["base_model"] == [text, vision]


def test_only_repositories_of_the_hub_are_base_models():
    encoders = {"text": "FacebookAI/roberta-base", "vision": "my_folder"}
    other = {**RUN["dataset"], "name": "posts"}
    data = ModelCard(fill_card([{**RUN, "encoders": encoders, "dataset": other}], "x/y")).data
    assert (data.base_model, data.datasets) == (["FacebookAI/roberta-base"], None)


def test_results_stand_in_the_header_as_the_hub_indexes_them(card):
    data = ModelCard(card).data
    assert data.model_name == "tiny"
    found = {result.metric_name: result for result in data.eval_results}
    assert set(found) == {"accuracy", "macro_f1", "weighted_f1", "ece", "nll"}
    result = found["macro_f1"]
    assert (result.metric_type, result.metric_value) == ("f1", 0.652)
    assert (result.dataset_type, result.dataset_config, result.dataset_split) == (
        "synthetic", "as given", "test",
    )  # fmt: skip


HEADINGS = [
    "Use",
    "Intended use and limits",
    "Data",
    "Scores",
    "Calibration",
    "What decides",
    "Robustness",
    "Risk and coverage",
    "Model and run",
    "Cite",
]


def test_all_sections_are_there_in_order(card):
    assert re.findall(r"^## (.*)$", card, flags=re.MULTILINE) == HEADINGS


@pytest.mark.parametrize(
    "fact",
    [
        "Labels: negative, neutral, positive.",
        "900 train, 400 test posts",
        "Protocol: as given",
        "`0123456789abcdef`",
        "The set is synthetic",
        "do not use it on real posts",
        "One run with seed 7; the spread over seeds is not known.",
        "| text only | decision | 60.0 | 65.2 | 74.3 | 3.1 | 376 |",
        "| image only | decision | 50.0 | 65.2 | 74.3 | 3.1 | 376 |",
        "| both | decision | 75.1 | 65.2 | 74.3 | 3.1 | 400 |",
        "| negative | 70.0 | 100 | 105 |",
        "| neutral | 40.0 | 100 | 106 |",
        "| positive | 80.0 | 200 | 189 |",
        "the decision weights (2.346)",
        "| validation, both | 1.234 | 8.0 | 2.1 | 3.4 | 2.9 | 0.700 | 0.600 | 0.620 |",
        "| validation, text only | 1.889 | 8.0 | 2.1 | 3.4 | 2.9 | 0.700 | 0.600 | 0.620 |",
        "| validation, image only | 0.778 | 8.0 | 2.1 | 3.4 | 2.9 | 0.700 | 0.600 | 0.620 |",
        "| test, all posts | - | 9.0 | 3.0 | - | - | 0.710 | 0.650 | - |",
        "| negative | 0.20 | 0.30 | 0.50 |",
        "| all | 0.15 | 0.20 | 0.65 |",
        "28.4 million parameters, 25.0 million of them trained",
        "Seed 7, 1 process(es), 150 seconds in total; python 3.11, torch 2.99",
        "doi = {10.1051/itmconf/20268301004}",
    ],
)
def test_facts_of_the_run_stand_in_the_card(card, fact):
    assert fact in " ".join(card.split())


def test_risk_and_sets_of_labels_are_shown_where_the_run_knows_them(card):
    found = RUN["robustness"]
    covered = found["label_sets"][0]["covered"]
    assert f"| 50.0 | {100 * found['risk'][0]['error']:.1f} |" in card
    assert f"| 80.0 | {100 * covered:.1f} |" in card
    text = fill_card([{**RUN, "robustness": {**found, "label_sets": []}}], "x/y")
    assert "## Risk and coverage" in text
    assert "coverage=0.9" not in text


def test_lost_modalities_are_shown_where_the_run_knows_them(card):
    found = RUN["robustness"]
    assert robustness_table(found["lost_modality"]) in card
    assert f"in {100 * found['confidence_rises']['image']:.1f} % without the image" in card
    older = {key: value for key, value in RUN.items() if key != "robustness"}
    for run in (older, {**RUN, "robustness": {"lost_modality": []}}):
        text = fill_card([run], "x/y")
        assert "Robustness" not in text
        assert "weights.png)\n\n## Model and run" in text


def test_further_data_of_the_text_encoder_is_named(card):
    name = "bundled/all-minilm-l6-v2-sentiment"
    encoders = {**RUN["encoders"], "text": name}
    text = " ".join(fill_card([{**RUN, "encoders": encoders}], "x/y").split())
    assert f"Further data: {BUNDLED_ENCODERS[name].further_data}." in text
    older = {key: value for key, value in RUN.items() if key != "encoders"}
    text = fill_card([older], "someone/tiny")
    assert "base_model" not in text
    assert "Further data" not in text


def test_a_label_without_complete_posts_has_no_row_of_weights(card):
    assert not re.search(r"^\| neutral \| \d\.\d\d \|", card, flags=re.MULTILINE)


def test_images_that_the_card_shows_are_drawn(finished, card):
    shown = re.findall(r"!\[.*?\]\((.*?)\)", card)
    assert len(shown) == 4
    for name in shown:
        assert (finished / "outputs" / "tiny" / name).read_bytes().startswith(b"\x89PNG")


def test_several_seeds_give_their_spread():
    other = finished_run(seed=8)
    other["scores"] = [{**row, **scores(accuracy=row["accuracy"] + 0.1)} for row in RUN["scores"]]
    text = " ".join(fill_card([RUN, other], "x/y").split())
    assert "Mean and standard deviation of 2 runs, seeds 7, 8. This model is that of seed 7" in text
    assert "| both | decision | 80.1 ± 7.1 | 65.2 ± 0.0 |" in text
    with pytest.raises(ValueError, match="different seeds"):
        fill_card([RUN, RUN], "x/y")


def test_every_set_has_its_limits_and_real_ones_are_not_called_synthetic():
    assert set(DATA) == {*READERS, "synthetic"}
    for name in READERS:
        text = fill_card([{**RUN, "dataset": {**RUN["dataset"], "name": name}}], "x/y")
        assert "synthetic" not in text
        assert DATA[name].limits in text
    mvsa = " ".join(DATA["mvsa_single"].limits.split())
    for said in ("English", "2014 and 2015", "89.6 %", "67.8 %", "contradicting"):
        assert said in mvsa


def test_scores_of_the_posts_of_the_choice_are_called_too_good(card):
    assert "no labelled test posts" not in card
    text = fill_card([{**RUN, "scored_split": "validation"}], "x/y")
    assert "no labelled test posts" in text
    assert "| validation, both |" in text
    assert "all posts |" not in text


def test_a_run_without_temperatures_is_not_called_calibrated(card):
    assert "with calibrated confidence" in card
    few = {name: row | {"posts": 29} for name, row in RUN["calibration"]["inputs"].items()}
    text = fill_card([{**RUN, "calibration": {**RUN["calibration"], "inputs": few}}], "x/y")
    assert "with uncalibrated confidence" in text
    assert "Best epoch was chosen on the validation split." in text


def test_averaged_weights_are_no_choice_of_an_epoch(card):
    assert "Best epoch and temperature were chosen on the validation split." in card
    averaged = {**RUN, "learning": {**RUN["learning"], "averaged_steps": 75}}
    text = " ".join(fill_card([averaged], "x/y").split())
    assert "The weights are the mean of those after each of the last 75 steps. Only the" in text
    assert "Best epoch" not in text


def test_the_card_says_that_texts_are_cleaned_where_they_are(card):
    assert "cleans each text" not in card
    text = fill_card([{**RUN, "clean_text": True}], "x/y")
    assert "cleans each text" in text
    assert "\n\n`trust_remote_code=True` runs" in text


def test_a_place_the_run_does_not_fill_is_an_error(tmp_path, monkeypatch):
    template = tmp_path / "model_card.md"
    template.write_text(TEMPLATE.read_text() + "\n$unknown_figure\n")
    monkeypatch.setattr("hybridsent.publishing.model_card.TEMPLATE", template)
    with pytest.raises(KeyError, match="unknown_figure"):
        fill_card([RUN], "x/y")


def test_the_example_runs_as_it_stands(finished):
    picture().save(finished / "photo.jpg")
    (block,) = blocks((finished / "outputs" / "tiny" / "README.md").read_text(), "python")
    lines = python_here(block, finished).splitlines()
    assert lines[0].split()[0] in LABELS
    assert "'fusion'" in lines[0]
    assert "'label'" in lines[1]


def test_command_line_writes_the_card_anew_with_the_other_seeds(tmp_path):
    for seed in (0, 1):
        (tmp_path / f"run_{seed}").mkdir()
        write_whole(json.dumps(finished_run(seed=seed)), tmp_path / f"run_{seed}" / "metrics.json")
    result = run_in_process("card", ["run_0", "--runs", "run_1"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert " ± " in result.stdout
    assert "2 runs, seeds 0, 1" in (tmp_path / "run_0" / "README.md").read_text()
