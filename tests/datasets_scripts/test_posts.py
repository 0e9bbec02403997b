import json

import pytest
from PIL import Image as PILImage

from datasets_scripts import PostsError, load_table

HEADER = "id,text,image,label\n"
TRAIN = HEADER + "a,good,a.jpg,positive\nb,bad,,negative\n"
VALIDATION = HEADER + "c,fine,,positive\n"


@pytest.fixture
def write_folder(tmp_path):
    folder = tmp_path / "posts"

    def write(encoding="utf-8", **files):
        (folder / "sub").mkdir(parents=True)
        for name in ("a.jpg", "sub/b.jpg", "../outside.jpg"):
            PILImage.new("RGB", (4, 3), "blue").save(folder / name)
        for name, content in ({"train": TRAIN, "validation": VALIDATION} | files).items():
            if content is not None:
                file = folder / (name.replace("_", ".") if "_" in name else f"{name}.csv")
                file.write_bytes(
                    content if isinstance(content, bytes) else content.encode(encoding)
                )
        return folder

    return write


def load_posts(folder, **options):
    return load_table("posts", folder, **options)


def refusal(folder, **options):
    with pytest.raises(PostsError) as error:
        load_posts(folder, **options)
    return str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_folder_becomes_a_table(write_folder, encoding):
    folder = write_folder(encoding, test=HEADER + "d,,sub/b.jpg,negative\n")
    posts, counts, rejected = load_posts(folder)
    assert list(posts) == ["train", "validation", "test"]
    assert posts["train"].column_names == ["id", "text", "image", "label"]
    assert posts["train"].features["label"].names == ["negative", "positive"]
    first, second = posts["train"]
    assert (first["id"], first["text"], first["label"]) == ("a", "good", 1)
    assert first["image"].size == (4, 3)
    assert second["image"] is None
    assert posts["test"][0]["text"] is None
    assert (counts["rows"], counts["kept"], rejected) == (4, 4, [])
    assert counts["protocol"] == "as given"
    assert (counts["text_missing"], counts["image_missing"]) == (1, 2)
    assert counts["splits"]["train"]["classes"] == {"negative": 1, "positive": 1}


def test_the_test_file_is_optional(write_folder):
    assert list(load_posts(write_folder()).posts) == ["train", "validation"]


def test_cells_stay_the_strings_they_are(write_folder):
    rows = 'id,text,image,label\n007,NA,,1\n08,"two\nlines, ""quoted""",,0\n1e5,null,,1\n'
    train = load_posts(write_folder(train=rows, validation="text,image,label\nx,,1\n")).posts[
        "train"
    ]
    assert train["id"][:] == ["007", "08", "1e5"]
    assert train["text"][:] == ["NA", 'two\nlines, "quoted"', "null"]
    assert train.features["label"].names == ["0", "1"]


def test_without_ids_a_post_is_called_by_split_and_row(write_folder):
    train = "text,image,label\r\ngood,,positive\r\n\r\nbad,,negative\r\n"
    posts = load_posts(
        write_folder(train=train, validation="text,image,label\nx,,positive\n")
    ).posts
    assert posts["train"]["id"][:] == ["train-2", "train-4"]
    assert posts["validation"]["id"][:] == ["validation-2"]


def test_sentiments_keep_their_order_and_other_names_are_sorted(write_folder):
    names = ["positive", "neutral", "negative"]
    rows = HEADER + "".join(f"{name},x,,{name}\n" for name in names)
    posts = load_posts(write_folder(train=rows)).posts
    assert posts["train"].features["label"].names == ["negative", "neutral", "positive"]


def test_labels_that_are_numbers_keep_their_order(write_folder):
    rows = HEADER + "".join(f"{n},x,,{n}\n" for n in (10, 9, 2))
    posts = load_posts(write_folder(train=rows, validation=HEADER + "d,x,,9\n")).posts
    assert posts["train"].features["label"].names == ["2", "9", "10"]


def test_labels_may_be_indices_where_their_names_are_given(write_folder):
    rows = "text,image,label,text_label\nx,,1,bad\ny,,good,0\nz,,0,\n"
    folder = write_folder(train=rows, validation="text,image,label\nx,,1\n")
    for names in ("bad,good", ["bad", "good"]):
        train = load_posts(folder, label_names=names).posts["train"]
        assert train.features["label"].names == ["bad", "good"]
        assert (train["label"][:], train["text_label"][:]) == ([1, 1, 0], [0, 0, None])
    message = refusal(folder, label_names="x,y")
    assert "train.csv row 3: label 'good' is not a label of train: x, y" in message
    with pytest.raises(ValueError, match="two different names"):
        load_posts(folder, label_names="one")


def test_an_index_is_no_label_where_the_names_were_found_in_the_data(write_folder):
    train = HEADER + "a,x,,1\nb,x,,2\n"
    folder = write_folder(train=train, validation=HEADER + "c,x,,0\n")
    assert "validation.csv row 2: label '0' is not a label of train: 1, 2" in refusal(folder)


def test_other_names_are_sorted(write_folder):
    rows = HEADER + "a,x,,sad\nb,x,, happy \nc,x,,bored\n"
    posts = load_posts(write_folder(train=rows, validation=HEADER + "d,x,,sad\n")).posts
    assert posts["train"].features["label"].names == ["bored", "happy", "sad"]
    assert posts["train"]["label"][:] == [2, 1, 0]


def test_unimodal_labels_give_every_split_both_columns(write_folder):
    train = "text,image,label,text_label\nx,,positive,negative\ny,,negative,\n"
    posts = load_posts(write_folder(train=train)).posts
    assert posts["validation"].features == posts["train"].features
    assert posts["train"]["text_label"][:] == [0, None]
    assert posts["train"]["image_label"][:] == [None, None]


def test_json_lines_read_as_csv_does(write_folder):
    rows = [
        {"id": 7, "text": "two\nlines\u2028more", "image": "a.jpg", "label": "positive"},
        {"id": "08", "text": "NA", "image": None, "label": "negative"},
    ]
    lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    train = load_posts(write_folder(train=None, train_jsonl=lines + "\n\n")).posts["train"]
    assert train["id"][:] == ["7", "08"]
    assert train["text"][:] == ["two\nlines\u2028more", "NA"]
    assert train["image"][1] is None


def test_columns_nobody_reads_are_named(write_folder):
    counts = load_posts(write_folder(validation="text,image,label,date\nx,,positive,1\n")).counts
    assert counts["ignored_columns"] == {"train": [], "validation": ["date"]}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("../outside.jpg", "leaves the folder"),
        ("sub/../../outside.jpg", "leaves the folder"),
        ("/outside.jpg", "leaves the folder"),
        ("linked/../../outside.jpg", "leaves the folder"),
        ("nul\0.jpg", "leaves the folder"),
        ("absent.jpg", "does not exist"),
        ("sub", "does not exist"),
        ("x" * 5000, "does not exist"),
        ("https://example.org/a.jpg", "is a URL"),
        ("file:///etc/hostname", "is a URL"),
        ("zip://a.jpg::https://example.org/a.zip", "is a URL"),
    ],
)
def test_an_image_is_read_from_the_folder_or_not_at_all(write_folder, image, said):
    line = json.dumps({"text": "x", "image": image, "label": "positive"})
    folder = write_folder(validation=None, validation_jsonl=line)
    (folder / "linked").symlink_to(folder.parent)
    message = refusal(folder)
    assert "validation.jsonl" in message
    assert f"row 1: image {said}" in message


@pytest.mark.parametrize(
    "image", ["link.jpg", "linked/outside.jpg", "{folder}/a.jpg", "{other}/a.jpg"]
)
def test_links_that_the_owner_made_are_followed(write_folder, tmp_path, image):
    image = image.format(folder=tmp_path / "posts", other=tmp_path / "other")
    row = f"c,,{image},positive\n"
    folder = write_folder(validation=None)
    (folder / "link.jpg").symlink_to(folder.parent / "outside.jpg")
    (folder / "linked").symlink_to(folder.parent)
    (folder.parent / "blob").write_text(HEADER + row)
    (folder / "validation.csv").symlink_to(folder.parent / "blob")
    for name in ("alias", "other"):
        (tmp_path / name).symlink_to(folder)
    assert load_posts(tmp_path / "alias").posts["validation"][0]["image"].size == (4, 3)


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ("c,x,,happy", "row 2: label 'happy' is not a label of train: negative, positive"),
        ("c,x,,", "row 2: label is empty"),
        ("c,  ,,positive", "row 2: neither text nor image"),
        (",x,,positive", "row 2: id is empty"),
        ("a,x,,positive", "row 2: id 'a' stands in train.csv row 2 already"),
        ("c,x,,positive\nc,y,,positive", "row 3: id 'c' stands in validation.csv row 2 already"),
        ("c,one, two,,positive", "row 2: 5 cells for 4 columns"),
        ('c,"x,,positive', "not well-formed CSV"),
        ("", "no posts in it"),
    ],
)
def test_a_bad_row_is_named_with_file_and_row(write_folder, validation, said):
    message = refusal(write_folder(validation=HEADER + validation))
    assert "validation.csv" in message
    assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,label\na,positive\n", "column 'text' or 'image'"),
        ("text,image\nx,\n", "column 'label'"),
        ("text,text,image,label\nx,x,,positive\n", "column 'text' appears twice"),
        ("", "no posts in it"),
        (b"text,image,label\ncaf\xe9,,positive\n", "line 2"),
        ("text,image,label\nx,,positive\n".encode("utf-16"), "not UTF-8"),
        (HEADER + "a,x,,positive\n", "one label or none: ['positive']"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(write_folder, content, said):
    message = refusal(write_folder(train=content))
    assert "train.csv" in message
    assert said in message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1"),
        ("[1]", "not a JSON object"),
        ('{"text": ["x"]}', "text must be str or None, got list"),
        ('{"text": true}', "text must be str or None, got bool"),
        ('{"text": 2020}', "text must be str or None, got int"),
        (r'{"text": "\ud83d"}', "text has an unpaired surrogate"),
        ('{"text": "x", "text": "y"}', "field 'text' appears twice"),
        ('{"text": "x", "image": ""}', "column 'label'"),
    ],
)
def test_a_bad_json_line_is_named(write_folder, line, said):
    message = refusal(write_folder(validation=None, validation_jsonl=line))
    assert "validation.jsonl" in message
    assert said in message


def test_missing_and_ambiguous_files_are_named(write_folder, tmp_path):
    folder = write_folder(validation=None, train_jsonl="{}")
    message = refusal(folder)
    assert "both train.csv and train.jsonl" in message
    assert "neither validation.csv nor validation.jsonl nor validation.parquet" in message
    assert "nowhere: no such file or folder" in refusal(tmp_path / "nowhere")


def test_several_files_without_split_names_are_ambiguous(tmp_path):
    for name in ("a.csv", "b.jsonl"):
        (tmp_path / name).write_text("")
    message = refusal(tmp_path)
    assert "a.csv is one of several files: which one?" in message
    assert "b.jsonl is one of several files" in message
