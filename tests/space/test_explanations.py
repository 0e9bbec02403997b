"""Attention against the model's own output; occlusion against posts that really lack the part."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import picture, tiny_model, tiny_processor

from hybridsent_space.attention import _as_grid, look
from hybridsent_space.drawing import answer_html, marked_text
from hybridsent_space.model import load_model
from hybridsent_space.posts import Post
from hybridsent_space.scorer import Scorer
from hybridsent_space.seen import as_seen, with_heat, with_regions
from modeling_hybridsent.answers_hybridsent import MOST_WORDS, REGIONS

POST = Post("a very happy day !", picture(5, 90, 70))


def probability(scorer, label, text, image):
    return scorer.answer([Post(text, image)])[0].scores[label]


def test_attention_is_that_of_the_model(scorer):
    found = look(scorer, POST)
    loaded = scorer.loaded
    with torch.no_grad():
        outputs = loaded.model(
            **loaded.processor(text=[POST.text], images=[POST.image]), output_attentions=True
        )
    to_text = torch.stack([x[0] for x in outputs.cross_attentions[1::2]]).mean(dim=(0, 1, 2))
    tokens = outputs.cross_attentions[0].shape[2]
    expected = to_text[1 : tokens - 1]  # without [CLS], [SEP] and the levels behind them
    assert [POST.text[start:end] for start, end, _ in found.spans] == POST.text.split()
    shares = [share for *_, share in found.spans]
    assert shares == pytest.approx((expected / expected.max()).tolist(), abs=1e-5)
    assert found.heat.shape == (64, 64)
    assert found.heat.max() == pytest.approx(1)
    assert found.heat.min() >= 0


def test_a_class_token_is_left_out_of_the_grid():
    assert _as_grid(np.array([9.0, 1, 2, 3, 4])).tolist() == [[1, 2], [3, 4]]
    assert _as_grid(np.array([1.0, 2, 3, 4])).tolist() == [[1, 2], [3, 4]]
    assert _as_grid(np.array([])) is None


@pytest.mark.parametrize("post", [Post("a", None), Post(None, picture())])
def test_one_modality_has_nothing_to_look_at(scorer, post):
    assert look(scorer, post) is None


def test_a_model_without_cross_modal_layers_has_nothing_to_look_with(tmp_path):
    tiny_model(num_cross_modal_layers=0).save_pretrained(tmp_path)
    tiny_processor().save_pretrained(tmp_path)
    assert look(Scorer(load_model(str(tmp_path)), 4), POST) is None


def test_words_are_taken_away_for_real(scorer):
    found = scorer.explain(POST)
    whole = probability(scorer, found.label, POST.text, POST.image)
    assert found.score == pytest.approx(whole, abs=1e-5)
    assert [word["word"] for word in found.words] == POST.text.split()
    for word in found.words:
        assert POST.text[word["start"] : word["end"]] == word["word"]
        left = POST.text[: word["start"]] + POST.text[word["end"] :]
        without = probability(scorer, found.label, left, POST.image)
        assert word["effect"] == pytest.approx(whole - without, abs=1e-5)


def test_a_model_that_cleans_texts_is_explained_on_what_it_reads(scorer, monkeypatch):
    monkeypatch.setattr(scorer.loaded.processor, "clean_text", True)
    post = Post("RT @cat: very #happy_day http://t.co/a !", POST.image)
    found = look(scorer, post)
    assert found.text == "very happy day !"
    assert [found.text[start:end] for start, end, _ in found.spans] == found.text.split()
    words = {word["word"]: word["effect"] for word in scorer.explain(post).words}
    assert list(words) == post.text.split()
    assert words["http://t.co/a"] == pytest.approx(0, abs=1e-5)
    assert abs(words["#happy_day"]) > 1e-5


def test_modalities_are_taken_away_for_real(scorer):
    found = scorer.explain(POST)
    text = probability(scorer, found.label, POST.text, None)
    image = probability(scorer, found.label, None, POST.image)
    assert found.without["image"][found.label] == pytest.approx(text, abs=1e-5)
    assert found.without["text"][found.label] == pytest.approx(image, abs=1e-5)
    guess = 1 / len(scorer.labels)  # what stands for a post of neither
    shapley = {
        "text": ((text - guess) + (found.score - image)) / 2,
        "image": ((image - guess) + (found.score - text)) / 2,
    }
    assert found.shares == pytest.approx(shapley, abs=1e-5)
    assert sum(found.shares.values()) == pytest.approx(found.score - guess)


def test_regions_are_painted_in_the_mean_colour(scorer):
    found = scorer.explain(POST)
    assert np.shape(found.regions) == (REGIONS, REGIONS)
    pixels = scorer.prepare(POST)["pixel_values"]
    size = pixels.shape[-1] // REGIONS
    painted = pixels.clone()
    corner = (slice(None), slice(None), slice(2 * size, 3 * size), slice(size, 2 * size))
    painted[corner] = pixels.mean(dim=(2, 3), keepdim=True)
    outputs = scorer.run([{**scorer.prepare(POST), "pixel_values": painted}])[0]
    without = outputs["logits"][0].softmax(dim=-1)[scorer.labels.index(found.label)].item()
    assert found.regions[2][1] == pytest.approx(found.score - without, abs=1e-5)


def test_one_modality_is_taken_apart_as_far_as_something_is_left(scorer):
    one_word = scorer.explain(Post("happy", None))
    assert (one_word.words, one_word.regions, one_word.without) == ([], None, {})
    assert one_word.shares == {"text": pytest.approx(one_word.score - 1 / 3), "image": 0}
    assert scorer.explain(Post("happy \u200b", None)).words[0]["word"] == "\u200b"  # no ink
    image = scorer.explain(Post(None, picture()))
    assert image.words == []
    assert image.shares == {"text": 0, "image": pytest.approx(image.score - 1 / 3)}
    assert len(scorer.explain(Post("happy", picture())).words) == 1


def test_a_long_text_is_taken_apart_in_groups(scorer):
    text = " ".join(["cat"] * 100)
    words = scorer.explain(Post(text, None)).words
    assert len(words) <= MOST_WORDS
    assert (words[0]["start"], words[-1]["end"]) == (0, len(text))


def test_the_picture_is_shown_as_the_model_sees_it(scorer):
    colours = Image.new("RGB", (64, 64), (200, 30, 90))
    seen = as_seen(scorer, colours)
    assert seen.size == (64, 64)
    assert np.abs(np.asarray(seen).astype(int) - (200, 30, 90)).max() <= 1


def test_tints_fall_where_they_belong():
    white = Image.new("RGB", (40, 40), "white")
    heat = np.zeros((4, 4))
    heat[0, 3] = 1
    lit = np.asarray(with_heat(white, heat)).mean(axis=2)
    assert lit[0, 39] > 250
    assert lit[39, 0] < 60
    drops = np.zeros((4, 4))
    drops[3, 0], drops[0, 0] = 0.5, -0.5
    tinted = np.asarray(with_regions(white, drops, ((0, 0, 255), (255, 0, 0))))
    assert tinted[39, 0].tolist() == [77, 77, 255]
    assert tinted[0, 0].tolist() == [255, 77, 77]
    assert tinted[39, 39].tolist() == [255, 255, 255]


def test_whatever_a_visitor_writes_is_shown_as_text():
    nasty = '<img src=x onerror="alert(1)">'
    drawn = marked_text(f"a {nasty}", [(0, 1, 1.0), (2, 6, -0.5)], "share")
    assert "<img" not in drawn
    assert "&lt;img" in drawn
    assert "<img" not in answer_html({"error": nasty})
