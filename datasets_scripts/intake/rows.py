"""The rules of one row: its id, text, image and labels, or why it cannot be used."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from modeling_hybridsent.inputs_hybridsent import has_text, image_source, is_missing, misspelt

from .label_cells import without_fraction

LABELS = ("label", "text_label", "image_label")
# The columns of a field, best first: an ImageFolder calls its images file_name.
FIELDS = {"id": ("id",), "text": ("text",), "image": ("image", "file_name")}
NEEDED = {*FIELDS["text"], *FIELDS["image"]}
EMPTY = "neither text nor image"
BROKEN_QUOTE = "a quote is not closed or not doubled"

Fields = Mapping[str, Sequence[str]]
Wants = Callable[[int, int], bool]
Record = tuple[int, int, "dict[str, Any] | str"]
Records = Generator[Record, None, int]
Source = Path | bytes | BinaryIO


class TableError(ValueError):
    """A file that cannot be read as a whole.

    Args:
        problem: What is wrong.
        details: The lines or columns concerned.
        remedy: What to do.
    """

    def __init__(self, problem: str, details: Sequence[str] = (), remedy: str = "") -> None:
        super().__init__(". ".join(filter(None, [problem, "; ".join(details), remedy])))
        self.problem, self.details, self.remedy = problem, list(details), remedy


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        position: Place among the rows of the file, from 0; blank lines do not count.
        number: Row as a spreadsheet counts it (the header of a CSV is row 1); line of a JSON Lines
            file; from 1 in a Parquet file.
        id: As a string; None if it is missing.
        text: None if it is missing or only white space.
        image: A path, bytes, or an image object; None if it is missing.
        labels: Names by field of `LABELS`, without the missing ones.
        problem: Why the row cannot be used; None if nothing is known.
    """

    position: int
    number: int
    id: str | None = None
    text: str | None = None
    image: Any = None
    labels: Mapping[str, str] = {}
    problem: str | None = None


class Table(Protocol):
    """An opened file."""

    @property
    def class_names(self) -> Mapping[str, list[str]]:
        """Names that the file itself has for indices, by column."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns, in JSON Lines those seen so far."""

    def records(self, fields: Fields, wants: Wants) -> Records:
        """Yield position, number, and cells by field or a problem; return the number of rows."""


def read_rows(
    table: Table, fields: Fields = FIELDS, wants: Wants = lambda start, stop: True
) -> Generator[Row, None, int]:
    """Read the rows of a file, one at a time.

    Args:
        table: What `open_table` gives.
        fields: Which columns hold a field, best first; other columns are never looked at.
        wants: Whether to give any row from one position up to, not including, another.

    Yields:
        The wanted rows.

    Returns:
        The number of all rows.

    Raises:
        TableError: A column in use stands twice in the header.
    """
    records = table.records(fields, wants)
    while True:
        try:
            position, number, cells = next(records)
        except StopIteration as end:
            return int(end.value)
        if isinstance(cells, str):
            yield Row(position, number, problem=cells)
        else:
            yield as_row(position, number, cells)


def as_row(position: int, number: int, cells: Mapping[str, Any]) -> Row:
    """Check the cells of a row.

    Args:
        position: As in `Row`.
        number: As in `Row`.
        cells: By field; absent, None, NaN and empty mean that it is missing.

    Returns:
        The row, with its problem where a cell cannot be used or text and image are both missing.
    """
    row = Row(position, number)
    try:
        row = row._replace(id=as_name(cells.get("id"), "id"))
        names = {field: as_name(cells.get(field), field) for field in LABELS if field in cells}
        row = row._replace(labels={field: name for field, name in names.items() if name})
        text, image = _text(cells.get("text")), _image(cells.get("image"))
    except (ValueError, RecursionError) as error:
        return row._replace(problem=str(error))
    return row._replace(
        text=text, image=image, problem=None if text or image is not None else EMPTY
    )


def as_name(value: Any, field: str) -> str | None:
    """Return an id or a label as a string.

    Args:
        value: Any value of JSON or Arrow; a whole number becomes its digits. As a label so does the
            text "1.0", and true is "True": as pandas writes whole numbers with gaps, and booleans.
        field: What it is.

    Raises:
        ValueError: It cannot be written as text.
    """
    if is_missing(value):
        return None
    if isinstance(value, (list, dict)) or (isinstance(value, bool) and field == "id"):
        value = json.dumps(value, default=str)
    elif isinstance(value, bytes):
        value = _decoded(value, field)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    name = _whole(str(value).strip(), field) or None
    return without_fraction(name) if name and field != "id" else name


def _decoded(content: bytes, field: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{field} is not UTF-8: {error.reason}") from error


def _text(value: Any) -> str | None:
    value = None if is_missing(value) else value
    return _whole(value, "text") if has_text(value, "text") else None


def _image(value: Any) -> Any:
    source = image_source(value)
    if isinstance(source, os.PathLike):  # which must not leave the folder, either
        source = os.fsdecode(source)
    if isinstance(source, str):
        return _whole(source, "image") if source.strip() else None
    if isinstance(source, (bool, int, float, list, tuple)):
        raise ValueError(f"image must be a path or bytes, got {type(source).__name__}")
    return source


def _whole(text: str, field: str) -> str:
    """Refuse an unpaired surrogate: it passes JSON, but fits no tokenizer and no table."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{field} has an unpaired surrogate; remove it") from error
    return text


def chosen(columns: Sequence[str], fields: Fields) -> dict[str, str]:
    """Return the column of each field that has one: the best that is there.

    Raises:
        TableError: It stands twice.
    """
    counts = Counter(columns)
    best = {field: next((c for c in names if c in counts), None) for field, names in fields.items()}
    found = {field: column for field, column in best.items() if column is not None}
    if twice := sorted({f"column {c!r} appears twice" for c in found.values() if counts[c] > 1}):
        raise TableError("the columns are ambiguous", twice, "Rename one of them.")
    return found


NOT_READ = "The column {} is not read; if it is meant, call it {}."


def misread(columns: Sequence[str], fields: Fields = FIELDS) -> dict[str, str]:
    """Return the columns that no field reads and that seem to be meant: by name, as text or image."""
    used = chosen(columns, fields)
    absent = [field for field in ("text", "image") if field not in used]
    return misspelt([x for x in columns if x not in used.values()], absent)


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open a source for one more reading; a stream of the caller stays open."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
        return
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    stream.seek(0)
    yield stream
