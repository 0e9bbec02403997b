"""The content of metrics.json, and tables of scores and calibration."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from transformers import TrainerState

from hybridsent.evaluation.calibration import LEAST_POSTS
from hybridsent.evaluation.final_scores import (
    FinalScores,
    Row,
    Scores,
    agreement_groups,
    describe_groups,
    label_groups,
)
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.evaluation.problem_scores import MultiLabelScores, RegressionScores
from hybridsent.evaluation.robustness import describe_robustness
from hybridsent.support.folders import write_whole
from hybridsent.training.arguments import DataArguments, ModelArguments
from hybridsent.training.model import encoder_names
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent.problems_hybridsent import Regression, SingleLabel

PACKAGES = ("hybridsent", "torch", "transformers", "datasets", "accelerate", "evaluate")
COLUMNS = SentimentScores.columns
ABSENT = "-"  # in tables
# Values of an evaluation's log that are not scores.
NO_SCORE = ("step", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")


def columns_of(row: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the scores of a row that tables show, and their titles."""
    if "r2" in row:
        return RegressionScores.columns
    return MultiLabelScores.columns if "micro_f1" in row else COLUMNS


def cell(name: str, value: float | None) -> str:
    """Format a score: errors and correlations as they are, others in percent."""
    if value is None or name not in (*RegressionScores.columns, "nll"):
        return percent(value)
    return f"{value:.3f}"


def as_markdown(rows: list[Row]) -> str:
    """Return the rows of `FinalScores` as a Markdown table, in percent unless they are errors."""
    lines = _table_head(columns_of(rows[0]), "posts")
    for row in rows:
        scores = " | ".join(cell(name, row[name]) for name in columns_of(row))
        lines.append(f"| {row['input']} | {row['decided_by']} | {scores} | {row['posts']} |")
    return "\n".join(lines)


def robustness_table(rows: list[Row]) -> str:
    """Return rows of `lost_modality` or `score_damaged` as a Markdown table, shares in percent."""
    titles = {**columns_of(rows[0] if rows else {}), "nll": "NLL"}
    shown = [name for name in titles if rows and name in rows[0]]
    lines = [f"| input | {' | '.join(titles[name] for name in shown)} |"]
    lines.append("|---|" + "---:|" * len(shown))
    for row in rows:
        given = row["input"] if "input" in row else f"{100 * row['share']:.0f} % lost a modality"
        lines.append(f"| {given} | {' | '.join(cell(name, row[name]) for name in shown)} |")
    return "\n".join(lines)


def risk_table(rows: list[Row]) -> str:
    """Return the result of `risk_by_coverage` as a Markdown table, in percent; "" without rows."""
    lines = ["| most confident posts | errors |", "|---:|---:|"]
    lines += [f"| {percent(row['coverage'])} | {percent(row['error'])} |" for row in rows]
    return "\n".join(lines) if rows else ""


def label_set_table(rows: list[Row]) -> str:
    """Return the result of `label_sets` as a Markdown table, shares in percent; "" without rows."""
    lines = ["| asked | covered | no answer | labels in a set |", "|---:|---:|---:|---:|"]
    for row in rows:
        shares = " | ".join(percent(row[name]) for name in ("coverage", "covered", "abstained"))
        lines.append(f"| {shares} | {row['labels']:.2f} |")
    return "\n".join(lines) if rows else ""


def label_table(run: dict[str, Any]) -> str:
    """Return F1, number of posts and number of decisions of each label as a Markdown table.

    Empty for a regression, which has no labels.
    """
    if not run["confusion"]:
        return ""
    lines = ["| label | F1 | posts | decisions |", "|---|---:|---:|---:|"]
    for name, posts, number in label_counts(run):
        f1 = percent(run["scores"][-1][f"f1_{name}"])
        lines.append(f"| {name} | {f1} | {posts} | {number} |")
    return "\n".join(lines)


def label_counts(run: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """Return each label, the number of posts with it, and how often it was decided."""
    counts = np.array(run["confusion"], dtype=int)
    if counts.ndim == 3:  # several labels a post: one table of two rows and columns a label
        posts, decided = counts[:, 1].sum(axis=1), counts[:, :, 1].sum(axis=1)
    else:
        posts, decided = counts.sum(axis=1), counts.sum(axis=0)
    return list(zip(run["labels"], posts.tolist(), decided.tolist(), strict=True))


def table_over_seeds(runs: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with one line for each input and branch.

    Args:
        runs: Contents of metrics.json of two or more runs that differ only in their seed.

    Returns:
        Scores in percent, mean ± standard deviation.

    Raises:
        ValueError: The runs are on different data or share a seed.
    """
    seeds = [run["seed"] for run in runs]
    data = {
        (
            run["dataset"]["name"],
            run["dataset"]["protocol"],
            run["dataset"]["counts"]["fingerprint"],
            run["scored_split"],
        )
        for run in runs
    }
    if len(data) > 1 or len(set(seeds)) < max(2, len(seeds)):
        raise ValueError(f"Give runs on the same posts with different seeds, not {data}, {seeds}.")
    columns = columns_of(runs[0]["scores"][0])
    lines = _table_head(columns)
    for rows in zip(*(run["scores"] for run in runs), strict=True):
        cells = []
        for name in columns:
            values = [row[name] for row in rows]
            cells.append(f"{cell(name, mean(values))} ± {cell(name, stdev(values))}")
        lines.append(f"| {rows[0]['input']} | {rows[0]['decided_by']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _table_head(columns: Mapping[str, str], *more: str) -> list[str]:
    numbers = [*columns.values(), *more]
    return [f"| input | decided by | {' | '.join(numbers)} |", "|---|---|" + "---:|" * len(numbers)]


def describe_run(
    trainer: HybridSentTrainer,
    model: ModelArguments,
    data: DataArguments,
    counts: dict[str, Any],
    calibration: dict[str, Any],
    scored: FinalScores,
    seconds: float,
) -> dict[str, Any]:
    """Return the content of metrics.json: what a reader needs to judge and repeat a run.

    Args:
        trainer: Trainer of the final model.
        model: Settings of the model.
        data: Settings of the data.
        counts: Counts of the loader.
        calibration: Result of `fit_temperatures`.
        scored: Result of `score_posts`.
        seconds: Wall time of the whole run.
    """
    names = list(trainer.model.config.id2label.values())
    kind, limits = trainer.model.problem.name, trainer.model.config.label_thresholds
    return {
        **({} if kind == SingleLabel.name else {"problem_type": kind}),
        **({"label_thresholds": dict(zip(names, limits, strict=True))} if limits else {}),
        "dataset": {"name": data.dataset, "protocol": counts["protocol"], "counts": counts},
        "seed": trainer.args.seed,
        "labels": names,
        "encoders": {m: _name_of(encoder) for m, encoder in encoder_names(model).items()},
        "started_from": model.model and _name_of(model.model),
        "clean_text": trainer.processing_class.clean_text,
        "parameters": {
            "all": sum(p.numel() for p in trainer.model.parameters()),
            "trained": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        },
        "best_validation_score": {
            "name": trainer.args.metric_for_best_model,
            "value": trainer.state.best_metric,
        },
        "learning": {
            **learning_curves(trainer.state, trainer.args.load_best_model_at_end),
            "averaged_steps": trainer.averaged_steps,
        },
        "calibration": {
            "fitted_on": "validation",
            **calibration,
            "scored": _calibration_of(scored, trainer.scores),
        },
        "scored_split": scored.split,
        "scores": scored.rows,
        "confusion": confusion_of(scored),
        "decision_weights": _mean_weights(scored, names),
        "agreement": describe_groups(scored, agreement_groups(scored)),
        "robustness": describe_robustness(scored, trainer.scores, trainer.model.config),
        "processes": trainer.args.world_size,
        "seconds": round(seconds, 1),
        "versions": versions(),
    }


def _name_of(name_or_path: str) -> str:
    """Return a name; of a folder its last part, since metrics.json is published."""
    path = Path(name_or_path)
    return path.resolve().name if path.is_dir() else name_or_path


def write_metrics(run: dict[str, Any], folder: str | Path) -> None:
    """Write the result of `describe_run` to metrics.json in a folder."""
    write_whole(json.dumps(run, indent=2) + "\n", Path(folder) / "metrics.json")


def learning_curves(state: TrainerState, kept_best: bool) -> dict[str, Any]:
    """Return the losses and scores in the Trainer's log.

    Args:
        state: State of a trainer after the training.
        kept_best: Whether the model of the best evaluation was kept, and not that of the last step.

    Returns:
        `training`: rows of `epoch`, `loss` and, where logged, its parts `loss_NAME`, each a mean since
        the row before; `validation`: rows of `epoch` with all scores; `kept_epoch`: the epoch of the
        model that was kept.
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
    """Return the temperatures, and their effect on the ECE of the validation posts, in lines.

    Empty for a regression, which has none.
    """
    if not calibration["inputs"]:
        return ""
    lines = [
        "Calibration error (ECE, percent) on the validation posts, before and after temperatures;",
        "cross-fitted: fitted on other posts; by chance: what a perfectly calibrated model would show",
    ]
    rows = calibration["inputs"]
    few = [f"{given} {row['posts']}" for given, row in rows.items() if row["posts"] < LEAST_POSTS]
    for given, row in rows.items():
        if row["posts"] < LEAST_POSTS:
            continue
        whens = ("before", "after", "cross_fitted", "by_chance")
        before, after, honest, chance = (percent(row[f"ece_{when}"]) for when in whens)
        lines.append(
            f"  {given}: {before} before, {after} after, {honest} cross-fitted, {chance} by chance "
            f"(temperature {row['temperature']:.3f})"
        )
    lines.append(f"  temperature of the decision weights: {calibration['weight_temperature']:.3f}")
    if few:
        lines = lines if len(few) < len(rows) else []
        lines.append(
            f"Not calibrated, for fewer than {LEAST_POSTS} validation posts have a label: "
            f"{', '.join(few)}. Label more posts, or do not rely on the probabilities."
        )
    return "\n".join(lines)


def percent(share: float | None) -> str:
    """Format a fraction in percent; None as a dash."""
    return ABSENT if share is None else f"{100 * share:.1f}"


def _calibration_of(scored: FinalScores, scores: Scores) -> dict[str, float]:
    """Return likelihood and ECE of the scored posts without and with the temperatures, if any."""
    if scored.judge.problem.name == Regression.name:
        return {}
    rows = {
        "before": scores(scored.uncalibrated, scored.labels),
        "after": scores(scored.logits, scored.labels),
    }
    return {f"{name}_{when}": row[name] for name in ("nll", "ece") for when, row in rows.items()}


def confusion_of(scored: FinalScores) -> list[Any]:
    """Count posts by label (row) and decision (column); see `confusion` of their scores."""
    return scored.judge.confusion(scored.labels[scored.known], scored.decided[scored.known])


def _mean_weights(scored: FinalScores, names: list[str]) -> dict[str, list[float] | None]:
    """Return the mean weights of text, image and fusion by label, over posts that have both."""
    groups = {**label_groups(scored, names), "all": scored.complete}
    return {name: group["weights"] for name, group in describe_groups(scored, groups).items()}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run depends on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout also runs uninstalled
        return "not installed"
