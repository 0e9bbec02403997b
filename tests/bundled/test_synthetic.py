"""The generator of synthetic posts: deterministic, disjoint between splits, true to its label rule."""

import csv
import hashlib
import itertools
import json
import os
import re
from collections import Counter
from dataclasses import fields

import pytest
from file_limit import limited_files
from in_process import run_in_process
from PIL import Image

from datasets_scripts import load_table
from hybridsent.bundled.styles import STYLES
from hybridsent.bundled.synthetic import SHARES, joint_label, write_posts
from hybridsent.bundled.templates import FRAMES
from hybridsent.support.folders import build_beside

SIZES = {"train": 60, "validation": 40, "test": 50}
LABELS = {"negative", "neutral", "positive"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_posts(tmp_path_factory.mktemp("synthetic") / "posts", seed=3, sizes=SIZES)


@pytest.fixture(scope="module")
def tables(folder):
    tables = {}
    for split in SIZES:
        with (folder / f"{split}.csv").open(newline="") as file:
            tables[split] = list(csv.DictReader(file))
    return tables


def digests(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_same_seed_same_bytes_other_seed_other_posts(folder, tmp_path):
    again = digests(write_posts(tmp_path / "again", seed=3, sizes=SIZES))
    assert again == digests(folder)
    other = digests(write_posts(tmp_path / "other", seed=4, sizes=SIZES))
    assert other["train.csv"] != again["train.csv"]


def test_sizes_and_labels(tables):
    for split, rows in tables.items():
        assert len(rows) == SIZES[split]
        shares = Counter(row["label"] for row in rows)
        assert set(shares) == LABELS
        assert all(0.2 < count / len(rows) < 0.45 for count in shares.values())


def test_every_label_follows_the_rule(tables):
    for row in itertools.chain(*tables.values()):
        expected = joint_label(row["text_label"] or None, row["image_label"] or None)
        assert row["label"] == expected, row
        assert bool(row["text"]) == bool(row["text_label"])
        assert bool(row["image"]) == bool(row["image_label"])


@pytest.mark.parametrize(
    ("text", "image", "label"),
    [
        ("positive", "positive", "positive"),
        ("neutral", "negative", "negative"),
        ("negative", "neutral", "negative"),
        ("positive", "negative", "negative"),
        ("negative", "positive", "positive"),
        (None, "neutral", "neutral"),
        ("positive", None, "positive"),
    ],
)
def test_label_rule(text, image, label):
    assert joint_label(text, image) == label


def test_neither_modality_suffices():
    text_only = image_only = 0.0
    for seen, side in itertools.product(LABELS, (0, 1)):
        given = Counter()
        for moods, share in SHARES.items():
            if moods[side] == seen:
                given[joint_label(*moods)] += share
        best = max(given.values())
        text_only, image_only = text_only + best * (side == 0), image_only + best * (side == 1)
    assert 0.6 < text_only < 0.75
    assert 0.6 < image_only < 0.8


def test_some_posts_lack_a_modality_and_none_both(tables):
    rows = list(itertools.chain(*tables.values()))
    assert any(not row["text"] for row in rows)
    assert any(not row["image"] for row in rows)
    assert all(row["text"] or row["image"] for row in rows)


def test_no_text_frame_or_look_is_shared_between_splits():
    for one, other in itertools.combinations(FRAMES, 2):
        frames = [set(itertools.chain(*FRAMES[split].values())) for split in (one, other)]
        assert not frames[0] & frames[1]
        for name in ("palettes", "backdrops", "clutter", "outlines", "variants", "centres"):
            looks = [set(getattr(STYLES[split], name)) for split in (one, other)]
            assert not looks[0] & looks[1], name
    assert {field.name for field in fields(STYLES["train"])} >= {"palettes", "variants"}


def test_no_text_or_image_stands_in_two_splits(folder, tables):
    for one, other in itertools.combinations(tables, 2):
        texts = [{row["text"].lower() for row in tables[s]} - {""} for s in (one, other)]
        assert not texts[0] & texts[1]
        pictures = [
            {(folder / row["image"]).read_bytes() for row in tables[s] if row["image"]}
            for s in (one, other)
        ]
        assert not pictures[0] & pictures[1]


def test_images_open_and_have_the_promised_size(folder, tables):
    for row in tables["test"]:
        if row["image"]:
            with Image.open(folder / row["image"]) as image:
                assert image.mode == "RGB"
                assert all(224 <= side <= 256 for side in image.size)


def test_the_project_reads_it_as_anybodys_own_posts(folder):
    posts, counts, _ = load_table("posts", folder)
    assert {name: len(split) for name, split in posts.items()} == SIZES
    assert counts["text_missing"] > 0
    assert posts["train"].features["label"].names == ["negative", "neutral", "positive"]


def test_readme_calls_the_set_synthetic(folder):
    readme = (folder / "README.md").read_text()
    assert re.search(r"\*\*This set is synthetic\.\*\*", readme)
    assert f"| train | {SIZES['train']} |" in readme


def test_complete_set_is_used_again(folder):
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert write_posts(folder, seed=3, sizes=SIZES) == folder
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


@pytest.mark.parametrize("spoil", ["foreign", "other seed", "image gone", "settings broken"])
def test_any_other_folder_is_refused_and_left_alone(tmp_path, spoil):
    folder, seed = tmp_path / "posts", 3
    sizes = dict.fromkeys(SIZES, 5)
    if spoil == "foreign":
        folder.mkdir()
        (folder / "thesis.txt").write_text("precious")
    else:
        write_posts(folder, seed=seed, sizes=sizes)
    if spoil == "other seed":
        seed = 4
    if spoil == "image gone":
        next((folder / "images").iterdir()).unlink()
    if spoil == "settings broken":
        (folder / "settings.json").write_text("{")
    before = digests(folder)
    with pytest.raises(FileExistsError, match="hybridsent train posts --data_dir"):
        write_posts(folder, seed=seed, sizes=sizes)
    assert digests(folder) == before
    assert os.listdir(tmp_path) == ["posts"]


def fail_half_way(target):
    with build_beside(target) as draft:
        (draft / "part").write_text("half")
        raise RuntimeError("half-way")


def test_failure_half_way_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="half-way"):
        fail_half_way(tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_generation_that_hits_a_limit_half_way_leaves_nothing(tmp_path):
    """A limit on file sizes lets small images through and stops at the first large file."""
    with limited_files(9000):
        result = run_in_process("prepare", ["synthetic", "--output_dir", "posts"], tmp_path)
    assert result.returncode == 1
    assert "error: [Errno 27] File too large" in result.stderr
    assert os.listdir(tmp_path) == []


def test_target_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "posts").write_text("precious")
    with pytest.raises(FileExistsError, match="left as it"):
        write_posts(tmp_path / "posts", sizes=SIZES)
    assert (tmp_path / "posts").read_text() == "precious"
    assert os.listdir(tmp_path) == ["posts"]


def test_sizes_must_name_every_split(tmp_path):
    with pytest.raises(ValueError, match="validation"):
        write_posts(tmp_path / "x", sizes={"train": 5})


def test_settings_say_how_to_repeat(folder):
    settings = json.loads((folder / "settings.json").read_text())
    assert (settings["seed"], settings["sizes"]) == (3, SIZES)
