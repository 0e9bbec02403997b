"""Calibrate the final model on validation posts, and score the posts that no choice was made on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset

from hybridsent.evaluation.calibration import (
    BranchAnswers,
    Calibration,
    cross_fitted,
    energy_limits,
    error_by_chance,
    fit_calibration,
    label_set_thresholds,
    number_of_folds,
    present_branches,
)
from hybridsent.training.collator import NO_LABEL
from hybridsent.training.run_posts import ScoredSet, with_only
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.answers_hybridsent import BRANCHES, Answer, make_answers

Row = dict[str, Any]
Scores = Callable[[np.ndarray, np.ndarray], dict[str, float]]
TEMPERATURES = {
    "both": "temperature",
    "text only": "text_only_temperature",
    "image only": "image_only_temperature",
}


def fit_temperatures(trainer: HybridSentTrainer, posts: Dataset) -> dict[str, Any]:
    """Fit temperatures to validation posts, and measure how well they calibrate.

    Each modality alone has a separate temperature, fitted on the posts without their other modality:
    with that of complete posts it would be overconfident.

    Args:
        trainer: Trainer of the final model.
        posts: Validation posts.

    Returns:
        `weight_temperature` of the decision's weights, which as all is 1 where there are fewer than
        `LEAST_POSTS` labelled posts, `energy_limits`, `label_set_thresholds` as the configuration
        has them, and `inputs`: for "both", "text only" and "image only", unless no labelled post has
        that, the `temperature`, the number of `posts`, and likelihood and ECE: `nll_before`,
        `ece_before` without temperatures; `nll_after`, `ece_after` with them, which are too good,
        since the same posts fitted them; `nll_cross_fitted`, `ece_cross_fitted`, where the
        temperatures of each post were fitted on the other of `folds` folds, None, all three, if the
        posts are too few for that; `ece_by_chance`, which a perfectly calibrated model would still
        show on these posts.
    """
    config, inputs, thresholds = trainer.model.config, {}, {}
    outputs, labels = trainer.predict_posts(posts)
    complete = present_branches(posts)["fusion"]
    limits, weight_temperature = energy_limits(outputs, posts), config.decision_weight_temperature
    given = {"both": (branch_answers(outputs, config)[complete], labels[complete])}
    for name, outputs, labels in _each_alone(trainer, posts):
        given[name] = (branch_answers(outputs, config), labels)
    for name, (answers, labels) in given.items():
        known = labels != NO_LABEL
        if not known.any():
            continue
        answers, labels = answers[known], labels[known]
        fitted = fit_calibration(answers, labels)
        held_out = cross_fitted(answers, labels, trainer.args.seed)
        if table := label_set_thresholds(held_out, labels):
            thresholds[name] = table
        inputs[name] = {
            "temperature": fitted.temperature,
            "posts": len(labels),
            **_likelihood_and_ece(answers, fitted, held_out, labels, trainer),
        }
        weight_temperature *= fitted.weight_temperature  # 1 except for "both"
    return {
        "weight_temperature": weight_temperature,
        "energy_limits": limits,
        "label_set_thresholds": thresholds,
        "inputs": inputs,
    }


def store_temperatures(config: HybridSentConfig, calibration: dict[str, Any]) -> None:
    """Store the result of `fit_temperatures` in the configuration of a model."""
    for given, row in calibration["inputs"].items():
        setattr(config, TEMPERATURES[given], row["temperature"])
    config.decision_weight_temperature = calibration["weight_temperature"]
    config.label_set_thresholds = calibration["label_set_thresholds"] or None


def _each_alone(
    trainer: HybridSentTrainer, posts: Dataset
) -> Iterator[tuple[str, dict[str, np.ndarray], np.ndarray]]:
    """Yield the modality that is left, outputs and labels, for posts without their other modality."""
    for modality in ("text", "image"):
        alone = with_only(posts, modality)
        if len(alone):
            yield f"{modality} only", *trainer.predict_posts(alone)


def branch_answers(outputs: dict[str, np.ndarray], config: HybridSentConfig) -> BranchAnswers:
    """Return the answers of the branches that are on.

    Args:
        outputs: Result of `predict_posts`.
        config: Configuration of the model.
    """
    names = [f"{name}_logits" for name in BRANCHES]
    on = [i for i, name in enumerate(names) if name in outputs]
    logits = np.stack([outputs[names[i]] for i in on], axis=1)
    weights = outputs["decision_weights"][:, on]
    return BranchAnswers(logits, weights, dynamic=config.decision_fusion == "dynamic")


def _likelihood_and_ece(
    answers: BranchAnswers,
    fitted: Calibration,
    held_out: np.ndarray | None,
    labels: np.ndarray,
    trainer: HybridSentTrainer,
) -> dict[str, float | None]:
    """Return the errors in `fit_temperatures` of one input, whose labels are all known."""
    decided = fitted.decide(answers)
    compared = {"before": answers.mixed(), "after": decided, "cross_fitted": held_out}
    scores = {
        when: None if logits is None else trainer.scores(logits, labels)
        for when, logits in compared.items()
    }
    errors = {
        f"{name}_{when}": row and row[name]
        for name in ("nll", "ece")
        for when, row in scores.items()
    }
    return {
        **errors,
        "folds": number_of_folds(labels),
        "ece_by_chance": error_by_chance(decided, trainer.args.seed),
    }


class FinalScores(NamedTuple):
    """Scores and answers of the final model on posts that no choice was made on.

    Attributes:
        split: Name of the split.
        rows: One row of scores for each input and branch, over the `posts` that have what the row
            needs. The last row is that of the decision.
        logits: Logits of the calibrated decision, (posts, labels).
        uncalibrated: Logits of the decision if all temperatures were 1, (posts, labels).
        labels: (posts,), -100 where unknown.
        decision_weights: Weights of text, image and fusion, (posts, 3).
        complete: True where a post has both text and image, (posts,).
        branches: Branch -> logits, (posts, labels); without branches that are off.
        alone: Modality -> logits of the calibrated decision on that modality alone, (posts, labels);
            NaN for posts that lack it.
        ids: Id of each post.
        own_labels: Modality -> unimodal labels, (posts,), -100 where unknown; empty if the set has
            none.
    """

    split: str
    rows: list[Row]
    logits: np.ndarray
    uncalibrated: np.ndarray
    labels: np.ndarray
    decision_weights: np.ndarray
    complete: np.ndarray
    branches: dict[str, np.ndarray]
    alone: dict[str, np.ndarray]
    ids: list[str]
    own_labels: dict[str, np.ndarray]

    @property
    def known(self) -> np.ndarray:
        """True where the label is known, (posts,)."""
        return self.labels != NO_LABEL

    @property
    def decided(self) -> np.ndarray:
        """Index of the label that was decided, (posts,)."""
        return self.logits.argmax(axis=1)

    def has(self, modality: str) -> np.ndarray:
        """Return which posts have "text" or "image", bool (posts,)."""
        logits = self.alone.get(modality)
        return np.zeros(len(self.labels), bool) if logits is None else ~np.isnan(logits[:, 0])

    def answers(self, posts: np.ndarray, names: Sequence[str]) -> list[Answer]:
        """Return the answers to some posts, given by number, with the names of the labels."""
        branches = {f"{name}_logits": logits for name, logits in self.branches.items()}
        outputs = {"logits": self.logits, "decision_weights": self.decision_weights, **branches}
        return make_answers({name: values[posts] for name, values in outputs.items()}, names)


def score_posts(trainer: HybridSentTrainer, *sets: ScoredSet) -> FinalScores:
    """Score posts with the text alone, with the image alone, by each branch and by the decision.

    Args:
        trainer: Trainer of the final model.
        *sets: Posts that no choice was made on; after the first set, the same posts in other forms,
            which get a row of the decision each.

    Returns:
        The scores; without rows of what no labelled post has.
    """
    (split, posts), others = (sets[0].split, sets[0].posts), sets[1:]
    rows, has, alone = [], present_branches(posts), {}
    for name, outputs, labels in _each_alone(trainer, posts):
        logits = outputs["logits"]
        rows += _rows(name, "decision", logits, labels, trainer.scores)
        modality = name.removesuffix(" only")
        alone[modality] = np.full((len(posts), logits.shape[1]), np.nan, logits.dtype)
        alone[modality][has[modality]] = logits
    outputs, labels = trainer.predict_posts(posts)
    branches = {name: outputs[f"{name}_logits"] for name in has if f"{name}_logits" in outputs}
    for name, logits in branches.items():
        of = has[name]
        rows += _rows("both", f"{name} branch", logits[of], labels[of], trainer.scores)
    for other in others:
        answers, gold = trainer.predict_posts(other.posts)
        rows += _rows(f"both ({other.form})", "decision", answers["logits"], gold, trainer.scores)
    given = f"both ({sets[0].form})" if sets[0].form else "both"
    rows += _rows(given, "decision", outputs["logits"], labels, trainer.scores)
    config = trainer.model.config
    return FinalScores(
        split,
        rows,
        outputs["logits"],
        branch_answers(outputs, config).mixed(1 / config.decision_weight_temperature),
        labels,
        outputs["decision_weights"],
        has["fusion"],
        branches,
        alone,
        list(posts["id"]),
        _own_labels(posts),
    )


def _own_labels(posts: Dataset) -> dict[str, np.ndarray]:
    """Return the unimodal labels by modality, each (posts,)."""
    columns = {name: f"{name}_label" for name in ("text", "image")}
    return {
        name: np.array([NO_LABEL if label is None else label for label in posts[column]])
        for name, column in columns.items()
        if column in posts.column_names
    }


def _rows(
    given: str, decided_by: str, logits: np.ndarray, labels: np.ndarray, scores: Scores
) -> list[Row]:
    """Return one row of scores, in a list that is empty if no post has a label."""
    if not (labels != NO_LABEL).any():
        return []
    named = {"input": given, "decided_by": decided_by, "posts": len(labels)}
    return [{**named, **scores(logits, labels)}]


def label_groups(scored: FinalScores, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Group the posts that have both text and image by their label.

    Args:
        scored: The scored posts.
        names: Names of the labels.

    Returns:
        Name -> bool (posts,).
    """
    return {name: scored.complete & (scored.labels == i) for i, name in enumerate(names)}


def agreement_groups(scored: FinalScores) -> dict[str, np.ndarray]:
    """Group the posts that have both text and image by which branch disagrees.

    Args:
        scored: The scored posts.

    Returns:
        Agreement -> bool (posts,); each such post is in one of five groups. Empty for a model without
        unimodal branches.
    """
    if not set(BRANCHES) <= set(scored.branches):
        return {}
    text, image, fusion = (scored.branches[name].argmax(axis=1) for name in BRANCHES)
    groups = {
        "all agree": (text == image) & (image == fusion),
        "text differs": (image == fusion) & (text != image),
        "image differs": (text == fusion) & (text != image),
        "fusion differs": (text == image) & (fusion != image),
        "all differ": (text != image) & (image != fusion) & (text != fusion),
    }
    return {name: scored.complete & group for name, group in groups.items()}


def describe_groups(
    scored: FinalScores, groups: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Return number, accuracy and mean decision weights of the posts of each group.

    Args:
        scored: The scored posts.
        groups: Name -> bool (posts,).

    Returns:
        Name -> `posts`, their number; `weights`, the mean decision weights of text, image and fusion;
        `accuracy` of the decision among those with a label. None where there are no such posts.
    """
    return {name: _describe(scored, group) for name, group in groups.items()}


def _describe(scored: FinalScores, group: np.ndarray) -> dict[str, Any]:
    judged = group & scored.known
    right = (scored.decided == scored.labels)[judged]
    return {
        "posts": int(group.sum()),
        "accuracy": float(right.mean()) if judged.any() else None,
        "weights": scored.decision_weights[group].mean(axis=0).tolist() if group.any() else None,
    }
