"""Damaged processor files raise one error that names the file and what to do.

The library raises any error, names a file that it tries next, or continues: without `tokenizer.json`
some tokenizers load with an empty vocabulary.

Below are the bounds on what a tokenizer's files may make of one short text. Fixed padding, a
replacement that doubles the text forty times or a template of a million special tokens would fill the
memory with the first post.
"""

import base64
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import cached_file

PROCESSOR, TOKENIZER_SETTINGS = "processor_config.json", "tokenizer_config.json"
IMAGES, TOKENIZER = "preprocessor_config.json", "tokenizer.json"
REMEDY = "Save it again with save_pretrained, or download it again"
_PLACE = ("cache_dir", "revision", "subfolder")


class ProcessorFiles:
    """The files that one `from_pretrained` reads, in a folder or in the cache of the Hub.

    Args:
        name: Folder or id of a repository.
        arguments: The other arguments of `from_pretrained`.
    """

    def __init__(self, name: str | os.PathLike[str], arguments: dict[str, Any]) -> None:
        self.name = os.fspath(name)
        self.arguments = arguments
        self.is_folder = os.path.isdir(self.name)
        self.remedy = REMEDY if self.is_folder else f"{REMEDY} with force_download=True"

    def find(self, file: str) -> str | None:
        """Return the path of a file, without the network; None if there is no such file."""
        place = {x: self.arguments[x] for x in _PLACE if self.arguments.get(x) is not None}
        return cached_file(
            self.name,
            file,
            local_files_only=True,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            **place,
        )

    def require_whole(self, tokenizer: Any) -> None:
        """Raise OSError unless every file that counts is there and can be read.

        Args:
            tokenizer: The tokenizer that was loaded from these files.
        """
        for file in (PROCESSOR, TOKENIZER_SETTINGS):
            if self.find(file) is None:
                raise self._lacking(file)
            self._read(file)
        if self.find(IMAGES):
            self._read(IMAGES)
        vocabularies = [x for x in tokenizer.vocab_files_names.values() if x]
        if vocabularies and not any(self.find(file) for file in vocabularies):
            raise self._lacking(TOKENIZER if TOKENIZER in vocabularies else vocabularies[0])

    def explain(self, error: Exception) -> Exception:
        """Return an error that names the file that made loading fail.

        Args:
            error: What loading raised.

        Returns:
            An error that names the file; `error` itself when the files are not to blame.
        """
        found = {file: self.find(file) for file in (PROCESSOR, TOKENIZER_SETTINGS, TOKENIZER)}
        if REMEDY in str(error) or not (self.is_folder or any(found.values())):
            return error
        try:
            for file in (PROCESSOR, TOKENIZER_SETTINGS):
                if found[file] is None:
                    return self._lacking(file)
            for file in (*found, IMAGES):
                self._read(file)
            self._try_tokenizer()
        except Exception as damage:
            return damage
        if "image_processor" in self._read(PROCESSOR):
            return self._nonsense(PROCESSOR, error)
        if self.find(IMAGES):
            return self._nonsense(IMAGES, error)
        return self._nonsense(PROCESSOR, KeyError("image_processor"))

    def _read(self, file: str) -> dict[str, Any]:
        """Read a JSON object; {} where there is no file."""
        place = self.find(file)
        if place is None:
            return {}
        try:
            with open(place, encoding="utf-8") as stream:
                content = json.load(stream)
        except (ValueError, RecursionError) as damage:  # neither JSON nor UTF-8, or too deep
            raise OSError(f"{place} is damaged ({damage}). {self.remedy}.") from damage
        if not isinstance(content, dict):
            kind = type(content).__name__
            raise OSError(f"{place} is damaged (a {kind}, not an object). {self.remedy}.")
        return content

    def _try_tokenizer(self) -> None:
        """Load the tokenizer and use it; raises an error that names the file at fault."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.name, **self.arguments)
            excess = excess_of_backend(tokenizer), excess_of_settings(tokenizer)
            if not any(excess):
                with without_panic():
                    tokenizer(["a"], padding=True)
        except TokenizerPanicError as panic:
            raise self._nonsense(TOKENIZER, panic) from panic
        except Exception as damage:
            place = self.find(TOKENIZER)
            if place is None:
                raise self._lacking(TOKENIZER) from damage
            try:
                PreTrainedTokenizerFast(tokenizer_file=place)
            except Exception as nonsense:
                raise self._nonsense(TOKENIZER, nonsense) from damage
            raise self._nonsense(TOKENIZER_SETTINGS, damage) from damage
        for file, what in zip((TOKENIZER, TOKENIZER_SETTINGS), excess, strict=True):
            if what:
                raise self._nonsense(file, ValueError(what))

    def _lacking(self, file: str) -> OSError:
        return OSError(f"{self.name} has no {file}. {self.remedy}.")

    def _nonsense(self, file: str, error: Exception) -> ValueError:
        what = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        place = self.find(file)
        return ValueError(f"{place} is invalid ({what:.300}). {self.remedy}, or correct it.")


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
