"""AutoMM's script, up to what AutoGluon does: posts, cut, calibration, file of answers."""

import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from benchmarks import automm
from benchmarks.accuracy.protocol.layout import Layout, Run, read_layout, write_layout
from benchmarks.accuracy.score import read_answers

NAMES = ["negative", "neutral", "positive"]
IDS = [str(i) for i in range(200)]
LABELS = {post: i % 3 for i, post in enumerate(IDS)}
GROUPS = {post: i // 2 for i, post in enumerate(IDS)}
LAYOUT = Layout(NAMES, LABELS, GROUPS, {0: Run(100, IDS[:100]), 1: Run(100, IDS[100:])})


@pytest.fixture
def posts(tmp_path):
    """A table of posts, read from files in the published form."""
    (tmp_path / "data").mkdir()
    for post in IDS:
        (tmp_path / "data" / f"{post}.jpg").write_bytes(b"read by AutoMM alone")
        (tmp_path / "data" / f"{post}.txt").write_bytes(f" café {post}\n".encode("gb18030"))
    content = {"posts": {x: [LABELS[x], GROUPS[x]] for x in IDS}, "labels": NAMES}
    return automm.read_posts(tmp_path, content)


def test_posts_have_text_image_label_and_group(posts, tmp_path):
    image = str(tmp_path / "data" / "4.jpg")
    assert posts.loc["4"].to_list() == ["café 4", image, "neutral", 2]
    for ending in ("jpg", "txt"):
        (tmp_path / "data" / f"7.{ending}").unlink()
        with pytest.raises(FileNotFoundError, match=rf"7\.{ending}: no such file, but the folds"):
            automm.read_posts(tmp_path, {"posts": {"7": [0, 3]}, "labels": NAMES})
        (tmp_path / "data" / f"7.{ending}").touch()


@pytest.mark.parametrize("held_out", [IDS[:100], IDS[100:], IDS[:99]])  # the last cuts a group
def test_no_group_is_in_two_parts(posts, held_out):
    parts = automm.cut_posts(posts, held_out, 0)
    assert list(parts["held_out"].index) == held_out
    groups = [set(part["group"]) for part in parts.values()]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 100


def test_another_tenth_chooses_in_each_run(posts):
    first, second = (automm.cut_posts(posts, IDS[:100], run)["choices"] for run in (0, 1))
    assert set(first.index) != set(second.index)


def test_the_temperature_is_the_one_of_the_least_nll():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 3))
    labels = np.array([generator.choice(3, p=p) for p in softmax(logits, axis=1)])
    sure = softmax(logits * 3, axis=1)
    temperature = automm.temperature_of(sure, labels)
    assert temperature == pytest.approx(3, rel=0.1)
    losses = [log_loss(labels, automm.calibrate(sure, temperature * by)) for by in (0.98, 1, 1.02)]
    assert losses[1] == min(losses)
    np.testing.assert_allclose(automm.calibrate(sure, 3), softmax(logits, axis=1), atol=1e-9)


def test_answers_are_such_as_score_reads(posts, tmp_path):
    for run, part in LAYOUT.runs.items():
        values = np.full((100, 3), 1 / 3)
        answers = pd.DataFrame(values, part.held_out, [f"p_{name}" for name in NAMES])
        automm.write_run(answers, posts, run, tmp_path / f"automm-{run}.parquet")
    write_layout(LAYOUT, tmp_path / "folds.json")
    joined = automm.join_runs(tmp_path)
    found = read_answers(joined, read_layout(tmp_path / "folds.json"))
    assert list(found["id"]) == IDS
    assert set(found["method"]) == {"automm"}
    assert not list(tmp_path.glob("*.draft"))


@pytest.fixture
def command(posts, tmp_path, monkeypatch):
    """Call the script with further words; its version of AutoGluon is made up."""
    write_layout(LAYOUT, tmp_path / "folds.json")
    monkeypatch.setattr(automm, "version", lambda name: "1.6.3")

    def call(*words):
        common = ["--data_dir", str(tmp_path), "--output", str(tmp_path / "out")]
        common += ["--folds_file", str(tmp_path / "folds.json")]
        monkeypatch.setattr(sys, "argv", ["automm", *common, *words])
        automm.main()

    return call


class Recorder:
    """What is asked of AutoMM; it answers the label of each post, its columns in another order."""

    fits: ClassVar[list] = []

    def __init__(self, label, **settings):
        assert label == "label"

    def fit(self, train, tuning_data, **settings):
        self.fits.append((train, tuning_data, settings))

    def predict_proba(self, posts):
        assert list(posts) == ["text", "image"]
        right = [NAMES[LABELS[Path(image).stem]] for image in posts["image"]]
        rows = [[0.8 if name == each else 0.1 for name in NAMES[::-1]] for each in right]
        return pd.DataFrame(rows, columns=NAMES[::-1])


def test_a_run_is_fitted_once_without_the_posts_it_scores(command, tmp_path, monkeypatch):
    module = ModuleType("autogluon.multimodal")
    module.MultiModalPredictor = Recorder
    monkeypatch.setitem(sys.modules, "autogluon", ModuleType("autogluon"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Recorder, "fits", [])
    command("--runs", "0", "0", "--set", "a=1", "--set", "b=x")
    ((train, choices, settings),) = Recorder.fits
    assert list(train) == list(choices) == ["text", "image", "label"]
    assert sorted([*train.index, *choices.index]) == sorted(IDS[100:])
    assert settings["hyperparameters"] == {"a": 1, "b": "x"}
    found = read_answers(tmp_path / "out" / "automm.parquet", LAYOUT, [0])
    decided = found[[f"p_{name}" for name in NAMES]].to_numpy().argmax(axis=1)
    assert (decided == found["label"]).all()
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "automm-0.parquet", "automm.parquet", "automm.json"
    }  # fmt: skip
    with pytest.raises(SystemExit, match=r"has answers with set = .*give another --output"):
        command("--runs", "0", "--set", "a=2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no JSON", "is not a folds.json of a comparison"),
        ("[]", "is not a folds.json of a comparison"),
        ('{"protocol": 2}', "is not a folds.json of a comparison"),
        ('{"protocol": 1, "runs": {}}', "is of protocol 1, not 2"),
    ],
)
def test_other_folds_are_refused(command, tmp_path, content, message):
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(SystemExit, match=message):
        command()


def test_what_is_wrong_is_named_before_any_fit(command, tmp_path):
    with pytest.raises(SystemExit, match=r"--runs 7: .*folds\.json has \[0, 1\]"):
        command("--runs", "0", "7")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        command("--set", "=1")
    (tmp_path / "data" / "7.jpg").unlink()
    with pytest.raises(SystemExit, match=r"7\.jpg: no such file"):
        command()


def test_encoders_are_handed_on(monkeypatch):
    words = ["--data_dir", "x", "--output", "y", "--text_encoder", "a", "--image_encoder", "b"]
    monkeypatch.setattr(sys, "argv", ["automm", *words])
    assert automm.hyperparameters_of(automm.parse_arguments()) == {
        "model.names": ["hf_text", "timm_image", "fusion_mlp"],
        "model.hf_text.checkpoint_name": "a",
        "model.timm_image.checkpoint_name": "b",
    }
