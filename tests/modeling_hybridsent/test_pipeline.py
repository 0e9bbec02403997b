"""The pipeline answers in kind and agrees with the model."""

import json

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Features, Image, Value
from hostile_pictures import encoded
from isolated_python import run_isolated
from tiny_models import LABELS, picture, tiny_model, tiny_processor
from transformers import pipeline

from modeling_hybridsent import HybridSentPipeline
from modeling_hybridsent.encoder_checks_hybridsent import count_positions

POSTS = [
    {"text": "a happy day", "image": picture(0)},
    {"text": "a sad day !", "image": None},
    {"text": None, "image": picture(1)},
    {"text": "the cat is very good and not bad"},
]


@pytest.fixture(scope="module")
def pipe():
    model = tiny_model()
    model.train()  # the pipeline must switch to evaluation by itself
    return pipeline("image-text-sentiment", model=model, processor=tiny_processor(), device="cpu")


def expected(pipe, post):
    with torch.no_grad():
        inputs = pipe.processor(text=[post.get("text")], images=[post.get("image")])
        return pipe.model(**inputs)


def test_one_post_gives_one_answer(pipe):
    answer = pipe(POSTS[0])
    probabilities = expected(pipe, POSTS[0]).logits.softmax(dim=-1)[0]
    assert answer["label"] == LABELS[int(probabilities.argmax())]
    assert answer["score"] == pytest.approx(float(probabilities.max()), abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_list_gives_a_list_in_order(pipe, batch_size):
    answers = pipe(POSTS, batch_size=batch_size)
    assert len(answers) == len(POSTS)
    for post, answer in zip(POSTS, answers, strict=True):
        single = pipe(post)
        assert answer["label"] == single["label"]
        assert answer["score"] == pytest.approx(single["score"], abs=1e-5)


def test_top_k_none_gives_every_label_best_first(pipe):
    answers = pipe(POSTS[0], top_k=None)
    assert {a["label"] for a in answers} == set(LABELS.values())
    scores = [a["score"] for a in answers]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)


def test_branches_explain_the_decision(pipe):
    answer = pipe(POSTS[0], return_branches=True)
    assert set(answer["branches"]) == {"text", "image", "fusion"}
    mixed = sum(b["weight"] * b["scores"][answer["label"]] for b in answer["branches"].values())
    assert mixed == pytest.approx(answer["score"], abs=1e-5)
    assert set(pipe(POSTS[1], return_branches=True)["branches"]) == {"text"}


def test_an_explanation_comes_with_the_answer_and_takes_no_part_in_it(pipe):
    plain, explained = pipe(POSTS), pipe(POSTS, explain=True)
    assert same(explained, plain)
    for post, answer in zip(POSTS, explained, strict=True):
        found = answer["explanation"]
        assert (found["label"], found["score"]) == (
            answer["label"],
            pytest.approx(answer["score"], abs=1e-5),
        )
        assert sum(found["shares"].values()) == pytest.approx(found["score"] - 1 / 3)
        assert (found["regions"] is None) == (post.get("image") is None)
    best, *others = pipe(POSTS[0], explain=True, top_k=None)
    assert "explanation" in best
    assert not any("explanation" in other for other in others)
    assert "explanation" not in pipe(POSTS[0], explain=False)
    streamed = next(pipe(iter(POSTS), explain=True, batch_size=3))
    assert streamed["explanation"]["words"] == [
        {**word, "effect": pytest.approx(word["effect"], abs=1e-5)}
        for word in explained[0]["explanation"]["words"]
    ]


@pytest.mark.parametrize("post", ["just a text", {"txt": "typo"}, None])
def test_anything_else_is_refused_with_the_right_form(pipe, post):
    with pytest.raises(ValueError, match="A post is"):
        pipe(post)


def test_unknown_option_is_refused(pipe):
    with pytest.raises(TypeError, match="return_branch"):
        pipe(POSTS[0], return_branch=True)


ROWS = [{"text": None, "image": None, **post, "id": i} for i, post in enumerate(POSTS)]
FEATURES = Features(text=Value("string"), image=Image(), id=Value("int64"))


def same(answers, expected):
    """Whether answers agree; rounding differs with the batch."""
    assert [a["label"] for a in answers] == [a["label"] for a in expected]
    assert [a["score"] for a in answers] == pytest.approx([a["score"] for a in expected], abs=1e-5)
    return True


@pytest.fixture(scope="module")
def rows():
    return datasets.Dataset.from_list(ROWS, features=FEATURES)


class TorchRows(torch.utils.data.Dataset):
    def __len__(self):
        return len(POSTS)

    def __getitem__(self, index):
        return POSTS[index]


class TorchStream(torch.utils.data.IterableDataset):
    def __len__(self):
        return len(POSTS)

    def __iter__(self):
        return iter(POSTS)


def from_caption(batch):
    return {"text": batch["caption"], "image": batch["image"]}


HAVE_A_LENGTH = {
    "tuple": lambda rows: tuple(POSTS),
    "decoded": lambda rows: rows,
    "undecoded": lambda rows: rows.cast_column("image", Image(decode=False)),
    "as tensors": lambda rows: rows.with_format("torch"),
    "as frames": lambda rows: rows.with_format("pandas"),
    "transformed": lambda rows: rows.rename_column("text", "caption").with_transform(from_caption),
    "torch": lambda rows: TorchRows(),
}
STREAM = {
    "generator": lambda rows: (post for post in POSTS),
    "map": lambda rows: map(dict, POSTS),
    "iterable set": lambda rows: rows.to_iterable_dataset(),
    "without features": lambda rows: datasets.IterableDataset.from_generator(lambda: iter(ROWS)),
    "torch": lambda rows: TorchStream(),
}


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("kind", HAVE_A_LENGTH)
def test_what_has_a_length_gives_a_list(pipe, rows, kind, batch_size):
    answers = pipe(HAVE_A_LENGTH[kind](rows), batch_size=batch_size)
    assert type(answers) is list
    assert same(answers, pipe(POSTS))


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("kind", STREAM)
def test_what_streams_gives_an_iterator(pipe, rows, kind, batch_size):
    answers = pipe(STREAM[kind](rows), batch_size=batch_size)
    assert iter(answers) is answers
    assert same(list(answers), pipe(POSTS))


def test_a_stream_is_read_only_as_far_as_needed(pipe):
    read = []
    answers = pipe((read.append(i) or POSTS[0]) for i in range(1000))
    assert read == []
    next(answers)
    assert len(read) < 5


@pytest.mark.parametrize("nothing", [[], (), iter(())], ids=["list", "tuple", "iterator"])
def test_no_posts_give_no_answers(pipe, nothing):
    assert list(pipe(nothing)) == []


def test_workers(pipe, rows):
    assert same(pipe(rows, batch_size=2, num_workers=1), pipe(POSTS))


def test_post_in_keywords(pipe):
    assert pipe(**POSTS[0]) == pipe(POSTS[0])
    assert pipe(text="a sad day !") == pipe(POSTS[1])
    with pytest.raises(TypeError, match="not both"):
        pipe(POSTS[0], text="sun")


@pytest.mark.parametrize("kind", ["path", "bytes", "undecoded"])
def test_every_kind_of_picture(pipe, tmp_path, kind):
    (tmp_path / "x.png").write_bytes(encoded(picture(0), "PNG"))
    source = {
        "path": str(tmp_path / "x.png"),
        "bytes": encoded(picture(0), "PNG"),
        "undecoded": {"bytes": encoded(picture(0), "PNG"), "path": None},
    }[kind]
    assert pipe({**POSTS[0], "image": source}) == pipe(POSTS[0])


BAD = {
    "empty": ({"text": " ", "image": None}, "neither text nor image"),
    "number": ({"text": 3}, "its text must be str or None, got int"),
    "string": ("sun", "A post is .* not 'sun'"),
    "other keys": ({"label": 1, "id": 2}, r"A post is .* not keys \['id', 'label'\]"),
    "misspelt": ({"text": "sun", "images": b"x"}, "no key 'images', did you mean 'image'"),
    "other name": ({"text": "sun", "picture": b"x"}, "no key 'picture', did you mean 'image'"),
    "its path": ({"text": "sun", "photo_path": "x"}, "'photo_path', did you mean 'image'"),
    "its bytes": ({"text": "sun", "imageBytes": b""}, "'imageBytes', did you mean 'image'"),
    "its words": ({"image": b"x", "full_text": "sun"}, "'full_text', did you mean 'text'"),
    "another name": ({"text": "sun", "media": picture()}, "no key 'media', did you mean 'image'"),
    "an array": ({"text": "sun", "x": np.zeros((3, 9, 9))}, "no key 'x', did you mean 'image'"),
    "encoded": (
        {"text": "sun", "x": encoded(picture(), "PNG")},
        "no key 'x', did you mean 'image'",
    ),
    "no picture": ({"image": b"no picture"}, "its image: is not a JPEG"),
    "url": ({"image": "http://127.0.0.1:9/x.jpg"}, "is a URL"),
    "no file": ({"text": "sun", "image": "/gone.jpg"}, "its image '/gone.jpg': no such file"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_bad_post_is_one_error_naming_its_place(pipe, kind, batch_size):
    bad, message = BAD[kind]
    for posts in ([*POSTS[:2], bad], (post for post in [*POSTS[:2], bad])):
        with pytest.raises(ValueError, match=f"^Post 2 of the input: .*{message}.*leave it out"):
            list(pipe(posts, batch_size=batch_size))
    with pytest.raises(ValueError, match=message):
        pipe(bad)


@pytest.mark.parametrize("change", ["none", "stream", "transform"])
def test_a_bad_picture_in_a_set_names_its_row(pipe, change):
    cells = [
        {"bytes": encoded(picture(), "PNG"), "path": None},
        {"bytes": b"no picture", "path": None},
    ]
    rows = [{"text": "sun", "image": cell, "id": 0} for cell in cells]
    rows = datasets.Dataset.from_list(rows, features=FEATURES)
    posts = {
        "none": lambda: rows,
        "stream": rows.to_iterable_dataset,
        "transform": lambda: rows.with_transform(dict),
    }[change]()
    with pytest.raises(
        ValueError, match=r"^Post 1 of the input: .*(is not a JPEG|cannot identify)"
    ):
        list(pipe(posts))


def test_other_columns_do_not_matter_even_if_broken(pipe, rows):
    broken = [{"bytes": b"no picture", "path": None}] * len(ROWS)
    rows = rows.add_column("thumbnail", broken).cast_column("thumbnail", Image())
    assert same(pipe(rows), pipe(POSTS))


def test_a_misspelt_column_of_a_set_is_named(pipe, rows):
    for posts in (rows.rename_column("image", "images"), rows.rename_column("text", "Text")):
        with pytest.raises(ValueError, match=r"no key '(images|Text)', did you mean"):
            list(pipe(posts))


@pytest.mark.parametrize("nothing", [float("nan"), np.float32("nan"), pd.NA, pd.NaT])
def test_gaps_of_pandas_are_missing(pipe, nothing):
    assert pipe({"text": "a sad day !", "image": nothing}) == pipe(POSTS[1])
    assert same(pipe([{"text": nothing, "image": picture(1)}]), pipe([POSTS[2]]))
    with pytest.raises(ValueError, match="neither text nor image"):
        pipe({"text": nothing, "image": nothing})


def test_size_of_pictures_in_a_set_is_looked_at_before_decoding(rows, monkeypatch):
    processor = tiny_processor(max_image_pixels=100)
    small = pipeline("image-text-sentiment", model=tiny_model(), processor=processor, device="cpu")
    monkeypatch.setattr(Image, "decode_example", None)
    for posts in (rows, rows.to_iterable_dataset()):
        with pytest.raises(ValueError, match=r"Post 0 of the input: .*48 x 40 pixels"):
            list(small(posts))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [*(("top_k", x) for x in (0, -1, "all", True)), ("return_branches", "no"), ("explain", "no")],
)
def test_an_option_of_another_value_is_a_named_error(pipe, name, wrong):
    with pytest.raises(ValueError, match=f"{name}={wrong!r}: give"):
        pipe(POSTS[0], **{name: wrong})


def test_a_processor_that_cuts_texts_too_late_is_a_named_error(pipe):
    """Before any post: the first long one would end what has run until then."""
    inputs = tiny_processor(max_length=128)(text=["sun " * 100])
    said = "A text has 102 tokens, but the text encoder 'bert' has positions for 64. Give the proc"
    with pytest.raises(ValueError, match=said):
        pipe.model(**inputs)
    assert pipe({"text": "sun " * 100})["label"]
    for length in (65, 66, 128):
        said = (
            f"The processor cuts texts after {length} tokens, but the text encoder 'bert' has "
            "positions for 64. Give the processor max_length=64 or less; a saved one has it in "
        )
        with pytest.raises(ValueError, match=said):
            HybridSentPipeline(pipe.model, processor=tiny_processor(max_length=length))


@pytest.mark.parametrize("text", ["roberta", "modernbert", "deberta-v2"])
def test_a_text_of_as_many_tokens_as_there_are_positions_fits(text):
    most = count_positions(tiny_model(text=text).hybridsent.text_model) or 256
    parts = {"model": tiny_model(text=text), "processor": tiny_processor(max_length=most)}
    assert pipeline("image-text-sentiment", **parts)({"text": "sun " * 300})["label"]


def test_options_given_once_hold_for_every_call():
    parts = {"model": tiny_model(), "processor": tiny_processor(), "device": "cpu"}
    pipe = pipeline("image-text-sentiment", **parts, top_k=2, return_branches=True, batch_size=2)
    answers = pipe(POSTS)
    assert [len(answer) for answer in answers] == [2] * len(POSTS)
    assert set(answers[0][0]["branches"]) == {"text", "image", "fusion"}
    assert "branches" not in pipe(POSTS[0], top_k=1, return_branches=False)


def test_processor_is_needed():
    with pytest.raises(ValueError, match="needs processor="):
        HybridSentPipeline(model=tiny_model(), device="cpu")


def test_everything_of_a_post_can_move_to_a_device(pipe):
    for tensor in pipe.preprocess(POSTS[0]).values():
        assert isinstance(tensor, torch.Tensor)
    moved = pipe._ensure_tensor_on_device(pipe.preprocess(POSTS[0]), torch.device("meta"))
    assert {tensor.device.type for tensor in moved.values()} == {"meta"}
    assert pipe.device == pipe.model.device == torch.device("cpu")


@pytest.fixture(scope="module")
def saved(pipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    pipe.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("vision", ["vit", "resnet"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, "float16", torch.float32])
def test_other_precisions(tmp_path, vision, dtype):
    parts = {"model": tiny_model(vision=vision), "processor": tiny_processor()}
    exact = pipeline("image-text-sentiment", **parts, device="cpu")
    exact.save_pretrained(tmp_path)
    place = {"model": str(tmp_path), "device": "cpu", "trust_remote_code": True}
    low = pipeline("image-text-sentiment", dtype=dtype, **place)
    assert str(low.dtype).endswith(str(dtype).removeprefix("torch."))
    for answer, other in zip(low(POSTS, batch_size=4), exact(POSTS), strict=True):
        assert answer["score"] == pytest.approx(other["score"], abs=0.02)
    assert set(low(POSTS[0], return_branches=True)["branches"]) == {"text", "image", "fusion"}


AGAIN = """
import json
from transformers import pipeline
post = {"text": "a happy day"}
pipe = pipeline("image-text-sentiment", model=FOLDER, trust_remote_code=True, device="cpu")
pipe.save_pretrained("again")
again = pipeline("image-text-sentiment", model="again", trust_remote_code=True, device="cpu")
assert type(again).__module__.startswith("transformers_modules"), type(again)
parts = {"model": again.model, "processor": again.processor, "trust_remote_code": True}
given = pipeline("image-text-sentiment", **parts, device="cpu")
assert type(given).__name__ == type(again).__name__
explained = again(post, explain=True)
assert [word["word"] for word in explained.pop("explanation")["words"]] == ["a", "happy", "day"]
print(json.dumps([pipe(post), again(post), again([post, post])[1], given(post), explained]))
"""


def test_it_saves_all_that_loading_needs(pipe, saved, tmp_path):
    names = {file.name for file in saved.iterdir()}
    assert {"processor_config.json", "tokenizer.json", "pipeline_hybridsent.py"} <= names
    assert "preprocessor_config.json" not in names  # the same twice could differ
    result = run_isolated(f"FOLDER = {str(saved)!r}\n" + AGAIN, tmp_path)
    assert result.returncode == 0, result.stderr
    for answer in json.loads(result.stdout.splitlines()[-1]):
        assert answer == pytest.approx(pipe({"text": "a happy day"}), abs=1e-5)
