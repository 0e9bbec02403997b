"""A prepared folder: whole or not at all, equal to the raw one, readable by `load_dataset`."""

import json
import os
import sys

import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Dataset, Image, load_dataset
from fabricated_sets import clmlf_ids, jpeg, write_mvsa_single, write_tumemo
from file_limit import limited_files
from in_process import run_in_process

from datasets_scripts import EMOTIONS, PostsError, load_table, prepare

IDS = clmlf_ids()
CHOSEN = [*IDS["train"][:6], *IDS["validation"][:3], *IDS["test"][:2], "37"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = write_mvsa_single(
        tmp_path_factory.mktemp("raw"),
        {i: f"text {i} 你好".encode("gb18030") for i in CHOSEN},
        labels={IDS["train"][1]: "neutral,negative"},
    )
    (folder / "data" / f"{CHOSEN[0]}.txt").unlink()
    (folder / "data" / f"{CHOSEN[1]}.jpg").unlink()
    return folder


@pytest.fixture(scope="module")
def out(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "out"
    prepare("mvsa_single", raw, folder)
    return folder


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """What an earlier test loaded must not hide what is wrong with the files of this one."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))


def parquet(folder, split):
    (file,) = (folder / "data").glob(f"mvsa_single-*-{split}.parquet")
    return file


def content(table):
    undecoded = table.posts.cast_column("image", Image(decode=False))
    return {
        name: [
            {**row, "image": row["image"] and (row["image"]["bytes"] or read(row["image"]["path"]))}
            for row in split
        ]
        for name, split in undecoded.items()
    }


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_prepared_equals_raw(raw, out):
    one, other = load_table("mvsa_single", raw), load_table("mvsa_single", out)
    assert content(one) == content(other)
    assert one.posts["train"].features == other.posts["train"].features
    assert one.counts == other.counts
    assert one.rejected == other.rejected
    assert len(one.rejected) == 4512 - len(CHOSEN)


def test_load_dataset_needs_nothing_of_ours(out, tmp_path):
    posts = load_dataset(str(out), cache_dir=str(tmp_path))
    sizes = {name: len(split) for name, split in posts.items()}
    assert sizes == {"train": 6, "validation": 3, "test": 2, "contradictory": 1}
    row = posts["test"][0]
    assert row["image"].size == (20, 16)
    assert row["text"].endswith("你好")
    assert posts["train"].features["label"].names == ["negative", "neutral", "positive"]
    assert posts["train"].features["image"] == Image()


def test_folders_of_one_name_are_not_taken_for_each_other(raw, tmp_path):
    """The cache of `load_dataset` knows a folder by names only; ours tell the content."""
    for parent, protocol in (("a", "clmlf"), ("b", "grouped")):
        prepare("mvsa_single", raw, tmp_path / parent / "out", protocol=protocol)
    one, other = (load_dataset(str(tmp_path / parent / "out")) for parent in "ab")
    assert one["train"]["id"][:] == IDS["train"][:6]
    assert other["train"]["id"][:] != IDS["train"][:6]


def test_an_empty_split_is_restored_though_load_dataset_would_refuse_it(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    write_mvsa_single(raw, {i: i.encode() for i in CHOSEN[:9]}, held_back=["test"])
    prepare("mvsa_single", raw, tmp_path / "out")
    one, other = (load_table("mvsa_single", tmp_path / name) for name in ("raw", "out"))
    assert len(other.posts["test"]) == len(other.posts["contradictory"]) == 0
    assert content(one) == content(other)
    assert list(one.posts) == list(other.posts)


def test_the_folder_says_all_that_was_found(out):
    assert {file.name for file in out.iterdir()} == {
        "README.md", "data", "rejected.jsonl", "split_ids.json", "summary.json",
    }  # fmt: skip
    assert all(file.suffix == ".parquet" for file in (out / "data").iterdir())
    ids = json.loads((out / "split_ids.json").read_text())
    assert ids["validation"] == IDS["validation"][:3]
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    counts = json.loads((out / "summary.json").read_text())["counts"]
    assert counts["kept"] + len(rejected) == counts["rows"] == 4512
    assert set(rejected[0]) == {"id", "where", "why", "detail", "bad"}
    assert os.stat(parquet(out, "train")).st_mode & 0o444 == 0o444


def test_the_card_is_whole_and_its_header_is_what_the_hub_reads(out):
    card = (out / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["license"] == "other"
    files = {f["split"]: f["path"] for f in header["configs"][0]["data_files"]}
    assert set(files) == {"train", "validation", "test", "contradictory"}
    assert all((out / path).is_file() for paths in files.values() for path in paths)
    assert "$" not in card
    kept = "| kept | 11, and 1 without joint label kept aside |"
    for said in ("Protocol: clmlf", kept, "private"):
        assert said in card


def test_another_set_or_protocol_than_asked_for_is_named(out):
    with pytest.raises(PostsError, match="it holds mvsa_single, not tumemo"):
        load_table("tumemo", out)
    with pytest.raises(PostsError, match="its protocol is clmlf, not grouped"):
        load_table("mvsa_single", out, protocol="grouped")
    with pytest.raises(PostsError, match="text_encoding was chosen when the folder was prepared"):
        load_table("mvsa_single", out, text_encoding="legacy")
    assert load_table("mvsa_single", out, protocol="clmlf").counts["protocol"] == "clmlf"


def test_protocols_with_a_seed_or_mask_are_asked_for_by_their_name(tmp_path):
    raw = write_tumemo(tmp_path, {str(i): EMOTIONS[i % 7] for i in range(40)})
    prepare("tumemo", raw, tmp_path / "out", mask_label_words=True)
    counts = load_table("tumemo", tmp_path / "out", protocol="hash").counts
    assert counts["protocol"] == "hash, label words masked by [MASK]"


@pytest.mark.parametrize(
    "spoil", ["summary", "version", "parquet gone", "parquet cut", "posts lost"]
)
def test_a_damaged_folder_is_named(out, raw, tmp_path, spoil):
    folder = tmp_path / "out"
    prepare("mvsa_single", raw, folder)
    summary, data = folder / "summary.json", parquet(folder, "train")
    if spoil == "summary":
        summary.write_text("{")
    if spoil == "version":
        summary.write_text(
            summary.read_text().replace('"format_version": 1', '"format_version": 0')
        )
    if spoil == "parquet gone":
        data.unlink()
    if spoil == "parquet cut":
        data.write_bytes(data.read_bytes()[:-50])
    if spoil == "posts lost":
        data.write_bytes(parquet(folder, "test").read_bytes())
    with pytest.raises(PostsError, match="Prepare the folder anew") as error:
        load_table("mvsa_single", folder)
    assert str(folder) in str(error.value)


def test_images_outside_the_files_are_refused(out, raw, tmp_path):
    """A row may name any file of this machine in place of an image's bytes."""
    folder = tmp_path / "out"
    prepare("mvsa_single", raw, folder)
    rows = Dataset.from_parquet(str(parquet(folder, "test"))).cast_column(
        "image", Image(decode=False)
    )
    elsewhere = [{"bytes": None, "path": "/etc/hostname"}] * len(rows)
    rows = rows.remove_columns("image").add_column("image", elsewhere).cast(rows.features)
    pq.write_table(rows.data.table, parquet(folder, "test"))
    with pytest.raises(PostsError, match="test: 2 images are not in the files but elsewhere"):
        load_table("mvsa_single", folder)


def test_addresses_in_the_card_are_not_fetched(raw, tmp_path):
    folder = tmp_path / "out"
    prepare("mvsa_single", raw, folder)
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.replace("data/mvsa", "http://127.0.0.1:9/mvsa"))
    assert load_table("mvsa_single", folder).counts["kept"] == len(CHOSEN)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_taken_target_is_left_alone(raw, tmp_path, kind):
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
    precious = target / "thesis.txt" if kind == "folder" else target
    precious.write_text("precious")
    with pytest.raises(PostsError, match="already exists"):
        prepare("mvsa_single", raw, target)
    assert precious.read_text() == "precious"
    assert os.listdir(tmp_path) == ["out"]


def test_bad_rows_stop_before_anything_is_written(raw, tmp_path):
    with pytest.raises(PostsError, match="20 x 16 pixels"):
        prepare("mvsa_single", raw, tmp_path / "out", max_image_pixels=100)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("limit", [2_000, 12_000])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, limit):
    """A limit on file sizes stops the writing as a full disk does: some files fit, one does not."""
    raw = tmp_path / "raw"
    raw.mkdir()
    write_mvsa_single(raw, {i: i.encode() for i in CHOSEN})
    for post_id in CHOSEN:
        (raw / "data" / f"{post_id}.jpg").write_bytes(jpeg(int(post_id), quality=100))
    given = ["mvsa_single", "--data_dir", raw, "--output_dir", tmp_path / "out"]
    with limited_files(limit):
        result = run_in_process("prepare", given)
    assert result.returncode == 1
    assert "error: [Errno 27] File too large" in result.stderr
    assert "Disk full." in result.stderr
    assert "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == ["raw"]


def test_a_large_split_is_several_files(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["datasets_scripts.preparing"], "SHARD_SIZE", 1500)
    prepare("mvsa_single", raw, tmp_path / "out")
    found = sorted((tmp_path / "out" / "data").glob("*-train-*.parquet"))
    assert len(found) > 1
    assert [file.name.partition("-train-")[2] for file in found] == [
        f"{i:05d}-of-{len(found):05d}.parquet" for i in range(len(found))
    ]
    one, other = load_table("mvsa_single", raw), load_table("mvsa_single", tmp_path / "out")
    assert content(one) == content(other)
    assert load_dataset(str(tmp_path / "out"))["train"]["id"][:] == one.posts["train"]["id"][:]
