"""The recipe of TumEmo, end to end: seven classes, and both forms of the texts in the table."""

import json
import os
from pathlib import Path

import pytest
from documented_commands import ROOT
from fabricated_sets import write_tumemo
from forked import run_two
from tiny_models import save_tiny_encoders
from tiny_runs import MODEL, run_here

from datasets_scripts import EMOTIONS

RECIPE = ROOT / "hybridsent" / "recipes" / "tumemo.yaml"
LABELS = {str(i): EMOTIONS[i % 7] for i in range(140)}
FORMS = ["both (label words masked)", "both (label words as published)"]


def tiny(encoders, *arguments):
    """Settings that make the recipe a matter of seconds."""
    return (
        RECIPE,
        *("--text_encoder", encoders / "text", "--vision_encoder", encoders / "vision"),
        *("--model_config", json.dumps(MODEL), "--bf16", "false", "--dataloader_num_workers", 0),
        *("--per_device_train_batch_size", 8, "--max_steps", 6, "--max_text_length", 32),
        *("--disable_tqdm", "true", *arguments),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Posts of seven classes whose texts say the label in its own word."""
    folder = tmp_path_factory.mktemp("tumemo")
    save_tiny_encoders(folder)
    (folder / "set").mkdir()
    texts = {i: f"{label.lower()} the day #{label}".encode() for i, label in LABELS.items()}
    write_tumemo(folder / "set", LABELS, texts)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """Trained by two processes on texts as published, since those leak for sure."""
    out = folder / "out"
    arguments = ("--data_dir", folder / "set", "--output_dir", out, "--mask_label_words", "false")
    first, _ = run_two("train", *tiny(folder, *arguments))
    assert first.returncode == 0, first.stderr
    return out, first.stdout


def rows_of(out):
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["labels"] == list(EMOTIONS)
    return metrics, {(row["input"], row["decided_by"]): row for row in metrics["scores"]}


def test_both_forms_stand_in_table_metrics_and_card(trained):
    out, said = trained
    metrics, rows = rows_of(out)
    assert metrics["processes"] == 2
    assert metrics["dataset"]["protocol"] == "hash"
    assert list(rows)[-2:] == [(name, "decision") for name in FORMS]
    for name in FORMS:
        (line,) = [line for line in said.splitlines() if line.startswith(f"| {name} | decision |")]
        assert line in (out / "README.md").read_text()
    masked, published = (rows[name, "decision"] for name in FORMS)
    test = metrics["dataset"]["counts"]["splits"]["test"]
    assert masked["posts"] == published["posts"] == test["present"]
    # Happy and sad are words of the tiny tokenizer, so the two forms are different texts to it.
    assert masked["nll"] != published["nll"]


def test_the_recipe_as_it_stands_masks_and_says_so(folder, tmp_path):
    cache = ("--cache_features", "true", "--cache_folder", tmp_path / "cache")
    out = tmp_path / "out"
    run_here(*tiny(folder, "--data_dir", folder / "set", "--output_dir", out, *cache))
    metrics, rows = rows_of(out)
    assert metrics["dataset"]["protocol"] == "hash, label words masked by [MASK]"
    assert metrics["dataset"]["counts"]["masked_posts"] == len(LABELS)
    assert json.loads((out / "processor_config.json").read_text())["clean_text"] is True
    assert "cleans each text" in (out / "README.md").read_text()
    assert [name for name, _ in list(rows)[-2:]] == FORMS[::-1]


@pytest.fixture
def real_posts(tmp_path):
    """Real label file and texts; the images, where absent, are made up."""
    source = os.environ.get("HYBRIDSENT_TUMEMO")
    if not source:
        pytest.skip("HYBRIDSENT_TUMEMO is not set to a folder with posts of TumEmo")
    files = sorted(Path(source, "all_data").glob("*.txt"), key=lambda file: int(file.stem))[:1000]
    if not files:
        pytest.skip("the folder HYBRIDSENT_TUMEMO has no texts in all_data/")
    texts = {file.stem: file.read_bytes() for file in files}
    lines = Path(source, "all_data_id_and_label.txt").read_text().splitlines()[1:]
    labels = dict(line.split("\t") for line in lines)
    return write_tumemo(tmp_path, {i: labels[i] for i in texts if i in labels}, texts)


def test_real_texts_train_and_are_masked(folder, real_posts, tmp_path):
    out = tmp_path / "out"
    run_here(*tiny(folder, "--data_dir", real_posts, "--output_dir", out, "--max_steps", 2))
    metrics, _ = rows_of(out)
    assert 0 < metrics["dataset"]["counts"]["masked_posts"] < metrics["dataset"]["counts"]["kept"]
