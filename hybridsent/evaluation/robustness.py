"""How a model does where posts lose a modality, where it is unsure, and where labels disagree.

All of it follows from answers that a run has anyway: the model is not asked again.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from hybridsent.evaluation.final_scores import FinalScores, Row, Scores, describe_groups
from hybridsent.evaluation.metrics import risks_of
from modeling_hybridsent import HybridSentConfig
from modeling_hybridsent.answers_hybridsent import label_set, least_scores

LOST_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
STATED = (0.8, 0.9, 0.95)  # coverage of label sets
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def describe_robustness(
    scored: FinalScores, scores: Scores, config: HybridSentConfig
) -> dict[str, Any]:
    """Return what metrics.json says of robustness.

    Args:
        scored: The scored posts.
        scores: Computes named scores from logits and labels.
        config: Configuration of the model.

    Returns:
        `lost_modality`, `confidence_rises`, `risk` (rows of `coverage` and `error`), `label_sets` and
        `own_labels`, the accuracy by which unimodal labels are that of the post.
    """
    return {
        "lost_modality": lost_modality(scored, scores),
        "confidence_rises": confidence_rises(scored),
        "risk": risk_by_coverage(scored),
        "label_sets": label_sets(scored, config),
        "own_labels": describe_groups(scored, own_label_groups(scored)),
    }


def hash_order(ids: Sequence[str], purpose: str) -> np.ndarray:
    """Return the order of posts by the SHA-256 of purpose and id: random, but always the same."""
    digests = [hashlib.sha256(f"{purpose} {post}".encode()).digest() for post in ids]
    return np.array(sorted(range(len(ids)), key=digests.__getitem__), dtype=int)


def lost_modality(scored: FinalScores, scores: Scores) -> list[Row]:
    """Score posts of which a growing share has lost a modality: one half the text, one the image.

    Posts that have lost one at one share have lost the same one at all larger shares.

    Args:
        scored: The scored posts; used are those with both modalities and a label.
        scores: Computes named scores from logits and labels.

    Returns:
        For each of `LOST_SHARES` the `share`, the number of `posts`, and a few scores; empty without
        posts.
    """
    order = hash_order(scored.ids, "lost")
    order = order[(scored.complete & scored.known)[order]]
    if not len(order):
        return []
    loses_text = np.arange(len(order))[:, None] % 2 == 0
    left = np.where(loses_text, scored.alone["image"][order], scored.alone["text"][order])
    rows = []
    for share in LOST_SHARES:
        lost = round(share * len(order))
        logits = np.concatenate([left[:lost], scored.logits[order[lost:]]])
        found = scores(logits, scored.labels[order])
        kept = {name: found[name] for name in scored.judge.robustness}
        rows.append({"share": share, "posts": len(order), **kept})
    return rows


def confidence_rises(scored: FinalScores) -> dict[str, float]:
    """Return the share of complete posts whose confidence rises when a modality is taken away.

    A model that knows less should not be more certain: Ma et al., "Calibrating Multimodal Learning",
    ICML 2023.

    Returns:
        Modality that is taken away -> share; empty without complete posts, and for scores.
    """
    confidence, complete = scored.judge.confidence, scored.complete
    if not complete.any() or (whole := confidence(scored.logits[complete])) is None:
        return {}
    others = {"text": "image", "image": "text"}
    return {
        taken: float((confidence(scored.alone[left][complete]) > whole).mean())
        for taken, left in others.items()
    }


def risk_by_coverage(scored: FinalScores) -> list[Row]:
    """Return the error among the most confident labelled posts, at each share of `COVERAGES`.

    Empty for scores, which have no confidence.
    """
    known = scored.known
    confidence = scored.judge.confidence(scored.logits[known])
    if confidence is None:
        return []
    found = risks_of(scored.right[known], confidence)
    return [
        {"coverage": share, "error": float(found[max(1, round(share * len(found))) - 1])}
        for share in COVERAGES
    ]


def label_sets(scored: FinalScores, config: HybridSentConfig) -> list[Row]:
    """Compare the coverage that sets of labels state with that on the labelled posts.

    Returns:
        For each of `STATED` that the model can state: the `coverage`, the number of `posts`, the share
        whose set holds the right label (`covered`) or is no answer (`abstained`), and the mean number
        of `labels` in a set.
    """
    tables = config.label_set_thresholds or {"both": []}
    most = min(map(len, tables.values())) / 100
    return [_set_scores(scored, config, share) for share in STATED if share <= most]


def _set_scores(scored: FinalScores, config: HybridSentConfig, coverage: float) -> Row:
    """Return the row of one coverage of `label_sets`."""
    posts, least = np.flatnonzero(scored.known), least_scores(config, coverage)
    probabilities = softmax(scored.logits.astype(np.float64), axis=1)
    has = [scored.has(name) for name in ("text", "image")]
    found = [
        label_set(dict(enumerate(probabilities[i])), least[bool(has[0][i]), bool(has[1][i])])
        for i in posts
    ]
    right = [scored.labels[i] in labels for i, (labels, _) in zip(posts, found, strict=True)]
    return {
        "coverage": coverage,
        "posts": len(posts),
        "covered": float(np.mean(right)),
        "abstained": float(np.mean([no_answer for _, no_answer in found])),
        "labels": float(np.mean([len(labels) for labels, _ in found])),
    }


def own_label_groups(scored: FinalScores) -> dict[str, np.ndarray]:
    """Group the complete posts that have all labels by which unimodal labels are that of the post.

    In MVSA, where text and image never contradict, the other label is neutral if one alone is it.

    Returns:
        Name -> bool (posts,); empty if the set has no unimodal labels, and for scores.
    """
    judge = scored.judge
    if not scored.own_labels or judge.confidence(scored.logits) is None:
        return {}
    text, image = scored.own_labels["text"], scored.own_labels["image"]
    posts = scored.complete & scored.known & judge.known(text) & judge.known(image)
    of_text, of_image = judge.same(text, scored.labels), judge.same(image, scored.labels)
    groups = {
        "text and image": of_text & of_image,
        "text alone": of_text & ~of_image,
        "image alone": ~of_text & of_image,
        "neither": ~of_text & ~of_image,
    }
    return {name: posts & group for name, group in groups.items()}
