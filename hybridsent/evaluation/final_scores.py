"""Calibrate the final model on validation posts, then score the posts that no choice was made on."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict

from hybridsent.evaluation.calibration import (
    BranchAnswers,
    Calibration,
    cross_fitted,
    energy_limits,
    error_by_chance,
    fit_calibration,
    number_of_folds,
    present_branches,
)
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.training.data import NO_LABEL, with_only
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent import HybridSentConfig

Row = dict[str, Any]
TEMPERATURES = {
    "both": "temperature",
    "text only": "text_only_temperature",
    "image only": "image_only_temperature",
}


def calibrate(trainer: HybridSentTrainer, posts: Dataset) -> dict[str, Any]:
    """Fit the temperatures on validation posts and store them in the model's configuration.

    A modality alone has a temperature of its own, fitted on the posts without their other modality:
    that of complete posts would leave it far too sure of itself.

    Args:
        trainer: With the final model; its configuration is changed.
        posts: Validation posts.

    Returns:
        `weight_temperature` of the decision's weights, `energy_limits`, and `inputs`: for "both",
        "text only" and "image only", unless no labelled post has that, the `temperature`, the number
        of `posts`, and likelihood and ECE: `nll_before`, `ece_before` without temperatures,
        `nll_after`, `ece_after` with them, which flatter, since they were fitted on the same posts,
        and `nll_cross_fitted`, `ece_cross_fitted`, where each post has temperatures that were fitted
        on the other of `folds` folds; None, all three, where the posts are too few for that;
        `ece_by_chance`, what a perfectly calibrated model would show on these posts.
    """
    config, found = trainer.model.config, {}
    outputs, labels = trainer.predict_posts(posts)
    complete = present_branches(posts)["fusion"]
    limits = energy_limits(outputs, posts)
    asked = {"both": (branch_answers(outputs, config)[complete], labels[complete])}
    for given, outputs, labels in _each_alone(trainer, posts):
        asked[given] = (branch_answers(outputs, config), labels)
    for given, (answers, labels) in asked.items():
        known = labels != NO_LABEL
        if not known.any():
            continue
        answers, labels = answers[known], labels[known]
        fitted = fit_calibration(answers, labels)
        found[given] = {
            "temperature": fitted.temperature,
            "posts": len(labels),
            **_likelihood_and_ece(answers, fitted, labels, trainer),
        }
        setattr(config, TEMPERATURES[given], fitted.temperature)
        config.decision_weight_temperature *= fitted.weight_temperature  # 1 but for "both"
    return {
        "weight_temperature": config.decision_weight_temperature,
        "energy_limits": limits,
        "inputs": found,
    }


def _each_alone(
    trainer: HybridSentTrainer, posts: Dataset
) -> Iterator[tuple[str, dict[str, np.ndarray], np.ndarray]]:
    """Yield what the model says of the posts with one modality taken away, by what is left of them."""
    for modality in ("text", "image"):
        alone = with_only(posts, modality)
        if len(alone):
            yield f"{modality} only", *trainer.predict_posts(alone)


def branch_answers(outputs: dict[str, np.ndarray], config: HybridSentConfig) -> BranchAnswers:
    """Gather what calibration needs.

    Args:
        outputs: Result of `predict_posts`.
        config: Of the model.

    Returns:
        The answers of the branches that are on.
    """
    names = [f"{name}_logits" for name in ("text", "image", "fusion")]
    on = [i for i, name in enumerate(names) if name in outputs]
    logits = np.stack([outputs[names[i]] for i in on], axis=1)
    weights = outputs["decision_weights"][:, on]
    return BranchAnswers(logits, weights, dynamic=config.decision_fusion == "dynamic")


def _likelihood_and_ece(
    answers: BranchAnswers, fitted: Calibration, labels: np.ndarray, trainer: HybridSentTrainer
) -> dict[str, float | None]:
    """Return the errors of `calibrate` for one input, whose labels are all known."""
    decided, seed = fitted.decide(answers), trainer.args.seed
    compared = {
        "before": answers.mixed(),
        "after": decided,
        "cross_fitted": cross_fitted(answers, labels, seed),
    }
    found = {
        when: None if logits is None else trainer.scores.of_logits(logits, labels)
        for when, logits in compared.items()
    }
    errors = {
        f"{name}_{when}": row and row[name]
        for name in ("nll", "ece")
        for when, row in found.items()
    }
    return {
        **errors,
        "folds": number_of_folds(labels),
        "ece_by_chance": error_by_chance(decided, seed),
    }


class Scored(NamedTuple):
    """What the final model says of the posts that no choice was made on.

    Attributes:
        split: Name of the split.
        rows: One row of scores for each input and branch; posts without what a row needs are left
            out, and `posts` of the row says how many are left. The last one is the decision's.
        logits: Of the calibrated decision, (posts, labels).
        uncalibrated: What the decision would be with all temperatures 1, (posts, labels).
        labels: (posts,), -100 where unknown.
        decision_weights: Of text, image and fusion, (posts, 3).
        complete: True where a post has both text and picture, (posts,).
        branches: Branch -> logits, (posts, labels); without branches that are off.
    """

    split: str
    rows: list[Row]
    logits: np.ndarray
    uncalibrated: np.ndarray
    labels: np.ndarray
    decision_weights: np.ndarray
    complete: np.ndarray
    branches: dict[str, np.ndarray]

    @property
    def known(self) -> np.ndarray:
        """True where the label is known, (posts,)."""
        return self.labels != NO_LABEL

    @property
    def decided(self) -> np.ndarray:
        """Index of the label that was decided, (posts,)."""
        return self.logits.argmax(axis=1)


def split_to_score(posts: DatasetDict) -> str:
    """Name the split for the final scores: test if one of its posts has a label, else validation."""
    labels = posts["test"]["label"] if "test" in posts else []
    return "test" if any(label is not None for label in labels) else "validation"


def score_posts(
    trainer: HybridSentTrainer,
    split: str,
    posts: Dataset,
    form: str = "",
    others: Mapping[str, Dataset] | None = None,
) -> Scored:
    """Score posts with the text alone, with the picture alone, by each branch and by the decision.

    Args:
        trainer: With the final model.
        split: Name of the split.
        posts: Posts that no choice was made on.
        form: Form of their texts, such as "label words masked", where the set has several.
        others: The same posts in other forms, by the form's name; each gets a row of its own.

    Returns:
        The scores; without rows of what no labelled post has.
    """
    rows = []
    for name, outputs, labels in _each_alone(trainer, posts):
        rows += _rows(name, "decision", outputs["logits"], labels, trainer.scores)
    outputs, labels = trainer.predict_posts(posts)
    has = present_branches(posts)
    branches = {name: outputs[f"{name}_logits"] for name in has if f"{name}_logits" in outputs}
    for name, logits in branches.items():
        of = has[name]
        rows += _rows("both", f"{name} branch", logits[of], labels[of], trainer.scores)
    for name, same in (others or {}).items():
        found, gold = trainer.predict_posts(same)
        rows += _rows(f"both ({name})", "decision", found["logits"], gold, trainer.scores)
    given = f"both ({form})" if form else "both"
    rows += _rows(given, "decision", outputs["logits"], labels, trainer.scores)
    config = trainer.model.config
    return Scored(
        split,
        rows,
        outputs["logits"],
        branch_answers(outputs, config).mixed(1 / config.decision_weight_temperature),
        labels,
        outputs["decision_weights"],
        has["fusion"],
        branches,
    )


def _rows(
    given: str, decided_by: str, logits: np.ndarray, labels: np.ndarray, scores: SentimentScores
) -> list[Row]:
    """Return the row of scores in a list, which is empty if no post has a label."""
    if not (labels != NO_LABEL).any():
        return []
    named = {"input": given, "decided_by": decided_by, "posts": len(labels)}
    return [{**named, **scores.of_logits(logits, labels)}]
