"""Words that give a label away: the emotion tags by which TumEmo's posts were collected."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[MASK]"
MASKED = "label words masked"  # in the name of a protocol
INFLECTIONS = {  # of the word and its root; what stands before the colon is the label
    "Angry": r"ang(?:ry|rier|riest|rily|er|ers|ered|ering)",
    "Bored": r"bor(?:ed|edly|edom|e|es|ing|ingly)",
    "Calm": r"calm(?:s|er|est|ed|ing|ly|ness)?",
    "Fear": r"fear(?:s|ed|ing|ful|fully|less|lessly|some)?",
    "Happy": r"(?:un)?happ(?:y|ier|iest|ily|iness)",
    "Love": r"(?:be|un)?lov(?:e|es|ed|ing|ingly|ely|elier|er|ers|able|eable)",
    "Sad": r"sad(?:der|dest|ly|ness|den|dens|dened|dening)?",
}
# Hashtags run words together. Short roots count at either end only: #ambassador is not sad.
IN_HASHTAGS = {
    "Angry": r"\w*ang(?:ry|er)\w*",
    "Bored": r"\w*bor(?:ed|ing)\w*|bore\w*",
    "Calm": r"\w*calm\w*",
    "Fear": r"\w*fear\w*",
    "Happy": r"\w*happ[yi]\w*",
    "Love": r"\w*lov(?:e|ing)\w*",
    "Sad": r"sad\w*|\w*sad",
}


def label_word_pattern(label_names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds the words of labels.

    Args:
        label_names: TumEmo's emotions are found with their inflections and in hashtags, other names
            as they are, with or without a hash sign.

    Returns:
        A pattern that ignores case.
    """
    parts = []
    for name in label_names:
        plain = re.escape(name)
        parts.append(rf"#(?:{IN_HASHTAGS.get(name, plain)})(?!\w)")
        parts.append(rf"(?<!\w){INFLECTIONS.get(name, plain)}(?!\w)")
    return re.compile("|".join(parts), re.IGNORECASE)


def mask_label_words(text: str, pattern: re.Pattern[str], mask: str = MASK) -> str:
    """Put a mask in the place of each label word; "#happy" goes with its hash sign."""
    return pattern.sub(lambda _: mask, text)


def masked_protocol(protocol: str, mask: str) -> str:
    """Name a protocol whose texts have `mask` in the place of label words."""
    return f"{protocol}, {MASKED} by {mask}"
