"""MVSA-Multiple: the majority of three annotators, then the rule of MVSA-Single."""

from itertools import product

import pytest
from fabricated_sets import jpeg, write_mvsa_multiple

from datasets_scripts import PostsError, load_table, majority_label
from datasets_scripts.post import SENTIMENTS

SAME = ["neutral,positive"] * 3
OTHERS = {str(i): ["positive,positive"] * 3 for i in range(10, 20)}


def load(folder, **options):
    return load_table("mvsa_multiple", folder, **options)


def test_the_majority_of_all_27_triples():
    for triple in product(SENTIMENTS, repeat=3):
        most = max(triple, key=triple.count)
        assert majority_label(triple) == (most if triple.count(most) > 1 else None)


def test_a_majority_is_more_than_half_of_any_number_of_annotators():
    votes = {"a": "a", "aab": "a", "aabb": None, "aabbc": None, "aaabbc": None, "aaabbcc": None}
    assert {given: majority_label(tuple(given)) for given in votes} == votes


def test_labels_follow_majority_and_rule(tmp_path):
    rows = OTHERS | {
        "1": SAME,
        "2": ["neutral,positive", "negative,positive", "negative,neutral"],
        "3": ["positive,neutral", "neutral,neutral", "negative,neutral"],
        "4": ["positive,neutral", "neutral,positive", "negative,negative"],
    }
    posts, counts, rejected = load(write_mvsa_multiple(tmp_path, rows))
    found = {row["id"]: row for split in posts.values() for row in split}
    names = posts["train"].features["label"].int2str
    one, two = found["1"], found["2"]
    assert [names(one[c]) for c in ("label", "text_label", "image_label")] == [
        "positive", "neutral", "positive",
    ]  # fmt: skip
    assert two["label"] is None
    assert (names(two["text_label"]), names(two["image_label"])) == ("negative", "positive")
    undecided = {row.id: row.detail for row in rejected}
    assert undecided == {
        "3": "no majority among the three annotators for the text",
        "4": "no majority among the three annotators for the text and image",
    }
    assert not any(row.bad for row in rejected)
    assert counts["kept"] + len(rejected) == counts["rows"] == 14


@pytest.mark.parametrize("spoil", ["truncated", "empty", "absent"])
def test_posts_with_a_known_broken_image_keep_their_text(tmp_path, spoil):
    rows = OTHERS | dict.fromkeys(("3151", "3910", "5995"), SAME)
    folder = write_mvsa_multiple(tmp_path, rows)
    for post_id in ("3151", "3910", "5995"):
        file = folder / "data" / f"{post_id}.jpg"
        if spoil == "absent":
            file.unlink()
        else:
            file.write_bytes(jpeg()[:200] if spoil == "truncated" else b"")
    posts, counts, rejected = load(folder)
    kept = {row["id"]: row for split in posts.values() for row in split}
    assert not rejected
    assert counts["image_missing"] == 3
    assert kept["3910"]["text"] == "post 3910"
    assert kept["3910"]["image"] is None
    assert sum(note["number"] for note in counts["notes"].values()) == 3


def test_any_other_broken_image_is_a_bad_row(tmp_path):
    folder = write_mvsa_multiple(tmp_path, OTHERS)
    (folder / "data" / "11.jpg").write_bytes(b"")
    with pytest.raises(PostsError, match=r"line 3: 11\.jpg: image cannot be read: .*empty"):
        load(folder)


@pytest.mark.parametrize(
    "row", ["9\tpositive,positive", "9\t" + "\t".join([*SAME, SAME[0]]), "9\tgood,bad\ta,b\tc,d"]
)
def test_rows_of_other_shape_are_named(tmp_path, row):
    folder = write_mvsa_multiple(tmp_path, OTHERS)
    file = folder / "labelResultAll.txt"
    file.write_text(file.read_text() + row + "\n")
    with pytest.raises(PostsError, match=r"line 12: .* is not ID and three times"):
        load(folder)
    counts = load(folder, on_bad_rows="drop").counts
    assert (counts["kept"], counts["rows"]) == (10, 11)


def test_a_file_of_one_annotator_is_refused(tmp_path):
    (tmp_path / "labelResultAll.txt").write_text("ID\ttext,image\n1\tneutral,positive\n")
    with pytest.raises(PostsError, match="unexpected header"):
        load(tmp_path)


def test_a_complete_set_with_other_classes_is_noted(tmp_path):
    rows = {str(i): SAME for i in range(1, 19_601)}
    counts = load(write_mvsa_multiple(tmp_path, rows, posts={"1": b"x"})).counts
    assert counts["notes"]["classes differ from the list in common use"]["first"] == [
        "positive: 19600, in the list 11318",
        "neutral: 0, in the list 4408",
        "negative: 0, in the list 1298",
    ]


def test_a_complete_set_is_taken(tmp_path):
    pairs = {
        "positive": SAME,
        "neutral": ["neutral,neutral"] * 3,
        "negative": ["negative,neutral"] * 3,
    }
    sizes = {"positive": 11_318, "neutral": 4_408, "negative": 1_298}
    triples = [pairs[label] for label, size in sizes.items() for _ in range(size)]
    triples += [["positive,neutral", "neutral,neutral", "negative,neutral"]] * (19_600 - 17_024)
    rows = {str(i): triple for i, triple in enumerate(triples, start=1)}
    posts = {str(i): f"text {i}".encode() for i in range(1, 21)}
    counts = load(write_mvsa_multiple(tmp_path, rows, posts)).counts
    assert (counts["rows"], counts["kept"], counts["notes"]) == (19_600, 20, {})
    assert counts["rejected"] == {
        "no majority among the three annotators": 2_576,
        "neither text nor image is on disk": 17_004,
    }


def test_only_the_grouped_protocol_is_known(tmp_path):
    with pytest.raises(ValueError, match="'clmlf' of mvsa_multiple"):
        load(tmp_path, protocol="clmlf")
