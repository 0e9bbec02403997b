"""Rows of a Parquet file, as `datasets`, pandas and others write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features

from hybridsent.support.errors import PostsError

Numbered = list[tuple[int, "dict[str, str | bytes] | str"]]


def read_parquet(file: Path) -> tuple[list[str], Numbered, list[str] | None]:
    """Read a whole Parquet file into memory; of a set larger than that, keep the pictures as paths.

    Args:
        file: The file.

    Returns:
        Names of the columns; numbered rows, counted from 1, each a mapping of cells or, as a string,
        what is wrong with it; names of the labels if `datasets` wrote them into the file.

    Raises:
        PostsError: No Parquet file.
    """
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise PostsError.about(
            file, "not a Parquet file", [str(error)], "Write it anew."
        ) from error
    rows: Numbered = []
    for number, values in enumerate(table.to_pylist(), start=1):
        cells: dict[str, str | bytes] = {}
        for name, value in values.items():
            try:
                cells[name] = _cell(value)
            except TypeError as error:
                rows.append((number, f"column {name!r} {error}"))
                break
        else:
            rows.append((number, cells))
    return table.column_names, rows, _label_names(table.schema)


def _cell(value: Any) -> str | bytes:
    """Return a cell as a string, or as bytes if it holds a picture."""
    if isinstance(value, dict) and {"bytes", "path"} >= value.keys() > set():
        value = value.get("bytes") or value.get("path")
    if value is None or value == -1:  # -1 is the mark of datasets for "no label"
        return ""
    if type(value) is int:
        return str(value)
    if isinstance(value, str | bytes):
        return value
    raise TypeError(f"is neither a string nor a whole number nor a picture: {value!r:.60}")


def _label_names(schema: pa.Schema) -> list[str] | None:
    if b"huggingface" not in (schema.metadata or {}):
        return None
    label = Features.from_arrow_schema(schema).get("label")
    return list(label.names) if isinstance(label, ClassLabel) else None
