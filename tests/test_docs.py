"""What the pages in docs/ tell people to type runs, and what they say of the code is so."""

import inspect
import re

import pytest
from datasets import load_dataset
from documented_commands import ROOT, commands, here, train
from fabricated_sets import clmlf_ids, jpeg, write_mvsa_multiple, write_mvsa_single, write_tumemo
from tiny_models import save_tiny_encoders

from datasets_scripts import EMOTIONS, READERS
from datasets_scripts.published.label_words import label_word_pattern
from datasets_scripts.published.mvsa_multiple import COMMON_LIST
from datasets_scripts.published.mvsa_single import PUBLISHED as MVSA_SINGLE
from datasets_scripts.published.tumemo import PUBLISHED as TUMEMO
from hybridsent.bundled.synthetic import write_posts
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

TEXT = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
COMMANDS = commands(TEXT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every set that the page names, fabricated, and tiny encoders."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "configs").symlink_to(ROOT / "configs")
    save_tiny_encoders(folder)
    for name in ("mvsa_single", "mvsa_multiple", "tumemo", "my_table"):
        (folder / name).mkdir()
    ids = clmlf_ids()
    chosen = [i for members in ids.values() for i in members[:12]]
    pairs = ["positive,positive", "neutral,negative", "neutral,neutral"]
    labels = {i: pairs[n % 3] for n, i in enumerate(chosen)}
    texts = {i: f"a happy day {i}".encode() for i in chosen}
    write_mvsa_single(folder / "mvsa_single", texts, labels)
    write_mvsa_multiple(
        folder / "mvsa_multiple", {str(i): ["neutral,positive"] * 3 for i in range(1, 21)}
    )
    write_tumemo(folder / "tumemo", {str(i): EMOTIONS[i % 7] for i in range(70)})
    write_posts(folder / "my_posts", sizes={"train": 12, "validation": 8, "test": 8})
    rows = [f"text {i},{i}.jpg,{('bad', 'good')[i % 2]}" for i in range(40)]
    (folder / "my_table" / "posts.csv").write_text("\n".join(["tweet,photo,mood", *rows]))
    for i in range(40):
        (folder / "my_table" / f"{i}.jpg").write_bytes(jpeg(i))
    return folder


def test_every_command_runs_in_turn(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for command in COMMANDS:
        assert command[:2] in (["hybridsent", name] for name in ("train", "prepare", "audit"))
        if command[1] == "train":
            train(command, folder)
        else:
            result = here(command, folder)
            assert result.returncode == 0, result.stderr
    assert {command[2] for command in COMMANDS if command[1] == "prepare"} == set(READERS)
    outputs = [c[c.index("--output_dir") + 1] for c in COMMANDS if "--output_dir" in c]
    for output in outputs:
        assert load_dataset(output)["train"].num_rows > 0


def test_the_table_of_sets_lists_the_options_of_every_reader():
    for name, reader in READERS.items():
        (row,) = re.findall(rf"^\| `{name}` .*$", TEXT, flags=re.MULTILINE)
        listed = set(re.findall(r"`([a-z_]+)`", row.split("|")[-2]))
        assert listed == set(inspect.signature(reader).parameters) - {"data_dir", "protocol"}


@pytest.mark.parametrize("published", [MVSA_SINGLE, COMMON_LIST, TUMEMO])
def test_the_published_counts_stand_on_the_page(published):
    for number in published.values():
        assert f"{number:,}" in TEXT, number
    assert f"{sum(published.values()):,}" in TEXT


def test_what_the_page_says_of_limits_and_masks_is_so():
    assert f"{DEFAULT_MAX_IMAGE_PIXELS:,} unless set" in TEXT
    assert label_word_pattern(EMOTIONS).fullmatch("#clover")
