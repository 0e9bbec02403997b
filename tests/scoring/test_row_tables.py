"""Rows survive being a table: whatever is in a file is answered as run_predict.py answers it."""

import numpy as np
import pyarrow as pa
import pytest
from many_posts import embedded, good_posts, save_pictures, with_bad, write_csv, write_parquet
from tiny_models import save_tiny

from hybridsent import Predictor
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.on_ray import ROWS, RowPredictor, read_rows
from hybridsent.scoring.rows import Assignment

ODD = (
    b'{"id": "007", "text": "nan", "image": "images/1.png"}\n'
    b'{"id": 7, "text": "a day", "image": 3}\n'
    b'{"text": "a day", "image": "\\ud800.png"}\n'
    b'{"text": "a day", "image": {"bytes": ""}}\n'
    b'{"text": "half \\ud800"}\n'
    b"no JSON \xff\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of every kind, one of them in a folder below."""
    folder = tmp_path_factory.mktemp("row_tables") / "posts"
    save_pictures(folder)
    posts, _ = with_bad(good_posts(70))
    write_csv(folder / "a.csv", posts)
    with (folder / "a.csv").open("ab") as file:
        file.write(b"one,cell too many,images/1.png,,x\nbytes,that are \xff no UTF-8,,\n")
    (folder / "b.jsonl").write_bytes(ODD)
    write_parquet(folder / "c.parquet", embedded(good_posts(12), folder))
    save_tiny(folder.parent / "tiny")
    return folder


def test_answers_are_those_of_the_engine(folder):
    model, posts = str(folder.parent / "tiny"), find_input(str(folder))
    expected = pa.concat_tables(
        score_rows(posts.rows(Assignment(1)), Predictor(model), num_workers=0)
    )
    files = pa.table({"file": [str(file) for file in posts.files]})
    tables = list(read_rows(files, str(folder)))
    assert {table.schema for table in tables} == {ROWS}
    answers = pa.concat_tables(map(RowPredictor(model=model), tables))
    for name in ("id", "label", "error"):
        assert answers[name].to_pylist() == expected[name].to_pylist(), name
    scores = [np.array(table["score"], dtype=float) for table in (answers, expected)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    counts = [answers["file"].to_pylist().count(name) for name in ("a.csv", "b.jsonl", "c.parquet")]
    assert counts == [86, 6, 12]
    assert answers["row"].to_pylist() == [row for count in counts for row in range(count)]
    assert answers["error"].null_count == 70 + 2 + 12


def test_files_of_folders_below_keep_their_images(folder):
    file = folder / "a.csv"
    (table, *_) = read_rows(pa.table({"file": [str(file)]}), str(folder.parent))
    assert set(table["file"].to_pylist()) == {"posts/a.csv"}
    answers = RowPredictor(model=str(folder.parent / "tiny"))(table)
    assert answers["error"].null_count > 40
