"""Attacks beside honest visitors: each route of the API, uploads without end, bombs."""

import contextlib
import json
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from space.test_hostile_inputs import SHAPES, encoded, parquet, zipped
from space.visitors import ask, connect

from benchmarks.running_space import running_space

MEGABYTE = 1_000_000
API = "/gradio_api"
ROUTES = ["queue/join", "call/predict", "call/v2/predict", "run/predict", "api/predict"]
GROWTH = 200 * MEGABYTE


@pytest.fixture(scope="module")
def small(model_folder, tmp_path_factory):
    """A Space with room for 5 MB of files."""
    folder = tmp_path_factory.mktemp("small")
    limits = {"max_stored_bytes": 5 * MEGABYTE, "max_table_bytes": 2 * MEGABYTE}
    with running_space(model_folder, folder / "log", TMPDIR=folder, **limits) as running:
        yield running, folder


def post(space, path, **options):
    return httpx.post(f"{space.url}{API}/{path}", timeout=120, **options)


@pytest.mark.parametrize("with_number", [False, True])
@pytest.mark.parametrize("route", ROUTES)
def test_honest_posts_beside_hostile_ones(space, route, with_number):
    functions = httpx.get(f"{space.url}/config").json()["dependencies"]
    numbers = {x["api_name"]: x["id"] for x in functions}
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


def test_a_header_or_session_cannot_spoil_a_batch(space):
    number = next(
        x["id"]
        for x in httpx.get(f"{space.url}/config").json()["dependencies"]
        if x["api_name"] == "predict"
    )
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
    for path in ("process_recording", "login", "vibe-edit", "stream/x", "mcp"):
        assert post(space, path, content=b"{}").status_code == 404


def test_a_body_of_lists_is_refused(space):
    body = b'{"data": [' + b"[],[]," * MEGABYTE + b"0]}"
    answer = post(space, "queue/join", content=body)
    assert (answer.status_code, "100,000 bytes" in answer.text) == (413, True)


def test_the_v2_route_works_for_the_honest(space):
    event = post(space, "call/v2/predict", json={"text": "sad", "image": None}).json()["event_id"]
    given = httpx.get(f"{space.url}{API}/call/predict/{event}", timeout=120).text
    assert "event: complete" in given


def left_over(folder):
    return [x for x in folder.glob("hybridsent-space-*/tmp*") if x.is_file()]


def abort(space, size):
    """Send the start of an upload and hang up."""
    host, port = space.url.removeprefix("http://").split(":")
    start = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
    head = (
        f"POST {API}/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {2 * size}\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + start + b"x" * size)


def test_aborted_uploads_leave_nothing(small):
    space, folder = small
    for _ in range(25):
        abort(space, MEGABYTE)
    for _ in range(100):
        answer = post(space, "upload", files={"files": ("a.csv", b"text\na\n")})
        if not left_over(folder):
            break
    assert answer.status_code == 200
    assert left_over(folder) == []


def test_uploads_are_counted(small):
    space, folder = small
    two = [("files", ("a.csv", b"a")), ("files", ("b.csv", b"b"))]
    field = {"data": {"x": "y" * MEGABYTE}, "files": {"files": ("a.csv", b"a")}}
    for refused in ({"files": two}, field, {"content": b"a"}):
        answer = post(space, "upload", **refused)
        assert (answer.status_code, "one file" in answer.text) == (400, True)
    big = post(space, "upload", files={"files": ("a.csv", b"a" * 3 * MEGABYTE)})
    assert (big.status_code, "2,000,000 bytes" in big.text) == (413, True)
    given = [
        post(space, "upload", files={"files": ("a.csv", bytes([65 + i]) * 19 * 10**5)})
        for i in range(4)
    ]
    assert [x.status_code for x in given] == [200, 200, 507, 507]
    assert "come back" in given[-1].json()["detail"]
    assert left_over(folder) == []


def palette(side):
    return encoded(Image.new("P", (side, side)), "PNG")


def bombs():
    large = encoded(Image.new("RGB", (2_500, 2_500)), "BMP")  # 19 MB
    many = zipped(("t.csv", "image\n" + "a.bmp\n" * 32), ("a.bmp", large))
    shared = parquet(text=["a" * 5 * MEGABYTE] * 300)
    texts = ("text\n" + ("x" * MEGABYTE + "\n") * 45).encode()
    pictures = zipped(*[(f"{i}.png", palette(6_300)) for i in range(16)])
    lists = zipped(("t.jsonl", b'{"text": "a", "x": [' + b"[],[]," * 10 * MEGABYTE + b"0]}"))
    return {"rows of one entry": many, "dictionary": shared, "texts": texts,
            "39.7 megapixels": pictures, "lists": lists}  # fmt: skip


def test_bombs_leave_the_memory_where_it_was(model_folder, tmp_path):
    with running_space(model_folder, tmp_path / "log") as space:
        client, process = connect(space.url), psutil.Process(space.pid)
        (tmp_path / "a.csv").write_text("text\na\n")
        client.predict(handle_file(tmp_path / "a.csv"), api_name="/predict_table")
        before = process.memory_info().rss
        for name, content in bombs().items():
            (tmp_path / "a.csv").write_bytes(content)
            with contextlib.suppress(AppError):
                client.predict(handle_file(tmp_path / "a.csv"), api_name="/predict_table")
            grown = process.memory_info().rss - before
            print(f"{name}: {len(content):,} bytes, grown by {grown / MEGABYTE:.0f} MB")
            assert grown < GROWTH, name
        assert "error" not in ask(space.url, "sad", None)
