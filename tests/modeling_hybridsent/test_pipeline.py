"""The pipeline answers in kind and agrees with the model."""

import pytest
import torch
from tiny_models import LABELS, picture, tiny_model, tiny_processor
from transformers import pipeline

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


def test_a_generator_streams(pipe):
    assert [a["label"] for a in pipe(post for post in POSTS)] == [a["label"] for a in pipe(POSTS)]


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


@pytest.mark.parametrize("post", ["just a text", {"txt": "typo"}, None])
def test_anything_else_is_refused_with_the_right_form(pipe, post):
    with pytest.raises(ValueError, match="A post is"):
        pipe(post)


def test_unknown_option_is_refused(pipe):
    with pytest.raises(TypeError, match="return_branch"):
        pipe(POSTS[0], return_branch=True)
