"""Answers against direct calls of the model; one bad post does not touch the others."""

import pytest
import torch
from tiny_models import LABELS, picture

from hybridsent_space.posts import Post, RefusedError, check_post
from hybridsent_space.scorer import Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.wording import as_json, summary_of, warnings_about
from modeling_hybridsent.answers_hybridsent import Answer, BranchAnswer

POSTS = [
    Post("a happy day", picture(0)),
    Post("sad", None),
    Post(None, picture(1)),
    Post("the rain is not good ! the cat is very sad today", picture(2)),
    Post("good", picture(3)),
]


def direct(scorer, post):
    """Outputs for one post, as a user of the Auto classes gets them."""
    loaded = scorer.loaded
    with torch.no_grad():
        return loaded.model(**loaded.processor(text=[post.text], images=[post.image]))


def test_answers_equal_direct_calls_in_any_company(scorer):
    for answer, post in zip(scorer.answer(POSTS), POSTS, strict=True):
        outputs = direct(scorer, post)
        expected = outputs.logits[0].exp().tolist()
        assert list(answer.scores.values()) == pytest.approx(expected, abs=1e-5)
        assert answer.label == LABELS[int(outputs.logits.argmax())]
        assert answer.score == max(answer.scores.values())
        weights = dict(
            zip(("text", "image", "fusion"), outputs.decision_weights[0].tolist(), strict=True)
        )
        assert {name: x.weight for name, x in answer.branches.items()} == pytest.approx(
            {name: weight for name, weight in weights.items() if weight > 0}, abs=1e-5
        )
        for name, branch in answer.branches.items():
            said = outputs[f"{name}_logits"][0].softmax(dim=-1).tolist()
            assert list(branch.scores.values()) == pytest.approx(said, abs=1e-5)


def test_energy_is_that_of_the_branch_that_reads_all_there_is(scorer):
    answers = scorer.answer(POSTS)
    for answer, post, branch in zip(
        answers, POSTS, ("fusion", "text", "image", "fusion", "fusion"), strict=True
    ):
        expected = -direct(scorer, post)[f"{branch}_logits"].logsumexp(dim=-1).item()
        assert answer.energy == pytest.approx(expected, abs=1e-5)
        assert answer.familiar == (answer.energy <= scorer.energy_limits[branch])


def test_without_measured_limits_nothing_is_called_unfamiliar(scorer):
    plain = Scorer(scorer.loaded, batch_size=2)
    plain.energy_limits = {}
    assert [answer.familiar for answer in plain.answer(POSTS)] == [None] * len(POSTS)


def test_a_refused_post_gets_its_error_and_the_others_their_answers(scorer):
    refused = RefusedError("no good")
    mixed = [POSTS[0], refused, *POSTS[1:]]
    answers = scorer.answer(mixed)
    assert answers[1] == Answer(error="no good")
    for answer, alone in zip([answers[0], *answers[2:]], scorer.answer(POSTS), strict=True):
        assert list(answer.scores.values()) == pytest.approx(list(alone.scores.values()), abs=1e-5)
    assert scorer.answer([refused]) == [Answer(error="no good")]
    assert scorer.answer([]) == []


def test_a_text_that_fills_the_model_is_warned_about(scorer):
    (long,) = scorer.answer([Post("cat " * 200, None)])
    assert any("64 tokens" in warning for warning in warnings_about(long))
    assert not scorer.answer([POSTS[1]])[0].notes


@pytest.mark.parametrize(
    ("text", "content", "message"),
    [
        (None, None, "post is empty"),
        ("  \n", None, "post is empty"),
        ("\u200b", None, "post is empty"),
        (7, None, "text must be str or None, got int"),
        ("x" * 5_001, None, "5,001 characters; 5,000 are allowed"),
        ("half \ud83d", None, "unpaired surrogate"),
        ("a", b"", "The image: the file is empty"),
        ("a", b"GIF", "The image: is not a JPEG"),
        ("a", b"\x89PNG\r\n\x1a\n", "The image: "),
    ],
)
def test_what_is_no_post_is_refused_with_a_reason(text, content, message):
    with pytest.raises(RefusedError, match=message):
        check_post(text, content, Settings())


def answer(label, text, image, fusion):
    weights = {"text": (text, 0.2), "image": (image, 0.1), "fusion": (fusion, 0.7)}
    branches = {name: BranchAnswer(w, x, 1.0, {}) for name, (x, w) in weights.items() if x}
    return Answer(label, 1.0, branches=branches)


@pytest.mark.parametrize(
    ("label", "said", "sentence"),
    [
        (
            "negative",
            ("positive", "negative", "negative"),
            "The image says negative, the text positive; the fusion branch decided with weight "
            "0.70: negative.",
        ),
        (
            "positive",
            ("positive", "positive", "negative"),
            "The text and the image both say positive; the fusion branch weighed most (0.70) and "
            "said negative, all together say positive.",
        ),
        ("sad", ("sad", None, None), "There is no image, so the text alone decided: sad."),
        ("sad", (None, "sad", None), "There is no text, so the image alone decided: sad."),
        ("sad", (None, None, "sad"), "The fusion branch alone decides in this model: sad."),
    ],
)
def test_summary_says_what_decided(label, said, sentence):
    assert summary_of(answer(label, *said)) == sentence


def test_warnings_say_what_to_be_careful_about():
    assert warnings_about(Answer(agreement=True, familiar=True)) == []
    assert warnings_about(Answer()) == []
    assert "contradict" in warnings_about(Answer(agreement=False))[0]
    assert "energy" in warnings_about(Answer(familiar=False))[0]
    assert warnings_about(Answer(notes=("cut",))) == ["cut"]


def test_the_endpoint_keeps_its_fields(scorer):
    """They are public."""
    whole = as_json(scorer.answer(POSTS[:1])[0])
    assert list(whole) == [
        "label", "score", "scores", "branches", "agreement", "energy", "familiar", "summary",
        "warnings",
    ]  # fmt: skip
    assert list(whole["branches"]["fusion"]) == ["weight", "label", "score", "scores"]
    assert as_json(Answer(error="no good")) == {"error": "no good"}


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_no_number_names_its_variable(value):
    with pytest.raises(ValueError, match="HYBRIDSENT_MAX_TABLE_ROWS"):
        Settings.from_environment({"HYBRIDSENT_MAX_TABLE_ROWS": value})


def test_settings_come_from_the_environment():
    settings = Settings.from_environment({"HYBRIDSENT_MODEL": "a/b", "HYBRIDSENT_BATCH_SIZE": "3"})
    assert (settings.model, settings.batch_size) == ("a/b", 3)
    assert settings.max_table_rows == Settings().max_table_rows
