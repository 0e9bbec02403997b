"""What fuzzing found, as small as it can be made: each is a named error or a result by now."""

import json
import struct

import pytest
from fabricated_sets import write_tumemo
from tiny_models import tiny_config

from datasets_scripts import PostsError, load_table
from datasets_scripts.own_posts import read_posts
from datasets_scripts.pictures import decode_picture
from datasets_scripts.published.tumemo import read_tumemo
from datasets_scripts.texts import normalise_text
from fuzzing.engine import try_one
from fuzzing.guard import bounded
from fuzzing.pictures import good_pictures
from fuzzing.target import SEEDS
from fuzzing.targets import TARGETS
from hybridsent.training.arguments import parse_arguments
from modeling_hybridsent import (
    HybridSentConfig,
    HybridSentForSequenceClassification,
    HybridSentProcessor,
    load_image,
)
from modeling_hybridsent.inputs_hybridsent import clean_text, has_text

DEEP = "[" * 20_000
GIF = next(x for x in good_pictures() if x.startswith(b"GIF"))
TIFF = next(x for x in good_pictures() if x.startswith(b"II*"))


def with_frame_after(gif):
    """Begin a second frame of a GIF, and end."""
    return gif.rstrip(b"\x3b") + b"!"


def with_page_after(tiff):
    """Let a second page of a TIFF begin where nothing of the kind is."""
    (start,) = struct.unpack("<I", tiff[4:8])
    (entries,) = struct.unpack("<H", tiff[start : start + 2])
    end = start + 2 + 12 * entries
    return tiff[:end] + struct.pack("<I", 1) + tiff[end + 4 :]


# Texts


@pytest.mark.parametrize(
    "encoding", ["base64_codec", "rot13", "zlib", "\x00", "\ud800", "undefined"]
)
def test_what_is_no_encoding_of_texts(encoding, tmp_path):
    folder = write_tumemo(tmp_path, {"0": "Happy"})
    with pytest.raises(ValueError, match=r"unknown text_encoding .* use one of Python's"):
        read_tumemo(folder, text_encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "content"), [("idna", b"xn--"), ("punycode", b"a..b"), ("utf-7", b"sun +2AA-")]
)
def test_an_encoding_that_raises_errors_of_its_own_kind(encoding, content, tmp_path):
    folder = write_tumemo(tmp_path, {"0": "Happy"}, {"0": content})
    (row,) = read_tumemo(folder, text_encoding=encoding).rejected
    assert f"0.txt: text is not {encoding}: " in str(row)


def test_levelling_takes_no_longer_than_the_text_is_long():
    with bounded(seconds=5):
        assert normalise_text("ht-" * 100_000 + " end ht...") == "ht-" * 100_000 + " end"


def test_cleaning_takes_no_longer_than_the_text_is_long():
    with bounded(seconds=5):
        for part in ("ht-", "@", "#", "a#", "RT @a ", "&;", "ht "):
            text = "sun " + part * (300_000 // len(part)) + "sun"
            assert has_text(clean_text(text))


def test_a_header_of_a_hundred_thousand_columns_takes_no_longer_than_it_is_long(tmp_path):
    wide = ",".join(f"c{i}" for i in range(100_000))
    (tmp_path / "posts.csv").write_text(f"text,label,{wide}\nhello,a,{wide}\nworld,b,{wide}\n")
    with bounded(seconds=5):
        assert [post.text for post in read_posts(tmp_path).posts] == ["hello", "world"]


# Images


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (with_frame_after(GIF), r"is damaged \(IndexError: "),
        # The oldest Pillow words it itself.
        (with_page_after(TIFF), r"is damaged \(TypeError: Missing|Invalid dimensions"),
    ],
    ids=["GIF", "TIFF"],
)
def test_an_image_on_which_a_decoder_stumbles(content, said):
    with pytest.raises(ValueError, match=said):
        decode_picture(content, 10_000)


def test_an_image_says_where_it_stands_and_what_to_do():
    with pytest.raises(ValueError, match=r"Image of post 3: is not a JPEG.* Replace it or leave"):
        load_image(b"x", name="Image of post 3")


# Rows


@pytest.mark.parametrize("options", [{}, {"label_names": "a,b"}])
def test_a_label_of_too_many_digits_for_python(options, tmp_path):
    rows = [f"text,label\nx,{'9' * 5000}\n", *(f"x{i},{i % 2}\n" for i in range(9))]
    (tmp_path / "posts.csv").write_text("".join(rows))
    table = load_table("posts", tmp_path, on_bad_rows="drop", **options)
    kept = sum(map(len, table.posts.values()))
    assert kept + len(table.rejected) == 10


def test_a_training_split_of_bad_rows_alone(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n,a\n,b\n")
    (tmp_path / "validation.csv").write_text("text,label\nx,a\ny,b\n")
    with pytest.raises(PostsError, match=r"(?s)no posts left to train on.*Add posts, or fix"):
        load_table("posts", tmp_path, on_bad_rows="drop")


# Recipes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a recipe: None is not a setting. Write one"),
        ("a: [", "is not a recipe: while parsing"),
        ("a: !!int ''", "is not a recipe: "),
        ("seed: 2026-13-45", "is not a recipe: month"),
        (DEEP, "is not a recipe: "),
        ("1: 2", "is not a recipe: 1 is not a setting"),
        ("a: &x [1]\nb: *x", "is not a recipe: line 2 has an alias"),
        ("model_config: [1]", r"--model_config '1': give a JSON object.*Correct .*recipe\.yaml"),
        ("dataset_options: 3", "--dataset_options '3': give a JSON object"),
        ("cpu_threads: 0", "--cpu_threads 0: give 1 to"),
        ("cpu_threads: 1000000000", "--cpu_threads 1000000000: give 1 to"),
        ("learning_rat: 1", r"learning_rat.*Correct .*recipe\.yaml or the command line"),
        ("warmup_steps: -1", r"warmup_steps.*Correct .*recipe\.yaml or the command line"),
    ],
    ids=str,
)
def test_a_recipe_that_is_none(text, said, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        parse_arguments([str(file)])
    assert str(file) in str(caught.value)


def test_bytes_that_are_no_text_are_no_recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match=r"recipe\.yaml is not a recipe: .*codec"):
        parse_arguments([str(tmp_path / "recipe.yaml")])


def test_a_recipe_that_would_fill_the_memory(tmp_path):
    assert try_one(TARGETS["recipes"](tmp_path), (SEEDS / "recipe_bomb.yaml").read_bytes()) is None


def test_a_setting_of_the_wrong_kind_names_the_recipe(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("seed: x")
    with pytest.raises(SystemExit):
        parse_arguments([str(tmp_path / "recipe.yaml")])
    assert "invalid int value: 'x'; correct" in capsys.readouterr().err.replace("\n", " ")


# Files of a model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tiny_models import save_tiny

    folder = tmp_path_factory.mktemp("model")
    save_tiny(folder)
    return folder


@pytest.fixture
def changed(folder):
    """Change a JSON file for the length of a test."""
    originals = {file: file.read_bytes() for file in folder.glob("*.json")}

    def change(name, **values):
        content = json.loads(originals[folder / name])
        (folder / name).write_text(json.dumps({**content, **values}))
        return content

    yield change
    for file, content in originals.items():
        file.write_bytes(content)


@pytest.mark.parametrize("kind", [0.5, 3])
def test_a_dtype_that_is_none(kind, folder, changed):
    changed("config.json", dtype=kind)
    with pytest.raises(ValueError, match=r"(?s)config\.json cannot be used.*Save or download"):
        HybridSentConfig.from_pretrained(folder)


@pytest.mark.parametrize("sizes", [{"hidden_size": 1 << 20}, {"num_cross_modal_layers": 10**5}])
def test_sizes_that_no_memory_holds(sizes, folder, changed):
    changed("config.json", **sizes)
    with bounded(), pytest.raises(ValueError, match=r"(?s)config\.json.*Save or download it again"):
        HybridSentForSequenceClassification.from_pretrained(folder)


def test_images_that_no_memory_holds(folder, changed):
    settings = changed("processor_config.json")["image_processor"]
    settings["size"] = {"height": 50_000, "width": 50_000}
    changed("processor_config.json", image_processor=settings)
    with pytest.raises(
        ValueError, match=r"processor_config\.json .*more pixels than max_image_pixels"
    ):
        HybridSentProcessor.from_pretrained(folder)


def test_a_processor_file_of_brackets_in_brackets(folder, changed):
    changed("processor_config.json")
    (folder / "processor_config.json").write_text(DEEP)
    with pytest.raises(OSError, match=r"processor_config\.json is damaged"):
        HybridSentProcessor.from_pretrained(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"__float__": "NaN"}, "much", [0.1]])
def test_a_rate_of_an_encoder_that_is_no_number_is_a_value_error(value):
    content = tiny_config().to_dict()
    content["text_config"]["attention_probs_dropout_prob"] = value
    with pytest.raises(ValueError, match="attention_probs_dropout_prob"):
        HybridSentConfig.from_dict(content)
