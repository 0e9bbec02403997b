"""Attacks beside honest visitors: each route of the API, uploads without end, bombs."""

import json
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet
import pytest
from file_limit import limited_files
from gradio_client.exceptions import AppError
from hostile_pictures import encoded, png_of_size
from PIL import Image
from space.hostile_uploads import SHAPES, SMALL_LIMITS, parquet, repeated, zipped
from space.visitors import (
    API,
    HTTP,
    PATIENCE,
    ask,
    ask_table,
    call,
    functions_of,
    result,
    upload,
)
from tiny_models import IMAGE_SIZE, picture, save_tiny, tiny_tokenizer
from transformers import CLIPImageProcessor

from benchmarks.running_space import running_space
from modeling_hybridsent import HybridSentProcessor

MEGABYTE = 1_000_000
ROUTES = ["queue/join", "call/predict", "call/v2/predict", "run/predict", "api/predict"]
GROWTH = 300 * MEGABYTE


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A Space with room for 5 MB of files, whose images are resized by their shorter side."""
    folder, model = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("clip")
    save_tiny(model)
    clip = CLIPImageProcessor(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    HybridSentProcessor(clip, tiny_tokenizer(), max_length=64).save_pretrained(model)
    limits = {"max_stored_bytes": 5 * MEGABYTE, "max_unpacked_bytes": 100 * MEGABYTE}
    with running_space(model, folder / "log", TMPDIR=folder, **limits) as running:
        yield running, folder


def post(space, path, **options):
    return HTTP.post(f"{space.url}{API}/{path}", **options)


@pytest.mark.parametrize("with_number", [False, True])
@pytest.mark.parametrize("route", ROUTES)
def test_honest_posts_beside_hostile_ones(space, route, with_number):
    numbers = functions_of(space.url)
    other = numbers["predict_table" if route != "queue/join" else "predict"]
    with ThreadPoolExecutor(30) as pool:
        jobs = [pool.submit(ask, space.url, "sad", None) for _ in range(30)]
        for shape in SHAPES:
            body = {"data": shape, "session_hash": uuid.uuid4().hex}
            if route == "call/v2/predict":
                body = {"text": [shape], "image": None}
            if with_number or route == "queue/join":
                body["fn_index"] = other
            answer = post(space, route, json=body)
            if with_number and route in ("run/predict", "api/predict"):  # it reaches the table's
                assert answer.status_code >= 400
            else:
                assert (answer.status_code, "A post is" in answer.text) == (400, True), shape
        table = post(space, "run/predict_table", json={"data": [7], "fn_index": numbers["predict"]})
        assert table.status_code == 400
    assert ["error" in job.result() for job in jobs] == [False] * 30


@pytest.mark.parametrize("name", ["explain", "score_post"])
def test_honest_posts_beside_hostile_ones_at_the_other_endpoints(space, name):
    number = functions_of(space.url)[name]
    with ThreadPoolExecutor(30) as pool:
        jobs = [pool.submit(result, space.url, name, "sad", None) for _ in range(30)]
        for shape in SHAPES:
            for route in ("queue/join", f"call/{name}", f"run/{name}", f"api/{name}"):
                body = {"data": shape, "session_hash": uuid.uuid4().hex}
                answer = post(space, route, json={**body, "fn_index": number})
                assert (answer.status_code, "A post is" in answer.text) == (400, True), shape
    assert ["error" in str(job.result()) for job in jobs] == [False] * 30


def test_large_calls_of_the_tool_take_turns_and_hold_images_alone(space):
    inputs = {"text": "a", "image": "data:image/png;base64," + "A" * 1_900_000}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    body = json.dumps({**call, "params": {"name": "score_post", "arguments": inputs}})
    kinds = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    before = space.resident_bytes()
    with ThreadPoolExecutor(90) as pool:
        hostile = [
            pool.submit(post, space, "mcp/", content=body.encode(), headers=kinds)
            for _ in range(60)
        ]
        honest = [pool.submit(result, space.url, "score_post", "sad", None) for _ in range(30)]
        assert all("is not a JPEG" in job.result().text for job in hostile)
        assert ["label" in job.result()[0] for job in honest] == [True] * 30
    assert space.resident_bytes() - before < 200 * MEGABYTE
    lists = b'{"data": ["a", [' + b"[]," * 600_000 + b"0]]}"
    for _ in range(50):
        answer = post(space, "run/score_post", content=lists)
        assert (answer.status_code, "Without its image" in answer.text) == (413, True)


def test_a_header_or_session_cannot_spoil_a_batch(space):
    number = functions_of(space.url)["predict"]
    with ThreadPoolExecutor(30) as pool:
        jobs = [pool.submit(ask, space.url, "sad", None) for _ in range(30)]
        for i in range(10):
            body = {"data": ["a", None], "fn_index": number, "session_hash": f"s{i}"}
            name = ("x-gradio-server", "x-forwarded-host")[i % 2]
            answer = post(space, "queue/join", json=body, headers={name: "http://[:x"})
            assert answer.status_code == (200, 400)[i % 2]
    assert ["error" in job.result() for job in jobs] == [False] * 30


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("queue/join", {"fn_index": -1}, "no function with fn_index -1"),
        ("run/predict", {"fn_index": 10**30}, "no function"),
        ("call/nothing", {}, "no such endpoint"),
        ("call/v2/score_post", {"text": "a", "images": "x"}, "There is no input 'data'"),
        ("queue/join", {"session_hash": "x" * 65}, "session_hash"),
        ("run/predict", {"batched": True}, "one post a request"),
        (
            "queue/join",
            {"data": ["a", {"path": "\ud800"}], "fn_index": 0},
            "must be uploaded first",
        ),
        ("queue/join", {"data": [{"a": [{"__type__": "update", "label": "x"}]}]}, "__type__"),
    ],
)
def test_what_is_no_call_is_refused_with_a_reason(space, path, body, message):
    body = json.dumps({"data": ["a", None], "session_hash": "s", **body})
    answer = post(space, path, content=body.encode())
    assert (answer.status_code, message in answer.json()["detail"]) == (400, True)


def test_only_the_routes_of_the_page_take_data(space):
    for path in ("process_recording", "login", "vibe-edit", "stream/x", "mcp/messages/"):
        assert post(space, path, content=b"{}").status_code == 404


def test_a_body_of_lists_is_refused(space):
    body = b'{"data": [' + b"[],[]," * MEGABYTE + b"0]}"
    answer = post(space, "queue/join", content=body)
    assert (answer.status_code, "100,000 bytes" in answer.text) == (413, True)


def test_the_v2_route_works_for_the_honest(space):
    event = post(space, "call/v2/predict", json={"text": "sad", "image": None}).json()["event_id"]
    given = HTTP.get(f"{space.url}{API}/call/predict/{event}").text
    assert "event: complete" in given


GONE = "This link's result is gone: the server keeps only the newest."


def open_link(space, key):
    """Return what a page is told and shown whose address names a result."""
    *messages, last = call(space.url, "open_shared", result=key)
    told = [x["log"] for x in messages if x["msg"] == "log"]
    return told, last["output"]["data"]


def test_a_link_shows_what_the_server_scored_whatever_was_sent(space):
    image = encoded(picture(1), "PNG") + b"<script>alert(1)</script>"
    sent = upload(space.url, "photo.png", image)
    expected = ask(space.url, "a happy day", image)
    forged = {**expected, "label": "<b>Session expired: enter your password</b>", "score": 1.0}
    (key,) = result(space.url, "share", "a happy day", sent, forged)
    told, (text, shown, answer) = open_link(space, key)
    assert (told, text) == ([], "a happy day")
    assert answer == {**expected, **{x: pytest.approx(expected[x]) for x in ("score", "scores")}}
    assert b"script" not in Path(shown["path"]).read_bytes()  # another copy, of its pixels


def test_a_forged_foreign_or_old_link_gives_one_message_and_nothing_else(space):
    session = uuid.uuid4().hex
    *_, last = call(space.url, "share", "a sad day", None, session=session)
    (key,) = last["output"]["data"]
    keys = [session, last["event_id"], key[:-1], key + "x", key.lower(), "*", f"../shared/{key}"]
    for _ in range(SMALL_LIMITS["max_shared_results"]):
        assert open_link(space, key)[1][0] == "a sad day"
        (newer,) = result(space.url, "share", "a happy day", None)
    for gone in (*keys, key, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")):
        told, shown = open_link(space, gone)
        assert told == [GONE], gone
        assert shown == [{"__type__": "update"}] * 3, gone  # which changes nothing
    assert open_link(space, newer)[1][0] == "a happy day"


def test_lines_of_pixels_take_little_memory_where_the_shorter_side_is_resized(small):
    space, _ = small
    sizes = [(9_000, 1), (1, 9_000), (20_000, 3), (30, 9_000)]
    lines = [encoded(Image.new("RGB", size), "PNG") for size in sizes]
    lines.append(png_of_size(300_000, 1))
    fine = [encoded(Image.new("RGB", size), "PNG") for size in ((40, 30), (6_000, 60))]
    before = space.resident_bytes()
    space.forget_peak()
    with ThreadPoolExecutor(60) as pool:
        honest = [pool.submit(ask, space.url, "sad", fine[i % 2]) for i in range(30)]
        hostile = [pool.submit(ask, space.url, "sad", line) for line in lines * 5]
    assert ["error" in job.result() for job in honest] == [False] * 30
    for job in hostile:
        assert "the longer one may be max_image_ratio=" in job.result()["error"]
    for fault in faults_of(space, zipped(*[(f"{i}.png", x) for i, x in enumerate(lines)])):
        assert "the longer one may be max_image_ratio=" in fault
    assert space.peak_bytes() - before < GROWTH


def test_a_full_disk_is_said_and_costs_no_answer(space):
    table = b"text\n" + b"a sad day\n" * 80
    image = encoded(picture(1, 400, 400), "PNG")  # half a megabyte
    with limited_files(5_000, space.pid):
        refused = post(space, "upload", files={"files": ("a.png", image)})
        assert (refused.status_code, "disk is full" in refused.text) == (507, True)
        with pytest.raises(AppError, match="disk is full"):
            ask_table(space.url, table)
        assert "error" not in ask(space.url, "sad", None)
    assert ask_table(space.url, table)[0]["scored"] == 80
    assert "error" not in ask(space.url, "sad", image)


def left_over(folder):
    """Return unfinished uploads; Gradio leaves an empty file beside each table."""
    return [x for x in folder.glob("hybridsent-space-*/tmp*") if x.is_file() and x.stat().st_size]


def abort(space, declared, sent):
    """Declare an upload of a size, send a part of it and hang up."""
    host, port = space.url.removeprefix("http://").split(":")
    start = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
    head = (
        f"POST {API}/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {declared}\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + start + b"x" * sent)


def wait_until(holds):
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_25_aborted_uploads_of_100_mb_leave_nothing(small):
    """Each sends 3 MB, more than is kept in memory; all together could not be stored."""
    space, folder = small
    before = space.resident_bytes()
    for _ in range(25):
        abort(space, 100 * MEGABYTE, 3 * MEGABYTE)
    sent = {"files": ("a.csv", b"text\na\n")}
    wait_until(lambda: post(space, "upload", files=sent).status_code == 200)
    wait_until(lambda: not left_over(folder))  # on a busy machine some arrive only now
    assert space.resident_bytes() - before < 30 * MEGABYTE


def bombs():
    """Return small files that could become gigabytes, and what is said of them or of their rows."""
    large = encoded(Image.new("RGB", (2_500, 2_500)), "BMP")  # 19 MB
    palette = encoded(Image.new("P", (6_300, 6_300)), "PNG")
    many = zipped(("t.csv", "image\n" + "a.bmp\n" * 32), ("a.bmp", large))
    texts = zipped(("t.csv", "text\n" + ("x" * MEGABYTE + "\n") * 45))
    lists = zipped(("t.jsonl", b'{"text": "a", "x": [' + b"[],[]," * 8 * MEGABYTE + b"0]}"))
    return {
        "rows of one entry": (many, "Unpacked, the file has more than 100,000,000 bytes"),
        "dictionary": (
            parquet(text=repeated("a" * 5 * MEGABYTE, 300)),
            "has more than 100,000,000",
        ),
        "texts": (texts, "has 1,000,000 characters; 5,000 are allowed"),
        "39.7 megapixels": (zipped(*[(f"{i}.png", palette) for i in range(6)]), None),
        "lists": (lists, "Line 1 of the table has more than 2,000,000 bytes"),
    }


def faults_of(space, content):
    """Return what a table gets: the refusal, or the errors of its rows, None for a scored one."""
    try:
        _, files = ask_table(space.url, content)
    except AppError as refusal:
        return [str(refusal)]
    return pyarrow.parquet.read_table(files[1])["error"].to_pylist()


def test_bombs_take_little_memory(small):
    space, _ = small
    assert faults_of(space, b"text\na\n") == [None]
    for name, (content, message) in bombs().items():
        assert len(content) < MEGABYTE
        before = space.resident_bytes()
        space.forget_peak()
        faults = faults_of(space, content)
        grown = space.peak_bytes() - before
        print(f"{name}: {len(content):,} bytes, grown by {grown / MEGABYTE:.0f} MB")
        assert grown < GROWTH, name
        if message is None:
            assert faults == [None] * 6
        else:
            *_, last = faults
            assert message in last, name
    assert "error" not in ask(space.url, "sad", None)


def test_uploads_are_counted(small):
    """Comes last: it fills the server."""
    space, folder = small
    two = [("files", ("a.csv", b"a")), ("files", ("b.csv", b"b"))]
    field = {"data": {"x": "y" * MEGABYTE}, "files": {"files": ("a.csv", b"a")}}
    for refused in ({"files": two}, field, {"content": b"a"}):
        answer = post(space, "upload", **refused)
        assert (answer.status_code, "one file" in answer.text) == (400, True)
    given = [
        post(space, "upload", files={"files": ("a.csv", bytes([65 + i]) * 19 * 10**5)})
        for i in range(4)
    ]
    assert [x.status_code for x in given] == [200, 200, 507, 507]
    assert "come back" in given[-1].json()["detail"]
    assert left_over(folder) == []
