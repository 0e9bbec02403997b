"""Posts without splits of their own, in every kind of file."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from fabricated_sets import jpeg

from datasets_scripts import PostsError, load_table

NAMES = ["bad", "fine", "good"]


def load(path, **options):
    return load_table("posts", path, **options)


def rows(number=60):
    """Posts of three labels in the shares 1:2:3; each fifth text is that of its predecessor."""
    return [
        {
            "id": str(i),
            "text": f"text {i - (i % 5 == 4)}",
            "image": f"images/{i}.jpg",
            "label": NAMES[min(i % 6 // 2 + (i % 6 == 3), 2)],
        }
        for i in range(number)
    ]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(60):
        (tmp_path / "images" / f"{i}.jpg").write_bytes(jpeg(i))
    return tmp_path


def as_csv(folder, posts, name="posts.csv"):
    pd.DataFrame(posts).to_csv(folder / name, index=False)
    return folder


def split_of(table):
    return {i: name for name, split in table.posts.items() for i in split["id"]}


def test_the_split_is_seeded_stratified_and_grouped(folder):
    one, again, other = (load(as_csv(folder, rows()), seed=seed) for seed in (0, 0, 1))
    assert split_of(one) == split_of(again) != split_of(other)
    assert one.counts["protocol"] == "split 0.8,0.1,0.1, seed 0"
    sizes = {name: split["classes"] for name, split in one.counts["splits"].items()}
    assert sizes["validation"] == sizes["test"] == {"bad": 2, "fine": 1, "good": 3}
    for i in range(4, 60, 5):
        assert split_of(one)[str(i)] == split_of(one)[str(i - 1)]
    assert one.counts["leakage"]["train, test"] == {"image": 0, "text": 0}


def test_the_split_does_not_hang_on_the_order_of_rows(folder):
    expected = split_of(load(as_csv(folder, rows())))
    assert split_of(load(as_csv(folder, rows()[::-1]))) == expected


def test_shares_are_taken_and_test_may_be_empty(folder):
    posts, counts, _ = load(as_csv(folder, rows()), split="0.5,0.5,0")
    assert [len(posts[name]) for name in ("train", "validation", "test")] == [30, 30, 0]
    assert counts["protocol"].startswith("split 0.5,0.5,0.0")


@pytest.mark.parametrize(
    "split", ["0.8,0.2", "0.8,0.1,0.2", "a,b,c", "1,0,0", "1.1,-0.2,0.1", "0,0.5,0.5"]
)
def test_shares_that_are_none_are_refused(folder, split):
    with pytest.raises(ValueError, match=r"give the shares of train, validation and test"):
        load(as_csv(folder, rows()), split=split)


def test_posts_with_splits_of_their_own_are_not_split_again(folder):
    for name in ("train.csv", "validation.csv"):
        as_csv(folder, [{**row, "id": name + row["id"]} for row in rows()], name)
    with pytest.raises(PostsError, match="have splits of their own"):
        load(folder, split="0.8,0.1,0.1")


def test_one_file_can_be_named_in_place_of_its_folder(folder):
    as_csv(folder, rows())
    (folder / "other.csv").write_text("label,text\n")
    assert load(folder / "posts.csv").counts["kept"] == 60


def test_columns_can_have_any_names(folder):
    posts = [
        {"key": r["id"], "tweet": r["text"], "photo": r["image"], "mood": r["label"]}
        for r in rows()
    ]
    as_csv(folder, posts)
    named = {"id": "key", "text": "tweet", "image": "photo", "label": "mood"}
    given = load(folder, columns=named)
    assert given.counts["image_missing"] == given.counts["text_missing"] == 0
    text = ",".join(f"{role}={name}" for role, name in named.items())
    assert load(folder, columns=text).counts == given.counts
    with pytest.raises(PostsError, match=r"posts\.csv: columns are missing(.|\n)*'twit'"):
        load(folder, columns={**named, "text": "twit"})
    with pytest.raises(
        ValueError, match="columns: unknown field sentiment; use id, text, image, label"
    ):
        load(folder, columns="sentiment=mood")
    with pytest.raises(ValueError, match="columns: text= is given twice"):
        load(folder, columns="text=key,label=mood,text=tweet")


@pytest.mark.parametrize("gone", ["text", "image"])
def test_one_modality_may_be_absent(folder, gone):
    posts = [{name: cell for name, cell in row.items() if name != gone} for row in rows()]
    counts = load(as_csv(folder, posts)).counts
    assert (counts["kept"], counts[f"{gone}_missing"]) == (60, 60)


def test_an_image_folder_is_read_by_its_metadata(folder):
    lines = [json.dumps({"file_name": f"{r['id']}.jpg", "text": r["text"], "label": r["label"]})
             for r in rows()]  # fmt: skip
    (folder / "images" / "metadata.jsonl").write_text("\n".join(lines))
    table = load(folder / "images")
    assert table.counts["image_missing"] == 0
    assert table.posts["train"][0]["image"].size == (20, 16)


def test_an_image_folder_may_have_a_folder_for_each_split(folder):
    for split, chosen in {"train": rows()[:50], "validation": rows()[50:]}.items():
        (folder / split).mkdir()
        for row in chosen:
            (folder / split / f"{row['id']}.jpg").write_bytes(jpeg(int(row["id"])))
        lines = [f"{r['id']}.jpg,{r['text']},{r['label']}" for r in chosen]
        (folder / split / "metadata.csv").write_text("\n".join(["file_name,text,label", *lines]))
    table = load(folder)
    sizes = {name: len(split) for name, split in table.posts.items()}
    assert sizes == {"train": 50, "validation": 10}
    assert table.posts["train"]["id"][0] == "train-2"


def parquet_of_datasets(folder, posts):
    strings = {"id": Value("string"), "text": Value("string")}
    features = Features({**strings, "image": Image(), "label": ClassLabel(names=NAMES)})
    columns = {name: [row[name] for row in posts] for name in features}
    columns["image"] = [
        {"bytes": (folder / image).read_bytes(), "path": image} for image in columns["image"]
    ]
    Dataset.from_dict(columns, features=features).to_parquet(folder / "posts.parquet")


def parquet_of_bytes(folder, posts):
    content = [{**r, "image": (folder / r["image"]).read_bytes()} for r in posts]
    pd.DataFrame(content).to_parquet(folder / "posts.parquet")


def parquet_of_paths(folder, posts):
    pd.DataFrame(posts).astype({"label": "category"}).to_parquet(folder / "posts.parquet")


@pytest.mark.parametrize("write", [parquet_of_datasets, parquet_of_bytes, parquet_of_paths])
def test_parquet_equals_csv(folder, write):
    expected = load(as_csv(folder, rows()))
    (folder / "posts.csv").unlink()
    write(folder, rows())
    found = load(folder)
    assert found.counts["fingerprint"] == expected.counts["fingerprint"]
    assert found.posts["train"].features == expected.posts["train"].features
    assert found.posts["test"][0]["image"].tobytes() == expected.posts["test"][0]["image"].tobytes()


def test_parquet_of_indices_takes_the_names_that_are_given(folder):
    table = pa.table({"text": ["a", "b", "c"] * 10, "label": [0, 1, -1] * 10})
    pq.write_table(table, folder / "posts.parquet")
    with pytest.raises(PostsError, match=r"posts\.parquet row 3: label '-1' is not a label"):
        load(folder, label_names="bad,good")
    posts, counts, rejected = load(folder, label_names="bad,good", on_bad_rows="drop")
    assert posts["train"].features["label"].names == ["bad", "good"]
    assert (counts["kept"], len(rejected), counts["rows"]) == (20, 10, 30)


def test_parquet_that_is_none_or_holds_lists_is_named(folder):
    (folder / "posts.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(PostsError, match=r"posts\.parquet: not a Parquet file"):
        load(folder)
    table = pa.table({"text": [["a"], ["b"]], "label": ["x", "y"]})
    pq.write_table(table, folder / "posts.parquet")
    with pytest.raises(
        PostsError, match=r"posts\.parquet row 1: text must be str or None, got list"
    ):
        load(folder)


def test_a_named_column_is_taken_though_another_has_the_name_of_its_field(tmp_path):
    lines = [f"{i},clean {i},RAW {i},{'ab'[i % 2]},x" for i in range(40)]
    (tmp_path / "posts.csv").write_text("\n".join(["id,clean,text,mood,label", *lines]))
    posts, counts, _ = load(tmp_path, columns="text=clean,label=mood")
    assert posts["train"].features["label"].names == ["a", "b"]
    assert posts["train"]["text"][0].startswith("clean")
    assert counts["ignored_columns"] == {"posts": ["text", "label"]}


def write_indexed(file, names, labels, column="label"):
    features = Features({"text": Value("string"), column: ClassLabel(names=names)})
    posts = {"text": [f"{file.stem} {i}" for i in range(len(labels))], column: labels}
    Dataset.from_dict(posts, features=features).to_parquet(file)


def test_each_file_of_indices_has_its_own_names(tmp_path):
    write_indexed(tmp_path / "train.parquet", NAMES, [0, 1, 2, 2])
    write_indexed(tmp_path / "validation.parquet", ["good", "bad"], [0, 1, -1])
    posts, _, rejected = load(tmp_path, on_bad_rows="drop")
    assert posts["train"].features["label"].names == NAMES
    assert posts["validation"]["label"][:] == [2, 0]
    assert [row.detail for row in rejected] == ["label is empty"]


def test_names_of_a_renamed_column_of_indices_stay(tmp_path):
    write_indexed(tmp_path / "posts.parquet", NAMES, [0, 1, 2] * 10, column="mood")
    assert load(tmp_path, columns="label=mood").posts["train"].features["label"].names == NAMES


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_label_of_minus_one_is_a_label_in_every_kind_of_file(tmp_path, kind):
    posts = [
        {"id": i - 1, "text": f"t{i}", "label": i % 3 - 1, "text_label": -1}
        | {"image_label": [-1, None][i % 2]}  # a gap makes fractions of a column
        for i in range(30)
    ]
    frame, file = pd.DataFrame(posts), tmp_path / f"posts.{kind}"
    if kind == "csv":
        frame.to_csv(file, index=False)
    elif kind == "jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_parquet(file)
    table = load(tmp_path)
    assert table.posts["train"].features["label"].names == ["-1", "0", "1"]
    assert (table.counts["kept"], "-1" in split_of(table)) == (30, True)
    assert set(table.posts["train"]["image_label"]) == {None, 0}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_booleans_are_the_same_labels_in_every_kind_of_file(tmp_path, kind):
    frame = pd.DataFrame([{"text": f"t{i}", "label": i % 2 == 0} for i in range(30)])
    write = {"csv": frame.to_csv, "parquet": frame.to_parquet, "jsonl": frame.to_json}[kind]
    more = {"jsonl": {"orient": "records", "lines": True}}.get(kind, {"index": False})
    write(tmp_path / f"posts.{kind}", **more)
    assert load(tmp_path).posts["train"].features["label"].names == ["False", "True"]


def test_texts_that_are_stored_as_bytes_are_read(tmp_path):
    texts = [f"caf\u00e9 {i}".encode() for i in range(29)] + [b"\xff"]
    posts = {"text": pa.array(texts, pa.binary()), "label": [b"good", b"bad"] * 15}
    pq.write_table(pa.table(posts), tmp_path / "posts.parquet")
    table = load(tmp_path, on_bad_rows="drop")
    assert "caf\u00e9" in table.posts["train"]["text"][0]
    assert [x.detail for x in table.rejected] == ["column 'text' is not UTF-8: invalid start byte"]


def test_what_is_seldom_meant_is_noted(tmp_path):
    lines = []
    for i in range(40):
        name = f"{'train' if i < 30 else 'test'}/{i}.jpg"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(jpeg(i))
        lines.append(f"{name},{['good', 'Good', 'bad'][i % 3]}")
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    notes = load(tmp_path).counts["notes"]
    assert notes["labels that differ in letter case only"]["first"] == ["Good and good"]
    assert notes["metadata.csv mixes the images of folders into a new split"]["number"] == 2


def test_a_column_that_seems_to_be_meant_is_noted(tmp_path):
    lines = [f"t{i},{i}.jpg,{'ab'[i % 2]},x" for i in range(30)]
    (tmp_path / "posts.csv").write_text("\n".join(["text,photo,label,source", *lines]))
    (note,) = load(tmp_path).counts["notes"].values()
    assert note["first"] == ["posts.csv: image=photo"]


def test_bad_rows_of_all_kinds_are_dropped_on_demand_and_none_is_lost(folder):
    bad = [
        {"id": "0", "text": "again", "image": "", "label": "good"},
        {"id": "a", "text": "x", "image": "", "label": ""},
        {"id": "b", "text": " ", "image": "", "label": "good"},
        {"id": "", "text": "x", "image": "", "label": "good"},
        {"id": "c", "text": "x", "image": "../../etc/passwd", "label": "good"},
        {"id": "d", "text": "x", "image": "https://example.org/a.jpg", "label": "good"},
        {"id": "e", "text": "x", "image": "images/absent.jpg", "label": "good"},
        {"id": "f", "text": "x", "image": "images/broken.jpg", "label": "good"},
    ]
    (folder / "images" / "broken.jpg").write_bytes(jpeg()[:100])
    lines = [json.dumps(row) for row in rows() + bad]
    (folder / "posts.jsonl").write_text("\n".join([*lines, "{", "[]"]))
    with pytest.raises(PostsError, match=r"rows cannot be used") as error:
        load(folder)
    shown = str(error.value)
    for number, said in {
        61: "id '0' stands in posts.jsonl row 1 already",
        62: "label is empty",
        63: "neither text nor image",
        64: "id is empty",
        65: "image leaves the folder: '../../etc/passwd'",
        66: "image is a URL, and images are read from the folder only",
        67: "image does not exist: 'images/absent.jpg'",
        68: "broken.jpg: image cannot be read",
        69: "not well-formed JSON: Expecting property name",
        70: "not a JSON object",
    }.items():
        assert f"posts.jsonl row {number}: {said}" in shown
    posts, counts, rejected = load(folder, on_bad_rows="drop")
    assert sum(map(len, posts.values())) == counts["kept"] == 60
    assert counts["kept"] + len(rejected) == counts["rows"] == 70
    assert all(row.bad for row in rejected)
