"""CSV and JSON Lines files, in UTF-8; lines end with LF, CR or CRLF, and a backslash is a character."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from .rows import BROKEN_QUOTE, NEEDED, Fields, Records, Source, TableError, Wants, chosen, opened

HINT = "put a text with delimiters, quotes or line breaks in double quotes"
ONE_A_LINE = "Write one object a line, without brackets around them or commas between them."
SAVE = "save the file as UTF-8"
FIELD_BYTES = 1 << 28  # more in one cell is a quote that was never closed
LINES_AHEAD = 1_000  # searched after a broken quote
LINES_SEARCHED = 100  # for fields of JSON Lines; more only while none of `NEEDED` was seen
BLANK = "\ufeff \t\r\n"
QUOTED = re.compile(r'"[^"]*"')


class Lines:
    """Count lines and quotes, and look ahead; the text was opened with `newline=""`."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text, self.ahead = text, deque[str]()
        self.of_row: list[str] = []
        self.number = self.quotes = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self.ahead.popleft() if self.ahead else next(self.text)
        self.number += 1
        self.quotes += line.count('"')
        self.of_row.append(line)
        return line

    def begin_row(self) -> int:
        """Return the number of the first line of a row, and keep its lines from there on."""
        self.of_row, self.quotes = [], 0
        return self.number + 1

    def peek(self, at: int) -> str | None:
        """Return the line so many after the next one; None after the end."""
        while len(self.ahead) <= at:
            line = next(self.text, None)
            if line is None:
                return None
            self.ahead.append(line)
        return self.ahead[at]


@contextmanager
def text_lines(source: Source) -> Iterator[Lines]:
    """Open a text; bytes that are not UTF-8 become unpaired surrogates, for the rows to refuse."""
    with opened(source) as binary:
        start = binary.read(4)
        binary.seek(0)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
            raise TableError("not UTF-8 but UTF-16 or no text", ["line 1"], "Save it as UTF-8.")
        text = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield Lines(text)
        finally:
            text.detach()


def is_utf8(text: str) -> bool:
    """Check text of `text_lines` for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class CsvTable:
    """A CSV file; its delimiter is a comma, a semicolon or a tab, by the header or a `sep=` line."""

    def __init__(self, source: Source) -> None:
        self.source = source
        csv.field_size_limit(FIELD_BYTES)  # of the whole process; Python's own is 131,072
        with text_lines(source) as lines:
            self.delimiter = self._delimiter(lines)
            try:
                _, header = self._header(lines)
            except csv.Error as error:
                raise TableError(
                    "the header cannot be read", [str(error)], "Correct it."
                ) from error
        if "\0" in "".join(header) or not is_utf8("".join(header)):
            raise TableError("the header cannot be read: not UTF-8", remedy="Save it as UTF-8.")
        self.width = max((i for i, name in enumerate(header, 1) if name), default=0)
        self.columns, self.class_names = header[: self.width], dict[str, list[str]]()

    def records(self, fields: Fields, wants: Wants) -> Records:
        """Yield the rows, as `Table` says; a blank line is not one."""
        place = {name: i for i, name in enumerate(self.columns)}
        places = {field: place[column] for field, column in chosen(self.columns, fields).items()}
        position = 0
        with text_lines(self.source) as lines:
            header, _ = self._header(lines)
            for number, found in enumerate(self._parsed(lines), header + 1):
                if found and wants(position, position + 1):
                    yield position, number, self._cells(found, places, lines.number)
                position += bool(found)
        return position

    def _delimiter(self, lines: Lines) -> str:
        at = 0
        while (line := lines.peek(at)) is not None and not line.strip(BLANK):
            at += 1
        line = (line or "").lstrip("\ufeff").rstrip("\r\n")
        if re.fullmatch('"?sep=[,;\t]"?', line):
            return line.strip('"')[-1]
        return max(",;\t", key=QUOTED.sub("", line).count)

    def _reader(self, lines: Lines) -> Iterator[list[str]]:
        """Read cells; spaces before one are not part of it, so that a quote may follow them."""
        return csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True)

    def _header(self, lines: Lines) -> tuple[int, list[str]]:
        """Read up to the header; return its row, and the names in it."""
        for number, cells in enumerate(self._reader(lines), 1):
            names = [name.strip("\ufeff \t\xa0") for name in cells]
            is_hint = re.fullmatch("sep=[,;\t]?", self.delimiter.join(names)) is not None
            if any(names) and not is_hint:
                return number, names
        return 0, []

    def _parsed(self, lines: Lines) -> Iterator[list[str] | str]:
        """Yield the cells of each row, none for a blank line, or what is wrong with it."""
        reader = self._reader(lines)
        while True:
            first = lines.begin_row()
            try:
                cells = next(reader)
                if not self._hides_rows(lines.of_row, len(cells)):
                    yield cells
                    continue
                problem = "each line in it is a whole row"
            except StopIteration:
                return
            except csv.Error as error:
                self._pass_over(lines, problem := str(error))
            last = lines.number
            where = f"line {first}" if last == first else f"lines {first} to {last}"
            yield f"not well-formed CSV, {where} not read: {BROKEN_QUOTE} ({problem}); {HINT}"

    def _hides_rows(self, lines: list[str], width: int) -> bool:
        """Check whether a row is several, from a stray quote before a cell to one after another.

        Of a text with line breaks hardly ever each line has a delimiter for each cell, and none of
        these a space behind it.
        """
        if width < 2 or len(lines) < max(2, 6 - width):  # nearly every row
            return False
        is_prose = any(f"{self.delimiter} " in line for line in lines)
        return not is_prose and {line.count(self.delimiter) for line in lines} == {width - 1}

    def _pass_over(self, lines: Lines, error: str) -> None:
        """Pass over the lines that belong to a broken quote, so that none of them is read as a row.

        After the line of the error a field may still be open. Then the next quote in the file closes
        it and so does not stand at the start of a field, where the next row's would.
        """
        if "larger" in error:
            for _ in lines:
                lines.of_row.clear()
        while (count := self._lines_of_the_field(lines)) > 0:
            for _ in range(count):
                next(lines)
            if lines.quotes % 2 == 0:
                return

    def _lines_of_the_field(self, lines: Lines) -> int:
        for at in range(LINES_AHEAD):
            before, quote, _ = (lines.peek(at) or "").partition('"')
            if quote:
                return 0 if before.rstrip(" ")[-1:] in ("", self.delimiter) else at + 1
        return 0

    def _cells(
        self, found: list[str] | str, places: dict[str, int], line: int
    ) -> dict[str, Any] | str:
        if isinstance(found, str):
            return found
        if len(found) < self.width or any(found[self.width :]):
            advice = "add delimiters for the missing cells" if len(found) < self.width else HINT
            return f"{len(found)} cells for {self.width} columns; {advice}"
        cells = {field: found[place] for field, place in places.items()}
        return cells if is_utf8("".join(cells.values())) else f"line {line} is not UTF-8; {SAVE}"


class JsonTable:
    """A JSON Lines file: one object a line."""

    def __init__(self, source: Source) -> None:
        self.source, self.class_names = source, dict[str, list[str]]()
        self._columns: dict[str, None] = {}
        with text_lines(source) as lines:
            for line in lines:
                text = line.strip(BLANK)
                found = _parse(text) if text else ""
                spreads = text == "{" or text[:1] == "["
                if spreads and isinstance(found, str) and not self._columns:
                    where = [f"line {lines.number}: {text:.20}"]
                    raise TableError("not a JSON object in each line", where, ONE_A_LINE)
                if isinstance(found, dict):
                    self._columns |= dict.fromkeys(found)
                if lines.number >= LINES_SEARCHED and NEEDED & self._columns.keys():
                    break

    @property
    def columns(self) -> list[str]:
        """Names of the fields in the first lines, and in those that were read."""
        return list(self._columns)

    def records(self, fields: Fields, wants: Wants) -> Records:
        """Yield the rows, as `Table` says; a blank line is not one."""
        position = 0
        with text_lines(self.source) as lines:
            for line in lines:
                if line.strip(BLANK):
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
            return f"field {min(twice)!r} appears twice in the object"
        return {field: found[column] for field, column in columns.items()}


class _Twice(dict[str, Any]):
    """An object with names that stand twice in it."""

    names: frozenset[str]


def _parse(line: str) -> dict[str, Any] | str:
    """Return the fields of one line, or what is wrong with it."""
    if not is_utf8(line):
        return f"not UTF-8; {SAVE}"
    try:
        found = json.loads(
            line.lstrip("\ufeff"), object_pairs_hook=_as_object, parse_int=_as_number
        )
    except RecursionError:
        return "not well-formed JSON: nested too deeply"
    except ValueError as error:
        return f"not well-formed JSON: {error}"
    return found if isinstance(found, dict) else f"not a JSON object but a {type(found).__name__}"


def _as_number(digits: str) -> int | Decimal:
    """Return a whole number; of more digits than Python converts, as it may stand in other columns."""
    return int(digits) if len(digits) < 4_000 else Decimal(digits)


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice, counts = _Twice(found), Counter(name for name, _ in pairs)
    twice.names = frozenset(name for name in found if counts[name] > 1)
    return twice
