"""Rows of every kind of input, with ids carried and broken rows in their place."""

import json
import os
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from loopback_hub import LoopbackHub, point_client_at
from many_posts import (
    FIELDS,
    good_posts,
    png,
    write_csv,
    write_jsonl,
    write_parquet,
)

from datasets_scripts import PostsError, prepare
from datasets_scripts.intake import find_image
from hybridsent.bundled.synthetic import write_posts
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.rows import Assignment

EVERYTHING = Assignment(rows_per_shard=10)
WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


def rows_of(name, share=EVERYTHING, **options):
    return list(find_input(str(name), **options).rows(share))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_gives_its_rows(kind, tmp_path):
    posts = good_posts(25)
    file = WRITERS[kind](tmp_path / f"posts.{kind}", posts)
    rows = rows_of(file)
    assert [row.number for row in rows] == list(range(25))
    assert [row.id for row in rows] == [post["id"] for post in posts]
    assert [row.text for row in rows] == [post["text"] for post in posts]
    assert [row.image for row in rows] == [post["image"] or None for post in posts]
    assert {row.folder for row in rows} == {str(tmp_path)}
    assert find_input(str(file)).total() == 25


@pytest.mark.parametrize("kind", WRITERS)
def test_the_shares_of_processes_are_the_whole(kind, tmp_path):
    file = WRITERS[kind](tmp_path / f"posts.{kind}", good_posts(43))
    shares = [Assignment(4, done=(1, 5), process=i, processes=3) for i in range(3)]
    found = [[row.number for row in rows_of(file, share)] for share in shares]
    assert all(len(part) > 8 for part in found)
    done = {*range(4, 8), *range(20, 24)}
    assert sorted(row for part in found for row in part) == [i for i in range(43) if i not in done]
    assert [len(part) for part in found] == [share.count(43) for share in shares]


def test_a_folder_gives_its_files_in_order_and_a_split_alone(tmp_path):
    write_csv(tmp_path / "test.csv", good_posts(3))
    write_jsonl(tmp_path / "train.jsonl", good_posts(4))
    (tmp_path / "notes.md").write_text("no posts")
    rows = rows_of(tmp_path)
    assert [row.number for row in rows] == list(range(7))
    assert [row.id for row in rows] == [f"post-{i}" for i in (0, 1, 2, 0, 1, 2, 3)]
    assert len(rows_of(tmp_path, split="train")) == 4
    with pytest.raises(PostsError, match="no file of split 'validation'"):
        find_input(str(tmp_path), split="validation")


def test_an_image_folder_gives_the_posts_of_its_metadata(tmp_path):
    for split in ("test", "train"):
        (tmp_path / split).mkdir()
        lines = [{"file_name": f"{i}.png", "text": split} for i in range(2)]
        write_jsonl(tmp_path / split / "metadata.jsonl", lines)
    rows = rows_of(tmp_path)
    assert [(row.text, row.image) for row in rows] == [
        (split, f"{i}.png") for split in ("test", "train") for i in range(2)
    ]
    assert {row.folder for row in rows_of(tmp_path, split="train")} == {str(tmp_path / "train")}


def test_a_prepared_folder_gives_its_posts(tmp_path):
    raw = write_posts(tmp_path / "raw", sizes={"train": 9, "validation": 5, "test": 6})
    prepare("posts", raw, tmp_path / "prepared")
    rows = rows_of(tmp_path / "prepared", split="test")
    assert [row.id for row in rows] == [row.id for row in rows_of(raw / "test.csv")]
    assert any(isinstance(row.image, bytes) for row in rows)
    assert len(rows_of(tmp_path / "prepared")) == 20


def test_a_damaged_row_group_costs_its_rows_only(tmp_path):
    file = tmp_path / "posts.parquet"
    table = pa.table({"text": [f"text number {i}" for i in range(30)]})
    pq.write_table(table, file, row_group_size=10, compression="none", use_dictionary=False)
    group = pq.ParquetFile(file).metadata.row_group(1).column(0)
    content = bytearray(file.read_bytes())
    start = group.data_page_offset
    content[start : start + group.total_compressed_size] = b"\xff" * group.total_compressed_size
    file.write_bytes(content)
    rows = rows_of(file)
    assert [row.number for row in rows] == list(range(30))
    assert [bool(row.problem) for row in rows] == [10 <= i < 20 for i in range(30)]
    assert "row group 1 is damaged" in rows[10].problem


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("posts.csv", b"", "needs a column 'text' or 'image'"),
        ("posts.csv", b"tweet,label\na,b\n", "needs a column 'text' or 'image'"),
        ("posts.csv", b"text,text\na,b\n", "column 'text' appears twice"),
        ("posts.csv", b"\xff\xfe\n", "not UTF-8"),
        ("posts.jsonl", b'{"tweet": "a"}\n', "needs a column 'text' or 'image'"),
        ("posts.parquet", b"nothing", "not a Parquet file"),
        ("posts.xlsx", b"", "no such file or folder of posts"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_one_error(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PostsError, match=words) as caught:
        find_input(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


def test_links_of_the_owner_are_followed_as_in_the_cache_of_the_hub(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    (snapshot / "images").mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1f").write_text("id,text,image\n1,sun,images/0.png\n")
    (snapshot / "posts.csv").symlink_to("../../blobs/1f")
    for name in (str(snapshot), str(snapshot / "posts.csv")):
        (row,) = rows_of(name)
        assert (row.id, row.image, row.folder) == ("1", "images/0.png", str(snapshot))
    (blobs / "2e").write_bytes(b"")
    (snapshot / "images" / "0.png").symlink_to("../../../blobs/2e")
    assert find_image(row.image, row.folder, follow_links=True).endswith("images/0.png")
    with pytest.raises(ValueError, match="image leaves the folder"):
        find_image(row.image, row.folder, follow_links=False)


def test_what_is_not_there_is_named(tmp_path):
    for name in ("absent.csv", "/absent/folder", "a/b/c"):
        with pytest.raises(PostsError, match=f"{name}: no such file or folder"):
            find_input(name)
    with pytest.raises(PostsError, match="no file that ends in"):
        find_input(str(tmp_path))


def test_identity_changes_with_the_file(tmp_path):
    file = write_csv(tmp_path / "posts.csv", good_posts(3))
    before = find_input(str(tmp_path)).identity()
    assert json.loads(json.dumps(before)) == before == find_input(str(tmp_path)).identity()
    os.utime(file, (1, 1))
    assert find_input(str(tmp_path)).identity() != before


@pytest.mark.parametrize("kind", WRITERS)
def test_a_column_that_seems_to_be_meant_is_named(kind, tmp_path):
    posts = [{"text": "a day", "id": "1", "image": "x.png", "label": "a"}]
    file = WRITERS[kind](tmp_path / f"posts.{kind}", posts)
    assert find_input(str(file)).unread == {}
    table = pa.table({"text": ["a day"], "img_path": ["x.png"], "source": ["b"]})
    if kind == "parquet":
        pq.write_table(table, file)
    else:
        file.write_text(
            {"csv": "text,img_path,source\n", "jsonl": json.dumps(table.to_pylist()[0])}[kind]
        )
    assert find_input(str(file)).unread == {"img_path": "image"}


def test_columns_besides_are_passed_over(tmp_path):
    posts = [{**post, "extra": {"deep": [1, 2]}} for post in good_posts(3)]
    for kind in ("jsonl", "parquet"):
        rows = rows_of(WRITERS[kind](tmp_path / f"posts.{kind}", posts))
        assert [row.problem for row in rows] == [None] * 3
    assert set(FIELDS) >= {"id", "text", "image"}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with LoopbackHub(user="USER") as running:
        point_client_at(running, monkeypatch, tmp_path / "cache")
        yield running


@pytest.mark.parametrize("file", ["README.md", ".huggingface.yaml"])
def test_a_data_set_of_the_hub_whose_settings_name_files_elsewhere_opens_none(hub, file, tmp_path):
    (tmp_path / "mine.csv").write_text("text\nsecret\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.csv"
        for i, settings in enumerate(
            [
                {"data_files": url},
                {"data_files": [{"split": "test", "path": ["a.csv", f"zip://a.csv::{url}"]}]},
                {"data_files": str(tmp_path / "mine.csv")},
                {"data_dir": f"..{tmp_path}"},
            ]
        ):
            content = yaml.safe_dump({"configs": [{"config_name": "default", **settings}]})
            content = f"---\n{content}---\n" if file == "README.md" else content
            hub.create("dataset", f"USER/S{i}", {file: content.encode(), "a.csv": b"text\nsun\n"})
            with pytest.raises(PostsError, match=f"{file} names .*no file of the data set"):
                find_input(f"USER/S{i}")
        with pytest.raises(BlockingIOError):  # nobody called
            listener.accept()


def test_an_image_of_the_hub_that_cannot_be_decoded_costs_its_row_only(hub):
    lines = [{"file_name": name, "text": "sun"} for name in ("a.png", "b.png")]
    table = "".join(json.dumps(line) + "\n" for line in lines).encode()
    hub.create("dataset", "USER/SET", {"metadata.jsonl": table, "a.png": b"no", "b.png": png()})
    rows = rows_of("USER/SET")
    assert [row.problem for row in rows] == [None] * 2
    assert [row.image.rpartition("/")[2] for row in rows] == ["a.png", "b.png"]
