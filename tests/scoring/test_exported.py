"""An exported model answers as the model does, whatever a batch lacks, and only where it belongs."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from in_process import score_here
from many_posts import read_answers
from tiny_models import tiny_processor

from hybridsent import Predictor
from hybridsent.scoring.exported import OpenVinoGraph, pad_texts, require_backend

ALL = ("probabilities", "branches", "weights", "embeddings")
# By what is special about them. The graphs were traced with 3 posts that have all.
BATCHES = {
    "one post": {"text": ["a happy day"], "image": ["images/0.png"]},
    "one word": {"text": ["sun"], "image": ["images/1.png"]},
    "no image": {"text": ["a sad day", "rain", "not good !"], "image": [None] * 3},
    "no text": {"text": [None] * 2, "image": ["images/2.png", "images/3.png"]},
    "gaps": {
        "text": ["a day", None, "very bad rain", "cat", None],
        "image": ["images/0.png", "images/1.png", None, "images/2.png", "images/3.png"],
    },
    "long": {"text": ["a very sad day " * 20, "sun"], "image": ["images/0.png", None]},
}


def numbers_of(answer):
    """All numbers of an answer, with None where it is missing."""
    if isinstance(answer, dict):
        return {key: numbers_of(value) for key, value in answer.items()}
    return None if answer is None else np.asarray(answer, dtype=float)


def assert_same(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    elif expected is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=0)


@pytest.fixture(scope="module")
def eager(exports):
    return Predictor(str(exports.model), ALL, folder=str(exports.folder / "posts"))


def test_the_model_tells_the_posts_apart(eager):
    """Else the comparisons below could not fail."""
    scores = [eager(batch)["probabilities"] for batch in BATCHES.values()]
    numbers = np.array([list(p.values()) for answers in scores for p in answers])
    assert numbers.std(axis=0).min() > 0.01


def test_an_exported_model_explains_as_the_model_does(exports):
    folder, asked = str(exports.folder / "posts"), ("explanation",)
    exported = Predictor(str(exports["onnx"]), asked, backend="onnx", folder=folder)
    whole = Predictor(str(exports.model), asked, folder=folder)
    for name in ("gaps", "no image", "no text"):
        both = (predictor(BATCHES[name])["explanation"] for predictor in (exported, whole))
        for found, expected in zip(*both, strict=True):
            for one, other in zip(found.pop("words"), expected.pop("words"), strict=True):
                assert one["word"] == other["word"]
                assert one["effect"] == pytest.approx(other["effect"], abs=2e-5)
            assert found.pop("label") == expected.pop("label")
            assert_same(numbers_of(found), numbers_of(expected))


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_every_answer_is_that_of_the_model(backend, exports, eager):
    folder = str(exports.folder / "posts")
    predictor = Predictor(str(exports[backend]), ALL, backend=backend, folder=folder)
    for name, batch in BATCHES.items():
        found, expected = predictor(batch), eager(batch)
        for column in ("label", "error"):
            assert found[column] == expected[column], name
        for column in ("score", *ALL):
            for one, other in zip(found[column], expected[column], strict=True):
                assert_same(numbers_of(one), numbers_of(other))


@pytest.mark.parametrize(
    ("tokens", "longest", "expected"),
    [(1, None, 8), (8, 512, 8), (9, 512, 16), (505, 510, 505), (505, 512, 512), (30, 30, 30)],
)
def test_texts_are_padded_to_few_lengths_but_not_beyond_the_longest(tokens, longest, expected):
    inputs = {
        "input_ids": torch.full((2, tokens), 7),
        "attention_mask": torch.ones(2, tokens, dtype=torch.long),
        "has_text": torch.tensor([True, False]),
    }
    found = pad_texts(inputs, longest)
    assert found["input_ids"].shape == found["attention_mask"].shape == (2, expected)
    assert found["input_ids"][:, :tokens].eq(7).all()
    assert found["attention_mask"].sum(dim=1).tolist() == [tokens, tokens]
    assert found["has_text"] is inputs["has_text"]


def test_posts_that_come_alone_get_graphs_of_their_lengths(exports, eager, monkeypatch):
    monkeypatch.setattr(OpenVinoGraph, "MOST_LENGTHS", 2)
    folder = str(exports.folder / "posts")
    predictor = Predictor(str(exports["openvino"]), ALL, backend="openvino", folder=folder)
    rows = [
        {"text": ["a happy day"], "image": ["images/0.png"]},
        {"text": [None], "image": ["images/2.png"]},  # 8 tokens, of which none counts
        {"text": ["a very sad day " * 4], "image": [None]},
        {"text": ["very bad rain " * 20], "image": ["images/1.png"]},
    ]
    own = []
    for _ in range(3):
        for row in rows:
            assert_same(
                numbers_of(predictor(row)["probabilities"][0]),
                numbers_of(eager(row)["probabilities"][0]),
            )
        own.append(list(predictor.backend.alone))
    assert own == [[8], [8, 24], [8, 24]]  # 8 was met twice at once; 40, the third, comes too late


def error_of(*arguments):
    """Score with run_predict.py; its message, or None where it succeeds."""
    result = score_here(*arguments)
    found = result.stderr
    return found[found.index("error: ") :] if result.returncode else None


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_run_predict_scores_a_table(backend, exports, eager, tmp_path):
    output = tmp_path / "answers"
    given = ("--input", exports.table, "--output", output, "--columns", "probabilities")
    given += ("--model", exports[backend])
    assert error_of(*given, "--backend", backend) is None
    answers = read_answers(output)
    assert [answer["id"] for answer in answers] == [post["id"] for post in exports.posts]
    columns = {name: [post[name] for post in exports.posts] for name in ("text", "image")}
    expected = eager(columns)
    for i, answer in enumerate(answers):
        assert (answer["error"] is not None) == (i in exports.errors)
        assert answer["label"] == expected["label"][i]
        assert_same(numbers_of(answer["probabilities"]), numbers_of(expected["probabilities"][i]))


def test_another_export_or_backend_does_not_go_on(exports, tmp_path):
    output, other = tmp_path / "answers", tmp_path / "other"
    given = ("--input", exports.table, "--output", output)
    first = ("--model", exports["onnx"], "--backend", "onnx")
    assert error_of(*given, *first) is None
    assert error_of(*given, *first) is None
    shutil.copytree(exports["onnx"], other)
    manifest = json.loads((other / "export.json").read_text())
    (other / "export.json").write_text(json.dumps({**manifest, "versions": {}}))
    error = error_of(*given, "--model", other, "--backend", "onnx")
    assert "another model" in error
    assert "model was sha256:" in error
    error = error_of(*given, "--model", exports.model)
    assert "backend was onnx, is torch" in error


def test_a_wrong_pairing_says_what_to_type(exports, tmp_path):
    given = ("--input", exports.table, "--output", tmp_path / "answers")
    onnx, model = exports["onnx"], exports.model
    wrong = [
        ((onnx,), "exported as 'onnx', which --backend torch does not run\nType --backend onnx."),
        ((onnx, "--backend", "openvino"), "Type --backend onnx."),
        ((model, "--backend", "openvino"), f"{model}: has no export.json"),
        ((model, "--backend", "openvino"), "--output FOLDER --format openvino"),
        ((onnx, "--backend", "onnx", "--dtype", "bfloat16"), "Leave --dtype out."),
    ]
    for arguments, words in wrong:
        error = error_of(*given, "--model", *arguments)
        assert error.startswith("error: ")
        assert words in error
        assert not (tmp_path / "answers").exists()
    with pytest.raises(ValueError, match="Type --device cpu"):
        Predictor(str(onnx), backend="onnx", device="cuda").load()


def test_a_missing_package_is_named(exports, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="--backend onnx: needs the package onnxruntime") as caught:
        require_backend(str(exports["onnx"]), "onnx")
    assert str(caught.value).endswith("Type: pip install 'hybridsent[export]'")


def test_damaged_files_are_named(exports, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(exports["onnx"], folder)
    with (folder / "model.onnx.data").open("ab") as weights:
        weights.write(b"x")
    with pytest.raises(ValueError, match=r"model\.onnx\.data: is absent or damaged"):
        Predictor(str(folder), backend="onnx").load()
    (folder / "model.onnx.data").write_bytes((exports["onnx"] / "model.onnx.data").read_bytes())
    tiny_processor(max_length=65).save_pretrained(folder)
    with pytest.raises(
        ValueError, match=r"cuts texts after 65 tokens, .*'bert' has positions for 64"
    ):
        Predictor(str(folder), backend="onnx").load()
    (folder / "export.json").write_text('{"format": "tflite", "files": {}}')
    with pytest.raises(ValueError, match=r"export\.json: is damaged"):
        Predictor(str(folder), backend="onnx").load()
