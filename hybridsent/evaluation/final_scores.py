"""Calibrate the final model on validation posts, and score the posts that no choice was made on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset

from hybridsent.evaluation.calibration import (
    LEAST_POSTS,
    BranchAnswers,
    Calibration,
    cross_fitted,
    energy_limits,
    error_by_chance,
    fit_calibration,
    fit_thresholds,
    label_set_thresholds,
    number_of_folds,
    present_branches,
)
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.evaluation.problem_scores import scores_of
from hybridsent.training.run_posts import ScoredSet, with_only
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.answers_hybridsent import BRANCHES, Answer, make_answers
from modeling_hybridsent.problems_hybridsent import MultiLabel, Regression

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

    With several labels a post, what is calibrated is the yes or no to each label. A score has no
    temperatures.

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
    judge, weight_temperature = scores_of(config), config.decision_weight_temperature
    if config.problem_type == Regression.name:
        names = ("energy_limits", "label_set_thresholds", "inputs")
        nothing: dict[str, Any] = {name: {} for name in names}
        return {"weight_temperature": weight_temperature, **nothing}
    outputs, labels = trainer.predict_posts(posts)
    complete = present_branches(posts)["fusion"]
    limits = energy_limits(outputs, posts, judge)
    given = {"both": (branch_answers(outputs, config)[complete], labels[complete])}
    for name, outputs, labels in _each_alone(trainer, posts):
        given[name] = (branch_answers(outputs, config), labels)
    for name, (answers, labels) in given.items():
        known = judge.known(labels)
        if not known.any():
            continue
        fitted, table, errors = _calibrate(answers[known], labels[known], trainer)
        if table:
            thresholds[name] = table
        inputs[name] = {"temperature": fitted.temperature, "posts": int(known.sum()), **errors}
        weight_temperature *= fitted.weight_temperature  # 1 except for "both"
    return {
        "weight_temperature": weight_temperature,
        "energy_limits": limits,
        "label_set_thresholds": thresholds,
        "inputs": inputs,
    }


def _calibrate(
    answers: BranchAnswers, labels: np.ndarray, trainer: HybridSentTrainer
) -> tuple[Calibration, list[float], dict[str, float | None]]:
    """Fit what calibrates one input, whose labels are all known.

    Returns:
        Temperatures, thresholds of label sets, and the effect of the temperatures.
    """
    seed = trainer.args.seed
    if labels.ndim == 1:
        fitted, held_out = fit_calibration(answers, labels), cross_fitted(answers, labels, seed)
        errors = _likelihood_and_ece(answers, fitted, held_out, labels, trainer.scores, seed)
        return fitted, label_set_thresholds(held_out, labels), errors
    posts, count = labels.shape
    answers, labels = answers.one_by_one(), labels.reshape(-1).astype(int)
    fitted, held_out = Calibration(), None
    if posts >= LEAST_POSTS:
        groups = np.repeat(np.arange(posts), count)
        fitted, held_out = (
            fit_calibration(answers, labels),
            cross_fitted(answers, labels, seed, groups),
        )
    scores = SentimentScores(("no", "yes")).of_logits
    return fitted, [], _likelihood_and_ece(answers, fitted, held_out, labels, scores, seed)


def store_temperatures(config: HybridSentConfig, calibration: dict[str, Any]) -> None:
    """Store the result of `fit_temperatures` in the configuration of a model."""
    for given, row in calibration["inputs"].items():
        setattr(config, TEMPERATURES[given], row["temperature"])
    config.decision_weight_temperature = calibration["weight_temperature"]
    config.label_set_thresholds = calibration["label_set_thresholds"] or None


def store_thresholds(trainer: HybridSentTrainer, posts: Dataset) -> None:
    """Fit the thresholds of a calibrated model with several labels a post, and store them.

    Fewer than `LEAST_POSTS` validation posts with labels leave them at 0.5.

    Args:
        trainer: Trainer of the final model, after `store_temperatures`.
        posts: Validation posts.
    """
    config = trainer.model.config
    if config.problem_type != MultiLabel.name:
        return
    judge = scores_of(config)
    outputs, labels = trainer.predict_posts(posts)
    known = judge.known(labels)
    if known.sum() >= LEAST_POSTS:
        probabilities = judge.probabilities(outputs["logits"][known])
        config.label_thresholds = fit_thresholds(probabilities, labels[known])


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
    scores: Scores,
    seed: int,
) -> dict[str, float | None]:
    """Return the errors in `fit_temperatures` of one input, whose labels are all known."""
    decided = fitted.decide(answers)
    compared = {"before": answers.mixed(), "after": decided, "cross_fitted": held_out}
    rows = {
        when: None if logits is None else scores(logits, labels)
        for when, logits in compared.items()
    }
    errors = {
        f"{name}_{when}": row and row[name] for name in ("nll", "ece") for when, row in rows.items()
    }
    return {
        **errors,
        "folds": number_of_folds(labels),
        "ece_by_chance": error_by_chance(decided, seed),
    }


class FinalScores(NamedTuple):
    """Scores and answers of the final model on posts that no choice was made on.

    Attributes:
        split: Name of the split.
        rows: One row of scores for each input and branch, over the `posts` that have what the row
            needs. The last row is that of the decision.
        logits: Logits of the calibrated decision, (posts, labels).
        uncalibrated: Logits of the decision if all temperatures were 1, (posts, labels).
        labels: (posts,), -100 where unknown; of several labels a post (posts, labels); of scores
            (posts,), NaN where unknown.
        decision_weights: Weights of text, image and fusion, (posts, 3).
        complete: True where a post has both text and image, (posts,).
        branches: Branch -> logits, (posts, labels); without branches that are off.
        alone: Modality -> logits of the calibrated decision on that modality alone, (posts, labels);
            NaN for posts that lack it.
        ids: Id of each post.
        own_labels: Modality -> unimodal labels, like `labels`; empty if the set has none.
        judge: Scores posts of the model's problem type.
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
    judge: SentimentScores = SentimentScores(())

    @property
    def known(self) -> np.ndarray:
        """True where the label is known, (posts,)."""
        return self.judge.known(self.labels)

    @property
    def decided(self) -> np.ndarray:
        """Index of the label that was decided, (posts,); or which labels, or the score."""
        return self.judge.decided(self.logits)

    @property
    def right(self) -> np.ndarray:
        """True where the decision is the label, or has exactly the labels, (posts,)."""
        return self.judge.same(self.decided, self.labels)

    def has(self, modality: str) -> np.ndarray:
        """Return which posts have "text" or "image", bool (posts,)."""
        logits = self.alone.get(modality)
        return np.zeros(len(self.labels), bool) if logits is None else ~np.isnan(logits[:, 0])

    def answers(self, posts: np.ndarray, names: Sequence[str]) -> list[Answer]:
        """Return the answers to some posts, given by number, with the names of the labels."""
        branches = {f"{name}_logits": logits for name, logits in self.branches.items()}
        outputs = {"logits": self.logits, "decision_weights": self.decision_weights, **branches}
        chosen = {name: values[posts] for name, values in outputs.items()}
        return make_answers(chosen, names, problem=self.judge.problem)


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
    config = trainer.model.config
    rows, has, alone, judge = [], present_branches(posts), {}, scores_of(config)
    for name, outputs, labels in _each_alone(trainer, posts):
        logits = outputs["logits"]
        rows += _rows(name, "decision", logits, labels, trainer.scores, judge)
        modality = name.removesuffix(" only")
        alone[modality] = np.full((len(posts), logits.shape[1]), np.nan, logits.dtype)
        alone[modality][has[modality]] = logits
    outputs, labels = trainer.predict_posts(posts)
    branches = {name: outputs[f"{name}_logits"] for name in has if f"{name}_logits" in outputs}
    for name, logits in branches.items():
        of = has[name]
        rows += _rows("both", f"{name} branch", logits[of], labels[of], trainer.scores, judge)
    for other in others:
        answers, gold = trainer.predict_posts(other.posts)
        form = f"both ({other.form})"
        rows += _rows(form, "decision", answers["logits"], gold, trainer.scores, judge)
    given = f"both ({sets[0].form})" if sets[0].form else "both"
    rows += _rows(given, "decision", outputs["logits"], labels, trainer.scores, judge)
    return FinalScores(
        split,
        rows,
        outputs["logits"],
        _uncalibrated(outputs, config),
        labels,
        outputs["decision_weights"],
        has["fusion"],
        branches,
        alone,
        list(posts["id"]),
        _own_labels(posts, judge),
        judge,
    )


def _uncalibrated(outputs: dict[str, np.ndarray], config: HybridSentConfig) -> np.ndarray:
    """Return the decision's logits if all temperatures were 1, (posts, labels)."""
    if config.problem_type == Regression.name:
        return outputs["logits"]
    answers, temperature = branch_answers(outputs, config), 1 / config.decision_weight_temperature
    if config.problem_type != MultiLabel.name:
        return answers.mixed(temperature)
    no, yes = answers.one_by_one().mixed(temperature).T
    return (yes - no).reshape(outputs["logits"].shape)


def _own_labels(posts: Dataset, judge: SentimentScores) -> dict[str, np.ndarray]:
    """Return the unimodal labels by modality, each like those of the posts."""
    columns = {name: f"{name}_label" for name in ("text", "image")}
    return {
        name: judge.problem.encode(list(posts[column])).numpy()
        for name, column in columns.items()
        if column in posts.column_names
    }


def _rows(
    given: str,
    decided_by: str,
    logits: np.ndarray,
    labels: np.ndarray,
    scores: Scores,
    judge: SentimentScores,
) -> list[Row]:
    """Return one row of scores, in a list that is empty if no post has a label."""
    if not judge.known(labels).any():
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
    judge, labels = scored.judge, scored.labels
    return {name: scored.complete & judge.has(labels, i) for i, name in enumerate(names)}


def agreement_groups(scored: FinalScores) -> dict[str, np.ndarray]:
    """Group the posts that have both text and image by which branch disagrees.

    Args:
        scored: The scored posts.

    Returns:
        Agreement -> bool (posts,); each such post is in one of five groups. Empty for a model without
        unimodal branches, and for scores.
    """
    judge = scored.judge
    if not set(BRANCHES) <= set(scored.branches) or judge.problem.name == Regression.name:
        return {}
    text, image, fusion = (judge.decided(scored.branches[name]) for name in BRANCHES)
    pairs = ((text, image), (image, fusion), (text, fusion))
    alike, of_image, of_text = (judge.same(*pair) for pair in pairs)
    groups = {
        "all agree": alike & of_image,
        "text differs": of_image & ~alike,
        "image differs": of_text & ~alike,
        "fusion differs": alike & ~of_image,
        "all differ": ~alike & ~of_image & ~of_text,
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
    right = scored.right[judged]
    has_right = judged.any() and scored.judge.problem.name != Regression.name
    return {
        "posts": int(group.sum()),
        "accuracy": float(right.mean()) if has_right else None,
        "weights": scored.decision_weights[group].mean(axis=0).tolist() if group.any() else None,
    }
