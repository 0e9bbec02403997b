import os
from itertools import product

import pytest
from datasets import ClassLabel, Image
from PIL import Image as PILImage

from datasets_scripts import PostsError, joint_label, load_mvsa_single, load_table
from datasets_scripts.table import SENTIMENTS, read_split_ids

CONTRADICTORY_ID = "37"  # in no split
RULE = {
    ("negative", "negative"): "negative",
    ("negative", "neutral"): "negative",
    ("negative", "positive"): None,
    ("neutral", "negative"): "negative",
    ("neutral", "neutral"): "neutral",
    ("neutral", "positive"): "positive",
    ("positive", "negative"): None,
    ("positive", "neutral"): "positive",
    ("positive", "positive"): "positive",
}


@pytest.fixture(scope="module")
def ids():
    return read_split_ids("mvsa_single", "clmlf")


@pytest.fixture
def write_set(tmp_path, ids):
    """Write a label file with a row per split id, and the posts asked for."""

    def write(posts=None, labels=None, held_back=(), newline="\n", bom=b"", extra=()):
        rows = {i: "positive,positive" for name in ids if name not in held_back for i in ids[name]}
        rows |= {CONTRADICTORY_ID: "positive,negative"} | (labels or {})
        lines = ["ID\ttext,image", *(f"{i}\t{pair}" for i, pair in rows.items()), *extra, ""]
        (tmp_path / "labelResultAll.txt").write_bytes(bom + newline.join(lines).encode())
        (tmp_path / "data").mkdir()
        for post_id, content in (posts or {"1": b"one\n"}).items():
            (tmp_path / "data" / f"{post_id}.txt").write_bytes(content)
            PILImage.new("RGB", (4, 3), "red").save(tmp_path / "data" / f"{post_id}.jpg")
        return tmp_path

    return write


def test_the_rule_covers_all_nine_pairs():
    assert {pair: joint_label(*pair) for pair in product(SENTIMENTS, repeat=2)} == RULE


def test_the_published_split_is_whole_and_disjoint(ids):
    assert {name: len(members) for name, members in ids.items()} == {
        "train": 3611,
        "validation": 450,
        "test": 450,
    }
    assert len({post_id for members in ids.values() for post_id in members}) == 4511


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_line_endings_and_byte_order_mark_make_no_difference(write_set, newline, bom):
    folder = write_set(labels={"1": "neutral,negative"}, newline=newline, bom=bom, extra=["", ""])
    table = load_mvsa_single(folder)
    assert table.counts["rows"] == 4512
    assert table.posts["train"].features["label"] == ClassLabel(names=list(SENTIMENTS))
    row = table.posts["train"][0]
    assert (row["id"], row["text"], row["image"].size) == ("1", "one", (4, 3))
    assert (row["label"], row["text_label"], row["image_label"]) == (0, 1, 0)


def test_contradictory_posts_keep_their_own_labels_and_get_no_joint_one(write_set):
    posts, counts = load_mvsa_single(write_set({"1": b"one", CONTRADICTORY_ID: b"mixed"}))
    row = posts["contradictory"][0]
    assert (row["id"], row["label"]) == (CONTRADICTORY_ID, None)
    assert (row["text_label"], row["image_label"]) == (2, 0)
    assert counts["contradictory"] == 1
    assert CONTRADICTORY_ID not in posts["train"]["id"]


def test_texts_are_gb18030(write_set):
    text = "It\u2019s 你好 \u20ac"
    content = text.encode("gb18030") + b"\n"
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    folder = write_set({"1": content})
    assert load_mvsa_single(folder).posts["train"][0]["text"] == text


def test_texts_that_do_not_decode_are_named(write_set):
    folder = write_set({"1": b"fine", "2": b"broken \xff"})
    with pytest.raises(PostsError, match=r"(?s)not gb18030.*2\.txt.*text_encoding") as error:
        load_mvsa_single(folder)
    assert "1.txt" not in str(error.value)


def test_pictures_are_not_decoded_or_embedded_on_loading(write_set):
    folder = write_set()
    (folder / "data" / "1.jpg").write_bytes(b"not a picture")
    column = load_mvsa_single(folder).posts["train"].cast_column("image", Image(decode=False))
    assert column[0]["image"] == {"bytes": None, "path": str(folder / "data" / "1.jpg")}


def test_missing_files_are_counted_and_a_post_keeps_what_is_left(write_set, ids):
    folder = write_set({"1": b"one", "2": b"two", "3": b"three", "4": b" \n"})
    (folder / "data" / "2.jpg").unlink()
    (folder / "data" / "3.txt").unlink()
    posts, counts = load_mvsa_single(folder)
    rows = {row["id"]: row for row in posts["train"]}
    assert list(rows) == ["1", "2", "3", "4"]
    assert (rows["2"]["text"], rows["2"]["image"]) == ("two", None)
    assert rows["3"]["text"] is None
    assert rows["4"]["text"] is None
    assert (counts["present"], counts["absent"]) == (4, 4508)
    assert (counts["text_missing"], counts["image_missing"]) == (2, 1)
    assert counts["splits"]["train"] == {
        "wanted": 3611,
        "present": 4,
        "classes": {"negative": 0, "neutral": 0, "positive": 4},
    }


@pytest.mark.parametrize(("held_back", "named"), [((), []), (("test",), ["test"])])
def test_an_empty_split_stays_with_its_columns(write_set, held_back, named):
    posts, counts = load_mvsa_single(write_set(held_back=held_back))
    assert list(posts) == ["train", "validation", "test", "contradictory"]
    assert posts["test"].num_rows == 0
    assert posts["test"].features == posts["train"].features
    assert counts["splits"]["test"]["wanted"] == 450
    assert counts["withheld"] == named


def test_labelled_posts_outside_the_split_are_counted(write_set):
    folder = write_set({"1": b"one", "6000": b"new"}, labels={"6000": "neutral,neutral"})
    assert load_mvsa_single(folder).counts["outside_split"] == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("6000\tpositive,good", "is not ID<TAB>text,image"),
        ("6000\tpositive", "is not ID<TAB>text,image"),
        ("6000 positive,positive", "is not ID<TAB>text,image"),
        ("../1\tpositive,positive", "is not ID<TAB>text,image"),
        ("\n6000\tpositive,positive", "is not ID<TAB>text,image"),
        ("1\tpositive,positive", "id 1 stands in the file already"),
    ],
)
def test_a_bad_row_is_named_with_its_line(write_set, row, said):
    with pytest.raises(PostsError, match=r"labelResultAll\.txt(.|\n)*line 4514") as error:
        load_mvsa_single(write_set(extra=[row]))
    assert said in str(error.value)


def test_only_the_first_ten_offenders_are_listed(write_set):
    with pytest.raises(PostsError, match=r"\(12 in all\)") as error:
        load_mvsa_single(write_set(extra=["bad"] * 12))
    assert str(error.value).count("line 45") == 10


def test_another_header_is_refused(write_set):
    folder = write_set()
    file = folder / "labelResultAll.txt"
    file.write_text(file.read_text().replace("text,image", "text,image\ttext,image", 1))
    with pytest.raises(PostsError, match="unexpected header"):
        load_mvsa_single(folder)


@pytest.mark.parametrize("missing", ["label file", "data folder", "all posts"])
def test_missing_files_say_what_the_layout_is_and_whom_to_ask(write_set, tmp_path, missing):
    if missing != "label file":
        write_set()
        for file in (tmp_path / "data").iterdir():
            file.unlink()
        if missing == "data folder":
            (tmp_path / "data").rmdir()
    with pytest.raises(PostsError, match=r"ID\.jpg(.|\n)*MCRLab of the University of Ottawa"):
        load_mvsa_single(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_label_file_with_gaps_in_the_split_is_refused(write_set, ids, split):
    folder = write_set()
    file = folder / "labelResultAll.txt"
    gap = ids[split][5]
    file.write_text(file.read_text().replace(f"\n{gap}\tpositive,positive", "", 1))
    with pytest.raises(PostsError, match=f"id {gap} of {split} has no row"):
        load_mvsa_single(folder)


def test_a_split_id_without_a_joint_label_is_refused(write_set):
    with pytest.raises(PostsError, match="id 1 of train is positive against negative"):
        load_mvsa_single(write_set(labels={"1": "positive,negative"}))


def test_unknown_names_list_the_known_ones(write_set):
    with pytest.raises(ValueError, match=r"'other'.*\['clmlf'\]"):
        load_mvsa_single(write_set(), protocol="other")
    with pytest.raises(ValueError, match=r"'other'.*\['mvsa_single', 'posts'\]"):
        load_table("other", "anywhere")


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("HYBRIDSENT_MVSA_SINGLE")
    if not folder:
        pytest.skip("HYBRIDSENT_MVSA_SINGLE is not set to a folder with MVSA-Single")
    return load_table("mvsa_single", folder)


def test_real_counts_fit_the_published_ones(real):
    splits = real.counts["splits"]
    labelled = [split for name, split in splits.items() if name != "contradictory"]
    found = {label: sum(split["classes"][label] for split in labelled) for label in SENTIMENTS}
    complete = {"negative": 1358, "neutral": 470, "positive": 2683}
    unlabelled = sum(splits[name]["wanted"] for name in real.counts["withheld"])
    assert real.counts["contradictory"] == splits["contradictory"]["present"] == 358
    assert real.counts["rows"] == 4869 - unlabelled
    assert sum(found.values()) == 4511 - unlabelled
    assert all(found[label] <= complete[label] for label in SENTIMENTS)
    # The split was drawn by class: what is held back must have the shares of the whole.
    for label in SENTIMENTS:
        assert complete[label] - found[label] == pytest.approx(
            complete[label] * unlabelled / 4511, abs=1
        )


def test_real_files_are_all_there(real):
    splits = real.counts["splits"]
    assert {name: real.counts[name] for name in ("absent", "text_missing", "image_missing")} == {
        "absent": 0,
        "text_missing": 0,
        "image_missing": 0,
    }
    assert (splits["train"]["present"], splits["validation"]["present"]) == (3611, 450)
    assert splits["test"]["present"] == (0 if "test" in real.counts["withheld"] else 450)


def test_real_joint_label_is_mostly_the_image_label(real):
    rows = [
        row
        for name in ("train", "validation", "test")
        for row in real.posts[name].select_columns(["label", "text_label", "image_label"])
    ]
    shares = {
        column: sum(row[column] == row["label"] for row in rows) / len(rows)
        for column in ("image_label", "text_label")
    }
    assert shares["image_label"] == pytest.approx(0.896, abs=0.002)
    assert shares["text_label"] == pytest.approx(0.678, abs=0.002)


def test_real_pictures_and_texts_can_be_read(real):
    for row in real.posts["train"].select(range(0, 3611, 400)):
        assert row["image"].mode == "RGB"
        assert 0 < len(row["text"]) <= 160
