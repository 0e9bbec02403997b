"""The tab "Many posts": score a table, look through it, take it away."""

import html
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from datasets_scripts.intake import ENDINGS
from hybridsent_space.drawing import counts_html, side_by_side, thumbnail_html
from hybridsent_space.limits import FULL_DISK, MESSAGES
from hybridsent_space.posts import RefusedError
from hybridsent_space.scorer import Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.storage import Storage
from hybridsent_space.table_scores import ScoredTable, score_table, write_downloads
from modeling_hybridsent.answers_hybridsent import NO_LABELS

SHOWN = {
    "image": "html",
    "text": "str",
    "label": "str",
    "score": "number",
    "agreement": "str",
    "error": "str",
    "note": "str",
    "id": "str",
}
WIDTHS = ("80px", "300px", "110px", "80px", "110px", "260px", "300px", "120px")
FAILED = "failed"
ALL = "all"
BINS = 10
HOLD_SECONDS = 3600  # a table that nobody looks at is let go


class ManyPosts:
    """What the tab does, apart from how it looks.

    Args:
        scorer: With the model.
        settings: Limits.
        storage: Folder for downloads, which Gradio may hand out.
    """

    def __init__(self, scorer: Scorer, settings: Settings, storage: Storage) -> None:
        self.scorer = scorer
        self.settings = settings
        self.storage = storage

    def predict_table(
        self,
        file: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (this is how Gradio hands it over)
    ) -> tuple[ScoredTable, dict[str, Any], list[str]]:
        """Score a table of posts: CSV, JSONL or Parquet with text and image, or a ZIP of a folder.

        Returns a summary (rows, scored, failed, labels) and the files scored.csv and scored.parquet,
        which hold every row in its order; rows that failed say why in the column error.

        Args:
            file: The uploaded table or archive.
            progress: Of the page.
        """
        if not file:
            raise gr.Error("Choose a CSV, JSONL, Parquet or ZIP file first.", print_exception=False)
        if not self.storage.has_room():
            raise gr.Error(MESSAGES["max_stored_bytes"], print_exception=False)

        def tell(done: int, count: int) -> None:
            progress((done, count), unit="posts")

        try:
            scored = score_table(self.scorer, Path(file), self.settings, tell)
        except RefusedError as error:
            shown = html.escape(str(error), quote=False)  # Gradio shows it as HTML
            raise gr.Error(shown, duration=None, print_exception=False) from error
        files = self._write(scored)
        self.storage.add(sum(Path(file).stat().st_size for file in files), always=True)
        return scored.for_the_page(), summarise(scored), files

    def _write(self, scored: ScoredTable) -> list[str]:
        folder = Path(tempfile.mkdtemp(dir=self.storage.folder))
        try:
            return write_downloads(scored.frame, folder)
        except OSError as error:
            shutil.rmtree(folder)
            raise gr.Error(FULL_DISK, print_exception=False) from error


def summarise(scored: ScoredTable) -> dict[str, Any]:
    """Count the rows of a scored table: all, scored, failed, and those of each label; with notes."""
    frame = scored.frame
    failed = int(frame["error"].notna().sum())
    labels = scored.labels().explode().value_counts().to_dict()
    counts = {"rows": len(frame), "scored": len(frame) - failed, "failed": failed, "labels": labels}
    return counts | ({"notes": [*scored.notes]} if scored.notes else {})


def choose(
    scored: ScoredTable | None, labels: list[str], least: float, agreement: str
) -> tuple[pd.DataFrame, str]:
    """Choose rows of a scored table and count them.

    Args:
        scored: The table, None before there is one.
        labels: Labels to keep, and "failed" for rows without one.
        least: Least score of rows that have one.
        agreement: "agree", "disagree" or "all".

    Returns:
        The rows to show, and how many they are by label and score, as HTML.
    """
    if scored is None:
        return pd.DataFrame(columns=list(SHOWN)), ""
    frame = scored.frame.assign(image=[thumbnail_html(data) for data in scored.thumbnails])
    named = scored.labels().map(lambda found: bool(set(found) & set(labels)))
    kept = named.reindex(frame.index, fill_value=False).astype(bool)
    if least:  # 0 keeps scores below it, too
        kept &= frame["score"] >= least
    if agreement != ALL:
        kept &= frame["agreement"] == agreement
    elif FAILED in labels:
        kept |= frame["error"].notna()
    found = frame[kept]
    shown = found[list(SHOWN)].assign(score=found["score"].astype(float).round(3))
    chosen = ScoredTable(found, several=scored.several)
    return shown.fillna(""), _distribution(chosen, len(frame))


def _distribution(chosen: ScoredTable, rows: int) -> str:
    """Draw how many posts have each label and each score."""
    found = chosen.frame
    edges = [i / BINS for i in range(BINS + 1)]
    names = [f"{a:.1f} to {b:.1f}" for a, b in itertools.pairwise(edges)]
    scores = found["score"].dropna().astype(float)
    binned = pd.cut(scores, edges, labels=names, include_lowest=True).value_counts()
    by_score = {name: int(binned[name]) for name in names if binned.get(name)}
    by_label = chosen.labels().explode().value_counts().to_dict()
    if failed := int(found["label"].isna().sum()):
        by_label[FAILED] = failed
    drawn = side_by_side(
        counts_html("Posts by label", by_label), counts_html("Posts by score", by_score)
    )
    return f"<p>{len(found):,} of {rows:,} rows.</p>{drawn}"


def build_many_posts(work: ManyPosts) -> None:
    """Lay the tab out.

    Args:
        work: What it does.
    """
    several = work.scorer.loaded.model.config.problem_type == "multi_label_classification"
    no_label = [NO_LABELS] if several else []
    limits, labels = work.settings, [*work.scorer.labels, *no_label, FAILED]
    gr.Markdown(
        f"Columns `text` and `image`, one of them is enough, and `id` if you like. Images come in "
        f"the table (Parquet) or beside it (ZIP); a ZIP of images, each with a text of the same "
        f"name or without, will do, too. At most {limits.max_table_rows:,} posts and "
        f"{limits.max_table_bytes // 1_000_000} MB. Addresses in a table are not fetched."
    )
    file = gr.File(label="Table or ZIP", file_types=[*ENDINGS, ".zip"], type="filepath", height=120)
    button = gr.Button("Score all", variant="primary")
    state = gr.State(None, time_to_live=HOLD_SECONDS)
    with gr.Row():
        summary = gr.JSON(label="Summary", elem_id="summary")
        downloads = gr.File(
            label="Scored table: all rows", file_count="multiple", elem_id="downloads"
        )
    with gr.Row():
        wanted = gr.CheckboxGroup(labels, value=labels, label="Label")
        least = gr.Slider(0, 1, 0, step=0.01, label="Score at least")
        agreement = gr.Radio(
            [("all", ALL), ("text and image agree", "agree"), ("they contradict", "disagree")],
            value=ALL,
            label="Branches",
        )
    told = gr.HTML(elem_id="told")
    table = gr.Dataframe(
        headers=list(SHOWN),
        datatype=list(SHOWN.values()),
        interactive=False,
        column_widths=list(WIDTHS),
        wrap=True,
        max_height=480,
        label="Posts",
        elem_id="table",
    )

    view = {
        "fn": choose,
        "inputs": [state, wanted, least, agreement],
        "outputs": [table, told],
        "api_visibility": "private",
        "show_progress": "hidden",
    }
    button.click(
        work.predict_table,
        [file],
        [state, summary, downloads],
        api_name="predict_table",
        concurrency_limit=4,
        show_progress_on=summary,
    ).then(**view)
    gr.on([wanted.change, least.release, agreement.change], **view)
