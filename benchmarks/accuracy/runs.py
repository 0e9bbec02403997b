"""Train one method on one part, calibrate it and note what it says of the posts."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from benchmarks.accuracy.frozen_features import FrozenFeatures, fit_regression, fit_shares
from benchmarks.accuracy.methods import Method
from benchmarks.accuracy.protocol import Part
from benchmarks.accuracy.records import (
    BRANCHES,
    DECISION,
    HELD_OUT,
    ONLY,
    VALIDATION,
    WEIGHT,
    Answers,
    Results,
    Trained,
    answers_table,
)
from benchmarks.accuracy.training import NetworkTraining, Setup
from hybridsent.evaluation.calibration import (
    BranchAnswers,
    Calibration,
    fit_calibration,
    fit_temperature,
)
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.training.collator import NO_LABEL, PostCollator
from hybridsent.training.model import build_model, build_processor


class Experiment:
    """All that the runs of a comparison share.

    Args:
        setup: Settings, posts and labels.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup, self.networks = setup, NetworkTraining(setup)
        self.scores = SentimentScores(setup.label_names)
        self.labels = np.array([NO_LABEL if x is None else x for x in setup.posts["label"]])
        self._features: FrozenFeatures | None = None

    def score(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Return the score that the recipe chooses epochs by, so that greater is better."""
        name = (self.setup.training.metric_for_best_model or "macro_f1").removeprefix("eval_")
        found = self.scores.of_logits(logits, labels)
        if name not in found:  # such as the loss, which methods do not share
            return -found["nll"]
        return found[name] if self.setup.training.greater_is_better is not False else -found[name]

    def validation_score(self, method: Method, part: Part, rate: float) -> float:
        """Train with a learning rate and return the score on the validation posts."""
        answers = self.train(method, part, rate).answer(part.validation, False)
        return self.score(answers[DECISION], self.labels[part.validation])

    def run(self, method: Method, part: Part, rate: float) -> tuple[dict[str, Any], pd.DataFrame]:
        """Train, calibrate on the validation posts and score the held-out ones.

        Args:
            method: What to train.
            part: Its posts.
            rate: Learning rate of what is not an encoder.

        Returns:
            Figures of the run, and its answers for validation and held-out posts.
        """
        trained, named = self.train(method, part, rate), {"method": method.name, "run": part.run}
        scored = {
            VALIDATION: trained.answer(part.validation, False),
            HELD_OUT: trained.answer(part.held_out, True),
        }
        logits, labels = scored[VALIDATION][DECISION], self.labels[part.validation]
        fitted = _fit(scored[VALIDATION], labels)
        tables = [
            self._table(getattr(part, name), _calibrated(answers, fitted), part=name, **named)
            for name, answers in scored.items()
        ]
        figures = {
            **named,
            **trained.figures,
            "learning_rate": rate,
            **fitted._asdict(),
            "validation_score": self.score(logits, labels),
        }
        return figures, pd.concat(tables, ignore_index=True)

    def _table(self, numbers: np.ndarray, answers: Answers, **same: Any) -> pd.DataFrame:
        ids = list(self.setup.posts.select(numbers)["id"])
        return answers_table(ids, self.labels[numbers], answers, self.setup.label_names, **same)

    def train(self, method: Method, part: Part, rate: float) -> Trained:
        """Train a method on a part with a learning rate."""
        if method.model_class is not None:
            return self.networks.train(method, part, rate)
        known = part.train[self.labels[part.train] != NO_LABEL]
        if not method.reads:
            return fit_shares(self.labels[known], len(self.setup.label_names))
        features, validation = self._frozen_features(), part.validation
        features.of(np.concatenate([known, validation]))  # not part of the time of a fit
        start = time.perf_counter()
        trained = fit_regression(
            features,
            (known, self.labels[known]),
            (validation, self.labels[validation]),
            len(self.setup.label_names),
            self.score,
        )
        return trained._replace(figures={**trained.figures, "seconds": time.perf_counter() - start})

    def _frozen_features(self) -> FrozenFeatures:
        """Return the features of the encoders as they come, computed for each post when first asked."""
        if self._features is None:
            self._features = FrozenFeatures(
                build_model(self.setup.models, self.setup.label_names),
                self.setup.posts,
                PostCollator(build_processor(self.setup.models)),
                self.setup.training.per_device_eval_batch_size,
            )
        return self._features


def _branches(answers: Answers) -> BranchAnswers | None:
    """Return what weighs branches by the post; None of a method that does not."""
    if WEIGHT not in answers:
        return None
    logits = np.stack([answers[f"{name}_logit"] for name in BRANCHES], axis=1)
    return BranchAnswers(logits, answers[WEIGHT], dynamic=True)


def _fit(answers: Answers, labels: np.ndarray) -> Calibration:
    """Calibrate on validation posts; of one without branches the decision only."""
    branches = _branches(answers)
    if branches is None:
        return Calibration(fit_temperature(answers[DECISION], labels))
    return fit_calibration(branches, labels)


def _calibrated(answers: Answers, fitted: Calibration) -> Answers:
    """Turn the decisions' logits into calibrated probabilities, and temper weights; branches stay."""
    found = {kind: values for kind, values in answers.items() if kind not in ONLY.values()}
    for kind in set(ONLY.values()) & answers.keys():  # one branch, of weight 1
        found[kind] = softmax(answers[kind] / fitted.temperature, axis=1)
    branches = _branches(answers)
    if branches is None:
        found[DECISION] = softmax(answers[DECISION] / fitted.temperature, axis=1)
    else:
        found[DECISION] = softmax(fitted.decide(branches), axis=1)
        found[WEIGHT] = branches.tempered_weights(fitted.weight_temperature)
    return found


def trial_rates(rate: float, trials: int) -> list[float]:
    """Return so many learning rates around one: itself, half, twice, a quarter, four times, ...

    Raises:
        ValueError: Fewer than one.
    """
    if trials < 1:
        raise ValueError(f"--trials {trials}: give at least 1.")
    steps = [(-1) ** i * ((i + 1) // 2) for i in range(trials)]
    return [rate * 2.0**step for step in steps]


def chosen_rate(
    experiment: Experiment, method: Method, part: Part, rates: list[float], results: Results
) -> float:
    """Return the learning rate with the best validation score on one part, trying those not yet tried.

    Args:
        experiment: What trains.
        method: What is trained.
        part: On whose validation posts the rate is chosen; its held-out posts are not looked at.
        rates: Learning rates.
        results: Where the trials are kept.
    """
    if len(rates) == 1 or method.model_class is None:
        return rates[0]
    scores = []
    for rate in rates:
        name = f"{method.name}-trial-{rate:g}"
        if not results.is_finished(name):
            score = experiment.validation_score(method, part, rate)
            figures = {"method": method.name, "learning_rate": rate, "validation_score": score}
            results.write(name, figures, None)
        scores.append(results.figures(name)["validation_score"])
    return rates[scores.index(max(scores))]


def pending(
    parts: Sequence[Part], methods: Sequence[Method], results: Results
) -> Iterator[tuple[str, Method, Part]]:
    """Yield the runs that are not finished, part by part, so that a table compares like with like."""
    for part in parts:
        for method in methods:
            name = f"{method.name}-{part.run}"
            if results.is_finished(name):
                print(f"{name}: finished before")
            else:
                yield name, method, part
