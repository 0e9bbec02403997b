"""CSV files: delimiter, header, quotes. A backslash is a character like others."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator
from typing import Any

from .files import Lines, Source, is_utf8, text_lines
from .rows import BROKEN_QUOTE, Fields, TableError, Wants, chosen

HINT = "put a text with delimiters, quotes or line breaks in double quotes"
FIELD_BYTES = 1 << 28  # more in one cell is a quote that was never closed
LINES_AHEAD = 1_000  # searched after a broken quote
QUOTED = re.compile(r'"[^"]*"')


class CsvTable:
    """A CSV file; the delimiter is a comma, a semicolon or a tab, as its header or `sep=` says.

    Args:
        source: The file, UTF-8, with a header.

    Raises:
        TableError: The header cannot be read.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        csv.field_size_limit(FIELD_BYTES)  # of the whole process; Python's own is 131,072
        with text_lines(source) as lines:
            self.delimiter = self._delimiter(lines)
            try:
                _, header = self._header(lines)
            except csv.Error as error:
                raise TableError("the header cannot be read", [str(error)], "Mend it.") from error
        if "\0" in "".join(header) or not is_utf8("".join(header)):
            raise TableError("the header cannot be read: not UTF-8", remedy="Save it as UTF-8.")
        self.width = max((i for i, name in enumerate(header, 1) if name), default=0)
        self.columns = header[: self.width]

    def class_names(self, column: str) -> None:
        """Return None: a CSV file has no names of its own for indices."""

    def records(
        self, fields: Fields, wants: Wants
    ) -> Generator[tuple[int, int, dict[str, Any] | str], None, int]:
        """Yield the rows, as `Table` says; a blank line is not one."""
        places = self._places(fields)
        position = 0
        with text_lines(self.source) as lines:
            number, _ = self._header(lines)
            for found in self._parsed(lines):
                number += 1
                if found and wants(position, position + 1):
                    yield position, number, self._cells(found, places, lines.number)
                position += bool(found)
        return position

    def _delimiter(self, lines: Lines) -> str:
        at = 0
        while (line := lines.peek(at)) is not None and not line.strip("\ufeff\r\n"):
            at += 1
        line = (line or "").lstrip("\ufeff").rstrip("\r\n")
        if re.fullmatch('"?sep=[,;\t]"?', line):
            return line.strip('"')[-1]
        return max(",;\t", key=QUOTED.sub("", line).count)

    def _header(self, lines: Lines) -> tuple[int, list[str]]:
        """Read up to the header; returns its row, and the names in it."""
        for number, cells in enumerate(csv.reader(lines, delimiter=self.delimiter, strict=True), 1):
            names = [name.strip("\ufeff \t\xa0") for name in cells]
            is_hint = re.fullmatch("sep=[,;\t]?", self.delimiter.join(names)) is not None
            if any(names) and not is_hint:
                return number, names
        return 0, []

    def _places(self, fields: Fields) -> dict[str, int]:
        """Return where the cell of each field stands in a row."""
        place = {name: i for i, name in enumerate(self.columns)}
        return {field: place[column] for field, column in chosen(self.columns, fields).items()}

    def _parsed(self, lines: Lines) -> Iterator[list[str] | str]:
        """Yield the cells of each row, none for a blank line, or what is wrong with it."""
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            first, lines.quotes = lines.number + 1, 0
            try:
                yield next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._pass_over(lines, str(error))
                where = (
                    f"line {first}" if lines.number == first else f"lines {first} to {lines.number}"
                )
                yield f"not well-formed CSV, {where} not read: {BROKEN_QUOTE} ({error}); {HINT}"

    def _pass_over(self, lines: Lines, error: str) -> None:
        """Pass over the lines that belong to a broken quote, lest one of them be taken for a row.

        After the line of the error a field may still be open. Then the next quote in the file closes
        it and so does not stand at the start of a field, where the next row's would.
        """
        if "larger" in error:
            for _ in lines:
                pass
        while (count := self._lines_of_the_same(lines)) > 0:
            for _ in range(count):
                next(lines)
            if lines.quotes % 2 == 0:
                return

    def _lines_of_the_same(self, lines: Lines) -> int:
        for at in range(LINES_AHEAD):
            line = lines.peek(at)
            if line is None:
                return 0
            before, quote, _ = line.partition('"')
            if quote:
                return 0 if before[-1:] in ("", self.delimiter) else at + 1
        return 0

    def _cells(
        self, found: list[str] | str, places: dict[str, int], line: int
    ) -> dict[str, Any] | str:
        if isinstance(found, str):
            return found
        if len(found) < self.width or any(found[self.width :]):
            return f"{len(found)} cells for {self.width} columns; {HINT}"
        cells = {field: found[place] for field, place in places.items()}
        if not is_utf8("".join(cells.values())):
            return f"line {line} is not UTF-8; save the file as UTF-8"
        return cells
