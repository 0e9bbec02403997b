"""The answer to one post, and its explanation: what pipeline, bulk scoring, page and report speak.

A set of labels holds the right one for a stated share of the posts, its coverage: split conformal
prediction with the score 1 - p (Sadinle, Lei, Wasserman, "Least Ambiguous Set-Valued Classifiers with
Bounded Error Levels", JASA 2019).
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import Any, NamedTuple

import torch

from .inputs_hybridsent import LONGEST_TEXT, has_text
from .problems_hybridsent import MultiLabel, Regression, SingleLabel

BRANCHES = ("text", "image", "fusion")
NO_LABELS = "no label"  # in the place of labels none of which reaches its threshold
REGIONS = 4  # rows and columns that an image is cut into for an explanation
MOST_WORDS = 40  # a longer text is taken away in groups of words
# Whether a post has a text and an image, by the names of HybridSentConfig.label_set_thresholds.
_MODALITIES = {"both": (True, True), "text only": (True, False), "image only": (False, True)}


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


def require_one_label(config: Any, asked: str) -> None:
    """Raise ValueError if a model does not give each post one label, which `asked` is about."""
    if config.problem_type not in (None, "single_label_classification"):
        raise ValueError(
            f"{asked} is for models that give each post one label, not {config.problem_type}."
        )


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
    if isinstance(coverage, bool) or not isinstance(coverage, Real) or not 0 < coverage < 1:
        raise ValueError(f"{asked}: give a number between 0 and 1, such as 0.9.")
    require_one_label(config, asked)
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


@dataclass(frozen=True)
class Explanation:
    """What each part of a post did for its label: the part is taken away and the model asked again.

    Attributes:
        label: Most probable label of the whole post.
        score: Its calibrated probability.
        shares: "text" and "image" -> Shapley value of the modality: how much of the label's probability
            it brings, beyond an even guess (1 / labels), which stands for a post of neither. They
            sum to `score` less that guess. A modality that the post lacks brings 0.
        without: "text" and "image" -> label -> probability without that modality; empty unless the
            post has both.
        words: Each word, or group of words, as "word", "start" and "end" in the text, and "effect":
            by how much its absence lowers the label's probability. Empty for one word alone.
        regions: The same effect of each region of the image as the model sees it, row by row; None
            without an image.
    """

    label: str
    score: float
    shares: dict[str, float]
    without: dict[str, dict[str, float]]
    words: list[dict[str, Any]]
    regions: list[list[float]] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that JSON can hold."""
        return asdict(self)


class _Variant(NamedTuple):
    """A post of which a part was taken away: its text, its image or a region, by number."""

    text: str | None
    has_image: bool
    region: int | None = None


def explain_post(
    text: str | None,
    inputs: Mapping[str, torch.Tensor],
    encode_texts: Callable[[Sequence[str | None]], Mapping[str, torch.Tensor]],
    labels: Sequence[str],
    score: Callable[[dict[str, torch.Tensor]], Any],
    batch_size: int = 16,
) -> Explanation:
    """Explain the label of a post; up to 59 posts are scored for it.

    Args:
        text: Its text.
        inputs: What the processor makes of the post, as a batch of one.
        encode_texts: `HybridSentProcessor.encode_texts`.
        labels: Names of the labels, by index.
        score: Takes model inputs of a batch and returns their logits, (batch, labels).
        batch_size: Posts in one call of `score`.

    Returns:
        The explanation.
    """
    text = text if inputs["has_text"].item() else None
    if text:  # of millions of characters, too, the processor reads the start alone
        text = text[: len(text) - len(text.lstrip()) + LONGEST_TEXT]
    has_image = bool(inputs["has_image"].item())
    modalities = [_Variant(None, True), _Variant(text, False)] if text and has_image else []
    words = [(*span, _without(text, *span)) for span in _words(text or "")]
    words = [word for word in words if has_image or has_text(word[-1])]  # else nothing is left
    regions = range(REGIONS**2 if has_image else 0)
    variants = [
        _Variant(text, has_image),
        *modalities,
        *(_Variant(left, has_image) for *_, left in words),
        *(_Variant(text, True, region) for region in regions),
    ]
    rows = _score_variants(variants, inputs, encode_texts, score, batch_size)
    best = int(rows[0].argmax())
    effects = (rows[0, best] - rows[:, best]).tolist()[1 + len(modalities) :]
    without = dict(zip(("text", "image"), rows[1 : 1 + len(modalities)].tolist(), strict=False))
    return Explanation(
        label=labels[best],
        score=float(rows[0, best]),
        shares=_shares(
            rows[0, best].item(), {x: p[best] for x, p in without.items()}, text, labels
        ),
        without={name: dict(zip(labels, p, strict=True)) for name, p in without.items()},
        words=[
            {"word": (text or "")[start:end], "start": start, "end": end, "effect": effect}
            for (start, end, _), effect in zip(words, effects, strict=False)
        ],
        regions=_grid(effects[len(words) :]) if has_image else None,
    )


def _shares(
    score: float, without: Mapping[str, float], text: str | None, labels: Sequence[str]
) -> dict[str, float]:
    """Return the Shapley values of the modalities, from the label's probability without each."""
    guess = 1 / len(labels)
    if not without:
        return {"text": 0.0, "image": 0.0, "text" if text else "image": score - guess}
    text_alone, image_alone = without["image"], without["text"]
    return {
        "text": (text_alone - guess + score - image_alone) / 2,
        "image": (image_alone - guess + score - text_alone) / 2,
    }


def _grid(effects: Sequence[float]) -> list[list[float]]:
    return [list(effects[start : start + REGIONS]) for start in range(0, len(effects), REGIONS)]


def _words(text: str) -> list[tuple[int, int]]:
    """Find where words begin and end, neighbours together where there are too many."""
    places = [match.span() for match in re.finditer(r"\S+", text)]
    size = -(-len(places) // MOST_WORDS) or 1
    groups = [places[start : start + size] for start in range(0, len(places), size)]
    return [(group[0][0], group[-1][1]) for group in groups]


def _without(text: str | None, start: int, end: int) -> str:
    return f"{(text or '')[:start]}{(text or '')[end:]}"


def _score_variants(
    variants: Sequence[_Variant],
    inputs: Mapping[str, torch.Tensor],
    encode_texts: Callable[[Sequence[str | None]], Mapping[str, torch.Tensor]],
    score: Callable[[dict[str, torch.Tensor]], Any],
    batch_size: int,
) -> torch.Tensor:
    """Return the probabilities of the variants of a post, (variants, labels), in float64."""
    texts, logits = encode_texts([variant.text for variant in variants]), []
    pixels = inputs.get("pixel_values")
    for start in range(0, len(variants), batch_size):
        some = variants[start : start + batch_size]
        batch = {name: x[start : start + batch_size] for name, x in texts.items()}
        batch["has_image"] = torch.tensor([variant.has_image for variant in some])
        if pixels is not None:
            painted = [_paint_region(pixels, variant.region) for variant in some]
            batch["pixel_values"] = torch.cat(painted)
        logits.append(torch.as_tensor(score(batch)).double().cpu())
    return torch.cat(logits).softmax(dim=-1)


def _paint_region(pixels: torch.Tensor, region: int | None) -> torch.Tensor:
    """Paint a region of an image (1, 3, height, width) in the image's mean colour."""
    if region is None:
        return pixels
    slices = []
    for number, size in zip(divmod(region, REGIONS), pixels.shape[2:], strict=True):
        slices.append(slice(number * size // REGIONS, (number + 1) * size // REGIONS))
    painted = pixels.clone()
    painted[..., slices[0], slices[1]] = pixels.mean(dim=(2, 3), keepdim=True)
    return painted


__all__ = [
    "BRANCHES",
    "NO_LABELS",
    "Answer",
    "BranchAnswer",
    "Explanation",
    "explain_post",
    "label_set",
    "least_scores",
    "make_answers",
    "require_one_label",
]
