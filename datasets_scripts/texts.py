"""Texts: from bytes to strings, and when two texts count as the same."""

from __future__ import annotations

import codecs
import re
import unicodedata

LEGACY = "legacy"
ADDRESS = re.compile(r"(?:https?:|www\.)\S*|\bht\S*?(?:\u2026|\.{3})$")  # the last may be cut short
RETWEET = re.compile(r"^(?:rt\s+@\w+:?\s*)+")


def check_encoding(encoding: str) -> None:
    """Raise ValueError for an encoding that Python does not know and that is not "legacy"."""
    try:
        codecs.lookup("utf-8" if encoding == LEGACY else encoding)
    except LookupError:
        raise ValueError(
            f"unknown text_encoding {encoding!r}: one of Python's, such as gb18030, or {LEGACY}"
        ) from None


def decode_text(content: bytes, encoding: str) -> str:
    """Decode the text of a post.

    Args:
        content: The bytes of its file.
        encoding: One of Python's, or "legacy": UTF-8 with all other bytes dropped, as much of the
            published work on MVSA read its GB18030 texts.

    Returns:
        The text without white space around it.

    Raises:
        UnicodeDecodeError: The bytes are not of that encoding.
    """
    if encoding == LEGACY:
        return content.decode("utf-8", errors="ignore").strip()
    return content.decode(encoding).strip()


def text_or_none(text: str | None) -> str | None:
    """Return the text, or None where it is empty or only spaces: such a post has no text."""
    return text if text and text.strip() else None


def normalise_text(text: str | None) -> str:
    """Reduce a text to what makes it the same text as another.

    Compatible characters, letter case, white space, web addresses (a retweet has a new one) and the
    retweet mark are levelled.

    Args:
        text: The text of a post, or None.

    Returns:
        The reduced text; empty if nothing is left, which makes it the same as no other.
    """
    level = unicodedata.normalize("NFKC", text or "").casefold()
    return " ".join(ADDRESS.sub(" ", RETWEET.sub("", level.strip())).split())
