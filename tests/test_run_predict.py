"""The public command line of scoring, end to end, on a tiny model."""

import itertools
import json
import os
import random
import re
import signal
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from documented_commands import BIN, ROOT, run
from forked import Forked, run_two, two_forked
from in_process import score_here
from loopback_hub import LoopbackHub, point_client_at
from many_posts import (
    direct,
    embedded,
    good_posts,
    read_answers,
    save_pictures,
    with_bad,
    write_csv,
    write_jsonl,
    write_parquet,
)
from tiny_models import LABELS, save_tiny, tiny_model, tiny_processor

from hybridsent.scoring.run_folder import RunFolder

KILLS = int(os.environ.get("HYBRIDSENT_KILLS", "2"))  # each takes seconds; ten is a longer proof
SETTINGS = ROOT / "configs/accelerate/two_cpu_processes.yaml"
TWO = ("accelerate", "launch", "--config_file", str(SETTINGS))


def score(*arguments, launcher=("python",), **variables):
    """Run run_predict.py to the end."""
    program, *rest = launcher
    return run([BIN / program, *rest, ROOT / "run_predict.py", *arguments], **variables)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return folder, *save_tiny(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "posts"
    save_pictures(folder)
    posts, errors = with_bad(good_posts(110))
    return write_csv(folder / "posts.csv", posts), posts, errors


def require_right(output, table, tiny):
    """Every row of the table once, in its place, with the model's own answer or its error."""
    file, posts, errors = table
    answers = read_answers(output)
    assert [answer["row"] for answer in answers] == list(range(len(posts)))
    assert [answer["id"] for answer in answers] == [post["id"] for post in posts]
    good = [i for i in range(len(posts)) if i not in errors]
    expected = direct(tiny[1], tiny[2], [posts[i] for i in good], file.parent)
    for i, outputs in zip(good, expected, strict=True):
        p = outputs.logits.softmax(dim=-1)[0]
        assert answers[i]["error"] is None
        assert answers[i]["label"] == LABELS[int(p.argmax())]
        assert answers[i]["score"] == pytest.approx(float(p.max()), abs=1e-5)
    for i, error in errors.items():
        assert error in answers[i]["error"]
        assert answers[i]["label"] is None
    files = {re.sub(r"\d{12}", "N", path.name) for path in output.iterdir()}
    assert files == {".lock", "manifest.json", "rows-N-N.parquet"}


def test_a_table_is_scored_and_a_second_call_has_nothing_to_do(table, tiny, tmp_path):
    output = tmp_path / "answers"
    given = ("--model", tiny[0], "--input", table[0], "--output", output, "--rows_per_shard", 50)
    result = score(*given, "--columns", "probabilities", "weights", "--cpu_threads", 1)
    assert result.returncode == 0, result.stderr
    posts, errors = table[1:]
    assert f"Scored {len(posts)} posts, {len(errors)} with an error" in result.stdout
    assert f"{len(posts)}/{len(posts)}" in result.stderr
    assert "posts/s" in result.stderr
    require_right(output, table, tiny)
    names = ["row", "id", "label", "score", "error", "probabilities", "weights"]
    for file in output.glob("*.parquet"):
        assert pq.read_schema(file).names == names
    assert json.loads((output / "manifest.json").read_text())["rows"] == len(posts)
    before = {file: file.stat().st_mtime_ns for file in output.glob("*.parquet")}
    # Without the size of files: they stay as large as they are.
    result = score_here(*given[:-2], "--columns", "probabilities", "weights")
    assert result.returncode == 0, result.stderr
    assert "Scored 0 posts" in result.stdout
    assert before == {file: file.stat().st_mtime_ns for file in output.glob("*.parquet")}


def test_a_damaged_size_of_files_is_refused(table, tiny, tmp_path):
    output = tmp_path / "answers"
    given = ("--model", tiny[0], "--input", table[0], "--output", output)
    assert score_here(*given).returncode == 0
    manifest = json.loads((output / "manifest.json").read_text())
    for damaged in (0, -5, "many"):
        (output / "manifest.json").write_text(json.dumps({**manifest, "rows_per_shard": damaged}))
        result = score_here(*given)
        assert result.returncode == 1
        assert f"rows_per_shard was {damaged}, is 500" in result.stderr


def test_two_processes_share_the_rows_and_one_goes_on(table, tiny, tmp_path):
    output = tmp_path / "answers"
    given = ("--model", tiny[0], "--input", table[0], "--output", output, "--rows_per_shard", 9)
    result, _ = run_two("predict", *given, "--num_workers", 0, "--cpu_threads", 1)
    assert result.returncode == 0, result.stderr
    assert "(1 of 2 shares)" in result.stderr
    assert f"Scored {len(table[1])} posts" in result.stdout
    share = sum(min(9, len(table[1]) - start) for start in range(0, len(table[1]), 18))
    assert f"{share}/{share}" in result.stderr  # the first process has scored its shards only
    require_right(output, table, tiny)
    for file in sorted(output.glob("*.parquet"))[1::3]:
        file.unlink()
    result = score_here(*given)
    assert result.returncode == 0, result.stderr
    require_right(output, table, tiny)


@pytest.fixture(scope="module")
def long_table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long") / "posts"
    save_pictures(folder)
    posts, errors = with_bad(good_posts(100) * 5 * KILLS)
    return write_csv(folder / "posts.csv", posts), posts, errors


def test_killed_at_any_moment_each_row_is_there_once(long_table, tiny, tmp_path):
    """Whether one process is killed or two that meet; each run goes on from the one before."""
    output = tmp_path / "answers"
    given = ("--model", tiny[0], "--input", long_table[0], "--output", output)
    given += ("--rows_per_shard", 20, "--batch_size", 4, "--cpu_threads", 1)
    choose, found = random.Random(), []
    for start in itertools.islice(itertools.cycle((lambda *x: [Forked(*x)], two_forked)), KILLS):
        before = len(list(output.glob("rows-*")))
        processes = start("predict", *given)
        while len(list(output.glob("rows-*"))) <= before and processes[0].poll() is None:
            time.sleep(0.01)
        time.sleep(0.3 * choose.random())
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        found.append(len(list(output.glob("rows-*"))))
    shards = -(-len(long_table[1]) // 20)
    assert found == sorted(set(found))
    assert found[-1] < shards
    result = score_here(*given)
    assert result.returncode == 0, result.stderr
    done = re.search(r"Scored (\d+) posts", result.stdout)[1]
    assert int(done) == len(long_table[1]) - 20 * found[-1]
    require_right(output, long_table, tiny)


def test_killed_without_its_workers_it_holds_no_lock(long_table, tiny, tmp_path):
    output = tmp_path / "answers"
    given = ("--model", tiny[0], "--input", long_table[0], "--output", output)
    given += ("--rows_per_shard", 20, "--batch_size", 4, "--cpu_threads", 1)
    first = Forked("predict", *given)
    while not list(output.glob("rows-*")) and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # so that it is there when the second has started
    second = score_here(*given)
    first.kill()
    assert second.returncode == 1
    assert f"error: {output}: another run is writing here" in second.stderr
    manifest = json.loads((output / "manifest.json").read_text())
    assert RunFolder(output).begin(manifest)  # at once, while its workers may still be there


def test_another_question_into_the_same_folder_is_refused(table, tiny, tmp_path):
    output = tmp_path / "answers"
    given = ("--model", tiny[0], "--input", table[0], "--output", output)
    assert score_here(*given).returncode == 0
    before = {file: file.read_bytes() for file in output.iterdir()}
    other = tmp_path / "other"
    save_tiny(other)
    tiny_model(seed=1).save_pretrained(other)
    refused = [
        (("--model", other), "model was sha256:"),
        (("--dtype", "bfloat16"), "dtype was float32, is bfloat16"),
    ]
    for changed, words in refused:
        result = score_here(*given, *changed)
        assert result.returncode == 1
        assert "holds answers of another model, input or setting" in result.stderr
        assert words in result.stderr
        assert "Traceback" not in result.stderr
    assert before == {file: file.read_bytes() for file in output.iterdir()}


def test_what_cannot_be_is_one_error_and_nothing_is_written(table, tiny, tmp_path):
    output = tmp_path / "answers"
    (tmp_path / "tweets.csv").write_text("tweet\nhello\n")
    (tmp_path / "none.csv").write_text("text\n")
    damaged = tmp_path / "damaged"
    save_tiny(damaged)
    (damaged / "model.safetensors").write_bytes(b"nothing")
    late = tmp_path / "late"
    save_tiny(late)
    tiny_processor(max_length=128).save_pretrained(late)
    wrong = [
        (
            (late, table[0]),
            "cuts texts after 128 tokens, but the text encoder 'bert' has positions",
        ),
        ((tiny[0], tmp_path / "tweets.csv"), "needs a column 'text' or 'image'"),
        ((tiny[0], tmp_path / "none.csv"), "no posts in it"),
        ((damaged, table[0]), f"error: {damaged}: cannot be loaded"),
    ]
    for (model, posts), words in wrong:
        result = score_here("--model", model, "--input", posts, "--output", output)
        assert result.returncode == 1
        assert words in result.stderr
        assert "Traceback" not in result.stderr
        assert not output.exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--batch_size", 0), "--batch_size 0: give a positive whole number"),
        (("--batch", 8), "--batch"),
        (("--columns", "all"), "invalid choice: 'all'"),
        ((), "the following arguments are required"),
    ],
)
def test_wrong_settings_are_named(wrong, words, tmp_path):
    given = ("--model", "m", "--input", "i", "--output", tmp_path / "o") if wrong else ()
    result = score_here(*given, *wrong)
    assert result.returncode == 2
    assert words in result.stderr
    assert not (tmp_path / "o").exists()


def test_two_processes_tell_an_error_once(tiny, tmp_path):
    given = ("--model", tiny[0], "--input", tmp_path / "absent.csv", "--output", tmp_path / "o")
    first, second = run_two("predict", *given)
    assert (first.returncode, second.returncode) == (1, 1)
    assert first.stderr.count("absent.csv: no such file") == 1
    assert not second.stderr


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with LoopbackHub(user="USER") as running:
        point_client_at(running, monkeypatch, tmp_path / "cache")
        yield running


def test_a_data_set_of_the_hub_streams(table, tiny, tmp_path, hub):
    posts = embedded(good_posts(30), table[0].parent)
    file = write_parquet(tmp_path / "posts.parquet", posts)
    name = "data/test-00000-of-00001.parquet"
    hub.create("dataset", "USER/SET", {name: file.read_bytes()})
    given = ("--model", tiny[0], "--input", "USER/SET", "--output", tmp_path / "answers")
    given += ("--rows_per_shard", 8)
    settings = {**hub.env(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    result = score(*given, launcher=TWO, **settings)
    assert result.returncode == 0, result.stderr
    expected = (table[0], good_posts(30), {})
    require_right(tmp_path / "answers", expected, tiny)
    (tmp_path / "answers" / "rows-000000000008-000000000016.parquet").unlink()
    result = score_here(*given)
    assert "Scored 8 posts" in result.stdout, result.stderr
    require_right(tmp_path / "answers", expected, tiny)
    assert "no split 'train'" in score_here(*given, "--split", "train").stderr


def test_rows_of_the_hub_that_python_cannot_hold_are_answers(tiny, tmp_path, hub):
    zone = pa.array([1, 2], pa.timestamp("us", tz="Nowhere/Never"))
    hostile = {
        "times": {"id": pa.array([1 << 62, 1], pa.timestamp("us")), "text": ["sun", "rain"]},
        "zones": {"id": zone, "text": pa.array(["sun", "rain"], pa.binary())},
        "bytes": {"text": pa.array([b"\xff", b"rain"], pa.binary())},
    }
    failed = {"times": [True, False], "zones": [True, True], "bytes": [True, False]}
    for name, columns in hostile.items():
        pq.write_table(pa.table(columns), tmp_path / "test.parquet")
        files = {"test.parquet": (tmp_path / "test.parquet").read_bytes()}
        hub.create("dataset", f"USER/{name}", files)
        output = tmp_path / name
        result = score_here("--model", tiny[0], "--input", f"USER/{name}", "--output", output)
        assert result.returncode == 0, result.stderr
        errors = [answer["error"] for answer in read_answers(output)]
        assert [error is not None and "column" in error for error in errors] == failed[name]


def test_a_csv_file_of_the_hub_is_read_and_a_damaged_one_is_named(tiny, tmp_path, hub):
    for name, content in {"fine": b"text\nsun\n", "cut": b'text\nsun\n"open\n'}.items():
        hub.create("dataset", f"USER/{name}", {"test.csv": content})
    given = ("--model", tiny[0], "--output", tmp_path / "answers")
    assert score_here(*given, "--input", "USER/fine").returncode == 0
    result = score_here(*given, "--input", "USER/cut")
    assert (result.returncode, "error: USER/cut: cannot be read" in result.stderr) == (1, True)


def test_images_that_are_files_of_a_data_set_are_read(tiny, tmp_path, hub):
    save_pictures(tmp_path)
    posts = [{"file_name": f"images/{i}.png", "text": "a sad day"} for i in range(2)]
    table = write_jsonl(tmp_path / "metadata.jsonl", posts)
    images = {f"images/{i}.png": tmp_path / "images" / f"{i}.png" for i in range(2)}
    files = {"metadata.jsonl": table, **images}
    hub.create(
        "dataset", "USER/SET", {f"train/{name}": file.read_bytes() for name, file in files.items()}
    )
    output = tmp_path / "answers"
    result = score_here("--model", tiny[0], "--input", "USER/SET", "--output", output)
    assert result.returncode == 0, result.stderr
    named = [{"text": post["text"], "image": post["file_name"]} for post in posts]
    expected = direct(tiny[1], tiny[2], named, tmp_path)
    best = [float(outputs.logits.softmax(dim=-1).max()) for outputs in expected]
    assert best[0] != pytest.approx(best[1], abs=1e-4)
    assert [answer["score"] for answer in read_answers(output)] == pytest.approx(best, abs=1e-5)


def test_lines_that_a_quote_hides_fail_the_command_also_when_it_is_repeated(tiny, tmp_path):
    (tmp_path / "posts.csv").write_text('text,photo\nfine,\n"sad day,\nlost,\n')
    given = (
        "--model",
        tiny[0],
        "--input",
        tmp_path / "posts.csv",
        "--output",
        tmp_path / "answers",
    )
    for _ in range(2):
        result = score_here(*given)
        assert result.returncode == 1
        assert "broken quotes hide lines of 1 rows" in result.stderr
        assert "The column 'photo' is not read; if it is meant, call it image." in result.stderr
