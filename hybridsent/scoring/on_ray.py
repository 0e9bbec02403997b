"""Score files of posts on a Ray cluster, where machines come and go.

The rows are read as without it: strings stay strings, a broken row is an answer with its reason. A
worker that dies is replaced and its rows are scored again.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from pyarrow.dataset import Dataset, dataset

from hybridsent.scoring.fingerprint import identify_model
from hybridsent.scoring.inputs import FileInput, find_input
from hybridsent.scoring.row_tables import RowPredictor, read_rows
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody unasked


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

    chosen = (settings.get("revision"), settings.get("backend", "torch"))
    posts, settings["revision"] = _find(input, model, output, *chosen)
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
    input: str, model: str, output: str, revision: str | None, backend: str
) -> tuple[FileInput, Any]:
    """Check everything that could stop the run; returns the files and the model's commit."""
    if Path(output).exists() and any(Path(output).iterdir()):
        remedy = "Give another --output; a run on Ray begins anew each time."
        raise PostsError.about(output, "holds something already", remedy=remedy)
    posts = find_input(input)
    if not isinstance(posts, FileInput):
        remedy = "Give files; without --ray, data sets of the Hub are streamed."
        raise PostsError.about(input, "is on the Hub, which Ray does not read here", remedy=remedy)
    return posts, identify_model(model, revision, backend)[1]


def _absolute(model: str) -> str:
    """Return the path of a folder as workers, which run in another one, can use it."""
    return str(Path(model).absolute()) if Path(model).is_dir() else model
