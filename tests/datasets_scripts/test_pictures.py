"""Every image is looked at before training: odd ones are read, bad ones named with file and row."""

import io

import numpy as np
import pytest
from fabricated_sets import clmlf_ids, write_mvsa_single
from hostile_pictures import png_of_size, readable, unreadable
from PIL import Image

from datasets_scripts import PostsError, load_table
from datasets_scripts.pictures import inspect_picture
from modeling_hybridsent import load_image
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

IDS = clmlf_ids()["train"]
READABLE, UNREADABLE = readable(), unreadable()
FACTS = {
    "png": ("PNG", "RGB", 1, 1),
    "cmyk": ("JPEG", "CMYK", 1, 1),
    "16-bit": ("PNG", "I;16", 1, 1),
    "palette": ("PNG", "P", 1, 1),
    "rgba": ("PNG", "RGBA", 1, 1),
    "animated": ("GIF", "P", 3, 1),
    "turned": ("JPEG", "RGB", 1, 6),
    "one pixel": ("JPEG", "RGB", 1, 1),
}


@pytest.fixture
def load_with(tmp_path):
    """A set whose second post has the given bytes for an image, always called .jpg."""

    def load(content, **options):
        write_mvsa_single(tmp_path, {i: f"text {i}".encode() for i in IDS[:3]})
        (tmp_path / "data" / f"{IDS[1]}.jpg").write_bytes(content)
        return load_table("mvsa_single", tmp_path, **options)

    return load


@pytest.mark.parametrize("name", READABLE)
def test_odd_images_are_read_upright_and_in_rgb(load_with, name):
    posts, counts, rejected = load_with(READABLE[name])
    assert not [row for row in rejected if row.bad]
    assert counts["image_missing"] == 0
    seen = load_image(READABLE[name])
    size = {"turned": (16, 20), "one pixel": (1, 1)}.get(name, (20, 16))
    assert (seen.mode, seen.size) == ("RGB", size)
    facts = inspect_picture(READABLE[name], DEFAULT_MAX_IMAGE_PIXELS)
    assert (facts.format, facts.mode, facts.frames, facts.orientation) == FACTS[name]
    assert posts["train"]["id"][:] == IDS[:3]


def test_grey_of_16_bits_keeps_its_shades():
    """Pillow alone clips them at 255, so that nearly all become white."""
    shades = np.asarray(load_image(READABLE["16-bit"]))[..., 0].ravel()
    assert np.abs(shades - np.linspace(0, 255, 320)).max() <= 1
    shades = np.asarray(load_image(Image.fromarray(np.full((2, 2), 32768, np.int32))))
    assert (shades == 128).all()


def test_an_animation_is_its_first_frame():
    first = Image.open(io.BytesIO(READABLE["animated"])).convert("RGB")
    assert load_image(READABLE["animated"]).tobytes() == first.tobytes()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_bad_image_is_named_and_dropping_it_loses_nothing_else(load_with, tmp_path, name):
    content, said = UNREADABLE[name]
    place = rf"labelResultAll\.txt line 3: {IDS[1]}\.jpg: image cannot be read: .*{said}"
    with pytest.raises(PostsError, match=place) as error:
        load_with(content)
    assert f"{IDS[0]}.jpg" not in str(error.value)
    posts, counts, rejected = load_table("mvsa_single", tmp_path, on_bad_rows="drop")
    assert posts["train"]["id"][:] == [IDS[0], IDS[2]]
    assert [row.id for row in rejected if row.bad] == [IDS[1]]
    assert counts["kept"] + len(rejected) == counts["rows"]


def test_the_limit_on_pixels_can_be_set(load_with):
    with pytest.raises(PostsError, match="20 x 16 pixels, more than max_image_pixels=319"):
        load_with(READABLE["png"], max_image_pixels=319)


def test_an_image_over_the_limit_is_not_decoded():
    """It holds no pixels at all, so decoding it would fail with another message."""
    with pytest.raises(ValueError, match="100 x 100 pixels, more than"):
        inspect_picture(png_of_size(100, 100), 9_999)
    with pytest.raises(ValueError, match=r"truncated|incomplete|broken|cannot"):
        inspect_picture(png_of_size(100, 100), 10_000)
