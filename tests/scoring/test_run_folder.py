"""A folder takes one run at a time and one question only, and forgets what is half-written."""

import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_scripts import PostsError
from hybridsent.scoring.run_folder import RunFolder, ShardWriter, finished_shards

QUESTION = {"model": "a", "input": [["posts.csv", 1, 2]], "columns": (), "rows_per_shard": 10}
HOLD = """
import sys
from hybridsent.scoring.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
folder.begin({"rows_per_shard": 10})
print("held", flush=True)
sys.stdin.read()
"""


def answers(start, stop):
    return pa.table({"row": range(start, stop)})


def test_the_same_question_goes_on_and_another_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "new" / "answers")
    folder.check(QUESTION)
    assert not folder.folder.exists()
    assert folder.begin(QUESTION) == ()
    RunFolder(folder.folder).check({**QUESTION, "columns": []})
    other = {**QUESTION, "model": "b", "rows_per_shard": 11}
    with pytest.raises(PostsError, match="another model, input or setting") as caught:
        RunFolder(folder.folder).check(other)
    assert "model was a, is b" in str(caught.value)
    assert "rows_per_shard was 10, is 11" in str(caught.value)
    assert "input" not in str(caught.value).split("\n", 1)[1]


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(PostsError, match=r"is not a folder of answers\n  - thesis.txt"):
        RunFolder(tmp_path).begin(QUESTION)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(PostsError, match="cannot be written"):
        RunFolder(tmp_path / "thesis.txt").begin(QUESTION)


@pytest.mark.parametrize("content", ["{", "", "{}", "[]"])
def test_a_damaged_manifest_is_named(tmp_path, content):
    (tmp_path / ".manifest.json").write_text(content)
    with pytest.raises(PostsError, match=r"manifest.json: is damaged"):
        RunFolder(tmp_path).check(QUESTION)


def test_what_a_killed_run_left_goes_and_what_is_done_stays(tmp_path):
    RunFolder(tmp_path).begin(QUESTION)
    with ShardWriter(tmp_path, 10) as writer:
        writer.write(answers(20, 30))
    (tmp_path / ".draft-000000000030").write_bytes(b"PAR1 half")
    (tmp_path / "..manifest.json.77").write_text("{")
    (tmp_path / "rows-000000000040-000000000050.parquet").touch()  # the machine lost its content
    (tmp_path / ".draft-thesis.txt").write_text("mine")
    assert RunFolder(tmp_path).begin(QUESTION) == (2,)
    names = sorted(path.name for path in tmp_path.iterdir() if path.stat().st_size)
    kept = [".draft-thesis.txt", ".manifest.json", "rows-000000000020-000000000030.parquet"]
    assert names == kept


def test_killed_before_its_manifest_a_run_starts_anew(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "..manifest.json.77").write_text("{")
    assert RunFolder(tmp_path).begin(QUESTION) == ()
    assert (tmp_path / ".manifest.json").is_file()


def test_a_second_run_is_refused_until_the_first_is_dead(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(PostsError, match="another run is writing here"):
            RunFolder(tmp_path).begin({"rows_per_shard": 10})
        RunFolder(tmp_path).join()  # as another process of the same run does
        first.kill()
    assert RunFolder(tmp_path).begin({"rows_per_shard": 10}) == ()


def test_answers_are_cut_into_shards_that_their_names_describe(tmp_path):
    with ShardWriter(tmp_path, 10) as writer:
        for start, stop in ((0, 4), (4, 25), (25, 30), (50, 57)):
            writer.write(answers(start, stop))
        assert finished_shards(tmp_path, 10) == (0, 1, 2)
    assert finished_shards(tmp_path, 10) == (0, 1, 2, 5)
    for file in tmp_path.iterdir():
        start, stop = map(int, re.findall(r"\d{12}", file.name))
        assert pq.read_table(file)["row"].to_pylist() == list(range(start, stop))
    assert (tmp_path / "rows-000000000050-000000000057.parquet").is_file()


def test_a_failure_leaves_no_part_of_a_shard(tmp_path):
    writer = ShardWriter(tmp_path, 10)
    writer.write(answers(0, 15))
    assert (tmp_path / ".draft-000000000010").is_file()
    writer.__exit__(RuntimeError)
    assert [path.name for path in tmp_path.iterdir()] == ["rows-000000000000-000000000010.parquet"]
