"""Scores of rules of decision: our runs' branches, weighed by one rule or another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax

from benchmarks.accuracy.methods.listing import OURS
from benchmarks.accuracy.methods.weight_rules import (
    fit_global_weights,
    mean_rule,
    pdf_rule,
    qmf_rule,
    weigh_probabilities,
)
from benchmarks.accuracy.protocol.layout import Layout
from benchmarks.accuracy.records import BRANCHES, DECISION, HELD_OUT, VALIDATION, columns_of
from benchmarks.accuracy.statistics.comparison import compare
from benchmarks.accuracy.statistics.method_scores import (
    Runs,
    by_method,
    decision_scores,
    spread,
    with_holm,
)
from benchmarks.accuracy.statistics.sums import values_of
from hybridsent.evaluation.calibration import fit_temperature

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
        "one vector, fitted on validation": lambda z, has, _: weigh_probabilities(weights, z, has),
        "fusion branch alone": lambda z, has, own: weigh_probabilities(fusion_alone(has), z, has),
        "mean of log-probabilities": lambda z, has, own: mean_rule(z, has),
        "QMF's weights": lambda z, has, own: qmf_rule(z, has),
        "PDF's weights": lambda z, has, own: pdf_rule(z, has),
    }
    return {name: tuple(rule(*part) for part in parts) for name, rule in rules.items()}


def decide_by_rules(answers: pd.DataFrame, label_names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Decide the held-out posts of one run by each rule, calibrated on its validation posts.

    Args:
        answers: Of a run of ours that has all branches.
        label_names: Names of the labels by index.

    Returns:
        Rule -> the run's answers for held-out posts, with that rule's probabilities as its decision.
    """
    chosen, held_out = (answers[answers["part"] == part] for part in (VALIDATION, HELD_OUT))
    tables = {}
    for name, logits in rule_log_probabilities(chosen, held_out, label_names).items():
        on_chosen, on_held_out = logits
        calibrated = on_held_out / fit_temperature(on_chosen, chosen["label"].to_numpy())
        table = held_out[["run", "id", "label"]].copy()
        table[columns_of(DECISION, list(label_names))] = softmax(calibrated, axis=1)
        tables[name] = table
    return tables


def weight_table(runs: Runs, layout: Layout) -> pd.DataFrame:
    """Compare rules of decision on the branches of our runs.

    Args:
        runs: Figures and answers of all finished runs.
        layout: The posts and runs.

    Returns:
        A row a rule with mean and standard deviation over runs of the scores of a decision, each rule
        calibrated on validation posts; and what it has less the dynamic weights, as in
        `difference_table` (not for these weights themselves). Empty without runs of ours that have
        all branches.
    """
    names, tables = layout.label_names, {}
    for _, answers in by_method(runs).get(OURS, []):
        if columns_of("text_logit", names)[0] in answers:
            for name, table in decide_by_rules(answers, names).items():
                tables.setdefault(name, []).append(table)
    rows = []
    for name, decided in tables.items():
        row = {"rule": name, "runs": len(decided)}
        row |= spread([decision_scores(table, names) for table in decided])
        if name != DYNAMIC:
            row |= compare(pd.concat(decided), pd.concat(tables[DYNAMIC]), layout)
        rows.append(row)
    return with_holm(pd.DataFrame(rows))
