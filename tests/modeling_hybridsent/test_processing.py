"""The joint processor: what it returns, what it takes for a picture, what it refuses."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import IMAGE_SIZE, picture, tiny_processor

from modeling_hybridsent import HybridSentProcessor, load_picture


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_complete_batch(processor):
    out = processor(text=["a happy day", "sun"], images=[picture(0), picture(1)])
    assert out["input_ids"].tolist() == [[2, 5, 9, 11, 3], [2, 7, 3, 0, 0]]
    assert out["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert out["pixel_values"].shape == (2, 3, IMAGE_SIZE, IMAGE_SIZE)
    assert out["has_text"].tolist() == [True, True]
    assert out["has_image"].tolist() == [True, True]
    assert set(out) == set(processor.model_input_names)


def test_one_post_is_a_batch_of_one(processor):
    out = processor(text="a happy day", images=picture())
    assert out["input_ids"].shape == (1, 5)
    assert out["pixel_values"].shape == (1, 3, IMAGE_SIZE, IMAGE_SIZE)


@pytest.mark.parametrize("nothing", [None, "", "  \n "])
def test_missing_text_is_marked(processor, nothing):
    out = processor(text=["sun", nothing], images=[picture(), picture()])
    assert out["has_text"].tolist() == [True, False]


@pytest.mark.parametrize("nothing", [None, "", b""])
def test_missing_picture_is_marked_and_cleared(processor, nothing):
    out = processor(text=["sun", "rain"], images=[nothing, picture()])
    assert out["has_image"].tolist() == [False, True]
    assert torch.equal(out["pixel_values"][0], torch.zeros(3, IMAGE_SIZE, IMAGE_SIZE))
    assert out["pixel_values"][1].abs().sum() > 0


def test_missing_file_is_a_missing_picture_with_a_warning(processor, tmp_path, caplog):
    absent = str(tmp_path / "gone.jpg")
    out = processor(text=["sun"], images=[absent])
    assert out["has_image"].tolist() == [False]
    assert "gone.jpg" in caplog.text


def test_whole_modality_may_be_left_out(processor):
    assert "pixel_values" not in processor(text=["sun"])
    out = processor(images=[picture()])
    assert "input_ids" not in out
    assert out["has_text"].tolist() == [False]


def test_post_with_neither_is_an_error_naming_it(processor):
    with pytest.raises(ValueError, match=r"Posts \[1\]"):
        processor(text=["sun", " "], images=[None, None])


def test_lists_of_different_lengths_are_an_error(processor):
    with pytest.raises(ValueError, match="2 texts and 1 images"):
        processor(text=["sun", "rain"], images=[picture()])


def test_nothing_given_is_an_error(processor):
    with pytest.raises(ValueError, match="0 texts and 0 images"):
        processor()


def test_long_text_is_cut():
    processor = tiny_processor(max_length=6)
    assert processor(text="sun " * 50)["input_ids"].shape == (1, 6)


@pytest.mark.parametrize("kind", ["path", "string", "bytes", "image", "array", "tensor"])
def test_every_kind_of_picture_gives_the_same_pixels(processor, tmp_path, kind):
    image = picture()
    image.save(tmp_path / "x.png")
    source = {
        "path": tmp_path / "x.png",
        "string": str(tmp_path / "x.png"),
        "bytes": png(image),
        "image": image,
        "array": np.asarray(image),
        "tensor": torch.tensor(np.asarray(image)).permute(2, 0, 1),
    }[kind]
    got = processor(images=[source])["pixel_values"]
    assert torch.equal(got, processor(images=[image])["pixel_values"])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode):
    assert load_picture(picture().convert(mode)).mode == "RGB"


def test_picture_is_turned_upright(tmp_path):
    image = picture(width=48, height=40)
    exif = image.getexif()
    exif[0x0112] = 6  # taken with the camera turned by 90 degrees
    image.save(tmp_path / "x.jpg", exif=exif)
    assert load_picture(tmp_path / "x.jpg").size == (40, 48)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a picture", "cannot identify"), (png(picture())[:200], "Picture of post 0")],
    ids=["garbage", "truncated"],
)
def test_unreadable_picture_is_an_error_naming_the_post(processor, content, message):
    with pytest.raises(ValueError, match=message):
        processor(images=[content])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_oversized_picture_is_refused_before_decoding(processor):
    huge = io.BytesIO()
    Image.new("1", (12000, 12000)).save(huge, "PNG")
    with pytest.raises(ValueError, match=r"12000 x 12000 pixels.*max_image_pixels"):
        processor(images=[huge.getvalue()])


def test_web_address_is_never_fetched(processor):
    with pytest.raises(ValueError, match="web address"):
        processor(text=["sun"], images=["http://127.0.0.1:9/x.jpg"])


def test_round_trip_keeps_settings_and_results(tmp_path):
    processor = tiny_processor(max_length=5, max_image_pixels=10_000)
    processor.save_pretrained(tmp_path)
    again = HybridSentProcessor.from_pretrained(tmp_path)
    assert (again.max_length, again.max_image_pixels) == (5, 10_000)
    ours = processor(text=["a happy day not"], images=[picture()])
    theirs = again(text=["a happy day not"], images=[picture()])
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
