"""Several labels a post, and a score, from `hybridsent train` to every way of asking the model."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from in_process import run_in_process, score_here, train_here
from rated_posts import EMOTIONS, MULTI, SCORE, write_rated_posts
from sklearn.metrics import f1_score, r2_score
from tiny_models import save_tiny_encoders
from transformers import pipeline

from hybridsent.evaluation import first_posts
from hybridsent.evaluation.problem_scores import headline
from hybridsent.exporting.export import export
from hybridsent.publishing.bundling import bundle
from hybridsent.publishing.published_files import _entries
from hybridsent.training.arguments import DataArguments, HybridSentTrainingArguments
from hybridsent_space.drawing import answer_html
from hybridsent_space.model import load_model
from hybridsent_space.one_post import Post
from hybridsent_space.scorer import Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.table_scores import score_table
from hybridsent_space.wording import as_json

FUSION = {"hidden_size": 32, "intermediate_size": 48, "recurrent_hidden_size": 8}
RATES = {"learning_rate": 3e-3, "text_encoder_learning_rate": 1e-3}
RATES |= {"vision_encoder_learning_rate": 1e-3, "num_train_epochs": 8}
POST = {"text": "a bad day"}
METRICS = {MULTI: "macro_f1", SCORE: "r2"}


@pytest.fixture(scope="module", params=METRICS)
def trained(request, tmp_path_factory):
    """Kind and folder: `posts` of the training, `out` with the model."""
    kind, folder = request.param, tmp_path_factory.mktemp("problem")
    write_rated_posts(folder / "posts", kind)
    save_tiny_encoders(folder)
    settings = {
        "dataset": "posts",
        "data_dir": folder / "posts",
        "dataset_options": json.dumps({"problem_type": kind}),
        "text_encoder": folder / "text",
        "vision_encoder": folder / "vision",
        "model_config": json.dumps({**FUSION, "num_cross_modal_layers": 1}),
        "metric_for_best_model": METRICS[kind],
        "per_device_train_batch_size": 16,
        "output_dir": folder / "out",
        **RATES,
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    result = train_here("quickstart", *words)
    assert result.returncode == 0, result.stderr[-2000:]
    return kind, folder


def gold(folder, split="test"):
    with (folder / "posts" / f"{split}.csv").open(encoding="utf-8") as file:
        cells = [row["label"] for row in csv.DictReader(file)]
    return [[name in cell.split("|") for name in EMOTIONS] for cell in cells], cells


def metrics_of(folder):
    return json.loads((folder / "out" / "metrics.json").read_text())


def test_it_learns_far_more_than_a_constant(trained):
    kind, folder = trained
    decision = metrics_of(folder)["scores"][-1]
    if kind == SCORE:
        assert decision["r2"] > 0.5
        return
    labels = np.array(gold(folder)[0])
    always = f1_score(labels, np.ones_like(labels), average="macro")  # the best constant
    assert decision["macro_f1"] > always + 0.2
    alone = {row["input"]: row["macro_f1"] for row in metrics_of(folder)["scores"]}
    assert decision["macro_f1"] > alone["text only"]


def test_predict_writes_what_the_scores_were_computed_from(trained):
    kind, folder = trained
    result = score_here("--model", folder / "out", "--input", folder / "posts" / "test.csv",
                        "--output", folder / "answers", "--columns", "probabilities")  # fmt: skip
    assert result.returncode == 0, result.stderr
    (file,) = (folder / "answers").glob("*.parquet")
    answers, decision = pq.read_table(file).to_pydict(), metrics_of(folder)["scores"][-1]
    if kind == SCORE:
        assert "label" not in answers
        numbers = [float(cell) for cell in gold(folder)[1]]
        assert r2_score(numbers, answers["score"]) == pytest.approx(decision["r2"], abs=1e-4)
        return
    decided = [[name in found for name in EMOTIONS] for found in answers["label"]]
    macro = f1_score(gold(folder)[0], decided, average="macro")
    assert macro == pytest.approx(decision["macro_f1"], abs=1e-9)
    for names, scores, every in zip(*(answers[x] for x in ("label", "score", "probabilities")),
                                    strict=True):  # fmt: skip
        assert scores == sorted((every[name] for name in names), reverse=True)


def test_the_pipeline_gives_labels_above_their_thresholds_or_the_score(trained):
    kind, folder = trained
    pipe = pipeline("image-text-sentiment", model=str(folder / "out"), trust_remote_code=True)
    answer, every = pipe(POST), pipe(POST, top_k=None)
    whole = pipe(POST, return_branches=True)
    if kind == SCORE:
        assert answer == every[0] == {"label": "score", "score": pytest.approx(answer["score"])}
        assert 40 < answer["score"] < 120
        assert whole["branches"]["text"]["scores"]["score"] == pytest.approx(answer["score"])
        return
    least = dict(zip(EMOTIONS, pipe.model.config.label_thresholds, strict=True))
    assert len(every) == len(EMOTIONS)
    assert answer == [x for x in every if x["score"] >= least[x["label"]]]
    assert "anger" in [x["label"] for x in answer]
    assert whole["labels"] == answer
    assert pipe(POST, top_k=1) == every[0]
    pipe.model.config.label_thresholds = [0.999] * len(EMOTIONS)
    assert pipe(POST) == []
    assert pipe(POST, return_branches=True)["labels"] == []


def test_an_exported_model_agrees(trained):
    _, folder = trained
    found = export(str(folder / "out"), folder / "onnx", "onnx")
    assert found["checked"]["greatest_difference"] < 1e-4
    output = folder / "by-onnx"
    result = score_here("--model", folder / "onnx", "--backend", "onnx", "--output", output,
                        "--input", folder / "posts" / "validation.csv")  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_report_card_and_evaluate_say_what_there_is(trained):
    kind, folder = trained
    card, page = (
        (folder / "out" / name).read_text() for name in ("README.md", "report/index.html")
    )
    figures = {file.stem for file in (folder / "out" / "report").glob("*.png")}
    # That these posts have scores, or lists, is known from the model.
    result = run_in_process("evaluate", [folder / "out", "posts", "--data_dir", folder / "posts"])
    assert result.returncode == 0, result.stderr
    decision = metrics_of(folder)["scores"][-1]
    if kind == SCORE:
        assert {"learning", "decision_weights", "scores"} == figures
        assert f"| {decision['r2']:.3f} | {decision['mae']:.3f} |" in card
        assert f"R² is {decision['r2']:.3f}" in page
        assert "## Calibration" not in card
        assert "Largest errors" in page
        assert "| R² | MAE |" in result.stdout
        return
    assert figures == {"learning", "decision_weights", "reliability", "agreement"}
    assert "| all right | macro F1 | micro F1 |" in card
    least = metrics_of(folder)["label_thresholds"]["anger"]
    assert f"Thresholds of the labels: anger {least:.2f}" in card
    assert f"macro F1 is {100 * decision['macro_f1']:.1f}" in page
    assert "| all right | macro F1 | micro F1 |" in result.stdout


def test_the_page_shows_and_tables_it(trained):
    kind, folder = trained
    scorer = Scorer(load_model(str(folder / "out")), batch_size=4)
    (answer,) = map(as_json, scorer.answer([Post("a bad sad day", None)]))
    drawn = answer_html(answer)
    texts = folder / "texts.csv"
    rows = csv.DictReader((folder / "posts" / "test.csv").read_text().splitlines())
    texts.write_text("text\n" + "".join(f"{row['text']}\n" for row in rows))
    table = score_table(scorer, texts, Settings())
    good = table.frame
    assert good["error"].isna().all()
    if kind == SCORE:
        assert f'<p class="hs-answer">{answer["score"]:.3g}</p>' in drawn
        assert answer["summary"].startswith("The score is a weighted mean: the text ")
        assert good["score"].between(40, 130).all()
        return
    assert set(answer["labels"]) >= {"anger", "sadness"}
    assert ", ".join(sorted(answer["labels"])) in drawn
    assert good["label"].str.contains("|", regex=False).any()
    assert set(table.labels().explode()) <= {*EMOTIONS, "no label"}


def test_it_is_published_and_drawn(trained, capsys):
    kind, folder = trained
    out, figure = folder / "out", folder / "drawn" / "posts.png"
    result = run_in_process("publish", ["--model", out, "--repo_id", "me/x", "--dry_run"])
    assert result.returncode == 0, result.stderr
    assert "Loads without hybridsent; 'what a lovely day': " in result.stdout
    names = [entry.task_id for entry in _entries(metrics_of(folder))]
    assert ("r2" in names) == (kind == SCORE) == ("accuracy" not in names)
    result = run_in_process("card", [out, "--figure", figure, "--data_dir", folder / "posts"])
    assert result.returncode == 0, result.stderr
    assert first_posts.main(["--model", str(out), "--figure", str(figure)]) == 0
    rows = capsys.readouterr().out.splitlines()[3:11]
    words = ["score"] if kind == SCORE else [*EMOTIONS, "no label"]
    assert [any(word in row for word in words) for row in rows] == [True] * 8
    assert headline({"labels": [], "branches": {}}) == ("no label", "-")
    found = {"labels": [{"label": "b", "score": 0.9}, {"label": "a", "score": 0.5}]}
    assert headline(found) == ("a, b", "0.50, 0.90")


def test_what_is_for_single_labels_is_one_error(trained):
    kind, folder = trained
    result = score_here("--model", folder / "out", "--input", folder / "posts" / "test.csv",
                        "--output", folder / "explained", "--columns", "explanation")  # fmt: skip
    assert (result.returncode, "cannot be loaded" in result.stderr) == (1, False)
    assert f"for models that give each post one label, not {kind}" in result.stderr
    assert not (folder / "explained").exists()
    data = DataArguments(dataset="posts", data_dir=str(folder / "posts"))
    arguments = HybridSentTrainingArguments(output_dir=str(folder / "bundling"))
    with pytest.raises(ValueError, match=f"out: hybridsent bundle is for .* not {kind}"):
        bundle(str(folder / "out"), str(folder / "bundled"), data, arguments)
