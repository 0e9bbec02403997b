"""From posts to batches."""

import pytest
import torch
from tiny_models import IMAGE_SIZE, tiny_processor

from datasets_scripts import load_table
from hybridsent.bundled.synthetic import write_posts
from hybridsent.training.arguments import DataArguments
from hybridsent.training.collator import PostCollator
from hybridsent.training.run_posts import load_posts, with_only

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


def test_pixels_equal_those_of_the_decoded_image(folder, posts, collator):
    decoded = load_table("posts", folder).posts["test"]
    row = next(i for i, image in enumerate(decoded["image"]) if image is not None)
    batch = collator([posts["test"][row]])
    expected = collator.processor(images=[decoded[row]["image"]])["pixel_values"]
    assert torch.equal(batch["pixel_values"], expected)


@pytest.mark.parametrize(("modality", "gone"), [("text", "image"), ("image", "text")])
def test_one_modality_alone_keeps_the_posts_that_have_it(posts, collator, modality, gone):
    alone = with_only(posts["train"], modality)
    having = [value is not None for value in posts["train"][modality]]
    assert 0 < len(alone) == sum(having) < SIZES["train"]
    batch = collator([alone[i] for i in range(len(alone))])
    assert batch[f"has_{modality}"].all()
    assert not batch[f"has_{gone}"].any()


def test_broken_image_names_the_posts_of_the_batch(posts, collator):
    broken = {**posts["test"][0], "image": {"bytes": b"not an image", "path": None}}
    with pytest.raises(ValueError, match="test-00000"):
        collator([broken])
