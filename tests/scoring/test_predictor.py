"""A predictor answers each post as the model itself does, and a bad one with a reason."""

import contextlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from many_posts import BAD, direct, good_posts, png, save_pictures, with_bad
from safetensors.torch import load_file, save_file
from tiny_models import LABELS, picture, save_tiny, tiny_processor

from hybridsent import Predictor
from hybridsent.scoring.answers import Window
from hybridsent.scoring.backends import identify_model
from hybridsent.scoring.preparing import Preparer
from hybridsent.scoring.rows import Row
from hybridsent.support.errors import PostsError

BRANCHES = ("text", "image", "fusion")
ALL = ("probabilities", "branches", "weights", "embeddings")


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictor") / "posts"
    save_pictures(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return str(folder), *save_tiny(folder)


def as_batch(posts):
    return {name: [post[name] for post in posts] for name in ("id", "text", "image")}


def test_every_answer_is_that_of_a_direct_call(tiny, posts):
    name, model, processor = tiny
    given = good_posts(20)  # more than a CPU gets at once
    given[4]["text"] = ""  # an image alone
    answers = Predictor(name, ALL, folder=str(posts))(as_batch(given))
    assert answers["id"] == [post["id"] for post in given]
    for i, expected in enumerate(direct(model, processor, given, posts)):
        p = expected.logits.softmax(dim=-1)[0]
        assert answers["error"][i] is None
        assert answers["label"][i] == LABELS[int(p.argmax())]
        assert answers["score"][i] == pytest.approx(float(p.max()), abs=1e-6)
        named = dict(zip(LABELS.values(), p.tolist(), strict=True))
        assert answers["probabilities"][i] == pytest.approx(named, abs=1e-6)
        weights = dict(zip(BRANCHES, expected.decision_weights[0].tolist(), strict=True))
        assert answers["weights"][i] == pytest.approx(weights, abs=1e-6)
        for branch, weight in weights.items():
            said, vector = answers["branches"][i][branch], answers["embeddings"][i][branch]
            if weight == 0:
                assert said is None
            else:
                p = expected[f"{branch}_logits"].softmax(dim=-1)[0].tolist()
                assert list(said.values()) == pytest.approx(p, abs=1e-6)
                embeds = expected[f"{branch}_embeds"][0].tolist()
                assert vector == pytest.approx(embeds, abs=1e-5)
        assert (answers["embeddings"][i]["image"] is None) == (not given[i]["image"])
        assert (answers["embeddings"][i]["text"] is None) == (not given[i]["text"])


def test_bad_posts_keep_their_place_and_say_why(tiny, posts):
    name, model, processor = tiny
    given, errors = with_bad(good_posts(35))
    given.append({"id": "number", "text": 3, "image": None})
    errors[len(given) - 1] = "text must be str or None, got int"
    assert len(set(errors.values())) == len(BAD) + 1
    answers = Predictor(name, ALL, folder=str(posts))(as_batch(given))
    for i, post in enumerate(given):
        assert answers["id"][i] == post["id"]
        if i in errors:
            assert errors[i] in answers["error"][i]
            assert all(answers[column][i] is None for column in ("label", "score", *ALL))
        else:
            (expected,) = direct(model, processor, [post], posts)
            p = expected.logits.softmax(dim=-1)[0]
            assert answers["error"][i] is None
            assert answers["score"][i] == pytest.approx(float(p.max()), abs=1e-6)


def test_a_batch_of_bad_posts_only_needs_no_model_inputs(tiny):
    answers = Predictor(tiny[0], ALL)({"text": [None, ""]})
    assert answers["error"] == ["neither text nor image"] * 2
    assert answers["embeddings"] == [None, None]


def test_images_may_be_bytes_or_arrays_and_columns_arrays(tiny):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    texts = np.array(["a day", None, "sun"], dtype=object)
    batch = {"text": texts, "image": [png(0), {"bytes": png(0), "path": "x"}, pixels]}
    answers = Predictor(tiny[0])(batch)
    assert answers["error"] == [None] * 3
    assert set(answers) == {"id", "label", "score", "error"}


def batches_with_gaps():
    """The same four posts as others hold them; the last three lack a text, an image and both."""
    nan, texts, images = float("nan"), ["nan", None, "sun", None], ["0.png", "1.png", None, None]
    listed = {"id": [7, 8, 9, 10], "text": texts, "image": images}
    filled = {name: [nan if x is None else x for x in column] for name, column in listed.items()}
    objects = {name: np.array(column, dtype=object) for name, column in filled.items()}
    later = [5, 3, 4, 6]  # an index that does not count from 0, as a filter leaves it
    frame = pd.DataFrame(filled, index=later)
    return {
        "lists": listed,
        "arrays of objects": objects,
        "arrays of halves": {**objects, "image": [*images[:2], np.float16(nan), np.float32(nan)]},
        "frame of strings": frame,
        "frame of objects": frame.astype(object).replace({nan: pd.NA}),
        "frame of times": frame.astype(object).replace({nan: pd.NaT}),
        "table": pa.table(listed),
        "table of large strings": pa.table({**listed, "text": pa.array(texts, pa.large_string())}),
    }


@pytest.mark.parametrize("kind", batches_with_gaps())
def test_what_is_missing_is_missing_in_every_kind_of_batch(kind, tiny, posts):
    batch = batches_with_gaps()[kind]
    predictor = Predictor(tiny[0], ["weights"], folder=str(posts / "images"))
    answers = predictor(batch)
    if isinstance(batch, pa.Table):
        empty = predictor(batch.slice(0, 0))
        assert answers.schema == empty.schema
        assert empty.num_rows == 0
        answers = answers.to_pydict()
    assert answers["id"] == ["7", "8", "9", "10"]
    assert answers["error"] == [None, None, None, "neither text nor image"]
    weights = [
        answer and [answer["text"] > 0, answer["image"] > 0] for answer in answers["weights"]
    ]
    assert weights == [[True, True], [False, True], [True, False], None]
    assert answers["score"][:3] == pytest.approx(
        predictor(batches_with_gaps()["lists"])["score"][:3], abs=1e-6
    )


def test_pickled_it_is_its_arguments(tiny, posts):
    predictor = Predictor(tiny[0], ["weights"], folder=str(posts), max_image_pixels=100)
    batch = as_batch(good_posts(3))
    before = predictor(batch)
    assert "has 48 x 40 pixels, more than max_image_pixels=100" in before["error"][0]
    pickled = pickle.dumps(predictor)
    assert len(pickled) < 2000
    assert pickle.loads(pickled)(batch) == before


def test_a_number_that_is_nan_is_an_error_and_no_label(tiny, tmp_path):
    shutil.copytree(tiny[0], tmp_path / "broken")
    weights = load_file(tmp_path / "broken" / "model.safetensors")
    weights = {name: x * float("nan") if "classifier" in name else x for name, x in weights.items()}
    save_file(weights, tmp_path / "broken" / "model.safetensors", {"format": "pt"})
    answers = Predictor(str(tmp_path / "broken"))({"text": ["a", "sad day"]})
    assert answers["label"] == answers["score"] == [None, None]
    assert all("NaN" in error for error in answers["error"])


def test_half_precision_computes_in_it(tiny):
    batch = {"text": ["a happy day", "rain"]}
    full, half = (Predictor(tiny[0], dtype=dtype)(batch) for dtype in ("float32", "bfloat16"))
    assert half["score"] == pytest.approx(full["score"], abs=0.02)
    assert half["score"] != full["score"]


def test_a_post_that_spoils_its_batch_costs_no_other_one(tiny):
    preparer = Preparer(tiny[0], None, None)
    rows = [Row(i, None, "sun", png(i)) for i in range(3)]
    spoilt = [*rows, Row(3, None, "sun\ud800")]  # which no tokenizer takes
    prepared = preparer[spoilt]
    assert prepared.kept == [0, 1, 2]
    assert list(prepared.problems) == [3]
    expected = preparer[rows].inputs
    assert all(torch.equal(prepared.inputs[name], expected[name]) for name in expected)


def test_an_error_that_quotes_half_a_character_can_be_written(tiny):
    row = Row(0, None, problem="no file '\ud800'")
    predictor = Predictor(tiny[0])
    window = Window([row], predictor.layout)
    predictor.score(
        window, predictor.preparer[next(window.cut([row], 1, predictor.preparer.lengths))]
    )
    assert window.table()["error"].to_pylist() == ["no file '\\ud800'"]
    answers = predictor({"text": ["sun", "sun"], "image": ["\ud800.png", "\udcff.png"]})
    assert all(answers["error"])


@pytest.mark.parametrize(
    "image",
    [
        "images/0.png",
        "/etc/hostname",
        "hf://datasets/USER/OTHER@1/0.png",
        "http://a/0.png",
        "/etc/hostname::hf://datasets/USER/SET@1/0.png",
        "ftp://127.0.0.1:9/0.png::hf://datasets/USER/SET@1/0.png",
        "zip://0.png::http://a/b.zip::hf://datasets/USER/SET@1/0.png",
        "zip://../0.png::hf://datasets/USER/SET@1/0.zip",
        "hf://datasets/USER/SET@1/../../OTHER@1/0.png",
    ],
)
def test_a_data_set_of_the_hub_names_no_file_but_its_own(tiny, posts, image, monkeypatch):
    """Not even one of the folder that the run was started in."""
    monkeypatch.chdir(posts)
    row = Row(0, None, "sun", image, "hf://datasets/USER/SET@1")
    assert "image is not in the data set" in Preparer(tiny[0], None, None)[[row]].problems[0]


def test_a_text_of_millions_of_characters_is_answered_as_its_start(tmp_path):
    save_tiny(tmp_path)
    start = "a happy day " * 10_000
    answers = Predictor(str(tmp_path))({"text": [start * 100, start, " " * 3_000_000 + "sad"]})
    assert answers["error"] == [None] * 3
    assert answers["score"][0] == pytest.approx(answers["score"][1], abs=1e-6)


def test_a_processor_that_cuts_texts_too_late_is_refused_when_the_model_is_loaded(tmp_path):
    save_tiny(tmp_path)
    tiny_processor(max_length=65).save_pretrained(tmp_path)
    said = "cuts texts after 65 tokens, but the text encoder 'bert' has positions for 64. Give"
    with pytest.raises(ValueError, match=said):
        Predictor(str(tmp_path)).load()


def test_a_larger_limit_of_pixels_reaches_the_processor(tiny, tmp_path):
    save_tiny(tmp_path)
    tiny_processor(max_image_pixels=4_500).save_pretrained(tmp_path)
    large = {"image": [picture(width=100, height=80)]}
    assert "more than max_image_pixels" in Predictor(str(tmp_path))(large)["error"][0]
    assert Predictor(str(tmp_path), max_image_pixels=8_000)(large)["error"] == [None]


def test_code_of_strangers_is_not_run_unasked(tiny, tmp_path):
    folder = tmp_path / "theirs"
    shutil.copytree(tiny[0], folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["tokenizer_class"], config["auto_map"] = (
        "Theirs",
        {"AutoTokenizer": ["theirs.Theirs", None]},
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Theirs: pass\n")
    answers = None
    with contextlib.suppress(ValueError, OSError):
        answers = Predictor(str(folder))({"text": ["sun"]})
    assert not (tmp_path / "ran").exists()
    assert answers is None or answers["error"] == [None]
    (folder / "config.json").write_text(
        '{"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Theirs"}}'
    )
    with pytest.raises(PostsError, match="no model"):
        identify_model(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("wrong", [{"columns": ["x"]}, {"dtype": "x"}, {"backend": "x"}])
def test_unknown_choices_are_named(wrong):
    with pytest.raises(ValueError, match="'x': one of "):
        Predictor("nowhere", **wrong)


def test_a_batch_without_posts_is_named(tiny):
    with pytest.raises(ValueError, match="needs a column text or image, it has \\['label'\\]"):
        Predictor(tiny[0])({"label": ["a"]})


def test_one_post_is_no_batch_of_its_letters(tiny):
    with pytest.raises(ValueError, match=r'"text": \[\.\.\.\], got str'):
        Predictor(tiny[0])({"text": "a day"})


@pytest.mark.parametrize("other", ["images", "file_name", "img_path"])
def test_a_column_by_another_name_is_no_post_without_an_image(tiny, other):
    with pytest.raises(ValueError, match=f"no key '{other}', did you mean 'image'"):
        Predictor(tiny[0])({"text": ["a day"], other: ["images/0.png"]})


def test_a_path_object_may_not_leave_the_folder_either(tiny, posts):
    inside, outside = Path("images/0.png"), posts.parent / "outside.png"
    assert outside.is_file()
    answers = Predictor(tiny[0], folder=str(posts))(
        {"image": [inside, outside, {"bytes": None, "path": outside}]}
    )
    found = [error and error.split(":")[0] for error in answers["error"]]
    assert found == [None, *["image leaves the folder"] * 2]
