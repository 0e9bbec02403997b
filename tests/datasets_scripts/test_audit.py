"""The audit finds what was put in, and nothing in a clean set."""

import os

import numpy as np
import pytest
from datasets import load_dataset
from fabricated_sets import clmlf_ids, jpeg, write_mvsa_single
from hostile_pictures import encoded, readable
from PIL import Image
from tiny_models import picture

from datasets_scripts import load_table, prepare
from datasets_scripts.audit import as_text, audit
from datasets_scripts.similar import similar_pairs
from hybridsent.cli import main

IDS = clmlf_ids()
TRAIN, VALIDATION = IDS["train"][:14], IDS["validation"][:4]
PIXELS = 10_000_000


def smooth(seed):
    """An image whose look survives scaling, unlike noise."""
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((160, 160), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A set with one fault of each kind."""
    texts = {i: f"post number {i}".encode() for i in TRAIN + VALIDATION}
    texts[TRAIN[0]] = texts[VALIDATION[0]] = b"the very same words"
    texts[TRAIN[1]] = b"RT @you: The very   SAME words http://t.co/1"
    texts[TRAIN[2]] = b"so #negative about it"
    folder = write_mvsa_single(
        tmp_path_factory.mktemp("raw"), texts, labels={TRAIN[3]: "negative,negative"}
    )
    pictures = {
        TRAIN[3]: jpeg(77),
        TRAIN[4]: jpeg(77),
        TRAIN[5]: encoded(smooth(1000)),
        VALIDATION[1]: encoded(smooth(1000).resize((120, 120)), quality=70),
        TRAIN[6]: encoded(Image.new("RGB", (64, 64), "red")),
        TRAIN[7]: readable()["png"],
        TRAIN[8]: readable()["animated"],
        TRAIN[9]: readable()["turned"],
        TRAIN[10]: readable()["cmyk"],
        TRAIN[11]: encoded(picture(3, width=400, height=40)),
        TRAIN[12]: b"not an image",
    }
    for post_id, content in pictures.items():
        (folder / "data" / f"{post_id}.jpg").write_bytes(content)
    for post_id in [TRAIN[13], *TRAIN[:3], VALIDATION[0], *VALIDATION[2:]]:
        (folder / "data" / f"{post_id}.jpg").write_bytes(encoded(smooth(int(post_id))))
    return folder


@pytest.fixture(scope="module")
def table(raw):
    return load_table("mvsa_single", raw, on_bad_rows="drop")


@pytest.fixture(scope="module")
def findings(table):
    return audit(table, PIXELS)


def groups(findings, kind):
    found = {}
    for row in findings:
        if row["finding"] == kind:
            found.setdefault(row["group"], set()).add(row["id"])
    return list(found.values())


def test_copies_are_found_by_kind(findings):
    assert groups(findings, "same image") == [{TRAIN[3], TRAIN[4]}]
    one_picture_as_png_and_cmyk = {TRAIN[7], TRAIN[10]}
    assert groups(findings, "similar image") == [
        {TRAIN[5], VALIDATION[1]},
        one_picture_as_png_and_cmyk,
    ]
    assert groups(findings, "same text") == [{TRAIN[0], TRAIN[1], VALIDATION[0]}]
    assert groups(findings, "identical text") == [{TRAIN[0], VALIDATION[0]}]


def test_images_are_called_odd_for_a_reason(findings):
    odd = {}
    for row in findings:
        if row["finding"] == "suspicious image":
            odd.setdefault(row["id"], set()).add(row["detail"])
    small = "20 x 16 pixels: small"
    assert odd == {
        TRAIN[3]: {small},
        TRAIN[4]: {small},
        TRAIN[6]: {"one colour"},
        TRAIN[7]: {small, "PNG called .jpg"},
        TRAIN[8]: {small, "3 frames", "mode P", "GIF called .jpg"},
        TRAIN[9]: {small, "turned (EXIF orientation 6)"},
        TRAIN[10]: {small, "mode CMYK"},
        TRAIN[11]: {"400 x 40 pixels: long"},
    }


def test_unreadable_images_and_label_words_are_found(findings):
    (row,) = [row for row in findings if row["finding"] == "image cannot be read"]
    assert row["id"] == TRAIN[12]
    assert f"{TRAIN[12]}.jpg" in row["detail"]
    (row,) = [row for row in findings if row["finding"] == "label word in text"]
    assert (row["id"], row["detail"]) == (TRAIN[2], "#negative")


def test_the_table_counts_groups_contradictions_and_leaks(findings, table):
    text = as_text(findings, table)
    assert "| same image | 2 | 1 | 1 |" in text
    assert "| same text | 3 | 1 | 0 |" in text
    assert "| validation (4) | train | 0 | 1 | 1 | 1 |" in text


def test_a_grouped_split_shares_nothing(raw):
    table = load_table("mvsa_single", raw, on_bad_rows="drop", protocol="grouped")
    found = [row for row in audit(table, PIXELS) if row["finding"] in ("same image", "same text")]
    for number in {(row["finding"], row["group"]) for row in found}:
        assert len({r["split"] for r in found if (r["finding"], r["group"]) == number}) == 1


@pytest.mark.parametrize("kind", ["raw", "prepared"])
def test_command_line_writes_table_and_parquet(raw, tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    folder = raw
    if kind == "prepared":
        folder = tmp_path / "prepared"
        prepare("mvsa_single", raw, folder, on_bad_rows="drop")
    assert main(["audit", str(folder)]) == 0
    assert "| similar image | 4 | 2 | 0 |" in capsys.readouterr().out
    rows = load_dataset("parquet", data_files="audit.parquet", cache_dir=str(tmp_path / "cache"))
    assert len(rows["train"]) == len(audit(load_table("mvsa_single", raw, "drop"), PIXELS))
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".audit")]


def test_the_limit_of_pixels_reaches_the_audit(raw, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["audit", str(raw), "--max_image_pixels", "20000"]) == 0
    rows = load_dataset("parquet", data_files="audit.parquet", cache_dir=str(tmp_path / "cache"))
    details = " ".join(map(str, rows["train"]["detail"]))
    assert "160 x 160 pixels, more than max_image_pixels=20000" in details


def test_similar_pairs_are_all_pairs_within_the_distance():
    generator = np.random.default_rng(0)
    base = generator.integers(0, 2**63, 60, dtype=np.uint64)
    flips = [np.uint64(sum(1 << int(b) for b in generator.choice(64, n, replace=False)))
             for n in generator.integers(1, 9, 60)]  # fmt: skip
    hashes = np.unique(np.concatenate([base, base ^ np.array(flips)]))
    expected = {
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if int(hashes[i] ^ hashes[j]).bit_count() <= 4
    }
    assert len(expected) > 10
    assert {tuple(pair) for pair in similar_pairs(hashes, 4).tolist()} == expected
    assert similar_pairs(hashes[:0], 4).shape == (0, 2)
