"""The rules of single inputs: what is missing, what is a text, how an image is read."""

import decimal
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hostile_pictures import encoded, png_of_size
from isolated_python import run_isolated
from PIL import Image
from tiny_models import picture

from modeling_hybridsent import inputs_hybridsent as inputs
from modeling_hybridsent import load_image
from modeling_hybridsent.inputs_hybridsent import (
    clean_text,
    has_text,
    image_source,
    is_missing,
    open_image,
)

MISSING = [None, "", b"", float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NA, pd.NaT]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("value", [*MISSING, bytearray(), decimal.Decimal("nan")], ids=repr)
def test_what_is_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, False, 0.0, " ", b"\0", [], np.zeros(3)], ids=repr)
def test_what_is_not_missing(value):
    assert not is_missing(value)


@pytest.mark.parametrize("text", [*MISSING, " \n\u3000", "\u200b\ufeff", "\u200d\x00", "\u2800"])
def test_a_text_that_nobody_sees_is_none(text):
    assert not has_text(text)


@pytest.mark.parametrize("text", ["a", "\u200b.", "👍\ufe0f", "\U0010ffff"])
def test_a_text(text):
    assert has_text(text)


@pytest.mark.parametrize("wrong", [3, True, b"sun", ["sun"]])
def test_a_text_of_another_type(wrong):
    kind = type(wrong).__name__
    with pytest.raises(ValueError, match=f"^caption must be str or None, got {kind}$"):
        has_text(wrong, "caption")


CLEANED = {
    "": "",
    " \n": " \n",
    "  a\t happy\n\u3000day ": "a happy day",
    # Character references, also of references; without a semicolon it is none.
    "rock &amp; roll &lt;3 &#39;yes&#x27; caf&eacute;&nbsp;now": "rock & roll <3 'yes' café now",
    "&amp;amp;lt;3 &&#97;mp; &nosuch; Q&A; love&copy": "<3 & &nosuch; Q&A; love&copy",
    # Retweet marks
    "RT @a_b1: rt @c: so sad": "so sad",
    "RT @a : so": "so",
    "so RT @a: sad": "so RT @user: sad",
    "RT @a's cat": "RT @user's cat",
    # Web addresses
    "a http://t.co/Ab1?x=#y day HTTPS://x.de": "a day",
    "sunhttp://t.co/abこんにちは www.sun.com/#a": "sun こんにちは",
    "Awww... so www.": "Awww... so www.",
    '<a href="http://sun.com">sun</a>': '<a href=" ">sun</a>',
    "sad ht… day htt... http:… sun https://t.co/a…": "sad day sun",
    "sun http": "sun",
    "sun ht http": "sun",
    "ht night...": "ht night...",
    "http://t.co/a": "http://t.co/a",
    "RT @a: http://t.co/a": "RT @a: http://t.co/a",
    "\u200bhttp://t.co/a": "\u200bhttp://t.co/a",
    # Names
    "@cat: hi.@dog's \uff20sun me@sun.com @ @@a": "@user: hi.@user's @user me@sun.com @ @@user",
    "@tanakaさん": "@userさん",
    # Hashtags
    "#LoveMyDog2015 (#iLoveNASAPhotos!)": "Love My Dog 2015 (i Love NASA Photos!)",
    "#love_my__dog #_ #4ever #5SOS ##x #1": "love my dog 4ever 5SOS x 1",
    "#sun#RainDay of#wonderful": "sun Rain Day of wonderful",
    "#ЛюбовьМоя #été2015 #أحب_الحياة": "Любовь Моя été 2015 أحب الحياة",
    "今日#晴れ#東京2020 \uff03猫 #हिन्दी_दिवस": "今日晴れ 東京 2020 猫 हिन्दी दिवस",
    "#😀 ❤️ #️⃣ # & #!": "😀 ❤️ #️⃣ # & #!",
    # What would become something else
    "&#lt; #www.sun.com #AWww.sun": "& lt; # A Www .sun",
    "www.#_sun day www.\uff03sun": "day sun",
    "#sun_http_:day": "sun http :day",
    # Masks
    "a [MASK] day <mask>! #[MASK] @[MASK]": "a [MASK] day <mask>! #[MASK] @[MASK]",
}


@pytest.mark.parametrize(("text", "cleaned"), CLEANED.items(), ids=map(repr, CLEANED))
def test_a_cleaned_text(text, cleaned):
    assert clean_text(text) == cleaned
    assert clean_text(cleaned) == cleaned


def test_a_text_with_half_a_character():
    with pytest.raises(ValueError, match="unpaired surrogate at character 2"):
        has_text("ab\ud800")


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ({"bytes": b"x", "path": "y"}, b"x"),
        ({"bytes": None, "path": "y"}, "y"),
        ({"bytes": b"", "path": "y"}, "y"),
        ({"bytes": float("nan"), "path": "y"}, "y"),
        ({"path": Path("y")}, Path("y")),
        ({"bytes": b""}, None),
        ({"bytes": None, "path": pd.NA}, None),
        ("  ", None),
        *((value, None) for value in MISSING),
    ],
    ids=str,
)
def test_the_source_of_an_image(value, source):
    assert image_source(value) == source


@pytest.mark.parametrize(
    "nested", [{"bytes": None, "path": "secret.png"}, ["secret.png"], 3], ids=str
)
def test_a_mapping_is_unwrapped_once(nested):
    for value in ({"bytes": None, "path": nested}, {"bytes": nested, "path": None}):
        with pytest.raises(ValueError, match=f"a {type(nested).__name__} where bytes or a path"):
            image_source(value)
        with pytest.raises(ValueError, match=r"^image: holds a .* Replace it"):
            load_image(value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("gone.png", "image 'gone.png': no such file"),
        ("x" * 5000, r"image '\.\.\.x{100}': (no such file|File name too long)"),
        ("data:image/png;base64," + "A" * 5000, "image: is a data URI; decode it"),
        ("https://x/y.png", "image 'https://x/y.png': is a URL; download"),
        ("a\0b", "image 'a.x00b': "),
        (b"GIF89a", "image: "),
        (EPS, "image: is not a JPEG"),
        (encoded(picture(), "ICO"), "image: is not a JPEG"),
        (["x.png"], "image: is a list; give a path"),
        (object(), "image: is a object; give a path"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_one_short_message_names_the_image(source, said):
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        load_image(source)
    assert len(str(caught.value)) < 300
    assert str(caught.value).endswith("Replace it or leave it out.")


def test_ghostscript_is_never_started(tmp_path, monkeypatch):
    marker = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "x.jpg").write_bytes(EPS)
    with pytest.raises(ValueError, match="is not a JPEG"):
        load_image(tmp_path / "x.jpg")
    assert not marker.exists()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_costs_no_image_and_one_warning(format, caplog):
    image = picture(1, 20, 16)
    content = encoded(image, format, exif=b"Exif\0\0garbage that is no block", **lossless(format))
    loaded = load_image(content, name="posts.csv row 7: image")
    assert loaded.size == (20, 16)
    assert np.array_equal(loaded, Image.open(io.BytesIO(content)).convert("RGB"))
    assert [record.getMessage() for record in caplog.records] == [
        "posts.csv row 7: image: its EXIF block cannot be read, so it is not turned."
    ]


def lossless(format):
    return {"lossless": True} if format == "WEBP" else {}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_once(orientation):
    image = picture(1, 20, 16)
    exif = image.getexif()
    exif[0x0112] = orientation
    content = encoded(image, "PNG", exif=exif)
    once = load_image(content)
    assert once.size == ((20, 16) if orientation < 5 else (16, 20))
    assert np.array_equal(load_image(once), once)
    opened = Image.open(io.BytesIO(content))
    assert np.array_equal(load_image(opened), once)
    assert np.array_equal(opened, image)  # the caller's own stays as it is


GREYS = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    "values",
    [
        GREYS,
        GREYS.astype(np.int32),
        GREYS.astype(np.uint16) * 256,
        GREYS.astype(np.int64) * (1 << 16),
        GREYS.astype(np.float32),
        (GREYS / 255).astype(np.float32),
        GREYS / 255,
        GREYS[..., None],
        GREYS[None],
        GREYS + 0.4,
        np.stack([GREYS] * 3),
        np.dstack([GREYS] * 3),
        np.dstack([*[GREYS] * 3, np.full_like(GREYS, 255)]),
        torch.from_numpy(GREYS.copy()),
        torch.from_numpy(GREYS / 255).float().expand(3, -1, -1).requires_grad_(),
    ],
    ids=lambda x: f"{type(x).__name__} {x.dtype} {tuple(x.shape)}",
)
def test_arrays_keep_their_shades(values):
    seen = np.asarray(load_image(values), int)
    assert seen.shape == (16, 16, 3)
    assert np.abs(seen - GREYS[..., None]).max() <= 1


@pytest.mark.parametrize("dtype", ["int32", "uint16", "float32", "unit"])
def test_grey_modes_of_pillow_keep_their_shades(dtype):
    values = (GREYS / 255).astype(np.float32) if dtype == "unit" else GREYS.astype(dtype)
    image = Image.fromarray(values)
    assert image.mode in ("I", "I;16", "F")
    assert np.abs(np.asarray(load_image(image), int)[..., 0] - GREYS).max() <= 1


def test_half_precision_and_masks():
    half = torch.from_numpy(GREYS / 255).to(torch.bfloat16)
    assert np.abs(np.asarray(load_image(half), int)[..., 0] - GREYS).max() <= 1
    assert set(np.unique(load_image(GREYS > 99))) == {0, 255}


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((5, 5, 7)), r"shape \(5, 5, 7\)"),
        (np.zeros((2, 5, 5, 3)), r"shape \(2, 5, 5, 3\)"),
        (np.full((5, 5), np.nan), "NaN or infinite"),
        (np.full((5, 5), -1.5), "values from -1.5 to -1.5; give 0 to 1 or 0 to 255"),
        (GREYS / 250, "has values up to 1.02; cut them at 1, at 255"),
        (GREYS * 1.1, "has values up to 280.5; cut them at 1, at 255"),
        (np.full((5, 5), "x"), "is a ndarray <U1; give a path"),
        (io.BytesIO(b"a file"), "is a BytesIO; give a path"),
        (np.zeros((100, 100)), "has 100 x 100 pixels"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_arrays_that_are_no_image(array, said):
    with pytest.raises(ValueError, match=f"^image: .*{said}"):
        load_image(array, max_pixels=9_999)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_transparency_is_white(mode):
    """A black drawing on transparency would be wholly black otherwise."""
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.putpixel((3, 3), (0, 0, 0, 255))
    content = encoded(image.convert(mode), "PNG", **({"transparency": 0} if mode == "P" else {}))
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([0, 0, 0, 0, 0, 0])
        image.putpixel((3, 3), 1)
        content = encoded(image, "PNG", transparency=b"\0\xff")
    if mode == "I;16":
        greys = np.full((8, 8), 5_000, np.uint16)
        greys[3, 3] = 0
        content = encoded(Image.fromarray(greys), "PNG", transparency=5_000)
    seen = np.asarray(load_image(content))
    assert (seen[3, 3] == 0).all()
    assert (seen.sum(axis=2) == 765).sum() == 63


def test_formats():
    for name in inputs.FORMATS:
        assert open_image(encoded(picture(), name)).format == name


@pytest.mark.filterwarnings("error")
def test_a_limit_above_that_of_pillow_holds():
    """Pillow refuses more than 178,956,970 pixels, and warns of half as many."""
    wide = encoded(Image.new("1", (20_000, 9_000)), "PNG")
    assert open_image(wide, 200_000_000).size == (20_000, 9_000)
    with pytest.raises(ValueError, match="20000 x 9000 pixels, more than max_image_pixels=1000"):
        open_image(wide, 1000)


def test_limits_hold_for_every_kind_of_source():
    line = Image.new("L", (2000, 1))
    for source in (line, encoded(line, "PNG"), png_of_size(2000, 1)):
        with pytest.raises(ValueError, match="max_image_pixels=1999"):
            open_image(source, 1999)
        with pytest.raises(ValueError, match="max_image_ratio=1999 times as long"):
            open_image(source, max_ratio=1999)
        assert open_image(source, 2000, 2000).size == (2000, 1)


def test_the_file_needs_pillow_alone(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(Path(inputs.__file__).parent)!r})
import inputs_hybridsent
wrong = {{"torch", "transformers", "numpy"}} & set(sys.modules)
assert not wrong, wrong
"""
    result = run_isolated(code, tmp_path)
    assert result.returncode == 0, result.stderr
    assert sys.modules["modeling_hybridsent.inputs_hybridsent"] is inputs
