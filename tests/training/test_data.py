"""From settings to posts, and from posts to batches."""

import json

import pytest
import torch
from datasets import Image
from fabricated_sets import write_tumemo
from tiny_models import IMAGE_SIZE, tiny_processor

from datasets_scripts import EMOTIONS, load_table
from hybridsent.bundled.synthetic import write_posts
from hybridsent.training.arguments import DataArguments
from hybridsent.training.data import (
    PostCollator,
    describe_counts,
    keep_rejected,
    load_posts,
    posts_with,
    training_posts,
    with_only,
)

SIZES = {"train": 30, "validation": 8, "test": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_posts(tmp_path_factory.mktemp("data") / "posts", sizes=SIZES)


@pytest.fixture(scope="module")
def posts(folder):
    return load_posts(DataArguments(dataset="posts", data_dir=str(folder))).posts


@pytest.fixture(scope="module")
def collator():
    return PostCollator(tiny_processor())


def test_batch_holds_inputs_labels_and_marks(posts, collator):
    rows = [posts["train"][i] for i in range(SIZES["train"])]
    batch = collator(rows)
    assert batch["pixel_values"].shape == (30, 3, IMAGE_SIZE, IMAGE_SIZE)
    assert batch["labels"].tolist() == [row["label"] for row in rows]
    assert batch["has_text"].tolist() == [row["text"] is not None for row in rows]
    assert batch["has_image"].tolist() == [row["image"] is not None for row in rows]
    for column in ("text", "image"):
        expected = [
            -100 if row[f"{column}_label"] is None else row[f"{column}_label"] for row in rows
        ]
        assert batch[f"{column}_labels"].tolist() == expected
        assert -100 in expected  # a post without that modality


def test_pixels_equal_those_of_the_decoded_picture(folder, posts, collator):
    decoded = load_table("posts", folder).posts["test"]
    row = next(i for i, image in enumerate(decoded["image"]) if image is not None)
    batch = collator([posts["test"][row]])
    expected = collator.processor(images=[decoded[row]["image"]])["pixel_values"]
    assert torch.equal(batch["pixel_values"], expected)


def test_pictures_stay_undecoded_until_the_collator(posts):
    assert posts["train"].features["image"] == Image(decode=False)


@pytest.mark.parametrize(("modality", "gone"), [("text", "image"), ("image", "text")])
def test_one_modality_alone_keeps_the_posts_that_have_it(posts, collator, modality, gone):
    alone = with_only(posts["train"], modality)
    having = [value is not None for value in posts["train"][modality]]
    assert 0 < len(alone) == sum(having) < SIZES["train"]
    batch = collator([alone[i] for i in range(len(alone))])
    assert batch[f"has_{modality}"].all()
    assert not batch[f"has_{gone}"].any()


def test_posts_that_have_a_modality_are_found_in_any_order(posts, monkeypatch):
    monkeypatch.setattr("hybridsent.training.data.ROWS_AT_ONCE", 7)
    mixed = posts["train"].shuffle(seed=0).select(range(20))
    for modality in ("text", "image"):
        expected = [value is not None for value in mixed[modality]]
        assert posts_with(mixed, modality).tolist() == expected
        assert not all(expected)
    assert posts_with(mixed.select([]), "image").tolist() == []


def test_broken_picture_names_the_posts_of_the_batch(posts, collator):
    broken = {**posts["test"][0], "image": {"bytes": b"not a picture", "path": None}}
    with pytest.raises(ValueError, match="test-00000"):
        collator([broken])


def test_contradictory_posts_join_only_when_asked(posts):
    with_extra = posts.copy()
    with_extra["contradictory"] = posts["test"]
    plain = training_posts(with_extra, DataArguments())
    joined = training_posts(with_extra, DataArguments(use_contradictory_posts=True))
    assert (len(plain), len(joined)) == (30, 38)
    assert len(training_posts(posts, DataArguments(max_train_posts=7))) == 7


def test_options_of_the_reader_come_as_json_or_mapping(tmp_path):
    raw = write_tumemo(tmp_path, {str(i): EMOTIONS[i % 7] for i in range(40)})
    for options in ('{"mask_label_words": true}', {"mask_label_words": True}):
        arguments = DataArguments("tumemo", str(raw), protocol="hash", dataset_options=options)
        assert "masked" in load_posts(arguments).counts["protocol"]
    with pytest.raises(ValueError, match=r"tumemo does not know masks; it takes protocol"):
        load_posts(DataArguments("tumemo", str(raw), dataset_options={"masks": 1}))


def test_rejected_rows_are_kept_in_the_output_folder(tmp_path):
    raw = write_tumemo(tmp_path, {str(i): EMOTIONS[i % 7] for i in range(40)})
    (raw / "all_data" / "5.jpg").write_bytes(b"")
    table = load_posts(DataArguments("tumemo", str(raw), on_bad_rows="drop"))
    keep_rejected(table.rejected, str(tmp_path / "out"))
    (line,) = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == "5"
    keep_rejected([], str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_set_without_folder_is_named():
    with pytest.raises(ValueError, match=r"mvsa_single.*--data_dir"):
        load_posts(DataArguments(dataset="mvsa_single"))


def test_counts_say_what_is_not_there():
    counts = {
        "splits": {"train": {"wanted": 9, "present": 9}, "test": {"wanted": 4, "present": 0}},
        "image_missing": 2,
        "text_missing": 0,
        "rejected": {"image cannot be read": 3},
    }
    assert describe_counts(counts) == (
        "train 9, test 0 of 4; without picture 2; rejected 3 (image cannot be read)"
    )
