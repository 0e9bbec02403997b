"""Rows as tables of Arrow, for what passes tables between machines; the rows of all have one schema."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from hybridsent.scoring.answers import writable
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.inputs import KINDS
from hybridsent.scoring.parquet_files import ROWS_AT_ONCE
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.processes import keep_freed_memory
from hybridsent.scoring.row import Row, picture_source
from hybridsent.scoring.share import Share

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
STRINGS = ("file", "id", "text", "folder", "problem")
ROWS = pa.schema(
    [*((name, pa.string()) for name in STRINGS), ("number", pa.int64()), ("image", PICTURE)]
)


def read_rows(files: pa.Table, root: str) -> Iterator[pa.Table]:
    """Read all rows of some files; runs on whichever machine Ray chooses.

    Args:
        files: Column `file` with their paths.
        root: What `file` is told relative to in the answers.

    Yields:
        Tables of `ROWS`: the fields of `Row`, numbered within its file, and `file`.
    """
    for path in map(Path, files["file"].to_pylist()):
        rows = KINDS[path.suffix].rows(path, 0, Share(1))
        name = writable(os.path.relpath(path, root))
        while some := list(islice(rows, ROWS_AT_ONCE)):
            yield pa.Table.from_pylist([_storable(row, name) for row in some], ROWS)


def _storable(row: Row, file: str | None) -> dict[str, Any]:
    """Make cells of a row; a picture is bytes or path in every one, so that all tables are alike."""
    image, problem = row.image, row.problem
    if not isinstance(image, (str, bytes, type(None))):
        problem = f"picture cannot be read: is a {type(image).__name__}; give a path or bytes."
        image = None
    picture = {"bytes": image} if isinstance(image, bytes) else {"path": writable(image)}
    return {**row._asdict(), "file": file, "image": picture, "problem": writable(problem)}


class RowPredictor:
    """What a worker of Ray is made of: the engine, for the rows that `read_rows` gives.

    Args:
        batch_size: Posts in a batch.
        **settings: Of `Predictor`.
    """

    def __init__(self, batch_size: int = 32, **settings: Any) -> None:
        keep_freed_memory()
        self.predictor, self.batch_size = Predictor(**settings), batch_size

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score a table of `ROWS`; returns `file` and what `Layout.table` says."""
        cells = table.drop_columns("file").to_pylist()
        rows = (Row(**{**fields, "image": picture_source(fields["image"])}) for fields in cells)
        # Not batches of Ray's making: those that the engine cuts are of like lengths.
        scored = pa.concat_tables(score_rows(rows, self.predictor, self.batch_size, num_workers=0))
        return scored.add_column(0, "file", table["file"])
