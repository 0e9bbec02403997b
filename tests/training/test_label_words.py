"""Which form of TumEmo's texts is trained on, which is scored, and how each is named."""

import pytest
from fabricated_sets import write_tumemo

from datasets_scripts import EMOTIONS
from datasets_scripts.preparing import prepare
from hybridsent.training.arguments import DataArguments
from hybridsent.training.data import load_posts
from hybridsent.training.label_words import (
    MASKED,
    OTHER_FORM,
    PUBLISHED,
    scored_forms,
    with_both_forms,
)

LABELS = {str(i): EMOTIONS[i % 7] for i in range(60)}
TEXTS = {i: f"so {label.lower()} today".encode() for i, label in LABELS.items()} | {"7": b""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tumemo(tmp_path_factory.mktemp("tumemo"), LABELS, TEXTS)


def load(folder, mask, token="<mask>", **changed):
    data = DataArguments(dataset="tumemo", data_dir=str(folder), mask_label_words=mask, **changed)
    table = load_posts(data)
    posts, counts = with_both_forms(table.posts, table.counts, data, token)
    return posts, counts, scored_forms(posts, counts, data)


def expected(posts, masked):
    return [
        None if row["id"] == "7" else "so <mask> today" if masked else TEXTS[row["id"]].decode()
        for row in posts
    ]


@pytest.mark.parametrize("mask", [True, False])
def test_all_splits_have_one_form_and_the_scored_posts_the_other_one_too(folder, mask):
    posts, counts, forms = load(folder, mask)
    for name in ("train", "validation", "test"):
        assert posts[name]["text"] == expected(posts[name], mask), name
    (other,) = forms["others"].values()
    assert other["text"] == expected(other, not mask)
    for column in ("id", "label", "image"):
        assert other[column] == posts["test"][column]
    assert list(forms["others"]) == [PUBLISHED if mask else MASKED]
    assert forms["form"] == (MASKED if mask else PUBLISHED)
    assert counts.get("masked_posts") == (59 if mask else None)
    assert counts["protocol"] == ("hash, label words masked by <mask>" if mask else "hash")


def test_the_mask_is_that_of_the_sets_reader_where_the_tokenizer_has_none(folder):
    posts, *_ = load(folder, True, token=None)
    assert "so [MASK] today" in posts["train"]["text"]


def test_a_set_masked_when_it_was_prepared_has_one_form_by_its_right_name(folder, tmp_path):
    prepare("tumemo", folder, tmp_path / "out", mask_label_words=True)
    posts, _, forms = load(tmp_path / "out", False)
    assert OTHER_FORM not in posts
    assert forms == {"form": MASKED, "others": {}}


def test_other_sets_have_no_forms():
    data = DataArguments(dataset="posts")
    assert with_both_forms({}, {}, data, None) == ({}, {})
    assert scored_forms({}, {}, data) == {}
    with pytest.raises(ValueError, match="--mask_label_words is for --dataset tumemo, not posts"):
        DataArguments(dataset="posts", mask_label_words=True)
