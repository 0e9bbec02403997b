"""`hybridsent evaluate` finds what the training found, and adds the damaged posts."""

import json

import pytest
from in_process import run_in_process
from tiny_runs import run_here, write_recipe

from hybridsent.evaluation.evaluate import describe_evaluation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_here(write_recipe(folder, max_steps=2), "--output_dir", folder / "out")
    return folder


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


def test_it_agrees_with_the_run_and_adds_noise(folder):
    result = run_in_process("evaluate", [folder / "out", folder / "recipe.yaml"])
    assert result.returncode == 0, result.stderr
    run, found = (read(folder / "out" / f"{name}.json") for name in ("metrics", "evaluation"))
    noise = found["robustness"].pop("noise")
    for name, value in found.items():
        assert value == run[name], name
    assert len(noise) == 11
    for row in noise:
        line = f"| {row['input']} | {100 * row['accuracy']:.1f} | {100 * row['macro_f1']:.1f} | "
        assert line in result.stdout
    assert f"Wrote {folder / 'out' / 'evaluation.json'}" in result.stdout
    assert not (folder / "outputs").exists()
    assert "unimodal label" in result.stdout
    found["robustness"] |= {"noise": noise, "own_labels": {}}  # as of posts that have none
    assert "unimodal label" not in describe_evaluation(found)


def test_posts_with_other_labels_are_refused(folder, tmp_path):
    for name in ("train", "validation"):
        (tmp_path / f"{name}.csv").write_text("text,label\na,bad\nb,good\n")
    words = [folder / "out", folder / "recipe.yaml", "--data_dir", tmp_path]
    result = run_in_process("evaluate", words)
    assert result.returncode == 1
    assert (
        "has the labels ['negative', 'neutral', 'positive'], the posts ['bad', 'good']: it can only"
        in result.stderr
    )
