"""What docs/datasets.md and docs/transformers.md tell people to type runs, and is so.

Of all pages: how long sentences and paragraphs are, how they open, where their links lead.
"""

import inspect
import re

import pytest
from datasets import load_dataset
from documented_commands import ROOT, blocks, commands, here, python_here, train
from fabricated_sets import clmlf_ids, jpeg, write_mvsa_multiple, write_mvsa_single, write_tumemo
from pages import PAGES, lines, paragraphs, sentences, words
from tiny_models import picture, save_tiny, save_tiny_encoders

from datasets_scripts import EMOTIONS, READERS
from datasets_scripts.published.label_words import label_word_pattern
from datasets_scripts.published.mvsa_multiple import COMMON_LIST
from datasets_scripts.published.mvsa_single import PUBLISHED as MVSA_SINGLE
from datasets_scripts.published.tumemo import PUBLISHED as TUMEMO
from hybridsent.bundled.synthetic import write_posts
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

TEXT = PAGES["docs/datasets.md"]
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
    assert (folder / "audit.parquet").is_file()  # of the audit that names no file


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


def test_the_block_of_the_transformers_page_runs(tmp_path):
    save_tiny(tmp_path / "model")
    picture(1).save(tmp_path / "a.jpg")
    (block,) = blocks(PAGES["docs/transformers.md"], "python")
    names = {"FOLDER_OR_ID": str(tmp_path / "model")}
    block = block.replace('TrainingArguments("out")', 'TrainingArguments("out", use_cpu=True)')
    printed = python_here(f"{block}\nprint(model.config.id2label)", tmp_path, **names)
    assert "positive" in printed


def test_every_block_of_python_is_run_by_a_test():
    run = {"README.md", "docs/publishing.md", "docs/scale.md"}
    run |= {"docs/scoring.md", "docs/transformers.md"}
    assert {name for name, text in PAGES.items() if blocks(text, "python")} == run


def test_every_block_has_a_language_that_is_run_or_shown():
    known = {"bash", "python", "text", "bibtex", "mermaid"}
    for name, text in PAGES.items():
        assert set(re.findall(r"^```(.*)$", text, re.MULTILINE)) - {""} <= known, name


@pytest.mark.parametrize("page", PAGES)
def test_no_sentence_has_more_than_35_words_and_no_paragraph_more_than_six_lines(page):
    assert [x for x in sentences(PAGES[page]) if words(x) > 35] == []
    assert [x for x in paragraphs(PAGES[page]) if lines(x) > 6] == []


def test_sentences_and_paragraphs_are_counted_as_a_reader_counts_them():
    text = (
        "---\na: b\n---\n# Title. Of it\n\nOne *two*. Three [four](x.md) -\nfive?\n\n```bash\nno. no\n"
        "```\n- six `a b`\n- seven\n\n| eight. Nine | ten |\n"
    )
    found = [words(sentence) for sentence in sentences(text)]
    assert found == [2, 3, 3, 1, 1, 1, 1]
    assert lines("a word " * 100) == 6
    assert lines("a word " * 110) == 7


def test_every_page_opens_with_what_the_reader_can_do_after_it():
    for name, text in PAGES.items():
        if name.startswith("docs/"):
            assert text.split("\n\n")[1].startswith("After this page you "), name


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 160
    assert len(PAGES["README.md"].split()) <= 1300


def anchors(text):
    """The anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", PAGES[page]):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target
