"""Damage hits the posts it should, as much as it should, and the same on every machine."""

import numpy as np
import pytest
from datasets import Dataset, Image
from hostile_pictures import encoded
from PIL import Image as Pictures
from tiny_models import picture

from hybridsent.evaluation.noise import (
    damages,
    gaussian,
    hide_words,
    salt_and_pepper,
    swap_images,
    with_damage,
)

LIMIT = 10**6
POSTS = [f"post-{i}" for i in range(400)]


def pixels(damage, post, level, image):
    """Pixels of an image that a damage changed; None if it left the image as it was."""
    found = damage(image, post, level, LIMIT)
    return None if found is image else np.asarray(found).astype(int)


@pytest.mark.parametrize("level", [5, 10])
def test_gaussian_noise_has_the_deviation_of_its_level_in_half_of_the_posts(level):
    grey = Pictures.new("RGB", (20, 10), (128, 128, 128))
    changed = [
        found for post in POSTS if (found := pixels(gaussian, post, level, grey)) is not None
    ]
    assert len(changed) / len(POSTS) == pytest.approx(0.5, abs=0.06)
    values = np.stack(changed)
    assert (values == values[..., :1]).all()  # one value for all colours
    assert (values.min(), values.max()) == (0, 255)
    within = np.mean(abs(values - 128) < 10 * level)
    assert within == pytest.approx(0.683, abs=0.01)  # of a normal distribution


@pytest.mark.parametrize(("level", "share"), [(5, 0.25), (10, 0.5)])
def test_salt_and_pepper_hit_a_tenth_of_the_pixels_in_their_share_of_posts(level, share):
    grey = Pictures.new("RGB", (20, 10), (128, 128, 128))
    found = [pixels(salt_and_pepper, post, level, grey) for post in POSTS]
    changed = np.stack([x for x in found if x is not None])
    assert len(changed) / len(POSTS) == pytest.approx(share, abs=0.06)
    for value in (0, 255):
        assert np.mean(changed == value) == pytest.approx(0.05, abs=0.006)
    assert np.isin(changed, [0, 128, 255]).all()


def test_noise_is_added_to_a_small_image_and_is_always_the_same():
    large = {"bytes": encoded(picture(1, 900, 600), "PNG"), "path": None}
    post = next(post for post in POSTS if gaussian(large, post, 5, LIMIT) is not large)
    found = gaussian(large, post, 5, LIMIT)
    assert found.size == (384, 256)
    assert np.array_equal(found, gaussian(large, post, 5, LIMIT))


def test_words_are_hidden_in_half_of_the_posts():
    text = "one two three four"
    full = [hide_words(text, post, 10) for post in POSTS]
    assert {*full} == {text, "_ _ _ _"}
    assert full.count(text) / len(POSTS) == pytest.approx(0.5, abs=0.06)
    half = [hide_words(text, post, 5).split(" ") for post in POSTS]
    assert {words[0] for words in half} == {"_", "one"}
    hidden = sum(words.count("_") for words in half) / (4 * full.count("_ _ _ _"))
    assert hidden == pytest.approx(0.5, abs=0.06)


@pytest.fixture
def posts():
    rows = [
        {"id": f"post-{i}", "text": f"text {i}", "image": encoded(picture(i), "PNG")}
        for i in range(6)
    ]
    rows[1]["image"], rows[2]["text"] = None, None
    table = Dataset.from_list([{**row, "label": 0} for row in rows])
    return table.cast_column("image", Image(decode=False))


def test_each_post_with_an_image_gets_that_of_another(posts):
    swapped = with_damage(posts, image=swap_images(posts))
    assert swapped[1]["image"] is None
    having = [0, 2, 3, 4, 5]
    before, after = ([table[i]["image"]["bytes"] for i in having] for table in (posts, swapped))
    assert {*before} == {*after}
    assert not any(one == other for one, other in zip(before, after, strict=True))
    assert swapped["text"][:] == posts["text"][:]


def test_every_damage_has_its_name_and_missing_modalities_stay_missing(posts):
    found = dict(damages(posts, LIMIT))
    assert len(found) == 11
    for table in found.values():
        assert [*table["id"]] == [*posts["id"]]
        assert table[1]["image"] is None
        assert table[2]["text"] is None
    images = found["Gaussian noise and hidden words, level 10"]["image"]
    assert {type(image) for image in images} == {dict, type(None), Pictures.Image}
