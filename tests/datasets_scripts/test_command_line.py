"""`hybridsent prepare`, as typed: what it prints, what it refuses, where it pushes."""

import sys

import pytest
from documented_commands import run
from fabricated_sets import clmlf_ids, write_mvsa_multiple, write_mvsa_single, write_tumemo
from loopback_hub import Fault

from datasets_scripts import EMOTIONS, READERS, load_table
from datasets_scripts.loading import ON_BAD_ROWS
from datasets_scripts.loading import READERS as FUNCTIONS
from datasets_scripts.published.label_words import MASK
from datasets_scripts.published.protocols import PROTOCOLS
from hybridsent.bundled.synthetic import SIZES
from hybridsent.cli import main
from hybridsent.commands import prepare
from hybridsent.commands.audit import guess_set
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

IDS = clmlf_ids()
POSTS = {i: f"text {i}".encode() for i in IDS["train"][:4] + IDS["validation"][:2]}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return write_mvsa_single(folder, POSTS)


def command(raw, tmp_path, *more):
    given = ["--data_dir", str(raw), "--output_dir", str(tmp_path / "out")]
    return ["prepare", "mvsa_single", *given, *more]


def test_the_summary_is_printed(raw, tmp_path, capsys):
    assert main(command(raw, tmp_path)) == 0
    out = capsys.readouterr().out
    for line in (
        "| rows read | 4512 |",
        "| kept | 6 |",
        "| rejected: neither text nor image is on disk | 4506 |",
        "| train | 4 of 3611 (positive 4) |",
        "| test | 0 of 450 |",
        "| text characters: smallest, median, largest | 6, 6, 7 |",
        "| image width: smallest, median, largest | 20, 20, 20 |",
        "| same text | 0 groups of 0 posts, 0 with contradicting labels |",
        "| validation shares with train | 0 images, 0 texts |",
    ):
        assert line in out


def test_options_reach_the_reader(raw, tmp_path):
    assert main(command(raw, tmp_path, "--protocol", "grouped", "--seed", "3")) == 0
    assert load_table("mvsa_single", tmp_path / "out").counts["protocol"] == "grouped, seed 3"


def test_every_option_of_every_reader_can_be_typed():
    parser = prepare.build_parser()
    (commands,) = [a for a in parser._actions if hasattr(a, "choices") and a.choices]
    assert set(commands.choices) == {*READERS, "synthetic"}
    for name, reader in FUNCTIONS.items():
        typed = {action.dest for action in commands.choices[name]._actions}
        taken = set(reader.__annotations__) - {"return"}
        assert taken <= typed, name
        assert {"on_bad_rows", "push_to_hub", "max_image_pixels"} <= typed


def test_the_help_has_the_names_and_numbers_of_the_code():
    assert set(prepare.SETS) == set(READERS)
    assert (prepare.PROTOCOLS, prepare.SYNTHETIC) == (PROTOCOLS, SIZES)
    given = prepare.build_parser().parse_args(["tumemo", "--data_dir", "a", "--output_dir", "b"])
    assert given.mask_token == MASK
    assert (given.on_bad_rows, given.max_image_pixels) == (ON_BAD_ROWS[0], DEFAULT_MAX_IMAGE_PIXELS)


@pytest.mark.parametrize("drop", [False, True])
def test_bad_rows_stop_or_are_dropped(raw, tmp_path, capsys, drop):
    (raw / "data" / f"{IDS['train'][0]}.jpg").write_bytes(b"")
    status = main(command(raw, tmp_path, *(["--on_bad_rows", "drop"] if drop else [])))
    said = capsys.readouterr()
    if drop:
        assert status == 0
        assert "| rejected: image cannot be read | 1 |" in said.out
        assert '"bad": true' in (tmp_path / "out" / "rejected.jsonl").read_text()
    else:
        assert status == 1
        assert "line 2: 1.jpg: image cannot be read: the file is empty" in said.err
        assert "Traceback" not in said.err
        assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_one_message_and_status_1(tmp_path):
    result = run([sys.executable, "-m", "hybridsent", *command(tmp_path / "no", tmp_path)])
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "labelResultAll.txt: no such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_sets_are_told_apart_by_their_files(raw, tmp_path):
    multiple, tumemo, own = (tmp_path / name for name in ("multiple", "tumemo", "own"))
    for folder in (multiple, tumemo, own):
        folder.mkdir()
    write_mvsa_multiple(multiple, {"1": ["neutral,neutral"] * 3})
    write_tumemo(tumemo, {"0": EMOTIONS[0]})
    assert [guess_set(folder) for folder in (raw, multiple, tumemo, own)] == [
        "mvsa_single", "mvsa_multiple", "tumemo", "posts",
    ]  # fmt: skip


@pytest.mark.parametrize("public", [False, True])
def test_pushing_makes_a_dataset_in_one_commit(raw, tmp_path, hub, capsys, public):
    more = ["--push_to_hub", "tester/posts", *(["--public"] if public else [])]
    assert main(command(raw, tmp_path, *more)) == 0
    repo = hub.repos["dataset", "tester/posts"]
    assert repo.private is not public
    pushed = repo.commits[-1].files
    local = {
        file.relative_to(tmp_path / "out").as_posix(): file.read_bytes()
        for file in (tmp_path / "out").rglob("*")
        if file.is_file()
    }
    assert {name: pushed[name] for name in local} == local
    assert set(pushed) - set(local) <= {".gitattributes"}
    assert "Pushed: http://127.0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [Fault(status=403), Fault(share=0.5)], ids=["refused", "cut off"])
def test_a_failed_push_is_named_and_leaves_no_half_commit(raw, tmp_path, hub, capsys, fault):
    hub.faults["commit"].append(fault)
    assert main(command(raw, tmp_path, "--push_to_hub", "tester/posts")) == 1
    said = capsys.readouterr().err
    assert "tester/posts: " in said
    assert "could not be pushed" in said
    assert "hf auth login" in said
    assert not any("README.md" in c.files for c in hub.repos["dataset", "tester/posts"].commits)
    assert load_table("mvsa_single", tmp_path / "out").counts["kept"] == 6


def test_pushing_without_a_token_is_named(raw, tmp_path, hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert main(command(raw, tmp_path, "--push_to_hub", "tester/posts")) == 1
    assert "could not be pushed" in capsys.readouterr().err
    assert not hub.repos
