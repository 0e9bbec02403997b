"""A stranger's table within limits: what its rows are, the intake decides."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from datasets_scripts.intake import (
    FIELDS,
    NOT_READ,
    Row,
    TableError,
    ending_of,
    misread,
    open_table,
    read_rows,
)
from hybridsent_space.limits import message_of
from hybridsent_space.posts import RefusedError
from hybridsent_space.settings import Settings

MOST_COLUMNS = 10_000
JSON = re.compile(rb"\{\s*([\"}]|\Z)|\[\s*([\[{\"\]\d-]|\Z)")  # unlike the header "[id],text"
COLUMNS = [column for columns in FIELDS.values() for column in columns]
# Gives the content of an image by the path that a row names; raises ValueError.
Finder = Callable[[str], bytes]


@dataclass(frozen=True)
class Table:
    """The rows of an upload.

    Attributes:
        count: Number of rows.
        rows: The rows, each with an id and the content of its image; read when they are reached.
        notes: What is seldom meant.
    """

    count: int
    rows: Iterator[Row]
    notes: Sequence[str] = ()


def read_table(name: str, content: bytes, find: Finder, settings: Settings) -> Table:
    """Read a table: CSV, JSON Lines or Parquet, by its content.

    Args:
        name: Name of the file; its ending decides where the content does not.
        content: Content of the file.
        find: Gives the content of an image by the path that a row names; raises ValueError.
        settings: Limits.

    Returns:
        The table.

    Raises:
        RefusedError: It is damaged or too large, or has no usable column.
    """
    if not content.strip():
        raise RefusedError("The file is empty.")
    if not _is_parquet(content):
        _require_short_lines(content, settings)
    try:
        table = open_table(content, f"x{_format(name, content)}")
        if len(table.columns) > MOST_COLUMNS:
            raise RefusedError(f"The table has more than {MOST_COLUMNS:,} columns.")
        count = _count(read_rows(table, wants=_counting(settings.max_table_rows)))
        if _is_parquet(content):
            _require_size(content, set(table.columns), settings.max_unpacked_bytes)
        if table.columns:  # JSON Lines without one readable object has none; its rows say why
            _require_columns(set(table.columns))
        rows, unread = read_rows(table), misread(table.columns)
    except TableError as error:
        raise RefusedError(f"The table cannot be read: {error}"[:500]) from error
    notes = [NOT_READ.format(f"{name!r:.80}", field) for name, field in unread.items()]
    return Table(count, (_with_image(row, find) for row in rows), notes)


def _require_short_lines(content: bytes, settings: Settings) -> None:
    """Refuse what becomes many times as large when it is read: millions of cells or JSON lists."""
    if len(content) > settings.max_text_table_bytes:
        most = settings.max_text_table_bytes
        raise RefusedError(message_of("max_text_table_bytes", most, len(content)))
    start = 0
    while start < len(content):
        piece = content[start : start + settings.max_line_bytes + 1]
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        if end < 0 and len(piece) > settings.max_line_bytes:
            number = content.count(b"\n", 0, start) + 1
            raise RefusedError(message_of("max_line_bytes", settings.max_line_bytes, number))
        start += end + 1 if end >= 0 else len(piece)


def _is_parquet(content: bytes) -> bool:
    """Check for the mark of Parquet, with which a header may begin, too."""
    return re.match(rb"PAR1(?![,;\t\r\n]|\Z)", content) is not None


def _format(name: str, content: bytes) -> str:
    if _is_parquet(content):
        return ".parquet"
    start = content[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if JSON.match(start) or ending_of(name) == ".jsonl":
        return ".jsonl"
    return ".parquet" if ending_of(name) == ".parquet" else ".csv"


def _counting(most: int) -> Callable[[int, int], bool]:
    def wants(_start: int, stop: int) -> bool:
        if stop > most:
            raise RefusedError(message_of("max_table_rows", most))
        return False

    return wants


def _count(rows: Iterator[Row]) -> int:
    """Count rows that are not wanted, so that none is yielded."""
    try:
        next(rows)
    except StopIteration as end:
        count = int(end.value)
    if count == 0:
        raise RefusedError("The table has no rows.")
    return count


def _require_columns(found: set[str]) -> None:
    if not {*FIELDS["text"], *FIELDS["image"]} & found:
        shown = ", ".join(sorted(name[:40] for name in found)[:10])
        raise RefusedError(
            f"The table needs a column named text, one named image, or both; it has: {shown}."
        )


def _require_size(content: bytes, columns: set[str], most: int) -> None:
    """Refuse a Parquet file whose cells are too large: many rows can share one huge value."""
    source = pyarrow.BufferReader(content)
    try:
        schema = pyarrow.parquet.read_metadata(source).schema
        leaves = [schema.column(i) for i in range(len(schema))]
        paths = [x.path for x in leaves if x.path.split(".")[0] in COLUMNS]
        file = pyarrow.parquet.ParquetFile(source, read_dictionary=paths, pre_buffer=False)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    except (pyarrow.ArrowException, OSError) as error:
        raise TableError("not a Parquet file", [str(error)], "Write it again.") from error
    size = sum(group.total_byte_size for group in groups)
    # A column of nothing but gaps takes no bytes in the file, and 8 a value in memory.
    cells = [x.column(i) for x in groups for i in range(x.num_columns)]
    size += 8 * sum(x.num_values for x in cells if x.path_in_schema.split(".")[0] in COLUMNS)
    used = sorted(columns & set(COLUMNS))
    plain = pyarrow.parquet.ParquetFile(source, pre_buffer=False)
    for group in range(len(groups)):
        size += _unpacked((file, plain), group, used, most - size)
    if size > most:
        raise RefusedError(message_of("max_unpacked_bytes", most))


def _unpacked(
    files: tuple[pyarrow.parquet.ParquetFile, ...], group: int, columns: list[str], most: int
) -> int:
    """Return the bytes of a group's cells; not counted on once they are more than allowed.

    Args:
        files: The file with its texts as dictionaries, so that a shared one is there once; and plain,
            for encodings that cannot be read so, of which a row can repeat the one before.
        group: Number of the row group.
        columns: Names of the columns.
        most: Bytes that are allowed.
    """
    for file, rows in zip(files, (64, 1), strict=True):
        size = 0
        try:
            batches = file.iter_batches(rows, [group], columns) if most >= 0 else ()
            for batch in batches:
                size += sum(map(_size, batch.columns))
                if size > most:
                    break
            return size
        except (pyarrow.ArrowException, OSError):
            continue
    return 0  # a damaged group costs its rows alone


def _size(column: pyarrow.Array) -> int:
    """Return the bytes of a column with each value of a dictionary as often as it is used."""
    if pyarrow.types.is_struct(column.type):
        return sum(_size(column.field(i)) for i in range(column.type.num_fields))
    if pyarrow.types.is_list(column.type) or pyarrow.types.is_large_list(column.type):
        return _size(column.flatten())
    if not pyarrow.types.is_dictionary(column.type):
        return column.nbytes
    lengths = pyarrow.compute.binary_length(column.dictionary).take(column.indices)
    return pyarrow.compute.sum(lengths).as_py() or 0


def _with_image(row: Row, find: Finder) -> Row:
    """Give a row an id, and the content of its image in place of a path."""
    row = row._replace(id=row.id or str(row.position + 1))
    if row.problem or not isinstance(row.image, str):
        return row
    try:
        return row._replace(image=find(row.image))
    except ValueError as error:
        return row._replace(problem=str(error))
