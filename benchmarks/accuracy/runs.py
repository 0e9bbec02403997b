"""Train one method on one part, calibrate it and note what it says of the posts."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from benchmarks.accuracy.methods.listing import Method
from benchmarks.accuracy.methods.regressions import fit_regression, fit_shares
from benchmarks.accuracy.protocol.parts import Part
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
from hybridsent.regression.answers import INNER_FOLDS, NGRAMS, Inputs


class Experiment:
    """All that the runs of a comparison share.

    Args:
        setup: Settings, posts and labels.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup, self.networks = setup, NetworkTraining(setup)
        self.scores = SentimentScores(setup.label_names)
        self.labels = setup.pool.labels

    def score(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Return the score that the recipe chooses epochs by, so that greater is better."""
        name = (self.setup.training.metric_for_best_model or "macro_f1").removeprefix("eval_")
        found = self.scores.of_logits(logits, labels)
        if name not in found:  # such as the loss, which methods do not share
            return -found["nll"]
        return found[name] if self.setup.training.greater_is_better is not False else -found[name]

    def run(
        self, method: Method, part: Part, rates: Sequence[float]
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        """Train, choose and calibrate within the training part, and score the held-out posts once.

        Args:
            method: What to train.
            part: Its posts.
            rates: Learning rates of what is not an encoder; the best on the part's validation posts
                is taken.

        Returns:
            Figures of the run; and its answers for the posts of the choices and for held-out posts.
        """
        trained, figures = self._best(method, part, rates)
        numbers, chosen = trained.choice or (
            part.validation,
            trained.answer(part.validation, False),
        )
        fitted = _fit(chosen, self.labels[numbers])
        named = {"method": method.name, "run": part.run}
        scored = trained.answer(part.held_out, True)
        tables = [
            self._table(where, _calibrated(answers, fitted), part=name, **named)
            for name, where, answers in (
                (VALIDATION, numbers, chosen),
                (HELD_OUT, part.held_out, scored),
            )
        ]
        figures = {**named, **trained.figures, **figures, **fitted._asdict(), "seed": part.seed}
        return figures, pd.concat(tables, ignore_index=True)

    def _best(
        self, method: Method, part: Part, rates: Sequence[float]
    ) -> tuple[Trained, dict[str, Any]]:
        """Train with each rate and keep the one with the best score on the validation posts."""
        if method.model_class is None:
            return self.train(method, part, rates[0]), {}
        best, tried = None, {}
        for rate in rates:
            trained = self.train(method, part, rate)
            answers = trained.answer(part.validation, False)
            tried[rate] = self.score(answers[DECISION], self.labels[part.validation])
            if best is None or tried[rate] > tried[best[0]]:
                best = rate, trained
        rate, trained = best
        scores = {f"{each:g}": score for each, score in tried.items()}
        return trained, {"learning_rate": rate, "validation_scores": scores}

    def _table(self, numbers: np.ndarray, answers: Answers, **same: Any) -> pd.DataFrame:
        ids = list(self.setup.posts.select(numbers)["id"])
        return answers_table(ids, self.labels[numbers], answers, self.setup.label_names, **same)

    def train(self, method: Method, part: Part, rate: float) -> Trained:
        """Train a method on a part with a learning rate."""
        if method.model_class is not None:
            return self.networks.train(method, part, rate)
        known = part.train[self.labels[part.train] >= 0]
        if not method.reads:
            return fit_shares(self.labels[known], len(self.setup.label_names))
        # Inner folds make the choices, so that the validation posts teach as well.
        known = np.sort(np.concatenate([known, part.validation]))
        inner = min(INNER_FOLDS, self.setup.pool.most_folds(known))
        inputs = self._inputs(method)  # not part of the time of a fit
        start = time.perf_counter()
        trained = fit_regression(
            inputs,
            known,
            self.labels[known],
            self.setup.pool.cut(known, inner, part.run),
            len(self.setup.label_names),
            method.reads,
        )
        return trained._replace(figures={**trained.figures, "seconds": time.perf_counter() - start})

    def _inputs(self, method: Method) -> Inputs:
        """Return what a method reads of all posts, from the encoders as they come."""
        features = self.networks.features
        blocks = features.of(tuple(name for name in method.features if name != NGRAMS))
        return Inputs(blocks, features.texts if NGRAMS in method.features else None)


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


def parts_of_runs(parts: Sequence[Part], runs: Sequence[int] | None) -> list[Part]:
    """Return the parts with these numbers, in their order; all for None.

    Raises:
        ValueError: There is no such run.
    """
    by_run = {part.run: part for part in parts}
    absent = [run for run in runs or () if run not in by_run]
    if absent:
        there = ", ".join(map(str, by_run))
        raise ValueError(f"--runs {absent[0]}: no such run; there are {there}.")
    return [by_run[run] for run in dict.fromkeys(by_run if runs is None else runs)]
