"""Measure the running Space: start, one visitor, many at once with and without batching.

    python -m benchmarks.space --model outputs/quickstart

Every figure is of the machine it ran on; batched and unbatched are measured in one run, in turns.
"""

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gradio_client import Client, handle_file

from benchmarks.running_space import ROOT, running_space

EXAMPLES = ROOT / "space" / "examples"
TEXT = "Absolutely delighted, my old phone exceeded all my hopes"


def visit(url: str, posts: int) -> list[float]:
    """Send posts one after the other, as one visitor; gives the seconds of each."""
    client = Client(url, verbose=False, analytics_enabled=False)
    times = []
    for number in range(posts):
        start = time.perf_counter()
        client.predict(f"{TEXT} {number}", handle_file(EXAMPLES / "irony.jpg"), api_name="/predict")
        times.append(time.perf_counter() - start)
    return times


def crowd(url: str, clients: int, posts: int) -> tuple[float, list[float]]:
    """Send posts as many visitors at once; gives posts a second and the seconds of each."""
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [x for each in pool.map(lambda _: visit(url, posts), range(clients)) for x in each]
    return clients * posts / (time.perf_counter() - start), times


def percentiles(times: list[float]) -> str:
    """Median and 95th percentile, in milliseconds."""
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return f"{1000 * cuts[9]:.0f} | {1000 * cuts[18]:.0f}"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default="outputs/quickstart", help="folder or Hub id")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--posts", type=int, default=10, help="of each client")
    parser.add_argument("--rounds", type=int, default=2, help="of batched and unbatched, in turns")
    options = parser.parse_args()
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with running_space(options.model, Path(folder, "log")) as space:
            visit(space.url, 1)
            print(f"cold start to first answer: {time.perf_counter() - start:.1f} s")
            alone = visit(space.url, 30)
        print("\n| visitors | batch | posts/s | p50 ms | p95 ms |\n|---|---|---:|---:|---:|")
        print(f"| 1 | 1 | {len(alone) / sum(alone):.1f} | {percentiles(alone)} |")
        for _ in range(options.rounds):
            for batch in (16, 1):
                with running_space(options.model, Path(folder, "log"), batch_size=batch) as space:
                    visit(space.url, 3)
                    rate, times = crowd(space.url, options.clients, options.posts)
                print(
                    f"| {options.clients} | up to {batch} | {rate:.1f} | {percentiles(times)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
