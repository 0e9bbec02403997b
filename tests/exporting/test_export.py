"""An export agrees with its model or does not appear, and tells what it is and nothing else."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from documented_commands import ROOT
from many_posts import write_csv
from tiny_exports import save_smallest
from transformers import AutoModelForSequenceClassification

from hybridsent import Predictor
from hybridsent.cli import main
from hybridsent.exporting.comparison import MADE_UP, TOLERANCE, Compared, made_up_rows
from hybridsent.exporting.export import check_agreement, export
from hybridsent.support.digests import digest_of_weights
from hybridsent.support.errors import PostsError

FORMATS = ("openvino", "onnx")


@pytest.mark.parametrize("name", FORMATS)
def test_the_folder_tells_what_it_is(name, exports):
    folder = exports[name]
    manifest = json.loads((folder / "export.json").read_text())
    assert manifest["format"] == name
    model = AutoModelForSequenceClassification.from_pretrained(exports.model)
    assert manifest["source_weights"] == f"sha256:{digest_of_weights(model)}"
    assert manifest["versions"].keys() >= {"python", "torch", "transformers"}
    assert set(manifest["files"]) < {file.name for file in folder.iterdir()}
    given = len(exports.posts) - len(exports.errors)
    assert manifest["checked"]["posts"] == (given if name == "onnx" else MADE_UP)
    assert manifest["checked"]["greatest_difference"] <= TOLERANCE
    assert not list(folder.glob("*.safetensors"))


@pytest.mark.parametrize("name", FORMATS)
def test_no_file_names_a_folder_of_this_machine(name, exports):
    for file in exports[name].iterdir():
        for place in (str(ROOT), str(exports.folder), "site-packages"):
            assert place.encode() not in file.read_bytes(), file


def test_an_exported_model_of_another_model_does_not_agree(exports, tmp_path):
    save_smallest(tmp_path, seed=1)
    exported = Predictor(str(exports["onnx"]), ["probabilities"], backend="onnx")
    other = Predictor(str(tmp_path), ["probabilities"])
    with pytest.raises(PostsError, match="does not agree with the model on 10 posts") as caught:
        check_agreement(exported, other, lambda: iter(made_up_rows(10)))
    assert str(caught.value).endswith("Give another --format.")


def test_what_could_not_be_compared_does_not_appear(exports, tmp_path):
    table = write_csv(tmp_path / "posts.csv", [{"text": "a day", "image": "absent.png"}])
    output = tmp_path / "exports" / "onnx"
    with pytest.raises(PostsError, match="--posts: no post in it can be scored"):
        export(str(exports.model), output, "onnx", posts=str(table))
    assert not list(output.parent.iterdir())


def test_what_cannot_be_is_one_error(exports, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    model = exports.model
    wrong = [
        ((model, "taken"), (), "taken: is not empty\nGive another --output."),
        ((model, "output"), ("--posts", "absent.csv"), "absent.csv: no such file or folder"),
        ((tmp_path, "output"), (), f"{tmp_path}: no model"),
        ((exports["onnx"], "output"), (), "already\nGive the model that it was made of."),
    ]
    for (source, target), more, words in wrong:
        given = ["export", "--model", str(source), "--output", str(tmp_path / target), *more]
        assert main(given) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert words in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]


def test_a_missing_package_is_named(exports, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(PostsError, match="--format onnx: needs the package onnxscript"):
        export(str(exports.model), tmp_path / "onnx", "onnx")


def test_differences_are_counted_as_they_should():
    expected = np.array([[0.6, 0.3, 0.1], [0.40001, 0.4, 0.19999]])
    same = Compared().plus(expected, expected)
    assert same == (2, 0.0, 0)
    found = np.array([[0.3, 0.6, 0.1], [0.4, 0.40001, 0.19999]])  # the second is too close to tell
    assert same.plus(found, expected) == (4, pytest.approx(0.3), 1)
    nan = Compared().plus(expected * np.nan, expected)
    assert np.isnan(nan.plus(expected, expected).greatest_difference)


def test_killed_while_it_exports_no_half_of_an_export_is_there(exports, tmp_path):
    command = [sys.executable, "-m", "hybridsent", "export", "--model", str(exports.model)]
    command += ["--output", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (drafts := list(tmp_path.glob(".out-*"))) or not list(drafts[0].iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
