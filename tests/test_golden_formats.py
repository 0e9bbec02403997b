"""Public file formats keep their shape: what others parse is compared with files in `golden/`.

A format that changes on purpose: HYBRIDSENT_WRITE_GOLDEN=1 writes these files anew.
"""

import json
import os
import re

import pyarrow.parquet as pq
import pytest
from documented_commands import ROOT
from in_process import score_here
from tiny_runs import SIZES, run_here, write_recipe

from datasets_scripts import prepare

GOLDEN = ROOT / "tests" / "golden"
COLUMNS = ("probabilities", "branches", "weights", "embeddings", "explanation")


def shape(value):
    """Keys and types of a JSON value; of a list, the shape of its first item."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def files_of(folder):
    """Names of all files but those of code; numbers and digests are blotted out."""
    found = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".py")
    names = (str(file.relative_to(folder)) for file in found)
    return sorted({re.sub(r"[0-9a-f]{16}|\d{12}", "N", name) for name in names})


def schema_of(file):
    return {field.name: str(field.type) for field in pq.read_schema(file)}


def compare(name, found):
    file = GOLDEN / f"{name}.json"
    if os.environ.get("HYBRIDSENT_WRITE_GOLDEN"):
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == read(file)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    recipe = write_recipe(folder, num_train_epochs=1)
    run_here(recipe, "--output_dir", folder / "out")
    return folder


def test_a_run_leaves_these_files_and_figures(run):
    content = read(run / "out" / "metrics.json")
    content["versions"] = sorted(content["versions"])
    # Figures of a row without posts are null, and which rows have none is chance.
    content["agreement"] = {name: sorted(row) for name, row in content["agreement"].items()}
    compare("run", {"files": files_of(run / "out"), "metrics.json": shape(content)})


def test_answers_have_these_columns(run):
    result = score_here(
        "--model", run / "out", "--input", run / "posts" / "test.csv", "--output", run / "answers",
        "--columns", *COLUMNS,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (file,) = (run / "answers").glob("*.parquet")
    assert pq.read_table(file).num_rows == SIZES["test"]
    manifest = shape(read(run / "answers" / ".manifest.json"))
    compare(
        "answers",
        {"files": files_of(run / "answers"), "columns": schema_of(file), "manifest": manifest},
    )


def test_a_prepared_set_has_these_files_and_columns(run):
    with (run / "posts" / "train.csv").open("a", encoding="utf-8") as file:
        file.write("bad,,,,,\n")
    prepare("posts", run / "posts", run / "prepared", on_bad_rows="drop")
    (file,) = (run / "prepared" / "data").glob("*-train*.parquet")
    features = json.loads(pq.read_schema(file).metadata[b"huggingface"])
    compare(
        "prepared",
        {
            "files": files_of(run / "prepared"),
            "columns": schema_of(file),
            "features": features,
            "summary.json": shape(read(run / "prepared" / "summary.json")),
            "rejected.jsonl": shape(lines(run / "prepared" / "rejected.jsonl")),
            "split_ids.json": shape(read(run / "prepared" / "split_ids.json")),
        },
    )
