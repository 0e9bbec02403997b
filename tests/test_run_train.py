"""The public command line, end to end, on tiny encoders and a few generated posts."""

import json

import pytest
import yaml
from documented_commands import BIN, ROOT, run
from forked import run_two
from in_process import train_here
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import SIZES, assert_same_weights, run_here, write_recipe

from hybridsent.cli import main
from hybridsent.evaluation.final_scores import TEMPERATURES


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    launcher = [BIN / "accelerate", "launch", "--num_processes", "1", ROOT / "run_train.py"]
    result = run([*launcher, recipe, "--output_dir", folder, "--report_to", "tensorboard"])
    assert result.returncode == 0, result.stderr
    return folder, result


def test_folder_holds_model_code_card_and_metrics(trained):
    folder, _ = trained
    names = {file.name for file in folder.iterdir()}
    assert {
        "model.safetensors", "config.json", "processor_config.json", "tokenizer.json",
        "modeling_hybridsent.py", "pipeline_hybridsent.py", "metrics.json", "README.md", "report",
    } <= names  # fmt: skip
    assert {file.name for file in (folder / "report").iterdir()} == {
        "index.html", "agreement.png", "confusion.png", "decision_weights.png", "learning.png",
        "reliability.png",
    }  # fmt: skip
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_metrics_tell_what_a_reader_needs(trained):
    folder, _ = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    found = {
        name: split["present"] for name, split in metrics["dataset"]["counts"]["splits"].items()
    }
    assert found == SIZES
    assert (metrics["seed"], metrics["processes"], metrics["scored_split"]) == (0, 1, "test")
    rows = {(row["input"], row["decided_by"]): row for row in metrics["scores"]}
    assert list(rows) == [
        ("text only", "decision"),
        ("image only", "decision"),
        ("both", "text branch"),
        ("both", "image branch"),
        ("both", "fusion branch"),
        ("both", "decision"),
    ]
    assert rows["both", "decision"]["posts"] == SIZES["test"]
    assert rows["text only", "decision"]["posts"] <= SIZES["test"]
    assert metrics["seconds"] > 0
    assert {"python", "torch", "transformers", "hybridsent"} <= set(metrics["versions"])
    calibration = metrics["calibration"]
    config = json.loads((folder / "config.json").read_text())
    assert set(calibration["inputs"]) == set(TEMPERATURES)
    for given, fitted in calibration["inputs"].items():
        assert fitted["nll_after"] <= fitted["nll_before"] + 1e-6
        # Of so few validation posts none is fitted.
        assert config[TEMPERATURES[given]] == fitted["temperature"] == 1
        assert fitted["nll_cross_fitted"] >= fitted["nll_after"]
    counts = metrics["dataset"]["counts"]["splits"]["validation"]
    assert calibration["inputs"]["both"]["posts"] <= counts["present"]
    assert [row["epoch"] for row in metrics["learning"]["validation"]] == [1, 2]
    assert metrics["learning"]["training"][0]["loss"] > 0
    complete = sum(group["posts"] for group in metrics["agreement"].values())
    assert complete == rows["both", "fusion branch"]["posts"]


def test_tensorboard_shows_losses_and_validation_scores(trained):
    folder, _ = trained
    (events,) = folder.rglob("events.out.tfevents.*")
    read = EventAccumulator(str(events.parent)).Reload()
    metrics = json.loads((folder / "metrics.json").read_text())["learning"]
    for name, curve, key in (
        ("eval/macro_f1", "validation", "macro_f1"),
        ("train/loss", "training", "loss"),
    ):
        shown = [event.value for event in read.Scalars(name)]
        assert shown == pytest.approx([row[key] for row in metrics[curve]], abs=1e-4)


def test_counts_are_printed_before_training(trained):
    assert "Loaded posts: 24 train, 12 validation, 18 test; " in trained[1].stdout


def test_table_is_printed_and_stands_in_the_card(trained):
    folder, result = trained
    card = (folder / "README.md").read_text()
    table = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert len(table) == 7
    for line in table:
        assert line in card
    assert "$" not in card
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "transformers"


def test_report_shows_the_table_the_settings_and_the_mistakes(trained):
    folder, result = trained
    page = (folder / "report" / "index.html").read_text()
    (row,) = [line for line in result.stdout.splitlines() if "| both | decision |" in line]
    for cell in row.strip("| ").split(" | ")[2:]:
        assert f"<td>{cell}</td>" in page
    assert '<th scope="row">lr_scheduler_type</th><td class="name">cosine</td>' in page
    metrics = json.loads((folder / "metrics.json").read_text())
    wrong = SIZES["test"] - sum(line[i] for i, line in enumerate(metrics["confusion"]))
    assert f"{wrong} test posts were decided wrongly" in page
    assert page.count('<p class="id">post <bdi>test-') == min(wrong, 10)
    assert "Not calibrated, for fewer than 30 validation posts have a label: both" in result.stdout
    assert f"most confident mistakes: {folder / 'report' / 'index.html'}" in result.stdout


def test_no_path_of_this_machine_is_left_in_what_is_published(trained, recipe):
    folder, _ = trained
    for name in ("config.json", "processor_config.json", "tokenizer_config.json", "README.md"):
        assert str(recipe.parent) not in (folder / name).read_text(), name


def test_prepared_folder_trains_as_the_raw_one_does(recipe, tmp_path):
    """Same ids, texts, labels and pixels give the same weights and scores, to the bit."""
    raw, prepared = recipe.parent / "posts", tmp_path / "prepared"
    assert main(["prepare", "posts", "--data_dir", str(raw), "--output_dir", str(prepared)]) == 0
    for name, folder in (("from_raw", raw), ("from_prepared", prepared)):
        run_here(recipe, "--data_dir", folder, "--output_dir", tmp_path / name, "--max_steps", 3)
    one, other = (
        json.loads((tmp_path / name / "metrics.json").read_text())
        for name in ("from_raw", "from_prepared")
    )
    assert one["dataset"] == other["dataset"]
    assert one["scores"] == other["scores"]
    assert_same_weights(tmp_path / "from_prepared", tmp_path / "from_raw")


PUSH = ("--push_to_hub", "--hub_model_id", "tester/tiny", "--hub_private_repo", "true")


def test_a_run_publishes_its_model_once_at_the_end(recipe, tmp_path, hub):
    """It publishes only what loads where the project is absent."""
    folder = tmp_path / "out"
    result = train_here(recipe, *PUSH, "--output_dir", folder, "--max_steps", 2)
    assert result.returncode == 0, result.stderr
    assert "Published: http://127.0.0.1" in result.stdout
    repo = hub.repos["model", "tester/tiny"]
    assert repo.private
    assert len(repo.commits) == 2
    files = repo.head.files
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert 'model="tester/tiny"' in files["README.md"].decode()
    assert not [name for name in files if "checkpoint" in name or name.endswith((".bin", ".pt"))]
    assert (folder / "report" / "index.html").is_file()
    assert not [name for name in files if name.endswith(".html")]


def test_a_wrong_token_is_named_before_the_training(recipe, tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    folder = tmp_path / "out"
    result = train_here(recipe, *PUSH, "--output_dir", folder)
    assert result.returncode == 1
    assert "hf auth login" in result.stderr
    assert not (folder / "model.safetensors").exists()


def test_cached_states_serve_two_processes_and_then_one_with_the_same_scores(
    recipe, tmp_path, trained
):
    cache = ("--cache_features", "true", "--cache_folder", tmp_path / "cache")
    given = (recipe, *cache, "--output_dir", tmp_path / "two", "--max_steps", 2)
    for result, said in zip(run_two("train", *given), (1, 0), strict=True):
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("text encoder: not cached, because it is trained; image") == said
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert metrics["processes"] == 2
    assert metrics["scores"][-1]["posts"] == SIZES["test"]
    built = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*")}
    assert len(list((tmp_path / "cache").iterdir())) == len(SIZES)

    run_here(recipe, *cache, "--output_dir", tmp_path / "one")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*")} == built
    got, expected = (
        json.loads((folder / "metrics.json").read_text())["scores"]
        for folder in (tmp_path / "one", trained[0])
    )
    for row, expected_row in zip(got, expected, strict=True):
        assert row == pytest.approx(expected_row, abs=1e-4)


def two_steps(recipe, folder, *options):
    """Logged losses and the epoch reached, after two steps that also train the vision encoder."""
    run_here(
        recipe, *options, "--output_dir", folder, "--max_steps", 2, "--logging_steps", 1,
        "--vision_encoder_learning_rate", 0.001,
    )  # fmt: skip
    state = json.loads((folder / "checkpoint-2" / "trainer_state.json").read_text())
    return [log["loss"] for log in state["log_history"] if "loss" in log], state["epoch"]


def test_switches_of_the_library_train(recipe, tmp_path):
    losses, epoch = two_steps(recipe, tmp_path / "plain")
    assert epoch == pytest.approx(2 * 4 / SIZES["train"])
    checkpointed = two_steps(recipe, tmp_path / "1", "--gradient_checkpointing", "true")
    assert checkpointed[0] == pytest.approx(losses, abs=1e-5)
    half, _ = two_steps(recipe, tmp_path / "2", "--bf16", "true")
    assert half != losses
    assert half == pytest.approx(losses, abs=0.05)


def test_missing_data_dir_is_named(recipe, tmp_path):
    result = train_here(recipe, "--output_dir", tmp_path, "--data_dir", tmp_path / "nowhere")
    assert result.returncode != 0
    assert "nowhere" in result.stderr
