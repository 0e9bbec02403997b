"""The joint processor: what it returns, what it takes for a picture, what it refuses."""

import json
import pickle

import numpy as np
import pytest
import torch
from hostile_pictures import encoded
from PIL import Image
from tiny_models import IMAGE_SIZE, picture, tiny_processor, tiny_tokenizer
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    CLIPImageProcessor,
    ConvNextImageProcessor,
    Siglip2ImageProcessor,
    TimmWrapperImageProcessor,
)

from modeling_hybridsent import HybridSentProcessor, load_image
from modeling_hybridsent.inputs_hybridsent import LONGEST_TEXT


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


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


@pytest.mark.parametrize("nothing", [None, "", "  \n ", "\u200b", float("nan")])
def test_missing_text_is_marked(processor, nothing):
    out = processor(text=["sun", nothing], images=[picture(), picture()])
    assert out["has_text"].tolist() == [True, False]


def test_a_missing_image_is_cleared_in_pixels_of_any_shape():
    processor = HybridSentProcessor(Siglip2ImageProcessor(), tiny_tokenizer(), max_length=64)
    pixels = processor(text=["a"] * 3, images=[picture(0), None, picture(1)])["pixel_values"]
    pixels = torch.as_tensor(pixels)
    assert pixels.shape == (3, 256, 768)  # patches
    assert [bool(x.any()) for x in pixels] == [True, False, True]


@pytest.mark.parametrize("nothing", [None, "", b""])
def test_missing_picture_is_marked_and_cleared(processor, nothing):
    out = processor(text=["sun", "rain"], images=[nothing, picture()])
    assert out["has_image"].tolist() == [False, True]
    assert torch.equal(out["pixel_values"][0], torch.zeros(3, IMAGE_SIZE, IMAGE_SIZE))
    assert out["pixel_values"][1].abs().sum() > 0


def test_a_path_without_a_file_is_an_error(processor, tmp_path):
    absent = str(tmp_path / "gone.jpg")
    with pytest.raises(ValueError, match=r"Image of post 1 '.*gone\.jpg': no such file"):
        processor(text=["sun", "sun"], images=[None, absent])


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
        "bytes": encoded(image, "PNG"),
        "image": image,
        "array": np.asarray(image),
        "tensor": torch.tensor(np.asarray(image)).permute(2, 0, 1),
    }[kind]
    got = processor(images=[source])["pixel_values"]
    assert torch.equal(got, processor(images=[image])["pixel_values"])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode):
    assert load_image(picture().convert(mode)).mode == "RGB"


def test_picture_is_turned_upright(tmp_path):
    image = picture(width=48, height=40)
    exif = image.getexif()
    exif[0x0112] = 6  # taken with the camera turned by 90 degrees
    image.save(tmp_path / "x.jpg", exif=exif)
    assert load_image(tmp_path / "x.jpg").size == (40, 48)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a picture", "is not a JPEG"), (encoded(picture(), "PNG")[:200], "Image of post 1")],
    ids=["garbage", "truncated"],
)
def test_unreadable_picture_is_an_error_naming_the_post(processor, content, message):
    with pytest.raises(ValueError, match=message):
        processor(images=[picture(), content])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_oversized_picture_is_refused_before_decoding(processor):
    huge = encoded(Image.new("1", (12000, 12000)), "PNG")
    with pytest.raises(ValueError, match=r"12000 x 12000 pixels.*max_image_pixels"):
        processor(images=[huge])


def test_url_is_never_fetched(processor):
    with pytest.raises(ValueError, match="is a URL"):
        processor(text=["sun"], images=["http://127.0.0.1:9/x.jpg"])


def test_an_image_that_resizing_would_blow_up_is_refused_before_it_is_made():
    """Its shorter side of 1 pixel would become 224, its longer one 67 million."""
    shortest = HybridSentProcessor(CLIPImageProcessor(), tiny_tokenizer())
    timm = HybridSentProcessor(
        TimmWrapperImageProcessor(pretrained_cfg={"input_size": (3, 224, 224)}), tiny_tokenizer()
    )
    line = encoded(Image.new("1", (300_000, 1)), "PNG")
    for processor, side in ((shortest, 224), (timm, 256)):  # 256 before the crop to 224
        said = rf"^Image: has 300000 x 1 pixels; .* max_image_ratio={89_478_485 // side**2} times"
        with pytest.raises(ValueError, match=said):
            processor(text=["sun"], images=[line])
    out = tiny_processor()(images=[line])  # which gives both sides their size
    assert out["pixel_values"].shape == (1, 3, IMAGE_SIZE, IMAGE_SIZE)
    assert shortest(images=[line], size={"height": 8, "width": 8}, do_center_crop=False)


def test_round_trip_keeps_settings_and_results(tmp_path):
    processor = tiny_processor(max_length=5, max_image_pixels=10_000)
    processor.save_pretrained(tmp_path)
    again = HybridSentProcessor.from_pretrained(tmp_path)
    assert (again.max_length, again.max_image_pixels) == (5, 10_000)
    ours = processor(text=["a happy day not"], images=[picture()])
    theirs = again(text=["a happy day not"], images=[picture()])
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def test_positions_are_those_of_the_library(processor):
    out = processor([picture()], ["sun"])
    assert out["has_image"].tolist() == out["has_text"].tolist() == [True]


@pytest.mark.parametrize(
    ("texts", "pictures"),
    [
        (("sun", "rain"), (picture(), picture())),
        (np.array(["sun", "rain"]), np.stack([np.asarray(picture())] * 2)),
        ((x for x in ("sun", "rain")), torch.zeros(2, 3, 40, 48)),
        (["sun", "rain"], [[picture()], [picture()]]),
    ],
    ids=["tuples", "arrays", "generator and tensor", "nested"],
)
def test_every_kind_of_batch(processor, texts, pictures):
    out = processor(text=texts, images=pictures)
    assert out["has_text"].tolist() == out["has_image"].tolist() == [True, True]


def test_list_around_a_picture(processor):
    out = processor(text=["sun", "rain"], images=[[], [picture()]])
    assert out["has_image"].tolist() == [False, True]
    with pytest.raises(ValueError, match="Image of post 1: is a list of 2"):
        processor(text=["sun", "rain"], images=[[], [picture(), picture()]])


@pytest.mark.parametrize("wrong", [3, b"sun", ["a", "b"]])
def test_text_of_another_kind_is_an_error_naming_the_post(processor, wrong):
    with pytest.raises(ValueError, match="Text of post 1 must be str or None, got"):
        processor(text=["sun", wrong])


def test_undecoded_picture_of_datasets(processor, tmp_path):
    picture(1).save(tmp_path / "x.png")
    path = str(tmp_path / "x.png")
    sources = [
        {"bytes": encoded(picture(0), "PNG"), "path": path},
        {"bytes": None, "path": path},
        {"bytes": None, "path": None},
        {"path": path},
    ]
    out = processor(text=["sun"] * 4, images=sources)
    assert out["has_image"].tolist() == [True, True, False, True]
    expected = processor(images=[picture(0), picture(1), picture(1)])["pixel_values"]
    assert torch.equal(out["pixel_values"][[0, 1, 3]], expected)
    with pytest.raises(ValueError, match="neither bytes nor path but"):
        processor(images=[{"url": "x"}])


def test_arguments_reach_tokenizer_and_image_processor(processor):
    post = {"text": "a happy day", "images": picture()}
    flat = processor(**post, padding="max_length", max_length=9, size=32, do_rescale=False)
    nested = processor(
        **post,
        text_kwargs={"padding": "max_length", "max_length": 9},
        images_kwargs={"size": 32, "do_rescale": False},
    )
    assert flat["input_ids"].shape == (1, 9)
    assert flat["pixel_values"].shape == (1, 3, 32, 32)
    assert flat["pixel_values"].max() > 100
    for name, tensor in flat.items():
        assert torch.equal(tensor, nested[name]), name
    with pytest.raises(ValueError, match="passed two times"):
        processor(**post, max_length=9, text_kwargs={"max_length": 9})


@pytest.mark.parametrize(
    "unknown",
    [
        {"max_lenght": 9},
        {"videos": None},
        {"text_kwargs": {"paddin": True}},
        {"images_kwargs": {"sise": 32}},
        {"return_overflowing_tokens": True},
        {"text_target": ["sun"]},
    ],
    ids=str,
)
def test_unknown_argument_is_refused(processor, unknown):
    name = (
        next(iter(next(iter(unknown.values()))))
        if "kwargs" in str(unknown)
        else next(iter(unknown))
    )
    with pytest.raises(TypeError, match=f"does not take.*{name}"):
        processor(text="sun", images=picture(), **unknown)


def test_numpy_and_lists(processor):
    post = {"text": ["sun", "a happy day"], "images": [None, picture()]}
    tensors, arrays = processor(**post), processor(**post, return_tensors="np")
    for name, tensor in tensors.items():
        assert isinstance(arrays[name], np.ndarray)
        assert np.array_equal(arrays[name], tensor.numpy()), name
    lists = processor(**post, return_tensors=None, padding=False)
    assert [len(ids) for ids in lists["input_ids"]] == [3, 5]
    assert lists["has_image"] == [False, True]
    assert torch.equal(torch.stack(lists["pixel_values"]), tensors["pixel_values"])


@pytest.mark.parametrize("wrong", ["tf", "mlx", "jax"])
def test_other_frameworks_are_refused(processor, wrong):
    with pytest.raises(ValueError, match='only "pt", "np" and None'):
        processor(text="sun", return_tensors=wrong)
    with pytest.raises(ValueError, match="another for images"):
        processor(text="sun", images=picture(), images_kwargs={"return_tensors": "np"})


@pytest.mark.parametrize("wrong", [0, -1, True, 2.5, "9"])
def test_settings_are_positive_numbers(processor, wrong):
    for name in ("max_length", "max_image_pixels"):
        with pytest.raises(ValueError, match=f"{name}=.*positive"):
            tiny_processor(**{name: wrong})
    with pytest.raises(ValueError, match=r"max_length=.*positive"):
        processor(text="sun", max_length=wrong)


def test_length_of_the_tokenizer_counts_only_with_its_padding():
    carried, meant = tiny_tokenizer(), tiny_tokenizer()
    carried.init_kwargs["max_length"] = 9  # as many tokenizers of the Hub have it
    meant.init_kwargs.update(max_length=9, padding="max_length")
    processor = tiny_processor(max_length=6)
    for tokenizer, length in ((carried, 6), (meant, 9)):
        processor.tokenizer = tokenizer
        assert processor(text="sun " * 50)["input_ids"].shape == (1, length)
        assert processor(text="sun " * 50, max_length=5, padding=True)["input_ids"].shape == (1, 5)


def test_what_the_model_does_not_use_comes_only_on_demand():
    processor = tiny_processor()
    processor.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    assert "token_type_ids" in processor.tokenizer("sun")
    assert "token_type_ids" not in processor(text="sun")
    out = processor(text="sun", return_token_type_ids=True, return_special_tokens_mask=True)
    assert out["token_type_ids"].tolist() == [[0, 0, 0]]
    assert out["special_tokens_mask"].tolist() == [[1, 0, 1]]


def test_pictures_of_different_sizes_are_a_named_error():
    resizing_only = ConvNextImageProcessor(do_resize=False)
    processor = HybridSentProcessor(resizing_only, tiny_tokenizer())
    out = processor(text=["sun", "rain"], images=[None, picture()])
    assert out["pixel_values"].shape == (2, 3, 40, 48)
    with pytest.raises(ValueError, match="do not fit into one batch"):
        processor(images=[picture(), picture(width=20)])


DIRTY, CLEAN = "RT @cat: a #happy_day http://t.co/a", "a happy day"


def test_texts_are_cleaned_where_the_processor_does_it(processor):
    cleaning = tiny_processor(clean_text=True)
    link = "http://t.co/a"
    images = [None, None, picture()]
    given = cleaning(text=[DIRTY, link, None], images=images)
    for name, tensor in processor(text=[CLEAN, link, None], images=images).items():
        assert torch.equal(given[name], tensor), name
    encoded = cleaning.encode_texts([DIRTY, None])
    assert torch.equal(encoded["input_ids"], processor.encode_texts([CLEAN, None])["input_ids"])
    assert encoded["has_text"].tolist() == [True, False]
    assert cleaning.prepare_text(DIRTY) == CLEAN
    assert processor.prepare_text(DIRTY) == DIRTY


def test_cleaning_is_saved_with_the_processor(tmp_path):
    tiny_processor(clean_text=True).save_pretrained(tmp_path)
    again = HybridSentProcessor.from_pretrained(tmp_path)
    assert again.decode(again(text=DIRTY)["input_ids"][0]) == f"[CLS] {CLEAN} [SEP]"
    chosen = HybridSentProcessor.from_pretrained(tmp_path, clean_text=False)
    assert chosen.clean_text is False
    assert "clean_text" not in chosen.tokenizer.init_kwargs  # of which some have it, too
    with pytest.raises(ValueError, match=r"^clean_text='no': give true or false"):
        HybridSentProcessor.from_pretrained(tmp_path, clean_text="no")


def test_a_folder_older_than_cleaning_loads_without_it(tmp_path):
    tiny_processor(clean_text=True).save_pretrained(tmp_path)
    file = tmp_path / "processor_config.json"
    content = json.loads(file.read_text())
    del content["clean_text"]
    file.write_text(json.dumps(content))
    assert HybridSentProcessor.from_pretrained(tmp_path).clean_text is False


def test_parts_and_settings_stand_in_the_folder(tmp_path):
    processor = tiny_processor(max_length=5)
    processor.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "processor_config.json").read_text())
    assert content["max_length"] == 5
    assert content["auto_map"] == {"AutoProcessor": "processing_hybridsent.HybridSentProcessor"}
    again = HybridSentProcessor.from_pretrained(tmp_path)
    assert again.to_dict() == processor.to_dict()
    assert HybridSentProcessor.from_pretrained(tmp_path, max_length=7).max_length == 7
    image_processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert image_processor.to_dict() == processor.image_processor.to_dict()
    ids = processor(text="a happy day")["input_ids"]
    assert AutoTokenizer.from_pretrained(tmp_path).decode(ids[0]) == processor.decode(ids[0])
    assert processor.batch_decode(ids, skip_special_tokens=True) == ["a happy day"]


def test_image_processor_of_timm_survives_saving(tmp_path):
    settings = {"input_size": (3, 32, 32), "mean": (0.1, 0.2, 0.3), "crop_pct": 0.9}
    image_processor = TimmWrapperImageProcessor(pretrained_cfg=settings)
    processor = HybridSentProcessor(image_processor, tiny_tokenizer())
    processor.save_pretrained(tmp_path)
    again = HybridSentProcessor.from_pretrained(tmp_path)
    again.save_pretrained(tmp_path / "twice")
    twice = HybridSentProcessor.from_pretrained(tmp_path / "twice")
    expected = processor(images=[picture()])["pixel_values"]
    for loaded in (again, twice):
        assert torch.equal(loaded(images=[picture()])["pixel_values"], expected)


def test_it_can_be_pickled(processor):
    again = pickle.loads(pickle.dumps(processor))
    assert torch.equal(again(text="a sun")["input_ids"], processor(text="a sun")["input_ids"])


def test_of_a_text_of_millions_of_characters_the_tokenizer_reads_one_end():
    """Whole, a text of 30 MB takes 7 GB."""
    processor, text = (
        tiny_processor(max_length=16),
        " " * 1_000_000 + "sad" + " day" * 500_000 + " !",
    )
    assert len(processor.prepare_text(text)) == LONGEST_TEXT
    ids = processor(text=["sad" + " day" * 20])["input_ids"]
    assert torch.equal(processor(text=[text])["input_ids"], ids)
    processor.tokenizer.truncation_side = "left"
    assert processor.prepare_text(text).endswith(" day !")
    assert (
        processor(text=[text[-400_000:]], truncation=False)["input_ids"].shape[1] > LONGEST_TEXT / 5
    )
