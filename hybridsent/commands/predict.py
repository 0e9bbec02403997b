"""Score many posts: a file, a folder or a data set of the Hub in, Parquet files of answers out.

hybridsent predict posts.csv --output answers
hybridsent predict --model outputs/quickstart --input USER/DATASET --split test --output answers

Killed or stopped, the same command goes on where it ended, with any number of processes:
accelerate launch -m hybridsent predict ... With --ray the workers of a Ray cluster score the files; a
worker that dies is replaced, and its rows are scored again.
"""

from __future__ import annotations

from collections.abc import Sequence

from hybridsent.scoring.arguments import ScoringArguments, add_settings
from hybridsent.support.command_line import command_parser

NOT_OF_RAY = ("split", "dataset_config", "rows_per_shard", "num_workers", "cpu_threads")
OF_RAY = {"concurrency": 2, "rows_per_block": 1000}


def run(words: Sequence[str]) -> None:
    """Read the settings and score, here or on a cluster."""
    arguments, on_ray = parse(words)
    (score if on_ray is None else score_on_ray)(arguments, **(on_ray or {}))


def parse(words: Sequence[str]) -> tuple[ScoringArguments, dict[str, int] | None]:
    """Read the settings; wrong ones end the program with one message.

    Returns:
        Those of any run, and those of a cluster: None without --ray.
    """
    parser = command_parser("predict", __doc__)
    parser.add_argument("posts", nargs="?", help="what --input says, in fewer words")
    add_settings(parser)
    cluster = parser.add_argument_group("on a Ray cluster (pip install 'hybridsent[ray]')")
    cluster.add_argument("--ray", action="store_true", help="score with the workers of a cluster")
    cluster.add_argument("--concurrency", type=int, help="Workers, each with a model (2).")
    cluster.add_argument("--rows_per_block", type=int, help="Rows a worker gets at a time (1000).")
    given = vars(parser.parse_args(words))
    ray, posts = given.pop("ray"), given.pop("posts")
    del given["debug"]
    if (posts is None) == (given["input"] is None):
        parser.error("say once which posts to score: hybridsent predict POSTS --output FOLDER")
    given["input"] = posts or given["input"]
    of_ray = {name: value for name in OF_RAY if (value := given.pop(name)) is not None}
    try:
        if wrong := [name for name in NOT_OF_RAY if ray and given[name] is not None]:
            raise ValueError(f"--{wrong[0]} does not go with --ray: leave out one of the two.")
        if of_ray and not ray:
            raise ValueError(
                f"--{next(iter(of_ray))} is for a cluster: add --ray, or leave it out."
            )
        return ScoringArguments(**given), {**OF_RAY, **of_ray} if ray else None
    except ValueError as error:
        parser.error(str(error))


def score(arguments: ScoringArguments) -> None:
    """Score in this process and those that the launcher started with it."""
    from hybridsent.scoring.processes import start_process
    from hybridsent.scoring.run import run

    state = start_process(arguments.device, arguments.cpu_threads)
    count = run(arguments, state)
    if state.is_main_process:
        print(f"Scored {count.scored} posts, {count.failed} with an error instead of a label.")
        print(f"Answers: {arguments.output}/rows-*.parquet, named by their rows")
    state.destroy_process_group()  # left to the interpreter's end, it aborts a process now and then


def score_on_ray(arguments: ScoringArguments, concurrency: int, rows_per_block: int) -> None:
    """Score with the workers of a Ray cluster."""
    from pyarrow.dataset import field

    from hybridsent.scoring.on_ray import score_with_ray

    answers = score_with_ray(
        arguments.input,
        arguments.model,
        arguments.output,
        concurrency,
        arguments.batch_size,
        rows_per_block,
        revision=arguments.revision,
        device=arguments.device or "cpu",
        trust_remote_code=arguments.trust_remote_code,
        **arguments.deciding(),
    )
    failed = answers.count_rows(filter=field("error").is_valid())
    print(f"Scored {answers.count_rows()} posts, {failed} with an error instead of a label.")
