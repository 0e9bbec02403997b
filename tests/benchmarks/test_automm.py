"""AutoMM's script, up to what AutoGluon does: posts, cut, calibration, file of answers."""

import sys

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
    (tmp_path / "data" / "7.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"7\.jpg: no such file, but the folds have post 7"):
        automm.read_posts(tmp_path, {"posts": {"7": [0, 3]}, "labels": NAMES})


def test_no_group_is_in_two_parts_and_another_tenth_chooses_in_each_run(posts):
    chosen = []
    for run, part in LAYOUT.runs.items():
        parts = automm.cut_posts(posts, part.held_out, run)
        assert sorted(pd.concat(parts.values()).index) == sorted(IDS)
        assert list(parts["held_out"].index) == part.held_out
        groups = [set(part["group"]) for part in parts.values()]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        chosen.append(set(parts["choices"].index))
        assert chosen[-1]
    again = automm.cut_posts(posts, LAYOUT.runs[0].held_out, 1)
    assert set(again["choices"].index) != chosen[0]


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


def test_an_unknown_run_is_refused_before_any_fit(posts, tmp_path, monkeypatch):
    write_layout(LAYOUT, tmp_path / "folds.json")
    words = ["--data_dir", str(tmp_path), "--output", str(tmp_path / "out")]
    words += ["--folds_file", str(tmp_path / "folds.json"), "--runs", "0", "7"]
    monkeypatch.setattr(sys, "argv", ["automm", *words])
    with pytest.raises(SystemExit, match=r"--runs 7: .*folds\.json has \[0, 1\]"):
        automm.main()


def test_settings_of_automm_are_handed_on(monkeypatch):
    words = ["--data_dir", "x", "--output", "y", "--text_encoder", "a", "--set"]
    monkeypatch.setattr(sys, "argv", ["automm", *words, "optim.max_epochs=4", "env.precision=bf16"])
    assert automm.hyperparameters_of(automm.parse_arguments()) == {
        "model.names": ["hf_text", "timm_image", "fusion_mlp"],
        "model.hf_text.checkpoint_name": "a",
        "optim.max_epochs": 4,
        "env.precision": "bf16",
    }
