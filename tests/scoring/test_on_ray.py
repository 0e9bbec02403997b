"""A cluster of two workers on this machine scores every post once, also when one of them is killed."""

import subprocess
import sys
import time

import psutil
import pyarrow.parquet as pq
import pytest
from documented_commands import environment
from many_posts import good_posts, save_pictures, with_bad, write_csv
from tiny_models import save_tiny

from hybridsent import Predictor
from hybridsent.support.errors import PostsError

pytest.importorskip("ray", reason="Ray is not installed: pip install 'hybridsent[ray]'")
from hybridsent.scoring.on_ray import score_with_ray

WORKER = "ray::MapWorker(MapBatches(RowPredictor))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("on_ray")
    save_pictures(folder / "posts")
    save_tiny(folder / "tiny")
    return folder


def workers(process):
    """The processes of the workers that there are at this moment, by their ids."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.cmdline()[:1] and child.cmdline()[0].startswith(WORKER):
                found[child.pid] = child
        except psutil.Error:  # it has just ended
            continue
    return found


def test_with_a_worker_killed_each_row_is_there_once(folder):
    posts, errors = with_bad(good_posts(1500))
    parts = {"a.csv": posts[:900], "b.csv": posts[900:], "c.csv": []}
    for name, part in parts.items():
        write_csv(folder / "posts" / name, part)
    output = folder / "answers"
    command = [sys.executable, "-m", "hybridsent", "predict", "--ray", "--model", "tiny"]
    command += ["--input", "posts", "--output", "answers", "--rows_per_block", "60"]
    command += ["--concurrency", "2", "--batch_size", "4"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        while process.poll() is None and not list(folder.glob(".answers-*/*.parquet")):
            time.sleep(0.05)
        before = workers(process)
        assert len(before) == 2
        next(iter(before.values())).kill()  # SIGKILL
        while process.poll() is None and not set(workers(process)) - set(before):
            time.sleep(0.05)
        assert process.poll() is None, "it ended without another worker"
        process.wait()
    finally:
        process.terminate()  # where something above failed; Ray ends its own processes then
        process.wait()
    printed = (folder / "log").read_text()
    assert process.returncode == 0, printed
    assert f"Scored {len(posts)} posts, {len(errors)} with an error" in printed
    answers = [row for file in output.iterdir() for row in pq.read_table(file).to_pylist()]
    answers.sort(key=lambda answer: (answer["file"], answer["row"]))
    places = [(name, i) for name, part in parts.items() for i in range(len(part))]
    assert [(answer["file"], answer["row"]) for answer in answers] == places
    columns = {name: [post[name] for post in posts] for name in ("id", "text", "image")}
    expected = Predictor(str(folder / "tiny"), folder=str(folder / "posts"))(columns)
    for name in ("id", "label", "error"):
        assert [answer[name] for answer in answers] == expected[name], name
    for answer, score in zip(answers, expected["score"], strict=True):
        assert answer["score"] == (score if score is None else pytest.approx(score, abs=1e-6))
    assert not list(folder.glob(".answers-*"))


def test_what_cannot_be_is_one_error_before_ray_starts(folder, tmp_path):
    write_csv(folder / "posts" / "a.csv", good_posts(3))
    given = {"input": str(folder / "posts"), "model": str(folder / "tiny"), "output": str(tmp_path)}
    with pytest.raises(PostsError, match="no such file or folder"):
        score_with_ray(**{**given, "input": str(tmp_path / "absent.csv")})
    with pytest.raises(PostsError, match="no model"):
        score_with_ray(**{**given, "model": str(tmp_path)})
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(PostsError, match="is not empty"):
        score_with_ray(**given)
