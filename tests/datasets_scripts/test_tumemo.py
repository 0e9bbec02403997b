"""TumEmo: the hash split, the mask over label words, and its size."""

import hashlib
import io
import os
import random
import resource
import subprocess
import sys
from collections import Counter

import pytest
from datasets import load_dataset
from fabricated_sets import write_tumemo
from PIL import Image

from datasets_scripts import EMOTIONS, PostsError, load_table
from datasets_scripts.published.label_words import label_word_pattern, mask_label_words
from datasets_scripts.published.tumemo import PUBLISHED

LABELS = {str(i): EMOTIONS[i % 7] for i in range(60)}


def load(folder, **options):
    return load_table("tumemo", folder, **options)


def recomputed(ids):
    """The split as docs/datasets.md tells anyone to compute it."""
    tenths = {i: int(hashlib.sha256(i.encode()).hexdigest(), 16) % 10 for i in ids}
    return {i: {8: "validation", 9: "test"}.get(tenth, "train") for i, tenth in tenths.items()}


def test_every_post_is_where_the_hash_of_its_id_puts_it(tmp_path):
    posts, counts, rejected = load(write_tumemo(tmp_path, LABELS))
    found = {row: name for name, split in posts.items() for row in split["id"]}
    assert found == recomputed(LABELS)
    assert set(found.values()) == {"train", "validation", "test"}
    assert (counts["kept"], rejected) == (60, [])
    assert posts["train"].features["label"].names == list(EMOTIONS)
    row = posts["train"][0]
    assert EMOTIONS[row["label"]] == LABELS[row["id"]]


def test_a_part_of_the_posts_keeps_its_splits_and_says_what_is_missing(tmp_path):
    folder = write_tumemo(tmp_path, LABELS)
    for post_id in list(LABELS)[10:]:
        for ending in ("txt", "jpg"):
            (folder / "all_data" / f"{post_id}.{ending}").unlink()
    posts, counts, rejected = load(folder)
    found = {row: name for name, split in posts.items() for row in split["id"]}
    assert found == recomputed(list(LABELS)[:10])
    assert sum(split["wanted"] for split in counts["splits"].values()) == 60
    assert counts["rejected"] == {"neither text nor image is on disk": 50}
    assert len(rejected) == 50


def test_posts_with_an_empty_text_keep_their_image(tmp_path):
    folder = write_tumemo(tmp_path, LABELS, texts={"0": b"", "1": b" \n", "2": None})
    posts, counts, _ = load(folder)
    rows = {row["id"]: row for split in posts.values() for row in split}
    assert [rows[i]["text"] for i in "012"] == [None] * 3
    assert rows["0"]["image"].size == (20, 16)
    assert counts["text_missing"] == 3
    assert counts["notes"]["text is empty"]["number"] == 2
    assert counts["notes"]["text file is missing"]["first"] == [
        "all_data_id_and_label.txt line 4: 2.txt"
    ]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("So HAPPY today #happy #happybirthday", "So X today X X"),
        ("unhappy, sadly; happiness", "X, X; X"),
        ("#iloveyou my lovely lover, beloved", "X my X X, X"),
        ("#sosad #sadness but #ambassador", "X X but #ambassador"),
        ("bored boredom boring bore #bored", "X X X X X"),
        ("angrier anger fearless calming", "X X X X"),
        ("glove clover stranger happen board sadist", "glove clover stranger happen board sadist"),
        ("https://t.co/happy", "https://t.co/X"),
        ("", ""),
    ],
)
def test_label_words_are_masked_with_inflections_and_hashtags(text, masked):
    assert mask_label_words(text, label_word_pattern(EMOTIONS), "X") == masked


def test_masking_is_reported_and_leaves_no_label_word(tmp_path):
    texts = {"0": b"so angry, #angry!", "1": b"a calm sea", "2": b"nothing to see"}
    folder = write_tumemo(tmp_path, LABELS, texts=texts)
    plain = load(folder)
    masked = load(folder, mask_label_words=True, mask_token="<mask>")
    rows = {row["id"]: row["text"] for split in masked.posts.values() for row in split}
    assert [rows[i] for i in "012"] == ["so <mask>, <mask>!", "a <mask> sea", "nothing to see"]
    assert (masked.counts["masked_posts"], masked.counts["masked_words"]) == (2, 3)
    assert "label words masked by <mask>" in masked.counts["protocol"]
    assert "masked_posts" not in plain.counts
    assert plain.counts["protocol"] == "hash"
    assert plain.counts["fingerprint"] != masked.counts["fingerprint"]
    pattern = label_word_pattern(EMOTIONS)
    assert not any(pattern.search(text) for text in rows.values())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("60\tJoy", "is not id<TAB>label"),
        ("60", "is not id<TAB>label"),
        ("60 Sad", "is not id<TAB>label"),
        ("../../etc/passwd\tSad", "is not id<TAB>label"),
        ("5\tSad", "id 5 stands in the file already, at all_data_id_and_label.txt line 7"),
    ],
)
def test_a_bad_row_is_named_and_dropped_on_demand(tmp_path, row, said):
    folder = write_tumemo(tmp_path, LABELS)
    with (folder / "all_data_id_and_label.txt").open("a") as file:
        file.write("\n" + row)
    with pytest.raises(PostsError, match=r"all_data_id_and_label\.txt line 62: ") as error:
        load(folder)
    assert said in str(error.value)
    table = load(folder, on_bad_rows="drop")
    assert (table.counts["kept"], len(table.rejected), table.counts["rows"]) == (60, 1, 61)


def test_missing_files_say_what_the_layout_is(tmp_path):
    with pytest.raises(PostsError, match=r"all_data/ with ID\.txt"):
        load(tmp_path)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """All 195,265 posts: the published label file, made-up texts, a tiny image of its own each."""
    source = os.environ.get("HYBRIDSENT_TUMEMO")
    if not source:
        pytest.skip("HYBRIDSENT_TUMEMO is not set to a folder with all_data_id_and_label.txt")
    folder = tmp_path_factory.mktemp("tumemo")
    labels = open(os.path.join(source, "all_data_id_and_label.txt")).read()  # noqa: SIM115
    (folder / "all_data_id_and_label.txt").write_text(labels)
    (folder / "all_data").mkdir()
    generator = random.Random(0)
    ids = [line.split("\t")[0] for line in labels.splitlines()[1:]]
    for post_id in ids:
        buffer = io.BytesIO()
        Image.frombytes("RGB", (8, 8), generator.randbytes(192)).save(buffer, "JPEG")
        (folder / "all_data" / f"{post_id}.jpg").write_bytes(buffer.getvalue())
        text = f"post {post_id} " + "#tag " * generator.randrange(60)
        (folder / "all_data" / f"{post_id}.txt").write_text(text)
    return folder, ids


def test_the_complete_set_is_prepared_in_bounded_memory(complete, tmp_path):
    folder, ids = complete
    command = [sys.executable, "-m", "datasets_scripts", "tumemo", "--data_dir", str(folder)]
    result = subprocess.run([*command, "--output_dir", str(tmp_path / "out")], check=False)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # GiB
    print(f"peak memory {peak:.2f} GiB")
    assert result.returncode == 0
    assert peak < 1.5
    posts = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    sizes = {name: len(split) for name, split in posts.items()}
    assert sizes == Counter(recomputed(ids).values())
    assert sum(sizes.values()) == sum(PUBLISHED.values()) == 195_265
