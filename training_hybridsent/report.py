"""What a run says at its end: the table of inputs and branches, and metrics.json."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from sklearn.metrics import confusion_matrix

from datasets_scripts.folders import write_whole
from training_hybridsent.arguments import DataArguments
from training_hybridsent.calibration import energy_limits, fit_temperature, present_branches
from training_hybridsent.data import NO_LABEL, with_only
from training_hybridsent.metrics import SentimentScores
from training_hybridsent.trainer import HybridSentTrainer

PACKAGES = ("hybridsent", "torch", "transformers", "datasets", "accelerate", "evaluate")
COLUMNS = {"accuracy": "acc", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "ece": "ECE"}

Row = dict[str, Any]


def calibrate(trainer: HybridSentTrainer, posts: Dataset) -> dict[str, Any]:
    """Fit the temperature on validation posts and store it in the model's configuration.

    Args:
        trainer: With the final model; its configuration is changed.
        posts: Validation posts.

    Returns:
        The temperature; likelihood and ECE before and after on the same posts; `energy_limits`.
    """
    outputs, labels = trainer.predict_posts(posts)
    factor = fit_temperature(outputs["logits"], labels)
    before = trainer.scores.of_logits(outputs["logits"], labels)
    after = trainer.scores.of_logits(outputs["logits"] / factor, labels)
    trainer.model.config.temperature *= factor
    return {
        "temperature": trainer.model.config.temperature,
        "nll_before": before["nll"],
        "nll_after": after["nll"],
        "ece_before": before["ece"],
        "ece_after": after["ece"],
        "energy_limits": energy_limits(outputs, posts),
    }


def _branch_rows(
    outputs: dict[str, np.ndarray], labels: np.ndarray, posts: Dataset, scores: SentimentScores
) -> list[Row]:
    """Score each branch on the posts that have its modalities."""
    return [
        _row("both", f"{name} branch", outputs[f"{name}_logits"][has], labels[has], scores)
        for name, has in present_branches(posts).items()
        if f"{name}_logits" in outputs
    ]


def _row(
    given: str, decided_by: str, logits: np.ndarray, labels: np.ndarray, scores: SentimentScores
) -> Row:
    return {
        "input": given,
        "decided_by": decided_by,
        "posts": len(labels),
        **scores.of_logits(logits, labels),
    }


class Scored(NamedTuple):
    """What the final model says of the posts that no choice was made on.

    Attributes:
        split: Name of the split.
        rows: One row of scores for each input and branch; posts without what a row needs are left
            out, and `posts` of the row says how many are left.
        logits: Of the calibrated decision, (posts, labels).
        labels: (posts,), -100 where unknown.
        decision_weights: Of text, image and fusion, (posts, 3).
        complete: True where a post has both text and picture, (posts,).
    """

    split: str
    rows: list[Row]
    logits: np.ndarray
    labels: np.ndarray
    decision_weights: np.ndarray
    complete: np.ndarray


def score_posts(trainer: HybridSentTrainer, split: str, posts: Dataset) -> Scored:
    """Score posts with the text alone, with the picture alone, by each branch and by the decision.

    Args:
        trainer: With the final model.
        split: Name of the split.
        posts: Posts that no choice was made on.

    Returns:
        The scores.
    """
    rows = []
    for modality in ("text", "image"):
        outputs, labels = trainer.predict_posts(with_only(posts, modality))
        rows.append(_row(f"{modality} only", "decision", outputs["logits"], labels, trainer.scores))
    outputs, labels = trainer.predict_posts(posts)
    rows += _branch_rows(outputs, labels, posts, trainer.scores)
    rows.append(_row("both", "decision", outputs["logits"], labels, trainer.scores))
    complete = [row["text"] is not None and row["image"] is not None for row in posts]
    return Scored(
        split, rows, outputs["logits"], labels, outputs["decision_weights"], np.array(complete)
    )


def as_markdown(rows: list[Row]) -> str:
    """Return the rows of `Scored` as a Markdown table, in percent."""
    lines = [
        "| input | decided by | " + " | ".join(COLUMNS.values()) + " | posts |",
        "|---|---|" + "---:|" * (len(COLUMNS) + 1),
    ]
    for row in rows:
        scores = " | ".join(f"{100 * row[name]:.1f}" for name in COLUMNS)
        lines.append(f"| {row['input']} | {row['decided_by']} | {scores} | {row['posts']} |")
    return "\n".join(lines)


def describe_run(
    trainer: HybridSentTrainer,
    data: DataArguments,
    counts: dict[str, Any],
    calibration: dict[str, Any],
    scored: Scored,
    seconds: float,
) -> dict[str, Any]:
    """Collect what a reader needs to judge and repeat a run, and write it to metrics.json.

    Args:
        trainer: With the final model.
        data: Settings of the data.
        counts: What the loader counted.
        calibration: Result of `calibrate`.
        scored: Result of `score_posts`.
        seconds: Wall time of the whole run.

    Returns:
        The content of metrics.json.
    """
    names = trainer.scores.label_names
    run = {
        "dataset": {"name": data.dataset, "protocol": counts["protocol"], "counts": counts},
        "seed": trainer.args.seed,
        "labels": names,
        "parameters": {
            "all": sum(p.numel() for p in trainer.model.parameters()),
            "trained": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        },
        "best_validation_score": {
            "name": trainer.args.metric_for_best_model,
            "value": trainer.state.best_metric,
        },
        "calibration": {
            "fitted_on": "validation",
            **calibration,
            "scored": _calibration_of(scored, calibration["temperature"], trainer.scores),
        },
        "scored_split": scored.split,
        "scores": scored.rows,
        "confusion": _confusion(scored, len(names)),
        "decision_weights": _mean_weights(scored, names),
        "processes": trainer.args.world_size,
        "seconds": round(seconds, 1),
        "versions": versions(),
    }
    text = json.dumps(run, indent=2) + "\n"
    write_whole(text, Path(trainer.args.output_dir) / "metrics.json")
    return run


def _calibration_of(
    scored: Scored, temperature: float, scores: SentimentScores
) -> dict[str, float]:
    """Compare likelihood and ECE without and with the temperature on the scored posts."""
    found = {
        "before": scores.of_logits(scored.logits * temperature, scored.labels),
        "after": scores.of_logits(scored.logits, scored.labels),
    }
    return {f"{name}_{when}": found[when][name] for name in ("nll", "ece") for when in found}


def _confusion(scored: Scored, labels: int) -> list[list[int]]:
    """Count posts by label (row) and decision (column)."""
    known = scored.labels != NO_LABEL
    decided = scored.logits.argmax(axis=1)
    return confusion_matrix(scored.labels[known], decided[known], labels=range(labels)).tolist()


def _mean_weights(scored: Scored, names: list[str]) -> dict[str, list[float] | None]:
    """Average the weights of text, image and fusion by label, over posts that have both."""
    chosen = {name: scored.complete & (scored.labels == i) for i, name in enumerate(names)}
    chosen["all"] = scored.complete
    return {
        name: scored.decision_weights[which].mean(axis=0).tolist() if which.any() else None
        for name, which in chosen.items()
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run depends on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout runs without being installed, too
        return "not installed"
