"""How fast run_predict.py scores, beside the encoders alone and a plain loop, and in what memory.

    python -m benchmarks.scoring --model outputs/quickstart --posts 5000

All rates are taken in one run and in turns, so that whatever else the machine does falls on all of
them alike; compare the ratios. The posts are made up: texts and images of the quickstart's kind.
The plain loop runs in a process of its own, without anything that run_predict.py sets up. So does
`Predictor`, once as it is and once after `keep_freed_memory()`; it has no worker that decodes.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import pipeline

from benchmarks.turns import rates_table, take_turns
from hybridsent import Predictor
from hybridsent.bundled.drawings import draw_picture
from hybridsent.bundled.models import resolve_model
from hybridsent.bundled.templates import write_text
from hybridsent.scoring.answers import Window, windows
from hybridsent.scoring.engine import score_rows
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.rows import Assignment
from hybridsent.support.machine import keep_freed_memory

ROOT = Path(__file__).resolve().parents[1]
PICTURES = 300  # files; posts use them in turn
MOODS = ("negative", "neutral", "positive")
Way = Callable[[], float]  # scores posts and returns posts a second


def make_posts(folder: Path, count: int, seed: int = 0) -> Path:
    """Write a table of made-up posts with their images.

    Args:
        folder: Where `posts-COUNT.csv` and `images/` go.
        count: Rows of the table.
        seed: Of texts and images.

    Returns:
        The table; each post has text and image.
    """
    random, images = Random(seed), folder / "images"  # noqa: S311 - made-up posts guard nothing
    if not images.exists():
        images.mkdir()
        for i in range(PICTURES):
            picture = draw_picture(random, "test", random.choice(MOODS))
            picture.save(images / f"{i}.jpg", quality=90)
    texts = [write_text(random, "test", random.choice(MOODS)) for _ in range(1000)]
    file = folder / f"posts-{count}.csv"
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["id", "text", "image"])
        for i in range(count):
            text = " ".join(random.choices(texts, k=random.choice([1, 1, 1, 2, 4])))
            writer.writerow([i, text, f"images/{i % PICTURES}.jpg"])
    return file


def ways_to_score(file: Path, given: argparse.Namespace, others: list[Pool]) -> dict[str, Way]:
    """Return what is compared; each scores the first `sample` posts of the table, or part of them.

    Args:
        file: The table.
        given: Settings of the command line.
        others: The processes of the plain loop, of `Predictor`, and of `Predictor` that keeps memory.
    """
    loop, as_it_is, kept = others
    settings = {"folder": str(file.parent), "dtype": given.dtype}
    predictor, plain = (Predictor(given.model, **settings, optimise=x) for x in (True, False))
    predictor.load()
    rows = list(islice(find_input(str(file)).rows(Assignment(1)), given.sample))
    model, ready = plain.backend.model, _ready_inputs(predictor, rows, given.batch_size)
    few = [
        {"text": row.text, "image": str(file.parent / row.image)}
        for row in rows[: given.loop_sample]
    ]
    texts, images = ([getattr(row, name) for row in rows] for name in ("text", "image"))
    parts = [slice(i, i + given.batch_size) for i in range(0, len(rows), given.batch_size)]
    batches = [{"text": texts[part], "image": images[part]} for part in parts]

    def encoders(inputs: dict[str, torch.Tensor]) -> None:
        text = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        model.hybridsent.text_model(**text)
        model.hybridsent.vision_model(pixel_values=inputs["pixel_values"])

    def on_ready(call: Callable[[dict[str, torch.Tensor]], Any]) -> Way:
        def way() -> int:
            with torch.inference_mode(), plain.backend._precision():
                for inputs in ready:
                    call(inputs)
            return len(rows)

        return _rate_of(way)

    def engine() -> int:
        scored = score_rows(iter(rows), predictor, given.batch_size, given.num_workers)
        return sum(answers.num_rows for answers in scored)

    return {
        "encoders alone, inputs ready": on_ready(encoders),
        "whole model, inputs ready": on_ready(lambda inputs: model(**inputs)),
        "the same, optimised by run_predict.py": on_ready(
            lambda inputs: predictor.backend.model(**inputs)
        ),
        "run_predict.py": _rate_of(engine),
        "Predictor": _rate_of(lambda: as_it_is.apply(score_in_batches, (batches,))),
        "Predictor, freed memory kept": _rate_of(lambda: kept.apply(score_in_batches, (batches,))),
        "loop over the pipeline": _rate_of(lambda: loop.apply(score_in_a_loop, (few,))),
    }


def open_pipeline(model: str, threads: int) -> None:
    """Load a model as a pipeline, in the process of the plain loop."""
    global PIPE
    torch.set_num_threads(threads)
    PIPE = pipeline("image-text-sentiment", model=model, trust_remote_code=True)


def score_in_a_loop(posts: list[dict[str, str]]) -> int:
    """Score posts one after the other with the pipeline of this process."""
    return len([PIPE(post) for post in posts])


def open_predictor(model: str, threads: int, settings: dict[str, str], keep: bool) -> None:
    """Load a model into a process of its own that keeps freed memory, or gives it back."""
    global PREDICTOR
    torch.set_num_threads(threads)
    if keep:
        keep_freed_memory()
    PREDICTOR = Predictor(model, **settings)
    PREDICTOR.load()


def score_in_batches(batches: list[dict[str, list[str]]]) -> int:
    """Score batches with the predictor of this process."""
    answers = [PREDICTOR(batch) for batch in batches]
    if faults := [fault for part in answers for fault in part["error"] if fault]:
        raise RuntimeError(f"Not all posts were scored: {faults[0]}")
    return sum(len(part["label"]) for part in answers)


def _ready_inputs(predictor: Predictor, rows: list, batch_size: int) -> list[dict]:
    """Prepare the same batches as the engine makes."""
    ready = []
    for chunk in windows(iter(rows), batch_size):
        window = Window(chunk, predictor.layout)
        for batch in window.cut(chunk, batch_size, predictor.preparer.lengths):
            ready.append(predictor.preparer[batch].inputs)
    return ready


def _rate_of(score: Callable[[], int]) -> Way:
    """Return a function that scores posts and returns posts a second."""

    def rate() -> float:
        start = time.perf_counter()
        return score() / (time.perf_counter() - start)

    return rate


def measure_memory(file: Path, given: argparse.Namespace) -> float:
    """Return the peak memory in MiB of the largest process of a run over a table."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, str(ROOT / "run_predict.py"), "--model", given.model]
        command += ["--input", str(file), "--output", output, "--dtype", given.dtype]
        command += ["--batch_size", str(given.batch_size), "--num_workers", str(given.num_workers)]
        command += ["--cpu_threads", str(given.cpu_threads), "--device", "cpu"]
        process = subprocess.Popen(command)  # noqa: S603 - our own script
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"run_predict.py ended with {os.waitstatus_to_exitcode(status)}.")
    return used.ru_maxrss / 1024


def as_table(rates: dict[str, list[float]], memory: dict[int, float]) -> str:
    """Return the measurements as Markdown."""
    lines = [rates_table(rates, {"times the encoders": next(iter(rates))})]
    if memory:
        lines += ["", "| posts in the table | peak memory, MiB |", "|---:|---:|"]
        lines += [f"| {posts:,} | {peak:.0f} |" for posts, peak in memory.items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default="outputs/quickstart", help="%(default)s")
    parser.add_argument(
        "--posts",
        type=int,
        default=5000,
        help="memory is taken at so many and at ten times so many; 0: not",
    )
    parser.add_argument("--sample", type=int, default=512, help="posts whose rate is taken")
    parser.add_argument("--loop_sample", type=int, default=64, help="of them, for the plain loop")
    parser.add_argument("--rounds", type=int, default=3, help="%(default)s")
    parser.add_argument("--batch_size", type=int, default=32, help="%(default)s")
    parser.add_argument("--num_workers", type=int, default=1, help="%(default)s")
    parser.add_argument("--cpu_threads", type=int, default=os.cpu_count(), help="of the model")
    parser.add_argument("--dtype", default="float32", help="%(default)s")
    given = parser.parse_args(argv)
    given.model = resolve_model(given.model)
    torch.set_num_threads(given.cpu_threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"folder": folder, "dtype": given.dtype}
        common = (given.model, given.cpu_threads)
        starts = [(open_pipeline, common)]
        starts += [(open_predictor, (*common, settings, keep)) for keep in (False, True)]
        with ExitStack() as stack:
            others = [stack.enter_context(get_context("spawn").Pool(1, *each)) for each in starts]
            ways = ways_to_score(make_posts(Path(folder), given.sample), given, others)
            rates = take_turns(ways, given.rounds, warm_up=1)
        for other in others:
            other.join()
        sizes = [given.posts, 10 * given.posts] if given.posts else []
        memory = {size: measure_memory(make_posts(Path(folder), size), given) for size in sizes}
    print(f"\n{as_table(rates, memory)}")


if __name__ == "__main__":
    main()
