"""Batches as others hold them: lists, arrays of NumPy, frames of pandas, tables of Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def cells_of(
    batch: Mapping[str, Sequence[Any]] | pa.Table, names: Sequence[str]
) -> dict[str, list[Any]]:
    """Take columns out of a batch.

    Args:
        batch: Columns by name.
        names: Those to take.

    Returns:
        Those of them that there are, as lists; None where a cell is missing. What is missing is what
        NumPy, pandas and Arrow mean by it: NaN, NA, NaT, null; never the text "nan".

    Raises:
        ValueError: The batch has neither texts nor pictures.
    """
    found = batch.column_names if isinstance(batch, pa.Table) else list(batch)
    if not {"text", "image"} & set(found):
        raise ValueError(f"A batch needs a column text or image, it has {sorted(found)}.")
    return {name: _cells(batch[name]) for name in names if name in found}


def _cells(column: Any) -> list[Any]:
    if isinstance(column, pa.ChunkedArray):
        return column.to_pylist()
    if hasattr(column, "isna"):  # of pandas, which has several ways to say that nothing is there
        return [
            None if absent else cell for cell, absent in zip(column, column.isna(), strict=True)
        ]
    return [None if _is_nan(cell) else cell for cell in column]


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))
