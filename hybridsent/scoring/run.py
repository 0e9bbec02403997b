"""One scoring run, from the settings to the files, in one of several processes."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets.utils import tqdm

from hybridsent.scoring.arguments import ScoringArguments
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.fingerprint import identify_model
from hybridsent.scoring.inputs import Input, find_input
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.processes import ask_first, default_workers
from hybridsent.scoring.run_folder import RunFolder
from hybridsent.scoring.shard_files import ShardWriter
from hybridsent.scoring.share import Share
from hybridsent.support.errors import PostsError

# Of a file of answers: few enough that the processes end together and a kill costs little, and that a
# thousand million posts do not become a million files.
FEWEST_ROWS, MOST_ROWS = 500, 10_000
SHARDS_EACH = 8


class Question(NamedTuple):
    """What a run is to answer, the same in all processes.

    Attributes:
        manifest: All that decides about the answers.
        revision: Of the model, as a commit; None for a folder.
    """

    manifest: dict[str, Any]
    revision: str | None


class Count(NamedTuple):
    """Rows of a run.

    Attributes:
        scored: All with an answer, be it an error.
        failed: Those with an error.
    """

    scored: int = 0
    failed: int = 0

    def plus(self, answers: pa.Table) -> Count:
        """Count further answers."""
        failed = answers.num_rows - answers["error"].null_count
        return Count(self.scored + answers.num_rows, self.failed + failed)


def open_input(arguments: ScoringArguments) -> Input:
    """Find the input that the settings name."""
    return find_input(arguments.input, arguments.split, arguments.dataset_config)


def choose_rows_per_shard(total: int | None, processes: int) -> int:
    """Choose how many rows a file of answers has.

    Args:
        total: Rows of the input; None if that is not known.
        processes: How many share them, shard by shard.

    Returns:
        So many that each process has about `SHARDS_EACH` files, within bounds.
    """
    if total is None:
        return MOST_ROWS
    return min(MOST_ROWS, max(FEWEST_ROWS, -(-total // (processes * SHARDS_EACH))))


def pose(arguments: ScoringArguments, folder: RunFolder, processes: int) -> Question:
    """Check everything that could stop the run; writes nothing. For the first process.

    Args:
        arguments: The settings.
        folder: Where the answers go.
        processes: How many score.

    Returns:
        The question.

    Raises:
        PostsError: No such model or input, a model of another backend, no posts, or a folder of
            other answers.
    """
    fingerprint, revision = identify_model(arguments.model, arguments.revision, arguments.backend)
    posts = open_input(arguments)
    total = posts.total()
    if total == 0:
        raise PostsError.about(arguments.input, "no posts in it", remedy="Give another input.")
    manifest = {"model": fingerprint, "input": posts.identity(), "rows": total}
    manifest |= arguments.deciding()
    size = arguments.rows_per_shard or (folder.manifest() or {}).get("rows_per_shard")
    if not isinstance(size, int) or size < 1:  # not asked for, and not begun or damaged
        size = choose_rows_per_shard(total, processes)
    manifest["rows_per_shard"] = size
    folder.check(manifest)
    return Question(manifest, revision)


def build_predictor(
    arguments: ScoringArguments, question: Question, state: PartialState
) -> Predictor:
    """Load the model.

    Raises:
        PostsError: It cannot be loaded.
    """
    predictor = Predictor(
        arguments.model,
        arguments.columns,
        revision=question.revision,
        device=arguments.device or str(state.device),
        dtype=arguments.dtype,
        max_image_pixels=arguments.max_image_pixels,
        backend=arguments.backend,
    )
    try:
        predictor.load()
    except PostsError:
        raise
    except Exception as error:
        raise PostsError.about(arguments.model, "cannot be loaded", [str(error)]) from error
    return predictor


def run(arguments: ScoringArguments, state: PartialState) -> Count:
    """Score the rows of this process and write them.

    Args:
        arguments: The settings.
        state: The processes.

    Returns:
        What all processes together have scored in this run.

    Raises:
        PostsError: The run cannot be; nothing was written then.
    """
    folder = RunFolder(arguments.output)
    question = ask_first(state, lambda: pose(arguments, folder, state.num_processes))
    predictor = build_predictor(arguments, question, state)
    posts = open_input(arguments)
    done = ask_first(state, lambda: folder.begin(question.manifest))
    folder.join()
    size, total = question.manifest["rows_per_shard"], question.manifest["rows"]
    share = Share(size, done, state.process_index, state.num_processes)
    progress = tqdm(
        total=None if total is None else share.count(total),
        desc=f"Scoring (1 of {state.num_processes} shares)",
        unit=" posts",
        disable=not state.is_main_process,
    )
    workers = arguments.num_workers
    if workers is None:
        workers = default_workers(predictor.device)
    count = Count()
    with progress, ShardWriter(folder.folder, size) as writer:
        for answers in score_rows(posts.rows(share), predictor, arguments.batch_size, workers):
            writer.write(answers)
            count = count.plus(answers)
            progress.update(answers.num_rows)
    everything = Count(*map(sum, zip(*gather_object([count]), strict=True)))
    folder.leave()
    return everything
