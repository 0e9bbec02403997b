"""A stranger's file of answers: what is wrong with it is named, what is right is scored."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.protocol.layout import LAYOUT, Layout, Run, write_layout
from benchmarks.accuracy.score import read_answers

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ["negative", "neutral", "positive"]
POSTS = [f"post{i}" for i in range(12)]
LABELS = [i % 3 for i in range(12)]
FOLDS = Layout(
    NAMES,
    dict(zip(POSTS, LABELS, strict=True)),
    {post: i // 2 for i, post in enumerate(POSTS)},
    {0: Run(6, POSTS[:6]), 1: Run(6, POSTS[6:])},
)


def table(method="theirs", right=0.6):
    """Answers for all posts, the first of each run wrong."""
    rows = []
    for run, part in FOLDS.runs.items():
        for i, post in enumerate(part.held_out):
            label = FOLDS.labels[post]
            values = np.full(3, (1 - right) / 2)
            values[(label + (i == 0)) % 3] = right
            rows.append([2, method, run, post, NAMES[label], *values])
    columns = ["protocol", "method", "run", "id", "label", *(f"p_{name}" for name in NAMES)]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def file(tmp_path):
    write_layout(FOLDS, tmp_path / LAYOUT)
    return tmp_path / "answers.parquet"


def score(file, answers, *more):
    answers.to_parquet(file)
    folds = str(file.parent / LAYOUT)
    main(["score", str(file), "--folds_file", folds, "--ours", str(file.parent / "ours"), *more])


def test_scores_are_printed_with_both_intervals(file, capsys):
    score(file, table())
    (row,) = capsys.readouterr().out.splitlines()[2:]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["theirs", "2"]
    assert cells[2].startswith("83.3 [")
    assert cells[3] == "[83.3, 83.3]"  # both runs have 5 of 6
    nll = -(10 * np.log(0.6) + 2 * np.log(0.2)) / 12
    assert cells[6].startswith(f"{nll:.3f} [")
    assert cells[8].startswith("23.3 [")  # 83.3 less 60


def test_ours_is_taken_from_the_file_or_from_the_published_one(file, capsys):
    ours = table("hybridsent", right=0.8)
    score(file, pd.concat([table(), ours]))
    printed = capsys.readouterr().out
    ours.to_parquet(file.parent / "ours")
    score(file, table())
    again = capsys.readouterr().out
    assert printed.split("\n\n")[1] == again.split("\n\n")[1]
    row = printed.split("\n\n")[1].splitlines()[2]
    assert row.startswith("| theirs | 2 | +0.0 [+0.0, +0.0] | +0.0 [+0.0, +0.0] | 1.000 |")
    gap = (10 * np.log(0.8 / 0.6) + 2 * np.log(0.1 / 0.2)) / 12
    assert f"| {gap:+.3f} [" in row


def change(column, value, row=4):
    answers = table()
    answers.loc[row, column] = value
    return answers


FAULTS = {
    r"has no column 'p_neutral'": table().drop(columns="p_neutral"),
    r"run 0, post 'post4' is not of protocol 2\. 1 rows": change("protocol", 1),
    r"run 9, post 'post4' is of no run of the folds": change("run", 9),
    r"post 'else' is not a post of the folds": change("id", "else"),
    r"post 'post3' is answered twice": change("id", "post3"),
    r"run 0, post 'post7' is not held out in this run": change("id", "post7"),
    r"post 'post4' has another label in the folds": change("label", "positive"),
    r"method 'theirs' lacks 1 posts of run 0, first 'post4'": table().drop(index=4),
    r"method 'theirs' lacks 6 posts of run 1, first 'post6'": table()[:6],
    r"column 'p_neutral' is not of numbers": table().astype({"p_neutral": str}),
    r"post 'post4' has a probability that is not between 0 and 1": change("p_neutral", np.nan),
    r"'post4' has probabilities that do not sum to 1\. 1 rows": change("p_neutral", 0.9),
}


@pytest.mark.parametrize("message", FAULTS)
def test_what_is_wrong_is_named(file, message):
    FAULTS[message].to_parquet(file)
    with pytest.raises(ValueError, match=message):
        read_answers(file, FOLDS)


def test_runs_that_are_not_asked_for_may_be_absent(file, capsys):
    score(file, table()[:6], "--runs", "0")
    assert "| theirs | 1 | 83.3" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"--runs 5: .* has no such run"):
        score(file, table(), "--runs", "5")


def test_files_that_are_none_are_named(file):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_answers(file, FOLDS)
    file.write_text("method,run")
    with pytest.raises(ValueError, match="is not a Parquet file"):
        read_answers(file, FOLDS)
    table()[:0].to_parquet(file)
    with pytest.raises(ValueError, match="has no answers for runs 0, 1"):
        read_answers(file, FOLDS)


@pytest.mark.parametrize(
    "file", ["accuracy_answers", "accuracy_answers_networks", "accuracy_answers_automm"]
)
def test_the_published_answers_have_the_published_scores(file):
    """The tables of README and docs/accuracy.md are made from these files."""
    answers = pd.read_parquet(DOCS / f"{file}.parquet")
    tables = (DOCS.parent / "README.md").read_text(), (DOCS / "accuracy.md").read_text()
    for method, rows in answers.groupby("method"):
        found = rows["label"].map(NAMES.index)
        probabilities = rows[[f"p_{name}" for name in NAMES]].to_numpy()
        decided = probabilities.argmax(axis=1)
        assert rows["id"].is_unique
        accuracy = f"{100 * accuracy_score(found, decided):.1f}"
        macro = f"{100 * f1_score(found, decided, average='macro'):.1f}"
        nll = f"{log_loss(found, probabilities / probabilities.sum(axis=1, keepdims=True)):.3f}"
        in_readme = not method.endswith("_224") and not method.startswith("without_")
        if file == "accuracy_answers" and in_readme:
            assert f" {accuracy} | {macro} | {nll} |" in tables[0]
        if file == "accuracy_answers":
            scores = rf"{accuracy} \[.*\] \| {macro} \[.*\] \| {nll} "
        else:
            scores = rf"{accuracy} \| {macro} \| {nll} \|"
        assert re.search(rf"`{method}` \| {scores}", tables[1]), method
