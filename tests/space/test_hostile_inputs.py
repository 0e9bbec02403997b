"""What a stranger might send: each gets a message, the server stays up and gives its memory back."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet
import pytest
from gradio_client.exceptions import AppError
from hostile_pictures import encoded, png_of_size
from PIL import Image
from space.hostile_uploads import SHAPES, parquet, zipped
from space.visitors import API, HTTP, ask, ask_table, functions_of
from tiny_models import picture

MEGABYTE = 1_000_000
POSTS = 30  # at once
GROWTH = 100 * MEGABYTE  # that Python and its allocator may keep; a leak of these inputs is more


PNG = encoded(picture(0, 200, 200), "PNG")
JPEG = encoded(picture(0, 200, 200), "JPEG")
FRAMES = [Image.new("P", (20, 20), i % 256) for i in range(500)]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

# Content of a picture file -> what the answer says; None: it is a picture, odd as it may be.
PICTURES = {
    "empty": (b"", "the file is empty"),
    "text": (b"just words", "is not a JPEG"),
    "svg with a script": (SVG, "is not a JPEG"),
    "web page": (b"<!doctype html><script>alert(1)</script>", "is not a JPEG"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is not a JPEG"),
    "tiff": (encoded(picture(), "TIFF"), None),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "is not a JPEG"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "truncated"),
    "half a png": (PNG[: len(PNG) // 2], "The image: "),
    "png of 4 thousand million pixels": (png_of_size(65_000, 65_000), "pixels"),
    "png of no width": (png_of_size(0, 10), "The image: "),
    "png with 100,000 columns": (png_of_size(100_000, 100), "pixels"),
    "wrong checksum": (PNG[:40] + b"\xff" * 20 + PNG[60:], "The image: "),
    "more bytes than allowed": (PNG + b"\0" * 2 * MEGABYTE, "bytes"),
    "animation of 500 frames": (
        encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
        None,
    ),
    "one pixel": (encoded(Image.new("RGB", (1, 1)), "PNG"), None),
    "a line of 9,000 x 1": (encoded(Image.new("RGB", (9_000, 1)), "PNG"), None),
    "16-bit grey": (encoded(Image.fromarray(np.full((9, 9), 40_000, np.uint16)), "PNG"), None),
    "inks": (encoded(Image.new("CMYK", (9, 9)), "JPEG"), None),
    "see-through": (encoded(Image.new("RGBA", (9, 9)), "WEBP"), None),
}
TEXTS = {
    "90,000 characters": ("x" * 90_000, "characters"),
    "script": ("<script>alert(1)</script>", None),
    "zero bytes": ("a\0b", None),
    "right to left and stacked marks": ("\u202e" + "a\u0301\u0302" * 500, None),
    "one word of 4,000 letters": ("y" * 4_000, None),
    "only white space": (" \t\n\u2003", "empty"),
}


LATIN = "text\nschön\n".encode("latin-1")
DEEP = '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
TABLE = parquet(text=["a", "b"])
# Content of a table -> what the refusal says, or what the errors of its rows say.
TABLES = {
    "empty": (b"", "empty"),
    "image": (PNG, "not UTF-8"),
    "other columns": (b"a,b\n1,2\n", "needs a column"),
    "latin-1": (LATIN, "not UTF-8"),
    "too many rows": (b"text\n" + b"a\n" * 5_000, "more than 300 rows"),
    "two million columns": (b"text" + b",a" * 2 * MEGABYTE + b"\n1\n", "Line 1"),
    "quote that never ends": (b'text\n"' + b"a" * MEGABYTE, "a quote is not closed"),
    "nested 100,000 deep": (DEEP.encode(), "nested too deeply|got list"),
    "number of a million digits": (b'{"text": ' + b"9" * MEGABYTE + b"}\n", "got Decimal"),
    "a json list": (b'[{"text": "a"}]', "Write one object a line"),
    "half a parquet file": (TABLE[: len(TABLE) // 2], "not a Parquet file"),
    "parquet with numbers as texts": (parquet(text=[1.5, 2.5]), "got float"),
    "parquet with lists as images": (parquet(image=[[1, 2], [3]]), "got list"),
    "parquet that grows": (
        parquet(text=["a" * 9 * MEGABYTE + str(i) for i in range(5)]),
        "Unpacked",
    ),
    "zip that grows": (zipped(("a.csv", b"text\n" + b"a" * 50 * MEGABYTE)), "40,000,000"),
    "zip that lies": (
        zipped(("1.txt", b"a" * 5 * MEGABYTE), claim=9),
        "cannot be unpacked|characters",
    ),
    "zip of a zip": (zipped(("a.zip", zipped(("a.csv", b"text\na\n")))), "neither a table"),
    "zip with ways out": (
        zipped(("t.csv", b"image\n../../etc/passwd\n/etc/passwd\n")),
        "does not exist",
    ),
    "half a zip": (zipped(("a.csv", b"text\na\n"))[:40], "damaged"),
    "addresses": (b"image\nhttp://127.0.0.1:1/a.png\nfile:///etc/passwd\n", "URLs are not fetched"),
    "damaged images": (zipped(("1.png", JPEG[:500]), ("2.png", SVG)), "The image: "),
}


def check(answer, message):
    """An answer, or exactly the error that was to be expected."""
    if message is None:
        assert "error" not in answer
        assert 0 < answer["score"] <= 1
    else:
        assert set(answer) == {"error"}
        assert any(part in answer["error"] for part in message.split("|")), answer


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(space, name):
    content, message = PICTURES[name]
    check(ask(space.url, "sad", content), message)


@pytest.mark.parametrize("name", TEXTS)
def test_texts(space, name):
    text, message = TEXTS[name]
    check(ask(space.url, text, None), message)


@pytest.mark.parametrize("name", TABLES)
def test_tables(space, name):
    content, message = TABLES[name]
    try:
        summary, files = ask_table(space.url, content)
    except AppError as refusal:
        errors = [str(refusal)]
    else:
        errors = pyarrow.parquet.read_table(files[1]).column("error").to_pylist()
        assert summary["failed"] == summary["rows"] == len(errors)
    assert errors
    for error in errors:
        assert any(part in (error or "no error") for part in message.split("|")), errors


def raw(space, data, **more):
    """A request as no honest client sends it."""
    body = {"data": data, "fn_index": 0, "session_hash": uuid.uuid4().hex, **more}
    return HTTP.post(f"{space.url}{API}/queue/join", json=body)


FILE = {"meta": {"_type": "gradio.FileData"}}
REQUESTS = {
    "a file of the server": ["a", {**FILE, "path": "/etc/passwd"}],
    "a way out of the uploads": ["a", {**FILE, "path": "../../../etc/passwd"}],
    "an address": ["a", {**FILE, "path": "http://127.0.0.1:1/a.png"}],
    "an address beside the path": ["a", {**FILE, "url": "http://127.0.0.1:1/a.png"}],
    "a number as a path": ["a", {**FILE, "path": 7}],
    "a file deep inside": [[[{"x": {**FILE, "path": "/etc/passwd"}}]], None],
    "a file that is not called one": ["a", {"path": "/etc/passwd"}],
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_for_files_that_nobody_uploaded(space, name):
    answer = raw(space, REQUESTS[name])
    assert answer.status_code == 400
    assert "upload" in answer.json()["detail"]


def test_a_body_without_end_and_one_that_is_no_json(space):
    address = f"{space.url}{API}/queue/join"
    assert HTTP.post(address, content=b"x" * 9 * MEGABYTE).status_code == 413
    assert HTTP.post(address, content=b"{").status_code == 400
    assert HTTP.post(address, content=b"[" * 100_000).status_code == 400


def test_an_upload_without_end_is_cut_off(space):
    many = {"files": ("a.csv", b"x" * 11 * MEGABYTE)}
    answer = HTTP.post(f"{space.url}{API}/upload", files=many)
    assert (answer.status_code, "10,000,000 bytes" in answer.text) == (413, True)


def test_hostile_posts_do_not_spoil_the_batch_of_others(space):
    number = functions_of(space.url)["predict"]
    with ThreadPoolExecutor(POSTS) as pool:
        bad = JPEG[:300]
        jobs = [pool.submit(ask, space.url, "sad", bad if i % 2 else None) for i in range(POSTS)]
        for shape in SHAPES:
            answer = raw(space, shape, fn_index=number)
            assert (answer.status_code, "A post is" in answer.text) == (400, True), shape
            for disguised in (str(number), f" {number}", float(number), [number]):
                answer = raw(space, shape, fn_index=disguised)
                assert (answer.status_code, "whole number" in answer.text) == (400, True), shape
            for way in ("call", "run", "api"):
                address = f"{space.url}{API}/{way}/predict"
                assert HTTP.post(address, json={"data": shape}).status_code == 400
        raw(space, ["a", {**FILE, "path": "/etc/passwd"}], fn_index=number)
    for i, job in enumerate(jobs):
        check(job.result(), "Truncated" if i % 2 else None)


def test_memory_returns_to_where_it_was(space):
    def once():
        for content, _ in PICTURES.values():
            ask(space.url, "sad", content)
        for text, _ in TEXTS.values():
            ask(space.url, text, None)
        for content, _ in TABLES.values():
            try:
                ask_table(space.url, content)
            except AppError:
                continue

    once()
    before = space.resident_bytes()
    for _ in range(3):
        once()
    grown = space.resident_bytes() - before
    print(f"memory: {before / MEGABYTE:.0f} MB, grown by {grown / MEGABYTE:.1f} MB")
    assert grown < GROWTH
    assert "error" not in ask(space.url, "still here", None)
    assert json.loads(HTTP.get(f"{space.url}/config").text)["title"] == "hybridsent"
