"""Labels of own posts as several names or a number: cells, refused cells, splits, files."""

import json

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value, load_dataset

from datasets_scripts import prepare
from datasets_scripts.audit import audit
from datasets_scripts.grouping import divide_grouped
from datasets_scripts.loading import load_table
from datasets_scripts.own_posts import read_posts
from datasets_scripts.post import Post
from hybridsent.commands.prepare import PROBLEM_TYPES as OF_THE_COMMAND
from hybridsent.support.errors import PostsError
from modeling_hybridsent.problems_hybridsent import PROBLEMS

MULTI, SCORE = "multi_label_classification", "regression"
NAMES = ["anger", "fear", "joy"]
CELLS = ["joy|fear", '"[""joy"", ""anger""]"', "joy", "[]", " fear | joy "]
MEANT = [("fear", "joy"), ("anger", "joy"), ("joy",), (), ("fear", "joy")]


def write_csv(folder, cells, name="train.csv"):
    rows = [f"{name}-{i},text {i},{cell}\n" for i, cell in enumerate(cells)]
    (folder / name).write_text("id,text,label\n" + "".join(rows))


def labels_of(reading):
    return [post.label for post in reading.posts]


def test_problem_types_are_named_alike_everywhere():
    assert tuple(PROBLEMS) == OF_THE_COMMAND


def test_several_names_a_cell(tmp_path):
    write_csv(tmp_path, CELLS)
    reading = read_posts(tmp_path / "train.csv", problem_type=MULTI)
    assert reading.label_names == NAMES
    assert labels_of(reading) == MEANT
    rows = [{"id": str(i), "text": "x", "label": list(x)} for i, x in enumerate(MEANT)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert labels_of(read_posts(tmp_path / "own.jsonl", problem_type=MULTI)) == MEANT
    kinds = Features({"text": Value("string"), "label": List(ClassLabel(names=NAMES))})
    posts = {"text": ["x"] * 5, "label": [list(x) for x in MEANT]}
    Dataset.from_dict(posts, features=kinds).to_parquet(tmp_path / "own.parquet")
    assert labels_of(read_posts(tmp_path / "own.parquet", problem_type=MULTI)) == MEANT


def test_a_number_a_cell(tmp_path):
    write_csv(tmp_path, ["3", "-2.5", "1e2"])
    reading = read_posts(tmp_path / "train.csv", problem_type=SCORE)
    assert labels_of(reading) == [3.0, -2.5, 100.0]


@pytest.mark.parametrize(
    ("kind", "cell", "detail"),
    [
        (MULTI, "joy|rage", "is not a label of train: anger, fear, joy"),
        (MULTI, "[joy", "such as ["),
        (MULTI, '"[[""joy""]]"', "such as ["),
        (MULTI, '"[""joy"", """"]"', "such as ["),
        (MULTI, "[true]", "such as ["),
        (MULTI, '"{""joy"": 1}"', "such as ["),
        (SCORE, "high", "label 'high' is not a number"),
        (SCORE, "inf", "is not a number"),
        (SCORE, "1e39", "is not a number of at most 3.4e+38"),
        (SCORE, "", "label is empty"),
    ],
)
def test_a_cell_that_is_none_is_an_error_that_names_its_row(kind, cell, detail, tmp_path):
    write_csv(tmp_path, CELLS if kind == MULTI else ["1", "2"])
    write_csv(tmp_path, [cell], "validation.csv")
    with pytest.raises(PostsError, match=r"validation\.csv row 2") as caught:
        load_table("posts", tmp_path, problem_type=kind)
    assert detail in str(caught.value)


def test_lists_that_nobody_announced_are_an_error_that_says_what_to_do(tmp_path):
    write_csv(tmp_path, CELLS)
    with pytest.raises(PostsError, match=r'--dataset_options .\{"problem_type": "multi_label'):
        read_posts(tmp_path / "train.csv")
    with pytest.raises(ValueError, match="problem_type 'ranking': one of single_label"):
        read_posts(tmp_path / "train.csv", problem_type="ranking")
    write_csv(tmp_path, ["1.0", "1"])
    with pytest.raises(PostsError, match="one label or none"):
        read_posts(tmp_path / "train.csv", problem_type=SCORE)


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("single_label_classification", ["0.5", "1.25", "3"], '{"problem_type": "regression"}'),
        ("single_label_classification", ["joy", "joy|fear", "fear"], "labels are lists"),
        (MULTI, ['"[0, 1, 1]"', '"[1, 0, 0]"'], "labels are lists of 0 and 1"),
        (MULTI, ['"[""joy""]"', "0.5", "fear"], "lists in some rows, numbers in others"),
    ],
)
def test_labels_of_another_kind_than_asked_for_are_an_error_that_names_it(
    kind, cells, message, tmp_path
):
    write_csv(tmp_path, cells)
    with pytest.raises(PostsError, match=r"train\.csv: labels are") as caught:
        read_posts(tmp_path / "train.csv", problem_type=kind)
    assert message in str(caught.value)
    if kind != MULTI:
        assert read_posts(tmp_path / "train.csv", label_names=cells).label_names == cells


def test_splits_share_out_labels_and_scores():
    """Each label has its share in each split, and so has each part of the scale."""
    several = [Post(f"{i}", "", f"{i}", None, MEANT[i % 4]) for i in range(400)]
    scores = [Post(f"{i}", "", f"{i}", None, i / 7) for i in range(400)]
    division = divide_grouped(several, (0.5, 0.25, 0.25))
    assert [len(posts) for posts in division.splits.values()] == pytest.approx(
        [200, 100, 100], abs=12
    )
    for posts in division.splits.values():
        with_fear = sum("fear" in post.label for post in posts) / len(posts)
        assert with_fear == pytest.approx(0.25, abs=0.03)
    for posts in divide_grouped(scores, (0.5, 0.25, 0.25)).splits.values():
        assert sum(post.label for post in posts) / len(posts) == pytest.approx(28.5, abs=1)


@pytest.mark.parametrize(("kind", "cells"), [(MULTI, CELLS), (SCORE, ["1", "2.5", "2.5", "0"])])
def test_a_prepared_folder_gives_the_same_posts(kind, cells, tmp_path):
    for name in ("train.csv", "validation.csv"):
        write_csv(tmp_path, cells, name)
    table = load_table("posts", tmp_path, problem_type=kind)
    prepare("posts", tmp_path, tmp_path / "prepared", problem_type=kind)
    again = load_table("posts", tmp_path / "prepared")
    assert again.counts == json.loads(json.dumps(table.counts))
    for split in ("train", "validation"):
        assert again.posts[split]["label"][:] == table.posts[split]["label"][:]
        assert again.posts[split].features["label"] == table.posts[split].features["label"]
    assert load_dataset(str(tmp_path / "prepared"), split="train").num_rows == len(cells)
    counted = table.counts["splits"]["train"]["classes"]
    assert counted == ({"anger": 1, "fear": 2, "joy": 4} if kind == MULTI else {"score": 4})
    found = {row["finding"]: row["label"] for row in audit(again, 10**6)}
    assert "same text" in found
