"""Groups of posts by label and by which branches agree, and their mean decision weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybridsent.evaluation.final_scores import FinalScores

BRANCHES = ("text", "image", "fusion")


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
