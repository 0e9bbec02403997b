"""What a run says at its end: the table of inputs and branches, and metrics.json."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sklearn.metrics import confusion_matrix
from transformers import TrainerState

from hybridsent.evaluation.agreement import agreement_groups, describe_groups, label_groups
from hybridsent.evaluation.final_scores import Row, Scored
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.support.folders import write_whole
from hybridsent.training.arguments import DataArguments
from hybridsent.training.trainer import HybridSentTrainer

PACKAGES = ("hybridsent", "torch", "transformers", "datasets", "accelerate", "evaluate")
COLUMNS = {"accuracy": "acc", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "ece": "ECE"}
ABSENT = "-"  # in tables
# What an evaluation logs besides.
NO_SCORE = ("step", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")


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
        "learning": learning_curves(trainer.state, trainer.args.load_best_model_at_end),
        "calibration": {
            "fitted_on": "validation",
            **calibration,
            "scored": _calibration_of(scored, trainer.scores),
        },
        "scored_split": scored.split,
        "scores": scored.rows,
        "confusion": _confusion(scored, len(names)),
        "decision_weights": _mean_weights(scored, names),
        "agreement": describe_groups(scored, agreement_groups(scored)),
        "processes": trainer.args.world_size,
        "seconds": round(seconds, 1),
        "versions": versions(),
    }
    text = json.dumps(run, indent=2) + "\n"
    write_whole(text, Path(trainer.args.output_dir) / "metrics.json")
    return run


def learning_curves(state: TrainerState, kept_best: bool) -> dict[str, Any]:
    """Take out of the Trainer's log what was measured while the model learned.

    Args:
        state: Of a trainer whose training has ended.
        kept_best: Whether it went back to the best evaluation; else the last step's model is kept.

    Returns:
        `training`: rows of `epoch`, `loss` and, where they were logged, its parts `loss_NAME`, each a
        mean since the row before; `validation`: rows of `epoch` with all scores; `kept_epoch`, that
        of the model that was kept.
    """
    training = [row for row in state.log_history if "loss" in row]
    validation = [row for row in state.log_history if "eval_loss" in row]
    best = (row["epoch"] for row in validation if row["step"] == state.best_global_step)
    return {
        "training": [
            {name: row[name] for name in row if name == "epoch" or name.startswith("loss")}
            for row in training
        ],
        "validation": [
            {name.removeprefix("eval_"): row[name] for name in row if name not in NO_SCORE}
            for row in validation
        ],
        "kept_epoch": next(best, state.epoch) if kept_best else state.epoch,
    }


def describe_calibration(calibration: dict[str, Any]) -> str:
    """Say the temperatures, and for each input what they did to the validation posts' ECE."""
    lines = [
        "Calibration: ECE in percent on the validation posts (by chance: were every probability right)"
    ]
    for given, row in calibration["inputs"].items():
        whens = ("before", "after", "cross_fitted", "by_chance")
        before, after, honest, chance = (percent(row[f"ece_{when}"]) for when in whens)
        lines.append(
            f"  {given}: temperature {row['temperature']:.3f}; {before} before, {after} after, "
            f"{honest} cross-fitted, {chance} by chance"
        )
    lines.append(f"  temperature of the decision weights: {calibration['weight_temperature']:.3f}")
    return "\n".join(lines)


def percent(share: float | None) -> str:
    """Word a share in percent, or that there is none."""
    return ABSENT if share is None else f"{100 * share:.1f}"


def _calibration_of(scored: Scored, scores: SentimentScores) -> dict[str, float]:
    """Compare likelihood and ECE without and with the temperatures on the scored posts."""
    found = {
        "before": scores.of_logits(scored.uncalibrated, scored.labels),
        "after": scores.of_logits(scored.logits, scored.labels),
    }
    return {f"{name}_{when}": found[when][name] for name in ("nll", "ece") for when in found}


def _confusion(scored: Scored, labels: int) -> list[list[int]]:
    """Count posts by label (row) and decision (column)."""
    gold, decided = scored.labels[scored.known], scored.decided[scored.known]
    return confusion_matrix(gold, decided, labels=range(labels)).tolist()


def _mean_weights(scored: Scored, names: list[str]) -> dict[str, list[float] | None]:
    """Average the weights of text, image and fusion by label, over posts that have both."""
    groups = {**label_groups(scored, names), "all": scored.complete}
    return {name: group["weights"] for name, group in describe_groups(scored, groups).items()}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run depends on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout runs without being installed, too
        return "not installed"
