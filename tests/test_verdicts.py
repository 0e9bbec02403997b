"""Odd files get one verdict: prepare, predict, pipeline and page accept and refuse the same rows."""

import io
import json
import zipfile
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from fabricated_sets import jpeg
from hostile_pictures import encoded, gif_with_frame, png_of_size
from in_process import score_here
from many_posts import read_answers
from PIL import Image
from tiny_models import save_tiny, tiny_processor

from datasets_scripts.intake import find_image, open_table, read_rows
from datasets_scripts.own_posts import read_posts
from datasets_scripts.pictures import inspect_pictures
from hybridsent.support.errors import PostsError
from hybridsent_space.posts import RefusedError, check_post
from hybridsent_space.settings import Settings
from hybridsent_space.table_files import open_upload
from modeling_hybridsent import HybridSentPipeline
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

PAGE = Settings(max_text_characters=1_000_000, max_unpacked_bytes=10**8, max_table_bytes=10**8)
HEAD = "id,text,label\n"
FINE = {"1": "hello", "2": "world"}
IMAGE = jpeg(1)
NONE = {}


class Case(NamedTuple):
    """A folder with one table, and the verdict.

    Attributes:
        content: Of the table.
        texts: Texts of the accepted rows by id; None: the file as a whole is refused.
        refused: What is wrong with the other rows, by position.
        name: Of the table.
        beside: Other files of the folder.
        images: Ids of the accepted rows that have an image.
    """

    content: bytes | str
    texts: dict | None
    refused: dict = NONE
    name: str = "posts.csv"
    beside: dict = NONE
    images: tuple = ()


def lines(*rows):
    return "".join(json.dumps({"label": "a", **row}) + "\n" for row in rows)


def jsonl(content, texts, refused=NONE, **more):
    return Case(content, texts, refused, "posts.jsonl", **more)


def parquet(columns, texts, refused=NONE, **more):
    buffer = io.BytesIO()
    size = len(next(iter(columns.values())))
    pq.write_table(pa.table({"label": ["a"] * size, **columns}), buffer)
    return Case(buffer.getvalue(), texts, refused, "posts.parquet", **more)


def not_utf8():
    bad = pa.Array.from_buffers(
        pa.string(),
        2,
        [None, pa.py_buffer(b"\0\0\0\0\5\0\0\0\7\0\0\0"), pa.py_buffer(b"hello\xff\xfe")],
    )
    return parquet({"id": ["1", "2"], "text": bad}, {"1": "hello"}, {1: "not UTF-8"})


def class_label():
    buffer = io.BytesIO()
    features = Features(
        {"id": Value("string"), "text": Value("string"), "label": ClassLabel(names=["b", "a"])}
    )
    posts = {"id": ["1", "2"], "text": ["hello", "world"], "label": [0, 1]}
    Dataset.from_dict(posts, features=features).to_parquet(buffer)
    return Case(buffer.getvalue(), FINE, name="posts.parquet")


def with_image(image, refused=None, text="hello", **files):
    """A post with text that names an image: refused if that is missing or broken."""
    row = lines({"id": "1", "text": text, "image": image}, {"id": "2", "text": "world"})
    texts = {"2": "world"} if refused else {"1": text or None, "2": "world"}
    images = () if refused else ("1",)
    return jsonl(
        row, texts, {0: refused} if refused else {}, beside={"a.jpg": IMAGE, **files}, images=images
    )


def broken_exif():
    return encoded(Image.new("RGB", (8, 8), "red"), exif=b"Exif\0\0" + b"\xff\x07garbage" * 9)


def moved():
    """An EPS file by the name of a JPEG."""
    return encoded(Image.new("RGB", (8, 8)), "EPS")


TIMES = pa.array([1 << 62, 1], pa.timestamp("us"))
ZONES = pa.array([1, 2], pa.timestamp("us", tz="Nowhere/Never"))
LONG = "a line, with a comma\n" * 8_000
CASES = {
    # delimiters and headers
    "comma": Case(HEAD + "1,hello,a\n2,world,b\n", FINE),
    "semicolon": Case("id;text;label\n1;hello;a\n2;world;b\n", FINE),
    "tab": Case("id\ttext\tlabel\n1\thello\ta\n2\tworld\tb\n", FINE),
    "tsv": Case("id\ttext\tlabel\n1\thello\ta\n2\tworld\tb\n", FINE, name="posts.tsv"),
    "sep line": Case("sep=;\nid;text;label\n1;hello;a\n2;world;b\n", FINE),
    "upper case ending": Case(HEAD + "1,hello,a\n2,world,b\n", FINE, name="POSTS.CSV"),
    "blank first lines": Case("\n\n" + HEAD + "1,hello,a\n\n2,world,b\n", FINE),
    "two byte order marks": Case("\ufeff\ufeff" + HEAD + "1,hello,a\n2,world,b\n", FINE),
    "spaces in the header": Case("id , text, label\n1,hello,a\n2,world,b\n", FINE),
    "trailing empty columns": Case("id,text,label,,\n1,hello,a,,\n2,world,b\n", FINE),
    "a column twice": Case("id,text,text,label\n1,hello,hello,a\n", None),
    "an unused column twice": Case("id,x,x,text,label\n1,,,hello,a\n2,,,world,b\n", FINE),
    "no text and no image": Case("id,tweet,label\n1,hello,a\n", None),
    "another letter case": Case("ID,Text,Label\n1,hello,a\n", None),
    "only a header": Case(HEAD, None),
    "empty": Case("", None),
    "a header that looks like a ZIP": Case("PK,id,text,label\n,1,hello,a\n,2,world,b\n", FINE),
    "thousands of columns": Case(
        HEAD.strip()
        + ",x" * 5_000
        + "\n1,hello,a"
        + "," * 5_000
        + "\n2,world,b"
        + "," * 5_000
        + "\n",
        FINE,
    ),
    # line ends, characters, encodings
    "CR": Case("id,text,label\r1,hello,a\r2,world,b\r", FINE),
    "CRCRLF": Case("id,text,label\r\r\n1,hello,a\r\r\n2,world,b\r\r\n", FINE),
    "control characters": Case(
        HEAD + "1,a\x0bb\x0cc\x1cd\x85e\u2028f,a\n", {"1": "a\x0bb\x0cc\x1cd\x85e\u2028f"}
    ),
    "NUL": Case(HEAD + "1,he\0llo,a\n2,world,b\n", {"1": "he\0llo", "2": "world"}),
    "UTF-16": Case((HEAD + "1,hello,a\n").encode("utf-16"), None),
    "UTF-16 without mark": Case((HEAD + "1,hello,a\n").encode("utf-16-le"), None),
    "Latin-1": Case(
        (HEAD + "1,hällo,a\n2,world,b\n").encode("latin-1"), {"2": "world"}, {0: "UTF-8"}
    ),
    "a zero-width space alone": Case(
        HEAD + "1,\u200b,a\n2,world,b\n", {"2": "world"}, {0: "neither"}
    ),
    # quotes and cells
    "quotes inside": Case(
        HEAD + '1,5" pipe,a\n2,"say ""hi""",b\n', {"1": '5" pipe', "2": 'say "hi"'}
    ),
    "a quote after a space": Case(
        'id, "text", label\n1, "hello", "a"\n 2, "a line,\nand 5"" more", b\n3,  plain , a\n',
        {"1": "hello", "2": 'a line,\nand 5" more', "3": "plain "},
    ),
    "never closed after a space": Case(
        HEAD + '1, hello, a\n3, "never closed, a\n4, "fourth", b\n2, "world", b\n',
        FINE,
        {1: "lines 3 to 4"},
    ),
    "more after a quote that follows a space": Case(
        HEAD + '1, hello, a\n3, "four"x, a\n2, world, b\n', FINE, {1: "line 3"}
    ),
    "backslash": Case(
        HEAD + '1,hello,a\n3,"He said \\"hi\\" to\nme, yes you",a\n2,world,b\n',
        FINE,
        {1: "lines 3 to 4"},
    ),
    "never closed": Case(
        HEAD + '1,hello,a\n3,"never closed,a\n4,fourth,b\n5,"fifth, too",a\n2,world,b\n',
        FINE,
        {1: "lines 3 to 5"},
    ),
    "closed by nothing": Case(
        HEAD + '1,hello,a\n3,"never closed,a\n2,world,b\n', {"1": "hello"}, {1: "lines 3 to 4"}
    ),
    "closed by another stray quote": Case(
        HEAD + '1,hello,a\n3,"so sad,a\n4,fourth,b\n5,so happy",a\n2,world,b\n',
        FINE,
        {1: "lines 3 to 5"},
    ),
    "lines with delimiters in a cell": Case(
        HEAD + '1,"1,5 kg\n2,5 kg",a\n2,"red, blue\nblue, red\nred, red",b\n',
        {"1": "1,5 kg\n2,5 kg", "2": "red, blue\nblue, red\nred, red"},
    ),
    "a long cell": Case(f'id,text,label\n1,"{LONG}",a\n2,world,b\n', {"1": LONG, "2": "world"}),
    "a long unused cell": Case(f"id,text,label,raw\n1,hello,a,{'x' * 140_000}\n2,world,b,\n", FINE),
    "more after a quote": Case(HEAD + '1,hello,a\n3,"four"x,a\n2,world,b\n', FINE, {1: "line 3"}),
    "too many cells": Case(
        HEAD + "1,hello, you,a\n2,world,b\n", {"2": "world"}, {0: "4 cells for 3"}
    ),
    "too few cells": Case(HEAD + "1,hello\n2,world,b\n", {"2": "world"}, {0: "2 cells for 3"}),
    "nothing in a row": Case(
        HEAD + "1, ,a\n2,world,b\n", {"2": "world"}, {0: "neither text nor image"}
    ),
    # JSON Lines
    "JSON array": jsonl('[{"id": "1", "text": "hello", "label": "a"}]\n', None),
    "pretty-printed": jsonl('{\n "id": "1",\n "text": "hello"\n}\n', None),
    "mark in the middle": jsonl(
        "\ufeff" + lines({"id": 1, "text": "hello"}) + "\ufeff" + lines({"id": 2, "text": "world"}),
        FINE,
    ),
    "JSON with CR": jsonl(
        lines({"id": 1, "text": "hello"}, {"id": 2, "text": "world"}).replace("\n", "\r"), FINE
    ),
    "not an object": jsonl(
        lines({"id": 1, "text": "hello"}) + "7\n", {"1": "hello"}, {1: "not a JSON object"}
    ),
    "broken lines": jsonl(
        b'{"id": 1, "text": "hello", "label": "a"}\n{"text": "two"\n\n{"text": "\xff"}\n'
        + lines({"id": 2, "text": "world"}).encode(),
        FINE,
        {1: "well-formed JSON", 2: "not UTF-8"},
    ),
    "unused fields": jsonl(
        lines(
            {"id": 1, "text": "hello", "x": {"y": [True, 0.5, None]}}, {"id": 2, "text": "world"}
        ),
        FINE,
    ),
    "a number of 5,000 digits": jsonl(
        lines({"id": 1, "text": "hello"}).replace("{", f'{{"x": {"9" * 5_000}, ', 1)
        + f'{{"id": {"8" * 5_000}, "text": "world", "label": "a"}}\n{{"text": {"7" * 5_000}}}\n',
        {"1": "hello", "8" * 5_000: "world"},
        {2: "got Decimal"},
    ),
    "NaN": jsonl(
        lines({"id": 1, "text": float("nan")}, {"id": 2, "text": "world", "image": float("nan")}),
        {"2": "world"},
        {0: "neither"},
    ),
    "numbers for texts": jsonl(
        lines({"id": 1, "text": 2020}, {"id": 2, "text": "world"}, {"id": 3, "text": ["a"]}),
        {"2": "world"},
        {0: "got int", 2: "got list"},
    ),
    "surrogates": jsonl(
        lines(
            {"id": 1, "text": "half \ud83d"},
            {"id": "\ud83d", "text": "x"},
            {"id": 2, "text": "world"},
        ),
        {"2": "world"},
        {0: "surrogate", 1: "surrogate"},
    ),
    "a field twice": jsonl(
        '{"id": 1, "text": "x", "text": "y", "label": "a"}\n' + lines({"id": 2, "text": "world"}),
        {"2": "world"},
        {0: "twice"},
    ),
    "deeply nested": jsonl(
        '{"id": '
        + "[" * 900
        + "]" * 900
        + ', "text": "x", "label": "a"}\n'
        + lines({"id": 2, "text": "world"})
        + '{"id": '
        + "[" * 100_000
        + "\n",
        {"[" * 900 + "]" * 900: "x", "2": "world"},
        {2: "nested too deeply"},
    ),
    "ids of all kinds": jsonl(
        lines(
            {"id": -1, "text": "a"},
            {"id": 7.0, "text": "b"},
            {"id": [1, "x"], "text": "c"},
            {"id": True, "text": "d"},
        ),
        {"-1": "a", "7": "b", '[1, "x"]': "c", "true": "d"},
    ),
    "columns that come late": jsonl(
        lines(*[{"id": i, "x": 1} for i in range(3, 150)], {"id": 1, "text": "hello"}),
        {"1": "hello"},
        dict.fromkeys(range(147), "neither"),
    ),
    # Parquet
    "Parquet": parquet({"id": ["1", "2"], "text": ["hello", "world"]}, FINE),
    "unused columns": parquet(
        {
            "id": ["1", "2"],
            "text": ["hello", "world"],
            "flag": [True, False],
            "x": [0.5, None],
            "tags": [["a"], []],
            "at": TIMES,
        },
        FINE,
    ),
    "whole numbers as fractions": parquet({"id": [1.0, 2.0], "text": ["hello", "world"]}, FINE),
    "an id of -1": parquet(
        {"id": [-1, 2], "text": ["hello", "world"]}, {"-1": "hello", "2": "world"}
    ),
    "no texts": parquet(
        {
            "id": ["1", "2"],
            "text": [float("nan"), None],
            "image": [{"bytes": IMAGE, "path": None}, {"bytes": None, "path": None}],
        },
        {"1": None},
        {1: "neither"},
        images=("1",),
    ),
    "not UTF-8": not_utf8(),
    "times out of range": parquet(
        {"id": TIMES, "text": ["hello", "world"]},
        {"1970-01-01 00:00:00.000001": "world"},
        {0: "column 'id'"},
    ),
    "unknown zone": parquet(
        {"id": ZONES, "text": ["hello", "world"]}, {}, {0: "column 'id'", 1: "column 'id'"}
    ),
    "a list for an image": parquet(
        {"id": ["1", "2"], "text": ["hello", "world"], "image": [[1], None]},
        {"2": "world"},
        {0: "got list"},
    ),
    "no Parquet": Case(b"PAR1 and no more", None, name="posts.parquet"),
    "class labels": class_label(),
    # other files
    "gzip": Case(b"\x1f\x8b\x08", None, name="posts.csv.gz"),
    "json": Case('[{"text": "a"}]', None, name="posts.json"),
    "a ZIP by the name of a CSV": Case(b"PK\x03\x04\x14\0\0\0\x08\0\xff\xfe", None),
    "hidden files beside": Case(
        HEAD + "1,hello,a\n2,world,b\n",
        FINE,
        beside={"._posts.csv": b"\0\5\x16\7", "__MACOSX/posts.csv": b"\0"},
    ),
    # images
    "an image": with_image("a.jpg"),
    "an image alone": with_image("a.jpg", text=""),
    "an image by its mapping": with_image({"bytes": None, "path": "sub/../a.jpg"}),
    "an image that is missing": with_image("absent.jpg", "absent.jpg"),
    "an image outside": with_image("../../../etc/hostname", "hostname"),
    "an image at a URL": with_image("https://example.org/a.jpg", "URL"),
    "a mapping in a mapping": with_image(
        {"bytes": None, "path": {"bytes": None, "path": "a.jpg"}}, "where bytes or a path should be"
    ),
    "a number for an image": with_image(3, "got int"),
    "a cut image": with_image("cut.jpg", "runcated", **{"cut.jpg": IMAGE[:200]}),
    "an empty image": with_image("none.jpg", "empty", **{"none.jpg": b""}),
    "no image by its name": with_image("page.jpg", "is not a", **{"page.jpg": b"<html>404</html>"}),
    "a drawing that runs code": with_image("eps.jpg", "is not a", **{"eps.jpg": moved()}),
    "more pixels than Pillow allows": with_image(
        "a.png", "20000 x 9000 pixels, more than", **{"a.png": png_of_size(20_000, 9_000)}
    ),
    "a frame of more pixels than Pillow allows": with_image(
        "a.gif", "400000000 pixels", **{"a.gif": gif_with_frame(20_000, 20_000)}
    ),
    "broken EXIF": with_image("exif.jpg", **{"exif.jpg": broken_exif()}),
    "an image by an odd name": with_image(
        "caf\u00e9 \U0001f600.jpg", **{"caf\u00e9 \U0001f600.jpg": IMAGE}
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    trained, _ = save_tiny(folder)
    processor = tiny_processor(max_length=64)  # the model has 64 places
    processor.save_pretrained(folder)
    return folder, HybridSentPipeline(model=trained, processor=processor)


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    """The case and its folder."""
    case, folder = CASES[request.param], tmp_path / "posts"
    for name, content in {case.name: case.content, **case.beside}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return case, folder


def require(case, accepted, refused):
    """Compare with the verdict: ids, texts and whether there is an image; places and reasons."""
    expected = {i: (text, i in case.images) for i, text in case.texts.items()}
    assert accepted == expected
    assert list(refused) == list(case.refused)
    for position, words in case.refused.items():
        assert words in refused[position]


def test_prepare(case):
    case, folder = case
    if case.texts is None:
        with pytest.raises(PostsError):
            read_posts(folder, label_names="a,b")
        return
    reading = read_posts(folder, label_names="a,b")
    inspect_pictures(reading, DEFAULT_MAX_IMAGE_PIXELS)
    numbers = [row.number for row in read_rows(open_table(folder / case.name))]
    refused = {numbers.index(int(row.where.split()[-1])): str(row) for row in reading.rejected}
    accepted = {post.id: (post.text, post.image is not None) for post in reading.posts}
    require(case, accepted, dict(sorted(refused.items())))


def test_predict(case, model, tmp_path):
    case, folder = case
    result = score_here("--model", model[0], "--input", folder, "--output", tmp_path / "answers")
    if case.texts is None:
        assert result.returncode == 1
        assert str(folder) in result.stderr
        assert not (tmp_path / "answers").exists()
        return
    hidden = any("line" in words for words in case.refused.values())
    assert result.returncode == hidden, result.stderr
    answers = read_answers(tmp_path / "answers")
    assert [answer["row"] for answer in answers] == list(range(len(answers)))
    refused = {answer["row"]: answer["error"] for answer in answers if answer["error"]}
    rows = {row.position: row for row in read_rows(open_table(folder / case.name))}
    accepted = {
        answer["id"]: (rows[answer["row"]].text, rows[answer["row"]].image is not None)
        for answer in answers
        if not answer["error"]
    }
    require(case, accepted, refused)


def test_pipeline(case, model):
    """Rows that the intake read, as a user's own code would hand them on."""
    case, folder = case
    if case.texts is None:
        return
    accepted, refused = {}, {}
    for row in read_rows(open_table(folder / case.name)):
        try:
            if row.problem:
                raise ValueError(row.problem)
            image = row.image
            if isinstance(image, str):
                image = find_image(image, folder, follow_links=True)
            assert model[1]({"text": row.text, "image": image})["label"]
            accepted[row.id] = (row.text, image is not None)
        except ValueError as error:
            refused[row.position] = str(error)
    require(case, accepted, refused)


def upload(case, folder):
    """Return what a visitor would upload: the table, or an archive of the folder."""
    if not case.beside:
        return folder / case.name
    with zipfile.ZipFile(folder.parent / "posts.zip", "w") as archive:
        for name in (case.name, *case.beside):
            archive.write(folder / name, name)
    return folder.parent / "posts.zip"


def test_page(case):
    case, folder = case
    accepted, refused = {}, {}
    if case.texts is None:
        with pytest.raises(RefusedError), open_upload(upload(case, folder), PAGE) as table:
            list(table.rows)
        return
    with open_upload(upload(case, folder), PAGE) as table:
        for position, row in enumerate(table.rows):
            try:
                if row.problem:
                    raise RefusedError(row.problem)
                post = check_post(row.text, row.image, PAGE)
                accepted[row.id] = (post.text, post.image is not None)
            except RefusedError as error:
                refused[position] = str(error)
    require(case, accepted, refused)
