"""Score a table: every row keeps its place, with its answer or with the reason why it has none."""

import csv
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from datasets_scripts.intake import Row
from hybridsent_space.jpeg import as_base64, small_copy
from hybridsent_space.posts import Post, RefusedError, check_post
from hybridsent_space.scorer import Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.table_files import open_upload
from hybridsent_space.table_rows import Table
from hybridsent_space.wording import warnings_about
from modeling_hybridsent.answers_hybridsent import BRANCHES, Answer

THUMBNAIL = 64  # pixels
MOST_KEPT = 1_000  # characters of a text on the page
MOST_SHOWN = 200  # characters of an id, or of a text that was refused
# Also in full width, or behind white space and what nobody sees, which spreadsheets may drop.
FORMULA = ("=", "+", "-", "@", "\N{MINUS SIGN}", "\t", "\r", "\n")
AGREE, DISAGREE = "agree", "disagree"


@dataclass
class ScoredTable:
    """A scored table.

    Attributes:
        frame: One row a post: `id`, `text`, `label`, `score`, `agreement`, `error`, `note`, the
            probability of every label, and label and weight of every branch.
        thumbnails: Small images as data for a browser, "" where there is none.
        several: Whether a cell of labels may hold several, with "|" between them.
        notes: What is seldom meant.
    """

    frame: pd.DataFrame
    thumbnails: list[str] = field(default_factory=list)
    several: bool = False
    notes: Sequence[str] = ()

    def labels(self) -> pd.Series:
        """Return the labels of each row, as a list; without those that failed."""
        known = self.frame["label"].dropna()
        return known.map(lambda cell: cell.split("|") if self.several else [cell])

    def for_the_page(self) -> "ScoredTable":
        """Return the table with its texts cut: it stays in memory as long as a visitor may look."""
        texts = self.frame["text"]  # NaN where a column of texts has gaps
        cut = [text[:MOST_KEPT] if isinstance(text, str) else None for text in texts]
        return replace(self, frame=self.frame.assign(text=cut))


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
    records: list[dict[str, Any]] = []
    thumbnails: list[str] = []
    with open_upload(path, settings) as table:
        for chunk in _chunks(table, scorer.batch_size):
            answers = scorer.answer(
                _posts(chunk, settings, scorer.max_image_ratio(settings), thumbnails)
            )
            records += [
                _as_record(row, answer, scorer.labels)
                for row, answer in zip(chunk, answers, strict=True)
            ]
            progress(len(records), table.count)
    several = scorer.loaded.model.config.problem_type == "multi_label_classification"
    return ScoredTable(pd.DataFrame(records), thumbnails, several, table.notes)


def _chunks(table: Table, size: int) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in table.rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _posts(
    rows: list[Row], settings: Settings, max_ratio: float, thumbnails: list[str]
) -> Iterator[Post | RefusedError]:
    """Yield the posts of rows one by one; each adds a thumbnail."""
    for row in rows:
        try:
            if row.problem:
                raise RefusedError(row.problem)
            post = check_post(row.text, row.image, settings, max_ratio)
        except RefusedError as error:
            thumbnails.append("")
            yield error
        else:
            thumbnails.append(_thumbnail(post))
            yield post


def _as_record(row: Row, answer: Answer, labels: list[str]) -> dict[str, Any]:
    text = row.text[:MOST_SHOWN] if row.text and answer.error is not None else row.text
    record: dict[str, Any] = {
        "id": (row.id or "")[:MOST_SHOWN],
        "text": text,
        "label": "|".join(answer.labels) if answer.labels else answer.label,
        "score": answer.score,
        "agreement": {True: AGREE, False: DISAGREE}.get(answer.agreement),
        "error": answer.error,
        "note": " ".join(warnings_about(answer)) or None,
    }
    record |= {f"score_{label}": answer.scores.get(label) for label in labels}
    for name in BRANCHES:
        branch = answer.branches.get(name)
        record[f"{name}_label"] = branch and branch.label
        record[f"{name}_weight"] = branch and branch.weight
    return record


def _thumbnail(post: Post) -> str:
    if post.image is None:
        return ""
    small = small_copy(post.image, THUMBNAIL, Image.Resampling.BILINEAR)
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
    if not isinstance(value, str):
        return value
    seen = (x for x in value if not (x.isspace() or unicodedata.category(x) in ("Cc", "Cf")))
    starts = (value[:1], unicodedata.normalize("NFKC", next(seen, "")))
    return f"'{value}" if any(x.startswith(FORMULA) for x in starts) else value
