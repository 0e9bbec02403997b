"""JSON Lines files: one object a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from typing import Any

from .files import Source, is_utf8, text_lines
from .rows import FIELDS, Fields, TableError, Wants, chosen

LINES_SEARCHED = 100  # for columns; more only while none of `NEEDED` was seen
NEEDED = {*FIELDS["text"], *FIELDS["image"]}
ONE_A_LINE = "Write one object a line, without brackets around them or commas between them."


class _Twice(dict[str, Any]):
    """An object with names that stand twice in it."""

    names: frozenset[str]


class JsonTable:
    """A JSON Lines file.

    Args:
        source: The file, UTF-8.

    Raises:
        TableError: It is an array, or spreads an object over several lines.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._columns: dict[str, None] = {}
        with text_lines(source) as lines:
            for line in lines:
                found = _parse(line) if line.strip("\ufeff \t\r\n") else None
                if found is not None and not self._columns:
                    _require_lines(line, found, lines.number)
                if isinstance(found, dict):
                    self._columns |= dict.fromkeys(found)
                if lines.number >= LINES_SEARCHED and NEEDED & self._columns.keys():
                    break

    @property
    def columns(self) -> list[str]:
        """Names of the fields seen so far: in the first lines, and in those that were read."""
        return list(self._columns)

    def class_names(self, column: str) -> None:
        """Return None: a JSON Lines file has no names of its own for indices."""

    def records(
        self, fields: Fields, wants: Wants
    ) -> Generator[tuple[int, int, dict[str, Any] | str], None, int]:
        """Yield the rows, as `Table` says; a blank line is not one."""
        position = 0
        with text_lines(self.source) as lines:
            for line in lines:
                if line.strip("\ufeff \t\r\n"):
                    if wants(position, position + 1):
                        yield position, lines.number, self._cells(line, fields)
                    position += 1
        return position

    def _cells(self, line: str, fields: Fields) -> dict[str, Any] | str:
        found = _parse(line)
        if isinstance(found, str):
            return found
        self._columns |= dict.fromkeys(found)
        columns = chosen(list(found), fields)
        if isinstance(found, _Twice) and (twice := found.names & set(columns.values())):
            return f"field {min(twice)!r} stands twice in the object"
        return {field: found[column] for field, column in columns.items()}


def _require_lines(line: str, found: dict[str, Any] | str, number: int) -> None:
    """Refuse a file that begins as an array or a pretty-printed object does."""
    start = line.strip("\ufeff \t\r\n")
    if isinstance(found, str) and (start == "{" or start[0] == "["):
        raise TableError(
            "not a JSON object in each line", [f"line {number}: {start:.20}"], ONE_A_LINE
        )


def _parse(line: str) -> dict[str, Any] | str:
    """Return the fields of one line, or what is wrong with it."""
    if not is_utf8(line):
        return "not UTF-8; save the file as UTF-8"
    try:
        found = json.loads(line.lstrip("\ufeff"), object_pairs_hook=_as_object)
    except RecursionError:
        return "not well-formed JSON: nested too deeply"
    except ValueError as error:
        return f"not well-formed JSON: {error}"
    return found if isinstance(found, dict) else f"not a JSON object but a {type(found).__name__}"


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = _Twice(found)
    counts = Counter(name for name, _ in pairs)
    twice.names = frozenset(name for name in found if counts[name] > 1)
    return twice
