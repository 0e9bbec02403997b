"""How fast exported models score ready inputs, beside the model that they were made of.

    python -m benchmarks.exported --model outputs/quickstart --exports outputs/openvino outputs/onnx

Each way has a process of its own, for threads that wait for work would slow the others; the processes
take turns, so that whatever else the machine does falls on all of them alike: compare the ratios. A
round before those that count lets each way meet all lengths of texts. Posts are texts and noise.
"""

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.pool import Pool
from typing import Any

import torch

from benchmarks.turns import rates_table, take_turns
from hybridsent import Predictor
from hybridsent.exporting.comparison import made_up_rows
from hybridsent.scoring.exported import read_export
from hybridsent.support.machine import keep_freed_memory

BATCHES = (1, 16)


def ways_to_score(model: str, exports: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what makes a predictor of the model and of its exports, by the table's rows."""
    ways: dict[str, dict[str, Any]] = {
        "the model": {"model": model, "optimise": False},
        "the model, optimised by run_predict.py": {"model": model},
    }
    for folder in exports:
        export = read_export(folder)
        if export is None:
            raise SystemExit(f"error: {folder} has no export.json. Give exported folders.")
        ways[export["format"]] = {"model": folder, "backend": export["format"]}
    return ways


def _open(way: dict[str, Any], threads: int) -> None:
    """Load a predictor in the process of its own."""
    global PREDICTOR
    torch.set_num_threads(threads)
    keep_freed_memory()
    PREDICTOR = Predictor(**way)
    PREDICTOR.load()


@cache
def _batches(batch_size: int, posts: int) -> list[dict[str, torch.Tensor]]:
    """Return ready inputs; the same each time and for each way."""
    rows = made_up_rows(3 * (posts + batch_size))
    whole = [row for row in rows if row.text is not None and row.image is not None]
    starts = range(0, posts - batch_size + 1, batch_size)
    return [PREDICTOR.preparer[whole[i : i + batch_size]].inputs for i in starts]


def _measure(batch_size: int, posts: int) -> float:
    """Return posts a second in the process of this way."""
    batches = _batches(batch_size, posts)
    begun = time.perf_counter()
    for inputs in batches:
        PREDICTOR.backend(inputs, PREDICTOR.layout.fields)
    return len(batches) * batch_size / (time.perf_counter() - begun)


def measure(
    processes: dict[str, Pool], batch_size: int, posts: int, rounds: int
) -> dict[str, list[float]]:
    """Return posts a second of each process, round by round; they take turns."""
    ways = {
        name: partial(process.apply, _measure, (batch_size, posts))
        for name, process in processes.items()
    }
    return take_turns(ways, rounds, warm_up=1)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default="outputs/quickstart", help="%(default)s")
    parser.add_argument("--exports", nargs="+", required=True, help="folders made of this model")
    parser.add_argument("--posts", type=int, default=64, help="scored each way (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="%(default)s")
    parser.add_argument("--cpu_threads", type=int, default=os.cpu_count(), help="of every way")
    given = parser.parse_args(argv)
    context = get_context("spawn")
    with ExitStack() as opened:
        ways = {
            name: opened.enter_context(context.Pool(1, _open, (way, given.cpu_threads)))
            for name, way in ways_to_score(given.model, given.exports).items()
        }
        rates = {size: measure(ways, size, given.posts, given.rounds) for size in BATCHES}
    for process in ways.values():
        process.join()
    for size, found in rates.items():
        print(f"Batches of {size}:\n\n{rates_table(found, {'times the model': 'the model'})}\n")


if __name__ == "__main__":
    main()
