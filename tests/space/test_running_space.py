"""The running Space over HTTP, as the page and Gradio's client call it: right answers for all."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import Status
from huggingface_hub import constants
from in_process import score_here
from loopback_hub import LoopbackHub, point_client_at
from many_posts import read_answers
from space.visitors import HTTP, ask, connect
from tiny_models import LABELS, WORDS, picture, tiny_processor
from transformers import pipeline

from benchmarks.running_space import ROOT, running_space
from hybridsent_space.model import load_model
from hybridsent_space.posts import Post

CLIENTS = 20
POSTS_EACH = 10


@pytest.fixture(scope="module")
def client(space):
    return connect(space.url)


def posts_of(folder):
    """200 posts, no two alike: both, text only, picture only."""
    posts = []
    for i in range(CLIENTS * POSTS_EACH):
        text = " ".join(WORDS[(i * k + k) % len(WORDS)] for k in range(1, 2 + i % 9)) + " !" * (
            i % 5
        )
        path = folder / f"{i}.png"
        picture(i, 40 + i % 7, 30 + i % 11).save(path)
        posts.append((None if i % 5 == 3 else text, None if i % 5 == 4 else path))
    return posts


def test_200_posts_of_20_clients_at_once_are_neither_lost_nor_swapped(space, scorer, tmp_path):
    posts = posts_of(tmp_path)

    def work(number):
        mine = posts[number * POSTS_EACH : (number + 1) * POSTS_EACH]
        return [ask(space.url, text, path) for text, path in mine]

    with ThreadPoolExecutor(CLIENTS) as pool:
        given = [answer for answers in pool.map(work, range(CLIENTS)) for answer in answers]
    assert len(given) == len(posts)
    loaded = [
        Post(text, path and picture(i, 40 + i % 7, 30 + i % 11))
        for i, (text, path) in enumerate(posts)
    ]
    for answer, expected in zip(given, scorer.answer(loaded), strict=True):
        assert answer["label"] == expected.label
        assert answer["scores"] == pytest.approx(expected.scores, abs=1e-5)
        assert answer["energy"] == pytest.approx(expected.energy, abs=1e-4)


def test_endpoints_are_the_documented_ones(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/predict", "/explain", "/predict_table", "/score_post"}
    names = [x["parameter_name"] for x in endpoints["/predict"]["parameters"]]
    assert names == ["text", "image"]
    assert endpoints["/predict_table"]["parameters"][0]["parameter_name"] == "file"


def test_page_pipeline_and_command_explain_alike(client, model_folder, tmp_path):
    picture(5, 90, 70).save(tmp_path / "a.png")
    posts = [("a very happy day !", "a.png"), ("so sad", None), (None, "a.png")]
    lines = [f"{text or ''},{image or ''}\n" for text, image in posts]
    (tmp_path / "posts.csv").write_text("".join(["text,image\n", *lines]))
    result = score_here(
        "--model", model_folder, "--input", tmp_path / "posts.csv", "--output", tmp_path / "out",
        "--columns", "explanation",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = read_answers(tmp_path / "out")
    pipe = pipeline("image-text-sentiment", model=str(model_folder), trust_remote_code=True)
    given = [{"text": text, "image": image and str(tmp_path / image)} for text, image in posts]
    answers = pipe(given, explain=True, batch_size=2)
    assert json.loads(json.dumps(answers)) == answers
    for post, row, answer in zip(given, rows, answers, strict=True):
        image = post["image"] and handle_file(post["image"])
        page = client.predict(post["text"], image, api_name="/explain")
        explanation = answer["explanation"]
        assert page.keys() == explanation.keys()
        assert (page["label"], page["score"]) == (
            row["label"],
            pytest.approx(row["score"], abs=1e-5),
        )
        assert flat(page) == pytest.approx(flat(explanation), abs=1e-5)
        assert flat(page) == pytest.approx(flat(row["explanation"]), abs=1e-5)
    refused = {"error": "The post is empty: give a text, an image or both."}
    assert client.predict(None, None, api_name="/explain") == refused


def flat(value, name=""):
    """Numbers of a JSON value by their place; what is absent or empty is left out."""
    if isinstance(value, dict):
        value = list(value.items())
    elif isinstance(value, list):
        value = list(enumerate(value))
    elif isinstance(value, (int, float)):
        return {name: value}
    else:
        return {} if value is None else {f"{name}={value}": 1}
    return {k: v for key, inner in value for k, v in flat(inner, f"{name}/{key}").items()}


def test_a_table_comes_back_whole(client, scorer, tmp_path):
    file = tmp_path / "posts.csv"
    file.write_text("id,text\na,happy day\nb,\nc,sad rain\n")
    summary, files = client.predict(handle_file(file), api_name="/predict_table")
    assert (summary["rows"], summary["scored"], summary["failed"]) == (3, 2, 1)
    frame = pd.read_parquet(next(x for x in files if x.endswith(".parquet")))
    assert frame["id"].tolist() == ["a", "b", "c"]
    expected = scorer.answer([Post("happy day", None), Post("sad rain", None)])
    assert frame["score"][[0, 2]].tolist() == pytest.approx([x.score for x in expected], abs=1e-5)
    assert pd.read_csv(next(x for x in files if x.endswith(".csv")))["error"].notna().sum() == 1


def test_a_table_that_cannot_be_used_says_why(client, tmp_path):
    file = tmp_path / "posts.csv"
    file.write_text("words\na\n")
    with pytest.raises(AppError, match="needs a column named text"):
        client.predict(handle_file(file), api_name="/predict_table")
    with pytest.raises(AppError, match="Choose a CSV"):
        client.predict(None, api_name="/predict_table")


def test_posts_and_tables_of_others_do_not_wait_for_a_table(space, tmp_path):
    big, small = tmp_path / "big.csv", tmp_path / "small.csv"
    big.write_text("text\n" + "the cat is very sad\n" * 300)
    small.write_text("text\nhappy\n")
    first, second, third = (connect(space.url) for _ in range(3))
    order = []

    def submit(client, name, *given, **endpoint):
        job = client.submit(*given, **endpoint)
        job.add_done_callback(lambda _: order.append(name))
        return job

    table = submit(first, "big table", handle_file(big), api_name="/predict_table")
    while table.status().code not in (Status.PROCESSING, Status.PROGRESS):
        assert not table.done()
        time.sleep(0.005)
    post = submit(second, "post", "happy", None, api_name="/predict")
    other = submit(third, "small table", handle_file(small), api_name="/predict_table")
    assert table.result(timeout=300)[0]["rows"] == 300
    assert other.result()[0]["rows"] == 1
    assert "error" not in post.result()
    assert order[-1] == "big table"


def test_the_server_hands_out_none_of_its_files(space):
    inside = ["space/app.py", "README.md", "/etc/passwd", "../README.md", str(space.log)]
    for path in [*inside, *(os.path.abspath(x) for x in inside)]:
        answer = HTTP.get(f"{space.url}/gradio_api/file={path}")
        assert answer.status_code in (403, 404), path
    for path in ("/gradio_api/proxy=http://127.0.0.1:1/", "/gradio_api/deep_link?session_hash=x"):
        assert HTTP.get(space.url + path).status_code == 404


def test_the_page_may_load_nothing_from_elsewhere(space):
    policy = HTTP.get(space.url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


@pytest.fixture(scope="module")
def pushed(model_folder):
    """A Hub with two commits of a model, whose labels differ; and the first commit."""
    files = {file.name: file.read_bytes() for file in model_folder.iterdir() if file.is_file()}
    config = json.loads(files["config.json"])
    config["id2label"] = {number: f"new {name}" for number, name in config["id2label"].items()}
    config["label2id"] = {name: int(number) for number, name in config["id2label"].items()}
    with LoopbackHub() as hub:
        repo = hub.create("model", "us/model", files)
        old = repo.head.sha
        changed = {**repo.head.files, "config.json": json.dumps(config).encode()}
        repo.commit("new labels", changed, ())
        yield hub, old


def test_a_model_of_the_hub_is_served_at_its_commit_and_uploads_go_with_the_server(
    pushed, tmp_path
):
    hub, commit = pushed
    environment = {**hub.env(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    given = {"base": environment, "revision": commit, "TMPDIR": tmp_path}
    with running_space("us/model", tmp_path / "log", **given) as space:
        picture().save(tmp_path / "x.png")
        sent = handle_file(tmp_path / "x.png")
        answer = connect(space.url).predict("a", sent, api_name="/predict")
        assert answer["label"] in LABELS.values()  # those of the first commit
        assert list(tmp_path.glob("hybridsent-space-*/**/*.png"))
    assert not list(tmp_path.glob("hybridsent-space-*"))
    assert "set HYBRIDSENT_REVISION" not in (tmp_path / "log").read_text()


def test_a_model_without_a_commit_is_the_newest_and_the_log_asks_for_one(
    pushed, tmp_path, monkeypatch, caplog
):
    hub, commit = pushed
    point_client_at(hub, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    files = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    loaded = load_model("us/model")
    assert loaded.labels == [f"new {name}" for name in LABELS.values()]
    assert loaded.commit not in (None, commit)
    assert f"loaded at commit {loaded.commit}: set HYBRIDSENT_REVISION" in caplog.text


UNSERVABLE = {
    "'a/b/c' is not a folder here": {"HYBRIDSENT_MODEL": "a/b/c"},
    "HYBRIDSENT_BATCH_SIZE='many': give a positive whole number": {"HYBRIDSENT_BATCH_SIZE": "many"},
}
SERVE = f"""
import os
import app
for changed in {list(UNSERVABLE.values())}:
    os.environ.update(changed)
    try:
        app.main()
    except SystemExit as end:
        print(end)
"""


def test_what_cannot_be_served_ends_with_one_message():
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": "space"}
    given = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    result = subprocess.run([sys.executable, "-c", SERVE], check=True, **given)
    for message, line in zip(UNSERVABLE, result.stdout.splitlines(), strict=True):
        assert line.startswith("The page cannot be served: ")
        assert message in line
    assert "Traceback" not in result.stderr


def test_a_model_that_is_absent_or_has_a_damaged_metrics_file_is_named(model_folder, tmp_path):
    with pytest.raises(OSError, match="'outputs/nowhere' is not a folder here"):
        load_model("outputs/nowhere")
    shutil.copytree(model_folder, tmp_path / "model")
    for content, message in (("{", "is not JSON"), ("[]", "does not hold a JSON object")):
        (tmp_path / "model" / "metrics.json").write_text(content)
        with pytest.raises(ValueError, match=rf"metrics.json {message}"):
            load_model(str(tmp_path / "model"))
    tiny_processor(max_length=128).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"after 128 tokens, .*'bert' has positions for 64"):
        load_model(str(tmp_path / "model"))
