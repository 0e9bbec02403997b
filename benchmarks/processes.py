"""How fast one and two processes of run_predict.py score, beside a plain loop over the pipeline.

    python -m benchmarks.processes --model outputs/quickstart

A process has one thread and no worker that decodes; the loop may use every core. The rate of the
command is that of its last posts: the time for all of them less that for a tenth, so that start and
loading fall out. The ways take turns in one run; compare the ratios. The posts are made up.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from benchmarks.scoring import ROOT, make_posts, open_pipeline, score_in_a_loop
from benchmarks.turns import rates_table, take_turns
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.rows import Assignment

SETTINGS = str(ROOT / "configs/accelerate/two_cpu_processes.yaml")
LAUNCHERS = {
    "run_predict.py, one process": ["--num_processes", "1"],
    "run_predict.py, two processes": ["--config_file", SETTINGS],
}
LOOP = "loop over the pipeline"


def seconds_of(launcher: Sequence[str], model: str, posts: Path) -> float:
    """Score a table with run_predict.py; returns how long it took, from start to end."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "accelerate.commands.launch", *launcher]
        command += [str(ROOT / "run_predict.py"), "--model", model, "--input", str(posts)]
        command += ["--output", output, "--device", "cpu", "--cpu_threads", "1"]
        command += ["--num_workers", "0"]
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own script
        return time.perf_counter() - begun


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default="outputs/quickstart", help="%(default)s")
    parser.add_argument("--posts", type=int, default=3000, help="%(default)s")
    parser.add_argument("--loop_sample", type=int, default=200, help="of them, for the plain loop")
    parser.add_argument("--rounds", type=int, default=2, help="%(default)s")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many, few = (make_posts(folder, count) for count in (given.posts, given.posts // 10))
        rows = islice(find_input(str(many)).rows(Assignment(1)), given.loop_sample)
        sample = [{"text": row.text, "image": str(folder / row.image)} for row in rows]
        other = get_context("spawn").Pool(1, open_pipeline, (given.model, os.cpu_count()))

        def loop() -> float:
            begun = time.perf_counter()
            return other.apply(score_in_a_loop, (sample,)) / (time.perf_counter() - begun)

        def command(launcher: Sequence[str]) -> Callable[[], float]:
            def rate() -> float:
                long, short = (seconds_of(launcher, given.model, posts) for posts in (many, few))
                return (given.posts - given.posts // 10) / (long - short)

            return rate

        ways = {name: command(launcher) for name, launcher in LAUNCHERS.items()} | {LOOP: loop}
        with other:
            loop()  # warms up
            rates = take_turns(ways, given.rounds)
        other.join()
    bases = {"times one process": next(iter(LAUNCHERS)), "times the loop": LOOP}
    print(rates_table(rates, bases))


if __name__ == "__main__":
    main()
