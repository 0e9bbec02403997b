"""Three thousand rows, some of which would stop, flood or misuse a run, give as many answers."""

import json
import os
import socket

import pytest
from hostile_pictures import encoded, png_of_size
from in_process import score_here
from many_posts import direct, good_posts, read_answers, save_pictures
from PIL import Image
from tiny_models import LABELS, picture, save_tiny, tiny_processor

ROWS = 3_000
DISTINCT = 24  # good posts; the others repeat them
OUTSIDE = "image leaves the folder"
ABSENT = "image does not exist"
URL = "image is a URL"
SURROGATE = "unpaired surrogate"


def hostile_files(folder):
    """Write files that are no images, or no files; return what each gives by its name."""
    jpeg, png = (encoded(picture(0, 90, 70), kind) for kind in ("JPEG", "PNG"))
    content = {
        "html.jpg": (b"<!doctype html>", "is not a JPEG"),
        "svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a JPEG"),
        "eps.jpg": (encoded(Image.new("RGB", (8, 8)), "EPS"), "is not a JPEG"),
        "none.png": (b"", "the file is empty"),
        "half.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "half.png": (png[: len(png) // 2], "image "),
        "spoilt.png": (png[:40] + b"\xff" * 20 + png[60:], "image "),
        "wide.png": (png_of_size(300_000, 1_000), "300000 x 1000 pixels"),
        "huge.png": (png_of_size(60_000, 60_000), "60000 x 60000 pixels"),
        "line.png": (png_of_size(0, 9), "image "),
    }
    for name, (given, _) in content.items():
        (folder / name).write_bytes(given)
    os.mkfifo(folder / "fifo.png")
    links = {"loop.png": "loop.png", "dead.png": "gone.png", "zero.png": "/dev/zero"}
    links["mine.png"] = str(folder.parent / "outside.png")
    for name, target in links.items():
        (folder / name).symlink_to(target)
    absent = dict.fromkeys(["fifo.png", "loop.png", "dead.png", "zero.png", "images"], ABSENT)
    # The owner of a local folder made its links, so they are followed.
    return {name: message for name, (_, message) in content.items()} | absent | {"mine.png": None}


def hostile_rows(folder, port):
    """Return lines of JSON, each with the words of its error; None for an odd row with an answer."""
    here = f"127.0.0.1:{port}"
    images = {
        **hostile_files(folder),
        "../outside.png": OUTSIDE,
        "images/../../outside.png": OUTSIDE,
        str(folder.parent / "outside.png"): OUTSIDE,
        "/etc/passwd": OUTSIDE,
        "/dev/zero": OUTSIDE,
        "/proc/self/mem": OUTSIDE,
        "images/0.png\0": OUTSIDE,
        "half\ud83d.png": SURROGATE,
        "x" * 5_000: ABSENT,
        "data:image/png;base64,iVBORw0KGgo=": ABSENT,
        f"http://{here}/a.png": URL,
        f"https://{here}/a.png": URL,
        f"ftp://{here}/a.png": URL,
        "file:///etc/passwd": URL,
        f"zip://a.png::http://{here}/a.zip": URL,
        f"hf://datasets/a/b@http://{here}/a.png": URL,
    }
    rows = [({"text": "a sad day", "image": name}, message) for name, message in images.items()]
    nested = {"bytes": None, "path": {"bytes": None, "path": "/etc/passwd"}}
    rows += [({"text": "a sad day", "image": x}, "") for x in (3, [1], True, nested, {"x": 1})]
    rows += [({"text": x}, "text") for x in (7, 0.5, True, ["a"], {"a": "b"}, float("inf"))]
    rows += [({"text": "a\ud83d"}, SURROGATE), ({"id": "\ud83d", "text": "a"}, SURROGATE)]
    rows += [({"text": float("nan"), "image": None}, "neither"), ({"text": "\u200b"}, "neither")]
    rows += [({"text": "a very bad day " * 300_000}, None), ({"text": "a\0b \u202e"}, None)]
    deep = b'{"text": ' + b"[" * 100_000 + b"\n"
    lines = [deep, b'{"text": "a", "text": "b"}\n', b'{"text": \n', b"7\n", b'{"text": "\xff"}\n']
    return [(json.dumps(row).encode() + b"\n", words) for row, words in rows] + [
        (line, "") for line in lines
    ]


@pytest.fixture
def listener():
    """A socket that would see whoever follows a URL of a row."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def test_each_row_gets_an_answer_and_no_url_is_followed(listener, tmp_path):
    model, _ = save_tiny(tmp_path / "model")
    processor = tiny_processor(max_length=64)  # the model has 64 places
    processor.save_pretrained(tmp_path / "model")
    folder = tmp_path / "posts"
    save_pictures(folder)
    hostile = hostile_rows(folder, listener.getsockname()[1])
    good = good_posts(DISTINCT)
    places = {i * (ROWS // len(hostile)): pair for i, pair in enumerate(hostile)}
    with (folder / "posts.jsonl").open("wb") as table:
        for i in range(ROWS):
            line = places[i][0] if i in places else json.dumps(good[i % DISTINCT]).encode() + b"\n"
            table.write(line)
    given = ("--model", tmp_path / "model", "--input", folder, "--output", tmp_path / "answers")
    result = score_here(*given, "--batch_size", 64)
    assert result.returncode == 0, result.stderr
    with pytest.raises(BlockingIOError):  # nobody called
        listener.accept()
    answers = read_answers(tmp_path / "answers")
    assert [answer["row"] for answer in answers] == list(range(ROWS))
    outputs = direct(model, processor, good, folder)
    expected = [output.logits.softmax(dim=-1)[0] for output in outputs]
    for answer in answers:
        line, words = places.get(answer["row"], (b"", None))
        if words is not None:
            assert answer["label"] is None, line[:200]
            assert words in answer["error"], line[:200]
            assert len(answer["error"]) < 1_000
        else:
            assert answer["error"] is None, line[:200]
        if not line:
            p = expected[answer["row"] % DISTINCT]
            assert answer["label"] == LABELS[int(p.argmax())]
            assert answer["score"] == pytest.approx(float(p.max()), abs=1e-5)
