"""One scoring run, from the settings to the files, in one of several processes."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from accelerate import PartialState
from accelerate.utils import gather_object
from huggingface_hub.utils import tqdm

from datasets_scripts.intake import BROKEN_QUOTE, NOT_READ
from hybridsent.scoring.arguments import ScoringArguments
from hybridsent.scoring.backends import identify_model
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.inputs import Input, find_input
from hybridsent.scoring.predictor import Predictor
from hybridsent.scoring.processes import default_workers, from_first_process
from hybridsent.scoring.rows import Assignment
from hybridsent.scoring.run_folder import RunFolder, ShardWriter, count_errors
from hybridsent.support.errors import PostsError

# Of a file of answers: few enough that the processes end together and a kill costs little, and that a
# thousand million posts do not become a million files.
FEWEST_ROWS, MOST_ROWS = 500, 10_000
SHARDS_EACH = 8


class Plan(NamedTuple):
    """What a run does, the same in all processes.

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
        swallowed: Those whose lines a broken quote of a CSV file hides.
    """

    scored: int = 0
    failed: int = 0
    swallowed: int = 0

    def plus(self, answers: pa.Table) -> Count:
        """Count further answers."""
        failed = answers.num_rows - answers["error"].null_count
        swallowed = pc.sum(pc.match_substring(answers["error"], BROKEN_QUOTE)).as_py() or 0
        return Count(
            self.scored + answers.num_rows, self.failed + failed, self.swallowed + swallowed
        )

    def require_whole(self, arguments: ScoringArguments) -> None:
        """Raise PostsError if lines of the input were hidden; their answers have an error."""
        if self.swallowed:
            problem = f"broken quotes hide lines of {self.swallowed} rows"
            remedy = (
                f"The answers are in {arguments.output}; their column error names the lines. "
                "Correct these, and score the file again into another folder."
            )
            raise PostsError.about(arguments.input, problem, remedy=remedy)


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


def plan_run(arguments: ScoringArguments, folder: RunFolder, processes: int) -> Plan:
    """Check everything that could stop the run; write nothing. For the first process.

    Args:
        arguments: The settings.
        folder: Where the answers go.
        processes: How many score.

    Returns:
        The plan.

    Raises:
        PostsError: No such model or input, a model of another backend, no posts, or a folder of
            other answers.
    """
    fingerprint, revision = identify_model(
        arguments.model,
        arguments.revision,
        arguments.backend,
        arguments.trust_remote_code,
        arguments.coverage,
    )
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
    for name, field in posts.unread.items():
        print(NOT_READ.format(repr(name), field), file=sys.stderr)
    return Plan(manifest, revision)


def build_predictor(arguments: ScoringArguments, plan: Plan, state: PartialState) -> Predictor:
    """Load the model.

    Raises:
        PostsError: It cannot be loaded.
    """
    predictor = Predictor(
        arguments.model,
        arguments.columns,
        coverage=arguments.coverage,
        revision=plan.revision,
        device=arguments.device or str(state.device),
        dtype=arguments.dtype,
        max_image_pixels=arguments.max_image_pixels,
        backend=arguments.backend,
        trust_remote_code=arguments.trust_remote_code,
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
        PostsError: The run is not possible, and nothing was written; or lines of the input are hidden.
    """
    folder = RunFolder(arguments.output)
    plan = from_first_process(state, lambda: plan_run(arguments, folder, state.num_processes))
    predictor = build_predictor(arguments, plan, state)
    posts = open_input(arguments)
    done = from_first_process(state, lambda: folder.begin(plan.manifest))
    folder.join()
    size, total = plan.manifest["rows_per_shard"], plan.manifest["rows"]
    assignment = Assignment(size, done, state.process_index, state.num_processes)
    progress = tqdm(
        total=None if total is None else assignment.count(total),
        desc=f"Scoring (1 of {state.num_processes} shares)",
        unit=" posts",
        disable=not state.is_main_process,
    )
    workers = arguments.num_workers
    if workers is None:
        workers = default_workers(predictor.device)
    count = Count()
    with progress, ShardWriter(folder.folder, size) as writer:
        for answers in score_rows(posts.rows(assignment), predictor, arguments.batch_size, workers):
            writer.write(answers)
            count = count.plus(answers)
            progress.update(answers.num_rows)
    total_count = Count(*map(sum, zip(*gather_object([count]), strict=True)))
    folder.leave()
    # Those of earlier runs count, too: the same command must not succeed when it is repeated.
    in_all = total_count._replace(swallowed=count_errors(folder.folder, BROKEN_QUOTE))
    from_first_process(state, lambda: in_all.require_whole(arguments))
    return total_count
