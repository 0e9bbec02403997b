"""Damaged processor files raise one error that names the file and what to do.

The library raises any error, names a file that it tries next, or continues: without `tokenizer.json`
some tokenizers load with an empty vocabulary.
"""

import json
import os
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import cached_file

from .tokenizer_limits_hybridsent import (
    TokenizerPanicError,
    excess_of_backend,
    excess_of_settings,
    without_panic,
)

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
