"""An export agrees with its model or does not appear, and tells what it is and nothing else."""

import json
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from documented_commands import ROOT
from many_posts import write_csv
from tiny_exports import save_smallest
from transformers import AutoModelForSequenceClassification

from hybridsent.exporting.comparison import MADE_UP, Compared, made_up_rows
from hybridsent.exporting.export import TOLERANCES, check_agreement, export, main
from hybridsent.exporting.graphs import quantize
from hybridsent.scoring import Predictor
from hybridsent.support.digests import digest_of_weights
from hybridsent.support.errors import PostsError

FORMATS = ("openvino", "onnx", "torch", "openvino-int8")


def contents(folder):
    """The bytes of each file, and of what is inside of those that are archives."""
    for file in folder.iterdir():
        yield file.name, file.read_bytes()
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    yield f"{file.name}:{name}", archive.read(name)


@pytest.mark.parametrize("name", FORMATS)
def test_the_folder_tells_what_it_is(name, exports):
    folder = exports[name]
    told = json.loads((folder / "export.json").read_text())
    assert told["format"] == name.partition("-")[0]
    assert told["quantization"] == (name.partition("-")[2] or "none")
    model = AutoModelForSequenceClassification.from_pretrained(exports.model)
    assert told["source_weights"] == f"sha256:{digest_of_weights(model)}"
    assert told["versions"].keys() >= {"python", "torch", "transformers"}
    assert set(told["files"]) < {file.name for file in folder.iterdir()}
    given = len(exports.posts) - len(exports.errors)
    assert told["checked"]["posts"] == (given if name == "openvino-int8" else MADE_UP)
    assert told["checked"]["greatest_difference"] <= TOLERANCES[told["quantization"]]
    assert not list(folder.glob("*.safetensors"))


@pytest.mark.parametrize("name", FORMATS)
def test_no_file_names_a_folder_of_this_machine(name, exports):
    for file, content in contents(exports[name]):
        for place in (str(ROOT), str(exports.folder), "site-packages"):
            assert place.encode() not in content, file


def test_int8_touches_what_is_read_in_the_text_and_little(exports):
    model, exact, rounded = (
        Predictor(
            str(folder), ["embeddings"], backend=backend, folder=str(exports.folder / "posts")
        )
        for folder, backend in (
            (exports.model, "torch"),
            (exports["openvino"], "openvino"),
            (exports["openvino-int8"], "openvino"),
        )
    )
    batch = {"text": ["a very sad day", "sun"], "image": ["images/0.png", "images/1.png"]}
    answers = [x(batch)["embeddings"] for x in (model, exact, rounded)]
    for branch, moved in (("text", True), ("image", False), ("fusion", True)):
        vectors = [np.array([post[branch] for post in answer]) for answer in answers]
        assert np.abs(vectors[1] - vectors[0]).max() < 1e-5
        difference = np.abs(vectors[2] - vectors[0]).max()
        assert 1e-4 < difference < 0.1 if moved else difference < 1e-5


def test_quantize_rounds_each_group_to_its_own_scale():
    weight = np.random.default_rng(0).normal(size=(96, 5)).astype(np.float32)
    weight[:32] *= 100
    weight[64:, 1] = 0
    numbers, scales, group = quantize(weight)
    assert (numbers.dtype, numbers.shape, scales.shape, group) == (np.int8, (96, 5), (3, 5), 32)
    restored = numbers.astype(np.float32) * scales.repeat(group, axis=0)
    assert (np.abs(restored - weight) <= 0.5001 * scales.repeat(group, axis=0)).all()
    assert np.abs(numbers.reshape(3, 32, 5)[:2]).max(axis=1).tolist() == [[127] * 5] * 2
    assert quantize(weight[:50])[2] == 50


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("onnx", "Give another --format."), ("openvino-int8", "Leave --quantize out.")],
)
def test_a_graph_of_another_model_does_not_agree(name, remedy, exports, tmp_path):
    save_smallest(tmp_path, seed=1)
    kind, _, quantization = name.partition("-")
    exported = Predictor(str(exports[name]), ["probabilities"], backend=kind)
    other = Predictor(str(tmp_path), ["probabilities"])
    with pytest.raises(PostsError, match="the graph does not agree with the model on 10") as caught:
        check_agreement(exported, other, lambda: iter(made_up_rows(10)), quantization or "none")
    assert str(caught.value).endswith(remedy)


def test_what_could_not_be_compared_does_not_appear(exports, tmp_path):
    table = write_csv(tmp_path / "posts.csv", [{"text": "a day", "image": "absent.png"}])
    output = tmp_path / "exports" / "torch"
    with pytest.raises(PostsError, match="--posts: no post in it can be scored"):
        export(str(exports.model), output, "torch", posts=str(table))
    assert not list(output.parent.iterdir())


def test_what_cannot_be_is_one_error(exports, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    model = exports.model
    wrong = [
        ((model, "taken"), (), "taken: holds something already\nGive another --output."),
        ((model, "output"), ("--format", "torch", "--quantize", "int8"), "not for --format torch"),
        ((model, "output"), ("--posts", "absent.csv"), "absent.csv: no such file or folder"),
        ((tmp_path, "output"), (), f"{tmp_path}: no model"),
        (
            (exports["onnx"], "output"),
            (),
            "is an export already\nGive the model that it was made of.",
        ),
    ]
    for (source, target), more, words in wrong:
        given = ["--model", str(source), "--output", str(tmp_path / target), *more]
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
    expected = np.array([[0.6, 0.3, 0.1], [0.401, 0.4, 0.199]])
    same = Compared().plus(expected, expected, 0.01)
    assert same == (2, 0.0, 0)
    found = np.array([[0.3, 0.6, 0.1], [0.4, 0.401, 0.199]])  # the second is too close to tell
    other = same.plus(found, expected, 0.01)
    assert other == (4, pytest.approx(0.3), 1)
    nothing = Compared().plus(expected * np.nan, expected, 0.01)
    assert np.isnan(nothing.plus(expected, expected, 0.01).greatest_difference)


def test_killed_while_it_exports_no_half_of_an_export_is_there(exports, tmp_path):
    command = [sys.executable, "-m", "hybridsent.exporting.export", "--model", str(exports.model)]
    command += ["--output", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (drafts := list(tmp_path.glob(".out-*"))) or not list(drafts[0].iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
