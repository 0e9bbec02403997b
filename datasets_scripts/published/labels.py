"""The label sets, and the one rule by which MVSA's labels of texts and images become joint ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

EMOTIONS = ("Angry", "Bored", "Calm", "Fear", "Happy", "Love", "Sad")
"""Labels of TumEmo."""


def joint_label(text_label: str, image_label: str) -> str | None:
    """Join the labels of a text and its image by the rule all published MVSA results use.

    On the complete MVSA-Single, 4,869 pairs, it gives 2,683 positive, 470 neutral and 1,358 negative
    posts and drops 358; `load_mvsa_single` holds a complete copy to these counts.

    Args:
        text_label: Label of the text alone.
        image_label: Label of the image alone.

    Returns:
        The label if both are equal, the other one if one is neutral, and None where positive
        stands against negative.
    """
    if text_label == image_label or image_label == "neutral":
        return text_label
    return image_label if text_label == "neutral" else None


def majority_label(labels: Sequence[str]) -> str | None:
    """Return the label that more than half of the annotators gave, or None."""
    label, votes = Counter(labels).most_common(1)[0]
    return label if 2 * votes > len(labels) else None
