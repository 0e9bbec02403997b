"""Bounds on what a tokenizer's files may make of one short text.

Fixed padding, a replacement that doubles the text forty times or a template of a million special tokens
would fill the memory with the first post.
"""

import base64
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

MOST_TOKENS = 1_000_000  # of one text; padding to many more would end the process
MOST_GROWTH = (
    10_000  # characters or tokens that may become of one; known tokenizers stay below 3,000
)
_COUNTED = ("length", "max_length", "pad_to_multiple_of", "stride")
# Parts of `tokenizer.json` that change how long a text is.
_PARTS = ("normalizer", "pre_tokenizer", "post_processor")
# Characters that may become of one, by type of the part; 1 of those that are not listed.
_GROWTH = {
    "BertNormalizer": 4,
    "ByteLevel": 4,
    "Lowercase": 2,
    "Metaspace": 2,
    "NFC": 3,
    "NFD": 4,
    "NFKC": 18,
    "NFKD": 18,
}
_LISTS = ("normalizers", "pretokenizers", "processors")  # of a Sequence


class TokenizerPanicError(ValueError):
    """The Rust code of a tokenizer gave up on a text."""


@contextmanager
def without_panic() -> Iterator[None]:
    """Turn a panic of Rust, which no `except Exception` catches, into TokenizerPanicError."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise TokenizerPanicError(f"the tokenizer crashed: {error!s:.200}") from error


def excess_of_backend(tokenizer: Any) -> str:
    """Return what in `tokenizer.json` makes too much of a short text.

    Args:
        tokenizer: Any tokenizer of the library; one without a Rust backend has no such file.

    Returns:
        The setting with its value, and what is allowed; "" if there is none.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for name in ("padding", "truncation"):
        if found := _excess(name, getattr(backend, name, None) or {}):
            return found
    growth = 1.0
    for name in _PARTS:
        part = _content(getattr(backend, name, None))
        growth *= _growth(part)
        if growth > MOST_GROWTH:
            return (
                f"{name}: may make {growth:.0f} of one character; at most {MOST_GROWTH} is allowed"
            )
    return ""


def excess_of_settings(tokenizer: Any) -> str:
    """Return what in `tokenizer_config.json` makes too much of a short text, or ""."""
    settings = dict(getattr(tokenizer, "init_kwargs", None) or {})
    if "padding" not in settings:  # else many of the Hub have such a max_length by accident
        settings.pop("max_length", None)
    return _excess("", settings)


def _excess(part: str, settings: Mapping[str, Any]) -> str:
    place = f"{part}: " if part else ""
    for name in _COUNTED:
        value = settings.get(name)
        if isinstance(value, int) and value > MOST_TOKENS:
            return f"{place}{name}={value}; at most {MOST_TOKENS} tokens of one text are allowed"
    return ""


def _content(part: Any) -> dict[str, Any]:
    """Return a part of a tokenizer as it stands in `tokenizer.json`; {} if it stands in no file."""
    try:
        state = part.__getstate__()
    except Exception:  # a part in Python, which the library cannot write
        return {}
    return json.loads(state) if isinstance(state, bytes) else {}


def _growth(part: Mapping[str, Any]) -> float:
    """Return an upper bound of the characters, or tokens, that may become of one."""
    kind = part.get("type", "")
    if kind == "Sequence":
        return math.prod(_growth(each) for name in _LISTS for each in part.get(name, ()))
    if kind == "Replace":
        literal = part["pattern"].get("String")
        # A regular expression may match the empty string before each character.
        bound = len(part["content"]) / len(literal) if literal else 1 + len(part["content"])
        return max(1.0, bound)
    if kind == "Prepend":
        return 1 + len(part["prepend"])
    if kind == "Precompiled":
        return _longest_replacement(part["precompiled_charsmap"])
    if kind == "TemplateProcessing":
        return _template_tokens(part)
    return _GROWTH.get(kind, 1)


def _longest_replacement(charsmap: str) -> int:
    """Return the characters of the longest string in a compiled table of SentencePiece."""
    content = base64.b64decode(charsmap)
    table = content[4 + int.from_bytes(content[:4], "little") :]
    return max(1, *(len(text.decode(errors="replace")) for text in table.split(b"\0")))


def _template_tokens(part: Mapping[str, Any]) -> int:
    """Return the tokens that a template makes of one."""
    ids = {name: len(token["ids"]) for name, token in part["special_tokens"].items()}
    pieces = [piece.get("SpecialToken", {}).get("id") for piece in part["single"]]
    return max(1, sum(1 if name is None else ids[name] for name in pieces))
