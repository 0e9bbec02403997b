"""Texts: from bytes to strings, and when two texts count as the same."""

from __future__ import annotations

import re
import unicodedata

LEGACY = "legacy"
ADDRESS = re.compile(r"(?:https?:|www\.)\S*")
CUT_SHORT = re.compile(r"\bht")  # where the last word ends in three dots
RETWEET = re.compile(r"^(?:rt\s+@\w+:?\s*)+")


def check_encoding(encoding: str) -> None:
    """Raise ValueError unless Python has this encoding of texts or it is "legacy"."""
    try:
        b"a".decode("utf-8" if encoding == LEGACY else encoding)
    except UnicodeDecodeError:
        return  # known, but of more than one byte
    except (LookupError, ValueError):
        raise ValueError(
            f"unknown text_encoding {encoding!r}: use one of Python's, such as gb18030, or {LEGACY}"
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
        UnicodeError: The bytes are not of that encoding, or hold an unpaired surrogate, as UTF-7 may.
    """
    if encoding == LEGACY:
        return content.decode("utf-8", errors="ignore").strip()
    text = content.decode(encoding).strip()
    text.encode()  # raises on what no table and no tokenizer takes
    return text


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
    level = RETWEET.sub("", unicodedata.normalize("NFKC", text or "").casefold().strip())
    if level.endswith("..."):
        # No pattern finds this in a time that grows as the length does, and texts may be hostile.
        last_word = level.rsplit(maxsplit=1)[-1]
        found = CUT_SHORT.search(last_word)
        level = level[: found.start() - len(last_word)] if found else level
    return " ".join(ADDRESS.sub(" ", level).split())
