"""Uploaded tables and archives: every row keeps its place, limits hold, downloads are harmless."""

import csv
import zipfile

import gradio as gr
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from file_limit import limited_files
from hostile_pictures import encoded
from many_posts import png
from PIL import Image
from tiny_models import LABELS, picture

from hybridsent_space.many_posts import FAILED, ManyPosts, choose, summarise
from hybridsent_space.posts import RefusedError, check_post
from hybridsent_space.settings import Settings
from hybridsent_space.storage import Storage
from hybridsent_space.table_files import open_upload
from hybridsent_space.table_scores import score_table, write_downloads

SETTINGS = Settings(max_table_rows=50, max_unpacked_bytes=2_000_000)


def rows_of(path, settings=SETTINGS):
    with open_upload(path, settings) as table:
        rows = list(table.rows)
        assert len(rows) == table.count
    return rows


def archive(path, **files):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def test_a_column_that_seems_to_be_meant_is_noted(scorer, tmp_path):
    (tmp_path / "a.csv").write_text("id,text,photo\n1,so sad,a.png\n")
    (note,) = summarise(score_table(scorer, tmp_path / "a.csv", SETTINGS))["notes"]
    assert note == "The column 'photo' is not read; if it is meant, call it image."


def test_csv_rows(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('id,text,image,other\n7,"a, b",,x\n,so sad,http://x/y.png,\n9,,,\n8,a,b,c,d\n')
    rows = rows_of(file)
    assert [row.id for row in rows] == ["7", "2", "9", "4"]
    assert [row.text for row in rows[:3]] == ["a, b", "so sad", None]
    assert "URLs are not fetched" in rows[1].problem
    assert rows[2].problem == "neither text nor image"
    assert "5 cells for 4 columns" in rows[3].problem


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(tmp_path, delimiter):
    file = tmp_path / "a.csv"
    file.write_text(f"id{delimiter}text\n1{delimiter}so, so good\n")
    assert [row.text for row in rows_of(file)] == ["so, so good"]


def test_jsonl_rows_are_told_by_content(tmp_path):
    file = tmp_path / "a.csv"
    lines = ['{"text": "a", "id": 3}', "", '{"text": 7}', '{"text": ', "[1]", '{"image": "x.png"}']
    file.write_text("{}\n" + "\n".join(lines[:2]) + "\n" + "\n".join(lines[2:]))
    rows = rows_of(file)
    assert [row.id for row in rows] == ["1", "3", "3", "4", "5", "6"]
    assert rows[2].problem == "text must be str or None, got int"
    assert "not well-formed JSON" in rows[3].problem
    assert "not a JSON object" in rows[4].problem
    assert rows[5].problem == "image does not exist: 'x.png'"


def test_parquet_rows_with_pictures_inside(tmp_path):
    images = [{"bytes": png(), "path": None}, {"bytes": None, "path": "a.png"}, None]
    table = pyarrow.table({"text": ["a", "b", "c"], "image": images, "label": [0, 1, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "a.bin")
    rows = rows_of(tmp_path / "a.bin")
    assert [row.image for row in rows] == [png(), "a.png", None]
    assert rows[1].problem == "image does not exist: 'a.png'"


def test_archive_with_a_table(tmp_path):
    table = "text,image\na,images/x.png\nb,./images/../images/x.png\nc,../x.png\nd,/etc/passwd\n"
    path = archive(
        tmp_path / "a.zip",
        **{"f/t.csv": table, "f/images/x.png": png(), "__MACOSX/f/._t.csv": b"\0"},
    )
    rows = rows_of(path)
    assert [row.image for row in rows[:2]] == [png(), png()]
    assert all("image does not exist" in row.problem for row in rows[2:])


def test_archive_of_pictures_and_texts(tmp_path):
    path = archive(
        tmp_path / "a.zip",
        **{"2.txt": "so sad\n", "2.jpg": png(), "10.JPG": b"x", "3.md": "-"},
    )
    rows = rows_of(path)
    assert [(row.id, row.text, row.image) for row in rows] == [
        ("10", None, b"x"),
        ("2", "so sad", png()),
    ]


def refused(path, settings=SETTINGS):
    with pytest.raises(RefusedError) as error:
        rows_of(path, settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"text\n", "no rows"),
        (b"a,b\n1,2\n", "needs a column named text, one named image, or both; it has: a, b"),
        (b"\xff\xfet\0", "not UTF-8"),
        (b'[{"text": "a"}]', "Write one object a line"),
        (b"text,text\na,b\n", "column 'text' appears twice"),
        (b'{"words": "a"}\n', "it has: words"),
        (b"PAR1 and then nothing", "not a Parquet file"),
        (b"PK\x03\x04 and then nothing", "ZIP archive is damaged"),
        (b"text\n" + b"a\n" * 51, "more than 50 rows"),
        (b'{"text": "a"}\n' * 51, "more than 50 rows"),
        (b"text" + b",c" * 10_000 + b"\n", "more than 10,000 columns"),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(tmp_path, content, message):
    file = tmp_path / "upload.csv"
    file.write_bytes(content)
    assert message in refused(file)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text\na\n")
    assert "more than 5 bytes. Split it" in refused(file, Settings(max_table_bytes=5))


def test_archives_of_too_many_files_are_refused_unread(tmp_path):
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.csv", b"text\na\n")
        for number in range(200):
            made.writestr(f"{number}.md", b"")
    assert len(rows_of(path)) == 1
    assert "list of files has more than 5,000 bytes" in refused(
        path, Settings(max_listed_bytes=5_000)
    )


def test_archives_that_grow_are_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.csv", b"text\n" + b"a" * 3_000_000)
    assert "Unpacked, the file has more than 2,000,000 bytes" in refused(path)
    parquet = tmp_path / "bomb.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"text": ["a" * 100_000 + str(i) for i in range(40)]}), parquet
    )
    assert "Unpacked" in refused(parquet)


def test_archives_with_several_tables_or_nothing_are_refused(tmp_path):
    assert "2 tables" in refused(archive(tmp_path / "a.zip", **{"a.csv": "text", "b.jsonl": "{}"}))
    assert "neither a table" in refused(archive(tmp_path / "b.zip", **{"a.md": "x"}))
    many = {f"{i}.txt": "a" for i in range(51)}
    assert "more than 50 rows" in refused(archive(tmp_path / "c.zip", **many))


def test_an_archive_that_lies_about_a_size_costs_its_row_only(tmp_path):
    path = archive(tmp_path / "a.zip", **{"1.txt": "fine", "2.txt": "sad sad sad"})
    broken = path.read_bytes().replace(b"sad sad sad", b"sad sad xxx")  # its checksum is wrong now
    path.write_bytes(broken)
    rows = rows_of(path)
    assert rows[0].text == "fine"
    assert "2.txt" in rows[1].problem


def test_one_bad_row_costs_itself_alone(tmp_path):
    image = encoded(picture(), "JPEG", exif=b"Exif\0\0garbage")
    table = b"id,text,image\n1,,a.jpg\n\xff,x,\n2,b,c.bmp\n4,,\xc3.jpg\n5,fine,\n"
    path = archive(tmp_path / "a.zip", **{"._t.csv": b"\0", "t.csv": table, "a.jpg": image})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("c.bmp", encoded(picture(1), "BMP"))
        place = made.getinfo("c.bmp").header_offset + 30 + len("c.bmp")
    broken = bytearray(path.read_bytes())
    broken[place : place + 40] = b"\xff" * 40
    path.write_bytes(broken)
    problems = [row.problem for row in rows_of(path)]
    assert [problem is None for problem in problems] == [True, False, False, False, True]
    assert "cannot be unpacked" in problems[2]
    lines = ['{"id": "\\ud800", "text": "a"}', '{"text": "\\udfff"}', '{"text": "fine"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert [bool(row.problem) for row in rows_of(tmp_path / "a.jsonl")] == [True, True, False]


@pytest.mark.parametrize("first", ["PK", "PAR1", "[id]", "{id}", '"{"'])
def test_the_mark_of_another_format_may_begin_a_header(first, tmp_path):
    (tmp_path / "a.csv").write_text(f"{first},text\n1,hello\n")
    assert [row.text for row in rows_of(tmp_path / "a.csv")] == ["hello"]


def test_what_is_unpacked_is_counted_as_often_as_it_is(tmp_path):
    """Thirty-two rows of a small file name one large entry."""
    content = encoded(Image.new("RGB", (700, 500)), "BMP")  # of a million bytes
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("t.csv", "image\n" + "a.bmp\n" * 32)
        made.writestr("a.bmp", content)
    problems = [row.problem for row in rows_of(tmp_path / "a.zip")]
    assert problems[0] is None
    assert all("more than 2,000,000 bytes. Split it" in problem for problem in problems[1:])
    small = Settings(max_image_bytes=1_000)
    assert "1,000 are allowed" in rows_of(tmp_path / "a.zip", small)[0].problem


@pytest.mark.parametrize("column", ["text", "image"])
def test_a_dictionary_is_counted_as_often_as_it_is_used(tmp_path, column):
    value = "a" * 100_000 if column == "text" else {"bytes": b"a" * 100_000, "path": None}
    for rows, message in ((40, "Unpacked, the file has more than 2,000,000 bytes"), (2, "")):
        file = tmp_path / f"{rows}.parquet"
        pyarrow.parquet.write_table(pyarrow.table({column: [value] * rows}), file)
        assert file.stat().st_size < 20_000
        if message:
            assert message in refused(file)
        else:
            assert len(rows_of(file)) == rows


def test_cells_are_counted_where_the_declared_sizes_are_just_what_is_allowed(tmp_path):
    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a" * 100_000] * 40}), file)
    declared = pyarrow.parquet.read_metadata(file).row_group(0).total_byte_size + 8 * 40
    assert "Unpacked" in refused(file, Settings(max_unpacked_bytes=declared))


def test_texts_that_repeat_the_one_before_are_counted(tmp_path):
    table = pyarrow.table({"text": ["a" * 100_000 + str(i) for i in range(40)]})
    delta = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", **delta)
    pyarrow.parquet.write_table(table[:3], tmp_path / "b.parquet", **delta)
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    assert "Unpacked" in refused(tmp_path / "a.parquet")
    assert len(rows_of(tmp_path / "b.parquet")) == 3


def test_text_tables_are_limited(tmp_path):
    (tmp_path / "a.csv").write_text("text\nfine\n" + "," * 5_000 + "\n")
    assert "Line 3 of the table has more than 4,000 bytes" in refused(
        tmp_path / "a.csv", Settings(max_line_bytes=4_000)
    )
    assert "4,000 are allowed in CSV" in refused(
        tmp_path / "a.csv", Settings(max_text_table_bytes=4_000)
    )


def test_a_line_is_refused_where_one_side_is_resized():
    line, limits = encoded(Image.new("RGB", (9_000, 1)), "PNG"), Settings()
    with pytest.raises(RefusedError, match="the longer one may be max_image_ratio=100 times"):
        check_post("a", line, limits, limits.max_image_ratio)
    assert check_post("a", line, limits).image.size == (9_000, 1)
    huge = encoded(Image.new("P", (6_300, 6_300)), "PNG")
    assert check_post("a", huge, limits).image.size == (1_575, 1_575)


def test_lists_of_a_shared_text_are_counted(tmp_path):
    table = pyarrow.table({"text": ["fine"] * 9, "image": [["a" * 100_000] * 9] * 9})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert "Unpacked" in refused(tmp_path / "a.parquet")


def test_a_refused_text_is_cut(scorer, tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "x" * 100_000 + "\n")
    frame = score_table(scorer, tmp_path / "a.csv", SETTINGS).frame
    assert "100,000 characters" in frame["error"][0]
    assert len(frame["text"][0]) == 200


@pytest.fixture
def scored(scorer, tmp_path):
    table = "id,text,image\n=1+1,a happy day,x.png\nb,+sad <b>,\nc,,\nd,,broken.png\ne,,y.png\n"
    path = archive(
        tmp_path / "a.zip",
        **{"t.csv": table, "x.png": png(0), "y.png": png(1), "broken.png": b"no"},
    )
    done = []
    found = score_table(scorer, path, SETTINGS, lambda *told: done.append(told))
    assert done[-1] == (5, 5)
    return found


def test_scored_rows_equal_single_answers_and_failed_ones_stay(scorer, scored):
    frame = scored.frame
    assert frame["id"].tolist() == ["=1+1", "b", "c", "d", "e"]
    assert frame["error"].notna().tolist() == [False, False, True, True, False]
    posts = [("a happy day", png(0)), ("+sad <b>", None), (None, png(1))]
    answers = scorer.answer([check_post(*post, SETTINGS) for post in posts])
    for answer, (_, row) in zip(answers, frame[frame["error"].isna()].iterrows(), strict=True):
        assert row["label"] == answer.label
        for label in LABELS.values():
            assert row[f"score_{label}"] == pytest.approx(answer.scores[label], abs=1e-5)
        for name, branch in answer.branches.items():
            assert row[f"{name}_weight"] == pytest.approx(branch.weight, abs=1e-5)
    assert [bool(data) for data in scored.thumbnails] == [True, False, False, False, True]
    assert summarise(scored)["failed"] == 2


def test_downloads_hold_every_row_and_no_formula(scored, tmp_path):
    csv_file, parquet_file = write_downloads(scored.frame, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(parquet_file), scored.frame)
    with open(csv_file, newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert [cell["id"] for cell in cells] == ["'=1+1", "b", "c", "d", "e"]
    assert cells[1]["text"] == "'+sad <b>"
    assert float(cells[0]["score"]) == pytest.approx(scored.frame["score"][0])
    hidden = (" =1", "\n=1", "\nx", "\u200b=1", "\ufeff@x", "\u3000\uff1d1", "\u22121")
    for value in ("\uff1dcmd", "\uff0d1", "=cmd", "+1", "-1", "@x", "\tx", "\rx", *hidden):
        frame = pd.DataFrame({"text": [value], "number": [-1.5]})
        with open(write_downloads(frame, tmp_path)[0], newline="", encoding="utf-8") as file:
            assert list(csv.DictReader(file)) == [{"text": f"'{value}", "number": "-1.5"}]


def test_filters(scored):
    everything = [*LABELS.values(), FAILED]
    frame, told = choose(scored, everything, 0.0, "all")
    assert len(frame) == 5
    assert "5 of 5 rows" in told
    assert len(choose(scored, list(LABELS.values()), 0.0, "all")[0]) == 3
    assert len(choose(scored, [FAILED], 0.0, "all")[0]) == 2
    least = scored.frame["score"].max()
    assert len(choose(scored, list(LABELS.values()), least, "all")[0]) == 1
    agreement = scored.frame["agreement"][0]
    shown = choose(scored, everything, 0.0, agreement)[0]
    assert shown["id"].tolist() == ["=1+1"]
    other = {"agree": "disagree", "disagree": "agree"}[agreement]
    assert choose(scored, everything, 0.0, other)[0].empty
    assert choose(None, everything, 0.0, "all")[0].empty


def test_a_file_name_or_column_of_a_visitor_is_no_html_in_a_message(scorer, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("<img src=x>\na\n")
    with pytest.raises(gr.Error, match="&lt;img src=x&gt;"):
        ManyPosts(scorer, SETTINGS, Storage(tmp_path, 9**9)).predict_table(str(file))


def test_a_table_is_refused_when_the_store_or_the_disk_is_full(scorer, tmp_path):
    file, folder = tmp_path / "a.csv", tmp_path / "store"
    folder.mkdir()
    file.write_text("text\n" + "sad\n" * 30)
    (folder / "upload").write_bytes(b"x" * 10)
    storage = Storage(folder, 9)
    storage.measure()
    with pytest.raises(gr.Error, match="holds as many files as it can; come back"):
        ManyPosts(scorer, SETTINGS, storage).predict_table(str(file))
    with limited_files(1_000), pytest.raises(gr.Error, match="disk is full; come back"):
        ManyPosts(scorer, SETTINGS, Storage(folder, 9**9)).predict_table(str(file))
    assert [path.name for path in folder.iterdir()] == ["upload"]
