"""The answer to one post: what pipeline, bulk scoring, page and report speak.

A set of labels holds the right one for a stated share of the posts, its coverage: split conformal
prediction with the score 1 - p (Sadinle, Lei, Wasserman, "Least Ambiguous Set-Valued Classifiers with
Bounded Error Levels", JASA 2019).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

BRANCHES = ("text", "image", "fusion")
# Whether a post has a text and an image, by the names of HybridSentConfig.label_set_thresholds.
_MODALITIES = {"both": (True, True), "text only": (True, False), "image only": (False, True)}


@dataclass(frozen=True)
class BranchAnswer:
    """What one branch gives a post.

    Attributes:
        weight: Its weight in the decision, above 0, at most 1.
        label: Its most probable label.
        score: Probability of that label, not calibrated.
        scores: Label -> probability, not calibrated.
    """

    weight: float
    label: str
    score: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """What the model gives a post.

    Attributes:
        label: Most probable label; None for a post that was not scored.
        score: Its calibrated probability; None likewise.
        scores: Label -> calibrated probability, in the order of the labels.
        branches: Branch -> its answer; branches that took no part are left out.
        agreement: Whether text and image have the same label; None unless both took part.
        energy: -log sum exp of the logits of the fusion branch, else of the only branch.
        familiar: Whether the energy is within the limit measured on validation posts; None without
            a limit.
        notes: What a reader should know, such as that the text was cut.
        error: Why the post was not scored; None if it was.
    """

    label: str | None = None
    score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    branches: dict[str, BranchAnswer] = field(default_factory=dict)
    agreement: bool | None = None
    energy: float | None = None
    familiar: bool | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that JSON can hold; of a failed post `error` alone."""
        fields = asdict(self)
        error, notes = fields.pop("error"), fields.pop("notes")
        return {"error": error} if error is not None else {**fields, "notes": list(notes)}


def make_answers(
    outputs: Mapping[str, Any],
    labels: Sequence[str],
    energy_limits: Mapping[str, float] | None = None,
) -> list[Answer]:
    """Build the answers to the posts of a batch.

    Args:
        outputs: Fields of `HybridSentOutput`, each a tensor or array (posts, numbers): `logits`,
            `decision_weights`, and the logits of the branches that are on.
        labels: Names of the labels, by index.
        energy_limits: Branch -> energy that 95 % of the validation posts do not exceed.

    Returns:
        One answer a post.
    """
    return [_make_answer(row, labels, energy_limits or {}) for row in _rows(outputs)]


def _rows(outputs: Mapping[str, Any]) -> Iterator[dict[str, list[float]]]:
    names = [name for name in ("logits", "decision_weights") if outputs.get(name) is not None]
    names += [f"{x}_logits" for x in BRANCHES if outputs.get(f"{x}_logits") is not None]
    columns = [outputs[name].tolist() for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _make_answer(
    row: Mapping[str, list[float]], labels: Sequence[str], limits: Mapping[str, float]
) -> Answer:
    weights = dict(zip(BRANCHES, row["decision_weights"], strict=True))
    branches = {
        name: BranchAnswer(weight, *_best(row[f"{name}_logits"], labels))
        for name, weight in weights.items()
        if weight > 0 and f"{name}_logits" in row
    }
    fullest = "fusion" if "fusion" in branches else next(iter(branches), None)
    energy = None if fullest is None else -_log_sum_exp(row[f"{fullest}_logits"])
    limit = None if fullest is None else limits.get(fullest)
    both = "text" in branches and "image" in branches
    return Answer(
        *_best(row["logits"], labels),
        branches,
        agreement=branches["text"].label == branches["image"].label if both else None,
        energy=energy,
        familiar=None if limit is None or energy is None else energy <= limit,
    )


def _log_sum_exp(logits: Sequence[float]) -> float:
    greatest = max(logits)
    return greatest + math.log(sum(math.exp(x - greatest) for x in logits))


def _best(logits: Sequence[float], labels: Sequence[str]) -> tuple[str, float, dict[str, float]]:
    """Return the most probable label, its probability, and the probabilities of all labels."""
    total = _log_sum_exp(logits)
    scores = {name: math.exp(x - total) for name, x in zip(labels, logits, strict=True)}
    label = max(scores, key=scores.__getitem__)
    return label, scores[label], scores


def least_scores(config: Any, coverage: float) -> dict[tuple[bool, bool], float]:
    """Return the least probability of a label in a set of labels.

    Args:
        config: Configuration of the model.
        coverage: Share of posts, between 0 and 1, whose set holds the right label; it is rounded up to
            whole percents.

    Returns:
        Whether a post has a text, and an image -> least probability; 0, which leaves all labels in the
        set, for posts of a kind that validation had too few of.

    Raises:
        ValueError: No such share, or a model that cannot state it.
    """
    asked = f"coverage={coverage!r}"
    if isinstance(coverage, bool) or not isinstance(coverage, (int, float)) or not 0 < coverage < 1:
        raise ValueError(f"{asked}: give a number between 0 and 1, such as 0.9.")
    if config.problem_type not in (None, "single_label_classification"):
        raise ValueError(
            f"{asked} is for models that give each post one label, not {config.problem_type}."
        )
    tables = config.label_set_thresholds
    if not tables:
        raise ValueError(
            f"{asked}: this model has no label_set_thresholds. Train it again, with at least 60 "
            "labelled validation posts."
        )
    step = math.ceil(100 * coverage - 1e-9)
    for name, table in tables.items():
        if len(table) < step:
            raise ValueError(
                f"{asked}: the validation posts of this model ({name}) allow at most "
                f"{len(table) / 100}. Ask for that, or train with more validation posts."
            )
    return {
        has: tables[name][step - 1] if name in tables else 0.0 for name, has in _MODALITIES.items()
    }


def label_set(scores: Mapping[str, float], least: float) -> tuple[list[str], bool]:
    """Return the labels that a post may have, and whether that is no answer: none of them, or all.

    Args:
        scores: Label -> calibrated probability.
        least: That of `least_scores` for this post.

    Returns:
        The labels with at least this probability, the most probable first; True for an abstention.
    """
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    labels = [name for name, score in ranked if score >= least]
    return labels, len(labels) in (0, len(scores))


__all__ = ["BRANCHES", "Answer", "BranchAnswer", "label_set", "least_scores", "make_answers"]
