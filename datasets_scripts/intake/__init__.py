"""The one intake: each row of a CSV, JSON Lines or Parquet file is a row or a problem.

The folder works as a copy elsewhere: it needs pyarrow and `modeling_hybridsent.inputs_hybridsent`.
"""

from .files import ENDINGS, ending_of, find_image, is_hidden, open_table
from .rows import BROKEN_QUOTE, EMPTY, FIELDS, LABELS, Row, TableError, as_row, chosen, read_rows

__all__ = [
    "BROKEN_QUOTE",
    "EMPTY",
    "ENDINGS",
    "FIELDS",
    "LABELS",
    "Row",
    "TableError",
    "as_row",
    "chosen",
    "ending_of",
    "find_image",
    "is_hidden",
    "open_table",
    "read_rows",
]
