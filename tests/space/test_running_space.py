"""The running Space over HTTP, with Gradio's own client: right answers, whoever else is there."""

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pandas as pd
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import Status
from loopback_hub import LoopbackHub
from space.visitors import ask, connect
from tiny_models import WORDS, picture

from benchmarks.running_space import running_space
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


def test_endpoints_are_the_documented_two(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/predict", "/predict_table"}
    names = [x["parameter_name"] for x in endpoints["/predict"]["parameters"]]
    assert names == ["text", "image"]
    assert endpoints["/predict_table"]["parameters"][0]["parameter_name"] == "file"


def test_an_empty_post_is_told_what_is_missing(client):
    assert client.predict(" ", None, api_name="/predict") == {
        "error": "The post is empty: give a text, an image or both."
    }


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
        answer = httpx.get(f"{space.url}/gradio_api/file={path}")
        assert answer.status_code in (403, 404), path
    for path in ("/gradio_api/proxy=http://127.0.0.1:1/", "/gradio_api/deep_link?session_hash=x"):
        assert httpx.get(space.url + path).status_code == 404


def test_the_page_may_load_nothing_from_elsewhere(space):
    policy = httpx.get(space.url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_uploads_are_gone_when_the_server_ends(model_folder, tmp_path):
    with running_space(model_folder, tmp_path / "log", TMPDIR=tmp_path) as space:
        picture().save(tmp_path / "x.png")
        one = connect(space.url)
        one.predict("a", handle_file(tmp_path / "x.png"), api_name="/predict")
        written = list(tmp_path.glob("hybridsent-space-*/**/*.png"))
        assert written
    assert not list(tmp_path.glob("hybridsent-space-*"))


def test_a_model_of_the_hub_is_loaded_at_the_commit_asked_for(model_folder, tmp_path):
    files = {file.name: file.read_bytes() for file in model_folder.iterdir() if file.is_file()}
    config = json.loads(files["config.json"])
    config["id2label"] = {number: f"new {name}" for number, name in config["id2label"].items()}
    config["label2id"] = {name: int(number) for number, name in config["id2label"].items()}
    with LoopbackHub() as hub:
        repo = hub.create("model", "us/model", files)
        old = repo.head.sha
        repo.commit(
            "new labels", {**repo.head.files, "config.json": json.dumps(config).encode()}, ()
        )
        environment = {**hub.env(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        for revision, new in ((old, False), ("", True)):
            with running_space(
                "us/model", tmp_path / f"log{new}", environment, revision=revision
            ) as space:
                answer = connect(space.url).predict("a", None, api_name="/predict")
                assert answer["label"].startswith("new") is new
            told = (tmp_path / f"log{new}").read_text()
            assert ("set HYBRIDSENT_REVISION" in told) is new


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "a/b/c"}, "'a/b/c' is not a folder here"),
        ({"batch_size": "many"}, "HYBRIDSENT_BATCH_SIZE='many': give a positive whole number"),
    ],
)
def test_what_cannot_be_served_ends_with_one_message(tmp_path, settings, message):
    with (
        pytest.raises(RuntimeError, match="did not start") as told,
        running_space(settings.pop("model", "x/y"), tmp_path / "log", **settings),
    ):
        pass
    assert message in str(told.value)
    assert "Traceback" not in str(told.value)


def test_a_model_that_is_absent_or_has_a_damaged_metrics_file_is_named(model_folder, tmp_path):
    with pytest.raises(OSError, match="'outputs/nowhere' is not a folder here"):
        load_model("outputs/nowhere")
    shutil.copytree(model_folder, tmp_path / "model")
    for content, message in (("{", "is not JSON"), ("[]", "does not hold a JSON object")):
        (tmp_path / "model" / "metrics.json").write_text(content)
        with pytest.raises(ValueError, match=rf"metrics.json {message}"):
            load_model(str(tmp_path / "model"))
