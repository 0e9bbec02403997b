"""Score files of posts on a Ray cluster, where machines come and go.

The rows are read as without it: strings stay strings, a broken row is an answer with its reason. A
worker that dies is replaced and its rows are scored again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.dataset import Dataset, dataset

from hybridsent.scoring.answers import writable
from hybridsent.scoring.backends import identify_model
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.inputs import FileInput, file_rows, find_input
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.rows import Assignment, Row
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside
from hybridsent.support.machine import keep_freed_memory
from modeling_hybridsent.inputs_hybridsent import image_source

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no statistics are sent unasked
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
STRINGS = ("file", "id", "text", "folder", "problem")
ROWS_AT_ONCE = 64  # in a table; images may stand in them
ROWS = pa.schema(
    [*((name, pa.string()) for name in STRINGS), ("number", pa.int64()), ("image", IMAGE)]
)


def score_with_ray(
    input: str,
    model: str,
    output: str,
    concurrency: int = 2,
    batch_size: int = 32,
    rows_per_block: int = 1000,
    **settings: Any,
) -> Dataset:
    """Score files of posts with the workers of the Ray cluster at hand, or of one started here.

    Args:
        input: File or folder that every machine sees under this path, as `hybridsent predict` takes it.
        model: Folder, which every machine sees as well, or Hub id.
        output: Folder for the answers, absent or empty. It appears complete or not at all.
        concurrency: Workers, each with a model.
        batch_size: Posts in a batch.
        rows_per_block: Rows that a worker gets at a time, and loses when it dies.
        **settings: Others of `Predictor`; device="cuda" gives each worker a GPU.

    Returns:
        The answers: `file` and `row` (from 0 in each file), `id`, `label`, `score`, `error` and the
        columns of choice; each row of the input once, in no certain order.

    Raises:
        PostsError: No such input or model, or a folder of other answers.
    """
    import ray

    posts, settings["revision"] = _find(input, model, output, settings)
    if not ray.is_initialized():
        # One core more than there are workers, for reading and writing.
        here = {"num_cpus": concurrency + 1, "include_dashboard": False}
        ray.init(**({} if "RAY_ADDRESS" in os.environ else here))
    answers = _blocks(posts, rows_per_block).map_batches(
        RowPredictor,
        fn_constructor_kwargs={"batch_size": batch_size, "model": _absolute(model), **settings},
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=concurrency),
        num_gpus=1 if settings.get("device", "cpu").startswith("cuda") else None,
    )
    with build_beside(Path(output).absolute()) as draft:
        answers.write_parquet(str(draft))
    return dataset(output)


def _blocks(posts: FileInput, rows_per_block: int) -> Any:
    """Plan the reading, one task for each file; returns a data set of Ray."""
    import ray

    paths = [{"file": str(file)} for file in posts.files]
    files = ray.data.from_items(paths, override_num_blocks=len(paths))
    read = partial(read_rows, root=str(posts.folder))
    rows = files.map_batches(read, batch_size=1, batch_format="pyarrow")
    # Strict, for otherwise Ray may fuse the steps, and a worker would score whole files.
    return rows.repartition(target_num_rows_per_block=rows_per_block, strict=True)


def _find(
    input: str, model: str, output: str, settings: Mapping[str, Any]
) -> tuple[FileInput, str | None]:
    """Check everything that could stop the run; return the files and the model's commit."""
    if Path(output).exists() and any(Path(output).iterdir()):
        remedy = "Give another --output; a run on Ray begins anew each time."
        raise PostsError.about(output, "is not empty", remedy=remedy)
    posts = find_input(input)
    if not isinstance(posts, FileInput):
        remedy = "Give files; without --ray, data sets of the Hub are streamed."
        raise PostsError.about(input, "is on the Hub, which Ray does not read here", remedy=remedy)
    return posts, identify_model(
        model,
        settings.get("revision"),
        settings.get("backend", "torch"),
        settings.get("trust_remote_code", False),
        settings.get("coverage"),
    )[1]


def _absolute(model: str) -> str:
    """Return the path of a folder as workers, which run in another one, can use it."""
    return str(Path(model).absolute()) if Path(model).is_dir() else model


def read_rows(files: pa.Table, root: str) -> Iterator[pa.Table]:
    """Read all rows of some files; runs on whichever machine Ray chooses.

    Args:
        files: Column `file` with their paths.
        root: What `file` is relative to in the answers.

    Yields:
        Tables of `ROWS`: the fields of `Row`, numbered within its file, and `file`.
    """
    for path in map(Path, files["file"].to_pylist()):
        rows = file_rows(path, 0, Assignment(1))
        name = writable(os.path.relpath(path, root))
        while some := list(islice(rows, ROWS_AT_ONCE)):
            yield pa.Table.from_pylist([_storable(row, name) for row in some], ROWS)


def _storable(row: Row, file: str | None) -> dict[str, Any]:
    """Return the cells of a row; its image is bytes or path, so that all tables have one schema."""
    image = {"bytes" if isinstance(row.image, bytes) else "path": row.image}
    return {**row._asdict(), "file": file, "image": image, "problem": writable(row.problem)}


class RowPredictor:
    """The engine in a worker of Ray, for the rows that `read_rows` gives.

    Args:
        batch_size: Posts in a batch.
        **settings: Of `Predictor`.
    """

    def __init__(self, batch_size: int = 32, **settings: Any) -> None:
        keep_freed_memory()
        self.predictor, self.batch_size = Predictor(**settings), batch_size

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score a table of `ROWS`; return `file` and the columns of `Layout.table`."""
        cells = table.drop_columns("file").to_pylist()
        rows = (Row(**{**fields, "image": image_source(fields["image"])}) for fields in cells)
        # Not the batches of Ray: the engine cuts batches of texts of similar length.
        scored = pa.concat_tables(score_rows(rows, self.predictor, self.batch_size, num_workers=0))
        return scored.add_column(0, "file", table["file"])
