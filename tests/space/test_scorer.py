"""Answers against direct calls of the model; one bad post does not touch the others."""

import pytest
import torch
from tiny_models import LABELS, picture

from hybridsent_space.posts import Post, RefusedError, check_post
from hybridsent_space.scorer import Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.wording import summary_of, warnings_about

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
        return loaded.model(**loaded.processor(text=[post.text], images=[post.picture]))


def test_answers_equal_direct_calls_in_any_company(scorer):
    for answer, post in zip(scorer.answer(POSTS), POSTS, strict=True):
        outputs = direct(scorer, post)
        expected = outputs.logits[0].exp().tolist()
        assert list(answer["scores"].values()) == pytest.approx(expected, abs=1e-5)
        assert answer["label"] == LABELS[int(outputs.logits.argmax())]
        assert answer["score"] == max(answer["scores"].values())
        weights = dict(
            zip(("text", "image", "fusion"), outputs.decision_weights[0].tolist(), strict=True)
        )
        assert {name: x["weight"] for name, x in answer["branches"].items()} == pytest.approx(
            {name: weight for name, weight in weights.items() if weight > 0}, abs=1e-5
        )
        for name, branch in answer["branches"].items():
            said = outputs[f"{name}_logits"][0].softmax(dim=-1).tolist()
            assert list(branch["scores"].values()) == pytest.approx(said, abs=1e-5)


def test_energy_is_that_of_the_branch_that_reads_all_there_is(scorer):
    answers = scorer.answer(POSTS)
    for answer, post, branch in zip(
        answers, POSTS, ("fusion", "text", "image", "fusion", "fusion"), strict=True
    ):
        expected = -direct(scorer, post)[f"{branch}_logits"].logsumexp(dim=-1).item()
        assert answer["energy"] == pytest.approx(expected, abs=1e-5)
        assert answer["familiar"] == (answer["energy"] <= scorer.energy_limits[branch])


def test_without_measured_limits_nothing_is_called_unfamiliar(scorer):
    plain = Scorer(scorer.loaded, batch_size=2)
    plain.energy_limits = {}
    assert [answer["familiar"] for answer in plain.answer(POSTS)] == [None] * len(POSTS)


def test_a_refused_post_gets_its_error_and_the_others_their_answers(scorer):
    refused = RefusedError("no good")
    mixed = [POSTS[0], refused, *POSTS[1:]]
    answers = scorer.answer(mixed)
    assert answers[1] == {"error": "no good"}
    for answer, alone in zip([answers[0], *answers[2:]], scorer.answer(POSTS), strict=True):
        assert list(answer["scores"].values()) == pytest.approx(
            list(alone["scores"].values()), abs=1e-5
        )
    assert scorer.answer([refused]) == [{"error": "no good"}]
    assert scorer.answer([]) == []


def test_a_text_that_fills_the_model_is_warned_about(scorer):
    long = scorer.answer([Post("cat " * 200, None)])[0]
    assert any("64 tokens" in warning for warning in long["warnings"])
    assert not any("tokens" in x for x in scorer.answer([POSTS[1]])[0]["warnings"])


@pytest.mark.parametrize(
    ("text", "content", "message"),
    [
        (None, None, "post is empty"),
        ("  \n", None, "post is empty"),
        (7, None, "is a int, not a string"),
        ("x" * 5_001, None, "5,001 characters; 5,000 are allowed"),
        ("half \ud83d", None, "half a character pair"),
        ("a", b"", "no picture: send one of JPEG"),
        ("a", b"\x89PNG\r\n\x1a\n", "no picture|damaged"),
    ],
)
def test_what_is_no_post_is_refused_with_a_reason(text, content, message):
    with pytest.raises(RefusedError, match=message):
        check_post(text, content, Settings())


def branches(text, image, fusion):
    weights = {"text": (text, 0.2), "image": (image, 0.1), "fusion": (fusion, 0.7)}
    return {name: {"label": x, "weight": w} for name, (x, w) in weights.items() if x}


@pytest.mark.parametrize(
    ("label", "said", "sentence"),
    [
        (
            "negative",
            ("positive", "negative", "negative"),
            "The picture says negative, the text positive; the fusion branch decided with weight "
            "0.70: negative.",
        ),
        (
            "positive",
            ("positive", "positive", "negative"),
            "The text and the picture both say positive; the fusion branch weighed most (0.70) and "
            "said negative, all together say positive.",
        ),
        ("sad", ("sad", None, None), "There is no picture, so the text alone decided: sad."),
        ("sad", (None, "sad", None), "There is no text, so the picture alone decided: sad."),
        ("sad", (None, None, "sad"), "The fusion branch alone decides in this model: sad."),
    ],
)
def test_summary_says_what_decided(label, said, sentence):
    assert summary_of({"label": label, "branches": branches(*said)}) == sentence


def test_warnings_say_what_to_be_careful_about():
    quiet = {"agreement": True, "familiar": True}
    assert warnings_about(quiet, None) == []
    assert warnings_about({"agreement": None, "familiar": None}, None) == []
    assert "contradict" in warnings_about({**quiet, "agreement": False}, None)[0]
    assert "energy" in warnings_about({**quiet, "familiar": False}, None)[0]
    assert "64 tokens" in warnings_about(quiet, 64)[0]


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_no_number_names_its_variable(value):
    with pytest.raises(ValueError, match="HYBRIDSENT_MAX_TABLE_ROWS"):
        Settings.from_environment({"HYBRIDSENT_MAX_TABLE_ROWS": value})


def test_settings_come_from_the_environment():
    settings = Settings.from_environment({"HYBRIDSENT_MODEL": "a/b", "HYBRIDSENT_BATCH_SIZE": "3"})
    assert (settings.model, settings.batch_size) == ("a/b", 3)
    assert settings.max_table_rows == Settings().max_table_rows
