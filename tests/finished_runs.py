"""What a training run leaves, made up: metrics, answers, and a folder ready to be published."""

import json

import numpy as np
from tiny_models import save_tiny

from datasets_scripts.folders import write_whole
from training_hybridsent.card import write_card
from training_hybridsent.figures import draw_figures
from training_hybridsent.report import Scored

LABELS = ["negative", "neutral", "positive"]
TEMPERATURE = 1.5


def scores(**changed):
    row = {"accuracy": 0.751, "macro_f1": 0.652, "weighted_f1": 0.743, "ece": 0.0312, "nll": 0.61}
    return row | {"f1_negative": 0.7, "f1_neutral": 0.4, "f1_positive": 0.8} | changed


def finished_run(**changed):
    """The content of a metrics.json."""
    run = {
        "dataset": {
            "name": "synthetic",
            "protocol": "as given",
            "counts": {
                "splits": {"train": {"present": 900}, "test": {"present": 400}},
                "fingerprint": "0123456789abcdef",
            },
        },
        "seed": 7,
        "labels": LABELS,
        "parameters": {"all": 28_400_000, "trained": 25_000_000},
        "calibration": {
            "temperature": 1.2345,
            **{"nll_before": 0.7, "nll_after": 0.6, "ece_before": 0.08, "ece_after": 0.021},
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
    return Scored("test", [], logits, gold, weights, np.arange(posts) % 5 > 0)


def save_finished_run(folder, **changed):
    """Lay out a folder as run_train.py leaves it, checkpoint and all; return model and processor."""
    model, processor = save_tiny(folder)
    run = finished_run(**changed)
    write_whole(json.dumps(run), folder / "metrics.json")
    draw_figures(made_up_answers(), TEMPERATURE, LABELS, folder)
    write_card([run], folder, "outputs/tiny")
    (folder / "checkpoint-9").mkdir()
    (folder / "checkpoint-9" / "optimizer.pt").write_bytes(b"pickle")
    (folder / "training_args.bin").write_bytes(b"pickle")
    (folder / "rejected.jsonl").write_text("{}")
    return model, processor
