"""Scores of rules of decision: our runs' branches, weighed by one rule or another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import log_softmax
from scipy.stats import ttest_rel

from benchmarks.accuracy.method_scores import Runs, by_method, spread, values_of
from benchmarks.accuracy.methods import OURS
from benchmarks.accuracy.records import BRANCHES, HELD_OUT, VALIDATION, columns_of
from benchmarks.accuracy.weight_rules import (
    fit_global_weights,
    mean_rule,
    pdf_rule,
    qmf_rule,
    weigh_probabilities,
)
from training_hybridsent.calibration import fit_temperature
from training_hybridsent.metrics import SentimentScores

DYNAMIC = "dynamic weights of hybridsent"


def _branches(
    answers: pd.DataFrame, label_names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits (posts, 3, labels), which of them may decide (posts, 3), and weights (posts, 3)."""
    logits = np.stack([values_of(answers, f"{x}_logit", label_names) for x in BRANCHES], axis=1)
    weights = values_of(answers, "weight", BRANCHES)
    return logits, weights > 0, weights


def rule_log_probabilities(
    chosen: pd.DataFrame, scored: pd.DataFrame, label_names: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Decide by each rule from the same branches.

    Args:
        chosen: Our answers for validation posts, on which the one vector of weights is fitted.
        scored: Our answers for held-out posts.
        label_names: Names of the labels by index.

    Returns:
        Rule -> log p of validation posts and of held-out posts, each (posts, labels).
    """
    parts = [_branches(answers, label_names) for answers in (chosen, scored)]
    weights = fit_global_weights(*parts[0][:2], chosen["label"].to_numpy())

    def fusion_alone(has: np.ndarray) -> np.ndarray:
        """Take the fusion branch where it may decide, else the only branch that may."""
        return np.where(has[:, 2:], [0.0, 0.0, 1.0], has.astype(float))

    rules = {
        DYNAMIC: lambda z, has, own: weigh_probabilities(own, z, has),
        "uniform": lambda z, has, own: weigh_probabilities(np.ones(3), z, has),
        "one vector, fitted on validation": lambda z, has, own: weigh_probabilities(
            weights, z, has
        ),
        "fusion branch alone": lambda z, has, own: weigh_probabilities(fusion_alone(has), z, has),
        "mean of log-probabilities": lambda z, has, own: mean_rule(z, has),
        "QMF's weights": lambda z, has, own: qmf_rule(z, has),
        "PDF's weights": lambda z, has, own: pdf_rule(z, has),
    }
    return {name: tuple(rule(*part) for part in parts) for name, rule in rules.items()}


def weight_table(runs: Runs, label_names: Sequence[str]) -> pd.DataFrame:
    """Compare rules of decision on the branches of our runs.

    Args:
        runs: Figures and answers of all finished runs.
        label_names: Names of the labels by index.

    Returns:
        A row a rule with mean and standard deviation over runs of `accuracy`, `nll` and `ece`, each
        rule calibrated on validation posts; `nll_difference`, its NLL less that of the dynamic weights,
        with `nll_low` and `nll_high`, the 95 % interval of Student's paired test over posts (NaN for
        these weights themselves); empty without runs of ours that have all branches.
    """
    scorer, rows, by_post = SentimentScores(label_names), {}, {}
    for _, answers in by_method(runs).get(OURS, []):
        if columns_of("text_logit", list(label_names))[0] not in answers:
            continue
        chosen, scored = (answers[answers["part"] == x] for x in (VALIDATION, HELD_OUT))
        rules = rule_log_probabilities(chosen, scored, label_names)
        labels = scored["label"].to_numpy()
        for name, (on_chosen, on_scored) in rules.items():
            calibrated = on_scored / fit_temperature(on_chosen, chosen["label"].to_numpy())
            scores = scorer.of_logits(calibrated, labels)
            row = {score: scores[score] for score in ("accuracy", "nll", "ece")}
            rows.setdefault(name, []).append(row)
            losses = -log_softmax(calibrated, axis=1)[np.arange(len(labels)), labels]
            by_post.setdefault(name, []).append(pd.Series(losses, index=scored["id"]))
    losses = {name: pd.concat(parts).groupby(level=0).mean() for name, parts in by_post.items()}
    return pd.DataFrame(
        [
            {
                "rule": name,
                "runs": len(found),
                **spread(found),
                **_less_dynamic(losses, name),
            }
            for name, found in rows.items()
        ]
    )


def _less_dynamic(losses: dict[str, pd.Series], rule: str) -> dict[str, float]:
    """Compare the losses of a rule with those of the dynamic weights, post by post."""
    names = ("nll_difference", "nll_low", "nll_high")
    if rule == DYNAMIC:
        return dict.fromkeys(names, float("nan"))
    found = ttest_rel(losses[rule], losses[DYNAMIC]).confidence_interval(0.95)
    return dict(zip(names, ((losses[rule] - losses[DYNAMIC]).mean(), *found), strict=True))
