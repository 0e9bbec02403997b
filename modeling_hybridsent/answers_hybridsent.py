"""The answer to one post: what pipeline, bulk scoring, page and report speak."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .problems_hybridsent import MultiLabel, Regression, SingleLabel

BRANCHES = ("text", "image", "fusion")
NO_LABELS = "no label"  # in the place of labels none of which reaches its threshold


@dataclass(frozen=True)
class BranchAnswer:
    """What one branch gives a post.

    Attributes:
        weight: Its weight in the decision, above 0, at most 1.
        label: Its most probable label; of several, those that reach their thresholds.
        score: Probability of that label, not calibrated; or the score of a regression.
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
        label: Most probable label; of several, those that reach their thresholds, with commas; None
            for a post that was not scored.
        score: Its calibrated probability, None likewise; of several labels that all are right, were
            they independent; or the score of a regression.
        scores: Label -> calibrated probability, in the order of the labels.
        branches: Branch -> its answer; branches that took no part are left out.
        agreement: Whether text and image have the same label; None unless both took part, and for
            a regression.
        energy: -log sum exp of the logits of the fusion branch, else of the only branch; of several
            labels the sum of -log(1 + exp(logit)); None for a regression.
        familiar: Whether the energy is within the limit measured on validation posts; None without
            a limit.
        notes: What a reader should know, such as that the text was cut.
        error: Why the post was not scored; None if it was.
        labels: With several labels a post, those that reach their thresholds, the most probable
            first; else None.
        problem_type: That of the model; None for single labels.
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
    labels: tuple[str, ...] | None = None
    problem_type: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that JSON can hold; of a failed post `error` alone."""
        fields = asdict(self)
        error, notes = fields.pop("error"), fields.pop("notes")
        for name in ("labels", "problem_type"):  # of other problem types than single labels
            if fields[name] is None:
                del fields[name]
        return {"error": error} if error is not None else {**fields, "notes": list(notes)}


def make_answers(
    outputs: Mapping[str, Any],
    labels: Sequence[str],
    energy_limits: Mapping[str, float] | None = None,
    problem: SingleLabel | None = None,
) -> list[Answer]:
    """Build the answers to the posts of a batch.

    Args:
        outputs: Fields of `HybridSentOutput`, each a tensor or array (posts, numbers): `logits`,
            `decision_weights`, and the logits of the branches that are on.
        labels: Names of the labels, by index.
        energy_limits: Branch -> energy that 95 % of the validation posts do not exceed.
        problem: Problem type of the model; None for single labels.

    Returns:
        One answer a post.
    """
    problem = problem or SingleLabel()
    return [_make_answer(row, labels, energy_limits or {}, problem) for row in _rows(outputs)]


def _rows(outputs: Mapping[str, Any]) -> Iterator[dict[str, list[float]]]:
    names = [name for name in ("logits", "decision_weights") if outputs.get(name) is not None]
    names += [f"{x}_logits" for x in BRANCHES if outputs.get(f"{x}_logits") is not None]
    columns = [outputs[name].tolist() for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _make_answer(
    row: Mapping[str, list[float]],
    labels: Sequence[str],
    limits: Mapping[str, float],
    problem: SingleLabel,
) -> Answer:
    weights = dict(zip(BRANCHES, row["decision_weights"], strict=True))
    branches = {
        name: BranchAnswer(weight, *_decide(row[f"{name}_logits"], labels, problem)[:3])
        for name, weight in weights.items()
        if weight > 0 and f"{name}_logits" in row
    }
    fullest = "fusion" if "fusion" in branches else next(iter(branches), None)
    energy = None if fullest is None else problem.energy(row[f"{fullest}_logits"])
    limit = None if fullest is None else limits.get(fullest)
    both = "text" in branches and "image" in branches and problem.name != Regression.name
    label, score, scores, several = _decide(row["logits"], labels, problem)
    return Answer(
        label,
        score,
        scores,
        branches,
        agreement=branches["text"].label == branches["image"].label if both else None,
        energy=energy,
        familiar=None if limit is None or energy is None else energy <= limit,
        labels=several,
        problem_type=None if problem.name == SingleLabel.name else problem.name,
    )


def _decide(
    logits: Sequence[float], labels: Sequence[str], problem: SingleLabel
) -> tuple[str, float, dict[str, float], tuple[str, ...] | None]:
    """Return what is decided, its probability, the scores of all labels, and several labels."""
    scores = problem.score(logits)
    chosen, named = problem.choose(scores), dict(zip(labels, scores, strict=True))
    label = ", ".join(labels[i] for i in sorted(chosen)) or NO_LABELS
    several = tuple(labels[i] for i in chosen) if problem.name == MultiLabel.name else None
    return label, problem.certainty(scores, chosen), named, several


__all__ = ["BRANCHES", "Answer", "BranchAnswer", "make_answers"]
