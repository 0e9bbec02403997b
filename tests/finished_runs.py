"""What a training run leaves, made up: metrics, answers, and a folder ready to be published."""

import json

import numpy as np
from datasets import Dataset
from hostile_pictures import encoded
from scipy.special import softmax
from tiny_models import picture, save_tiny, tiny_config

from hybridsent.evaluation.figures import write_figures
from hybridsent.evaluation.final_scores import FinalScores, agreement_groups, describe_groups
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.evaluation.report_page import write_page
from hybridsent.evaluation.robustness import describe_robustness
from hybridsent.publishing.model_card import write_card
from hybridsent.support.folders import write_whole

LABELS = ["negative", "neutral", "positive"]
TEMPERATURE = 1.5
CONFIG = tiny_config(label_set_thresholds={"both": [0.6] * 92, "text only": [0.5] * 99})
PRIVATE = "what only those who may see the posts should read"


def scores(**changed):
    row = {"accuracy": 0.751, "macro_f1": 0.652, "weighted_f1": 0.743, "ece": 0.0312, "nll": 0.61}
    row |= {"classwise_ece": 0.0411, "brier": 0.345, "aurc": 0.1234}
    return row | {"f1_negative": 0.7, "f1_neutral": 0.4, "f1_positive": 0.8} | changed


def made_up_split(posts):
    return {"present": posts, "wanted": posts, "classes": dict.fromkeys(LABELS, posts // 3)}


def fitted(**changed):
    """What calibration says of one input."""
    row = {"temperature": 1.2345, "posts": 100, "folds": 10, "ece_by_chance": 0.029}
    row |= {"nll_before": 0.7, "nll_after": 0.6, "nll_cross_fitted": 0.62}
    return row | {"ece_before": 0.08, "ece_after": 0.021, "ece_cross_fitted": 0.034} | changed


def finished_run(**changed):
    """The content of a metrics.json."""
    run = {
        "dataset": {
            "name": "synthetic",
            "protocol": "as given",
            "counts": {
                "splits": {name: made_up_split(n) for name, n in (("train", 900), ("test", 400))},
                "rejected": {},
                "text_missing": 90,
                "image_missing": 0,
                "fingerprint": "0123456789abcdef",
            },
        },
        "seed": 7,
        "labels": LABELS,
        "encoders": {"text": "bundled/all-minilm-l6-v2", "vision": "bundled/efficientnet-lite0"},
        "learning": {
            "training": [{"epoch": n / 4, "loss": 3 / n} for n in range(1, 9)],
            "validation": [{"epoch": float(n), "loss": 1 / n, **scores()} for n in (1, 2)],
            "kept_epoch": 2.0,
            "averaged_steps": 0,
        },
        "parameters": {"all": 28_400_000, "trained": 25_000_000},
        "calibration": {
            "weight_temperature": 2.3456,
            "inputs": {
                "both": fitted(),
                "text only": fitted(temperature=1.8888),
                "image only": fitted(temperature=0.7777),
            },
            "scored": {
                "nll_before": 0.71,
                "nll_after": 0.65,
                "ece_before": 0.09,
                "ece_after": 0.03,
            },
        },
        "scored_split": "test",
        "scores": [
            {"input": "text only", "decided_by": "decision", "posts": 376, **scores(accuracy=0.6)},
            {"input": "image only", "decided_by": "decision", "posts": 376, **scores(accuracy=0.5)},
            {"input": "both", "decided_by": "decision", "posts": 400, **scores()},
        ],
        "confusion": [[90, 6, 4], [5, 90, 5], [10, 10, 180]],
        "decision_weights": {
            "negative": [0.2, 0.3, 0.5],
            "neutral": None,
            "positive": [0.1, 0.1, 0.8],
            "all": [0.15, 0.2, 0.65],
        },
        "agreement": describe_groups(made_up_answers(), agreement_groups(made_up_answers())),
        "robustness": describe_robustness(
            made_up_answers(), SentimentScores(LABELS).of_logits, CONFIG
        ),
        "processes": 1,
        "seconds": 150,
        "versions": {"python": "3.11", "torch": "2.99"},
    }
    return run | changed


def made_up_answers(posts=60, labels=LABELS, seed=0):
    """Answers to posts, some without a label or a modality, that are right about half the time."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, len(labels), posts)
    logits = generator.normal(size=(posts, len(labels)))
    logits[np.arange(posts), gold] += 1
    gold[:3] = -100
    weights = generator.dirichlet([1, 1, 1], posts)
    branches = {
        name: logits + generator.normal(size=logits.shape) for name in ("text", "image", "fusion")
    }
    complete = np.arange(posts) % 5 > 0
    alone = {name: 0.7 * branches[name] for name in ("text", "image")}
    own = {"text": gold, "image": np.where(complete, gold, 0)}
    ids = [f"post-{i}" for i in range(posts)]
    answers = (logits, TEMPERATURE * logits, gold, weights, complete, branches, alone, ids, own)
    return FinalScores("test", [], *answers)


def made_up_posts(answers, **first):
    """Posts for such answers, complete where they say so; `first` goes into the worst mistake."""
    file = {"bytes": encoded(picture(1), "JPEG"), "path": None}
    rows = [
        {"id": f"post-{i}", "text": PRIVATE, "image": file if complete else None}
        for i, complete in enumerate(answers.complete)
    ]
    confidence = softmax(answers.logits, axis=1).max(axis=1)
    confidence[~answers.known | (answers.decided == answers.labels)] = 0
    rows[confidence.argmax()] |= first
    return Dataset.from_list(rows)


def save_finished_run(folder, **changed):
    """Lay out a folder as run_train.py leaves it, checkpoint and all; return model and processor."""
    model, processor = save_tiny(folder)
    run = finished_run(**changed)
    write_whole(json.dumps(run), folder / "metrics.json")
    answers = made_up_answers()
    write_figures(answers, run, folder)
    write_page(run, answers, made_up_posts(answers), 10**6, {"seed": "7"}, folder)
    write_card([run], folder, "outputs/tiny")
    (folder / "checkpoint-9").mkdir()
    (folder / "checkpoint-9" / "optimizer.pt").write_bytes(b"pickle")
    (folder / "training_args.bin").write_bytes(b"pickle")
    (folder / "rejected.jsonl").write_text("{}")
    return model, processor
