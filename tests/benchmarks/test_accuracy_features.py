"""What a logistic regression reads: cleaned texts, layers of encoders; and how it chooses."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from tiny_models import save_tiny_encoders

from benchmarks.accuracy.methods.regressions import fit_regression
from benchmarks.accuracy.records import DECISION, TEXT_ONLY
from hybridsent.evaluation.calibration import negative_log_likelihood
from hybridsent.regression.answers import NGRAM_SHARES, STRENGTHS, Inputs, mix
from hybridsent.regression.frozen import FILE, FrozenFeatures
from hybridsent.regression.texts import clean_text, lexicon_features, surface_features
from hybridsent.training.arguments import HybridSentTrainingArguments, ModelArguments

NAMES = ["negative", "neutral", "positive"]
TEXTS = ["a very happy day", "RT @cat: sad rain", None, "#SunDay !"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RT @user: so happy http://t.co/abc now", "so happy now"),
        ("rt @a RT @b: yes", "yes"),
        (
            "thanks @someone #ThrowbackThursday #NBAFinals2015",
            "thanks Throwback Thursday NBA Finals 2015",
        ),
        ("#so_good café", "so good café"),
        ("art www.example.com", "art"),
        ("https://t.co/x", ""),
        (None, ""),
    ],
)
def test_texts_are_cleaned(text, expected):
    assert clean_text(text) == expected


def test_marks_are_counted():
    names = [
        "!",
        "??",
        "?",
        "capitals",
        "shouted",
        "rt",
        "#",
        "@",
        "address",
        "long",
        ":)",
        "words",
    ]
    found = dict(
        zip(names, surface_features("RT @a: NO! sooo good :) #x http://t.co ??"), strict=True)
    )
    assert found["!"] == found["??"] == found["#"] == found["@"] == pytest.approx(np.log(2))
    assert found["rt"] == found["address"] == found["long"] == found[":)"] == 1
    assert found["?"] == 0
    assert found["shouted"] == pytest.approx(np.log(3))  # RT, NO
    assert found["capitals"] == pytest.approx(4 / 21)
    assert surface_features("")[3] == 0


def test_the_lexicon_tells_good_from_bad():
    pytest.importorskip("vaderSentiment")
    good, bad, none = lexicon_features(["GREAT!", "a terrible day", ""])
    assert good[3] > 0.5 > 0 > bad[3]
    assert none.tolist() == [0, 0, 0, 0]


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    save_tiny_encoders(folder)
    image = folder / "image.png"
    Image.effect_noise((64, 64), 80).convert("RGB").save(image)
    images = [str(image), None, str(image), str(image)]
    rows = {"id": list("abcd"), "text": TEXTS, "image": images, "label": [0, 1, 2, 0]}
    posts = Dataset.from_dict(rows).cast_column("image", ImageFeature(decode=False))
    models = ModelArguments(
        text_encoder=str(folder / "text"), vision_encoder=str(folder / "vision")
    )
    training = HybridSentTrainingArguments(
        str(folder / "out"), per_device_eval_batch_size=3, cache_folder=str(folder / "kept")
    )
    return FrozenFeatures(models, training, posts, NAMES)


@torch.no_grad()
def test_blocks_are_means_of_the_encoders_states(features):
    blocks = features.of(
        ("text_raw_last", "text_last", "text_middle", "image_last", "image_stages")
    )
    inputs = features._processor.encode_texts([TEXTS[0]])
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    states = features._model.text_model(**inputs, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(blocks["text_raw_last"][0], states[-1][0].mean(dim=0), atol=1e-5)
    np.testing.assert_allclose(blocks["text_middle"][0], states[1][0].mean(dim=0), atol=1e-5)
    assert not np.allclose(blocks["text_last"][1], blocks["text_raw_last"][1])  # "sad rain"
    for name, values in blocks.items():
        missing = 2 if name.startswith("text") else 1
        assert np.isnan(values[missing]).all(), name
        assert np.isfinite(np.delete(values, missing, axis=0)).all(), name
    # Of each hidden state of the vision encoder a mean, a deviation and a maximum.
    assert blocks["image_stages"].shape[1] == 3 * 3 * 32
    np.testing.assert_allclose(blocks["image_last"][0], blocks["image_last"][2], atol=1e-6)


def test_blocks_are_computed_once_for_the_same_posts(features):
    features.of(("text_last",))
    kept = {file: file.stat().st_mtime_ns for file in _kept(features)}
    again = FrozenFeatures(features.models, features.training, features.posts, NAMES)
    np.testing.assert_array_equal(*(x.of(("text_last",))["text_last"] for x in (features, again)))
    other = features.posts.select([1, 0, 2, 3])
    FrozenFeatures(features.models, features.training, other, NAMES).of(("text_last",))
    after = {file: file.stat().st_mtime_ns for file in _kept(features)}
    assert after.items() > kept.items()
    assert len(after) == len(kept) + 1


def _kept(features):
    from pathlib import Path

    return list(Path(features.training.cache_folder).glob(f"frozen-*/{FILE}"))


def test_sentence_transformers_gives_one_vector_a_text(features):
    pytest.importorskip("sentence_transformers")
    vectors = features.of(("text_sentence",))["text_sentence"]
    assert np.isnan(vectors[2]).all()
    raw = features.of(("text_raw_last",))["text_raw_last"]
    np.testing.assert_allclose(vectors[0], raw[0], atol=1e-5)  # its plain form is the mean


def known_posts():
    """90 posts whose label the first feature and the text tell, mostly."""
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3
    frozen = np.eye(3)[labels] + generator.normal(0, 0.7, (90, 3))
    words = np.array(["sad rain", "a day", "happy sun"])
    texts = [str(words[x]) for x in np.where(generator.random(90) < 0.7, labels, 1)]
    return Inputs({"text_x": frozen[:, :2], "image_x": frozen[:, 2:]}, texts), labels


def test_a_regression_is_chosen_by_answers_to_posts_that_it_did_not_see():
    inputs, labels = known_posts()
    numbers, inner = np.arange(60), np.arange(60) % 4
    trained = fit_regression(inputs, numbers, labels[numbers], inner, 3, ("text",))
    chosen, answers = trained.choice
    assert chosen.tolist() == numbers.tolist()
    assert trained.figures["strength"] in STRENGTHS
    assert trained.figures["ngram_share"] in NGRAM_SHARES[1:]  # the texts help
    unseen = negative_log_likelihood(answers[DECISION], labels[numbers])
    seen = negative_log_likelihood(trained.answer(numbers, False)[DECISION], labels[numbers])
    assert seen < unseen < np.log(3)
    held_out = trained.answer(np.arange(60, 90), True)
    assert set(held_out) == {DECISION, TEXT_ONLY}  # it reads no image alone
    assert (held_out[DECISION].argmax(axis=1) == labels[60:]).mean() > 0.6
    np.testing.assert_allclose(np.exp(held_out[TEXT_ONLY]).sum(axis=1), 1)


def test_labels_of_held_out_posts_change_nothing():
    inputs, labels = known_posts()
    numbers, inner = np.arange(60), np.arange(60) % 4
    given = [fit_regression(inputs, numbers, labels[numbers], inner, 3, ()) for _ in range(2)]
    other = Inputs({name: x.copy() for name, x in inputs.blocks.items()}, list(inputs.texts))
    for values in other.blocks.values():
        values[60:] = 9.0
    changed = fit_regression(other, numbers, labels[numbers], inner, 3, ())
    assert given[0].figures == given[1].figures == changed.figures
    for one in (given[1], changed):
        np.testing.assert_array_equal(one.choice[1][DECISION], given[0].choice[1][DECISION])


def test_mixtures_are_of_probabilities():
    own, ngrams = np.log([[0.7, 0.2, 0.1]]), np.log([[0.1, 0.1, 0.8]])
    np.testing.assert_allclose(np.exp(mix(own, ngrams, 0.15))[0], [0.61, 0.185, 0.205])
    assert mix(own, None, 0.0) is own
