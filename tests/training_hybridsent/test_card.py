"""The card is filled from the run, wholly and truly."""

import re

import pytest
import yaml

from training_hybridsent.card import TEMPLATE, fill_card

SCORES = {
    "accuracy": 0.751,
    "macro_f1": 0.652,
    "weighted_f1": 0.743,
    "ece": 0.0312,
    "f1_negative": 0.7,
    "f1_positive": 0.8,
}
RUN = {
    "dataset": {
        "name": "synthetic",
        "protocol": "as given",
        "counts": {"splits": {"train": {"present": 900}, "test": {"present": 400}}},
    },
    "seed": 7,
    "labels": ["negative", "positive"],
    "parameters": {"all": 28_400_000, "trained": 25_000_000},
    "calibration": {"temperature": 1.2345, "ece_before": 0.08, "ece_after": 0.021},
    "scored_split": "test",
    "scores": [{"input": "both", "decided_by": "decision", "posts": 400, **SCORES}],
    "seconds": 150,
    "versions": {"torch": "2.99"},
}


@pytest.fixture(scope="module")
def card():
    return fill_card(RUN)


def test_no_place_is_left_empty(card):
    assert not re.search(r"\$\w+", card)
    assert "None" not in card


def test_header_is_what_the_hub_reads(card):
    header = yaml.safe_load(card.split("---")[1])
    assert header["library_name"] == "transformers"
    assert header["license"] == "apache-2.0"


@pytest.mark.parametrize(
    "fact",
    [
        "train 900, test 400 posts",
        "It is synthetic",
        "seed 7",
        "| both | decision | 75.1 | 65.2 | 74.3 | 3.1 | 400 |",
        "negative 70.0, positive 80.0",
        "temperature 1.234",
        "from 8.0 to 2.1",
        "28.4 million",
        "2.5 minutes",
        "torch 2.99",
    ],
)
def test_facts_of_the_run_stand_in_the_card(card, fact):
    assert fact in " ".join(card.split())


def test_real_data_is_not_called_synthetic():
    run = {**RUN, "dataset": {**RUN["dataset"], "name": "mvsa_single", "protocol": "clmlf"}}
    filled = fill_card(run)
    assert "synthetic" not in filled
    assert "clmlf" in filled


def test_scores_of_the_posts_of_the_choice_are_called_flattering(card):
    assert "flatter" not in card
    assert "flatter" in fill_card({**RUN, "scored_split": "validation"})


def test_a_place_the_run_does_not_fill_is_an_error(tmp_path, monkeypatch):
    template = tmp_path / "model_card.md"
    template.write_text(TEMPLATE.read_text() + "\n$unknown_figure\n")
    monkeypatch.setattr("training_hybridsent.card.TEMPLATE", template)
    with pytest.raises(KeyError, match="unknown_figure"):
        fill_card(RUN)
