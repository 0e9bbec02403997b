"""Score a table: every row keeps its place, with its answer or with the reason why it has none."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from hybridsent_space.jpeg import as_base64, small_copy
from hybridsent_space.posts import Post, RefusedError, check_post
from hybridsent_space.scorer import BRANCHES, Answer, Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.table_files import open_table
from hybridsent_space.table_rows import Row, Table

THUMBNAIL = 64  # pixels
FORMULA = ("=", "+", "-", "@", "\t", "\r")
AGREE, DISAGREE = "agree", "disagree"


@dataclass
class ScoredTable:
    """A scored table.

    Attributes:
        frame: One row a post: `id`, `text`, `label`, `score`, `agreement`, `error`, `note`, the
            probability of every label, and label and weight of every branch.
        thumbnails: Small pictures as data for a browser, "" where there is none.
    """

    frame: pd.DataFrame
    thumbnails: list[str] = field(default_factory=list)


def score_table(
    scorer: Scorer,
    path: Path,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, count: None,
) -> ScoredTable:
    """Score an uploaded table.

    Args:
        scorer: With the model.
        path: The file.
        settings: Limits.
        progress: Told how many of how many rows are done.

    Returns:
        The scored table, rows in their order.

    Raises:
        RefusedError: The file cannot be used.
    """
    rows: list[dict[str, Any]] = []
    thumbnails: list[str] = []
    with open_table(path, settings) as table:
        for chunk in _chunks(table, scorer.batch_size):
            posts = [_as_post(row, settings) for row in chunk]
            answers = scorer.answer(posts)
            rows += [
                _as_record(row, answer, scorer.labels)
                for row, answer in zip(chunk, answers, strict=True)
            ]
            thumbnails += [_thumbnail(post) for post in posts]
            progress(len(rows), table.count)
    return ScoredTable(pd.DataFrame(rows), thumbnails)


def _chunks(table: Table, size: int) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in table.rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _as_post(row: Row, settings: Settings) -> Post | RefusedError:
    if row.error:
        return RefusedError(row.error)
    try:
        return check_post(row.text, row.picture, settings)
    except RefusedError as error:
        return error


def _as_record(row: Row, answer: Answer, labels: list[str]) -> dict[str, Any]:
    branches = answer.get("branches", {})
    agreement = {True: AGREE, False: DISAGREE}.get(answer.get("agreement"))
    record: dict[str, Any] = {
        "id": row.id,
        "text": row.text if isinstance(row.text, str) else None,
        "label": answer.get("label"),
        "score": answer.get("score"),
        "agreement": agreement,
        "error": answer.get("error"),
        "note": " ".join([row.note, *answer.get("warnings", [])]).strip() or None,
    }
    for label in labels:
        record[f"score_{label}"] = answer.get("scores", {}).get(label)
    for name in BRANCHES:
        record[f"{name}_label"] = branches.get(name, {}).get("label")
        record[f"{name}_weight"] = branches.get(name, {}).get("weight")
    return record


def _thumbnail(post: Post | RefusedError) -> str:
    if isinstance(post, RefusedError) or post.picture is None:
        return ""
    small = small_copy(post.picture, THUMBNAIL, Image.Resampling.BILINEAR)
    return f"data:image/jpeg;base64,{as_base64(small, quality=70)}"


def write_downloads(frame: pd.DataFrame, folder: Path) -> list[str]:
    """Write the scored table for download.

    Args:
        frame: As in `ScoredTable`.
        folder: Folder that the page may hand files out of.

    Returns:
        Paths of scored.csv, in which no cell can be taken for a formula, and scored.parquet.
    """
    safe = frame.copy()
    for name in safe.columns:
        safe[name] = [_no_formula(value) for value in safe[name]]
    safe.columns = [_no_formula(name) for name in safe.columns]
    csv_file, parquet_file = folder / "scored.csv", folder / "scored.parquet"
    # Quoted, because a lone carriage return would end a row.
    safe.to_csv(csv_file, index=False, quoting=csv.QUOTE_NONNUMERIC)
    frame.to_parquet(parquet_file, index=False)
    return [str(csv_file), str(parquet_file)]


def _no_formula(value: Any) -> Any:
    """Put an apostrophe before what a spreadsheet would run."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
