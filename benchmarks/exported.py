"""How fast exported graphs score ready inputs, beside the model that they were made of.

    python -m benchmarks.exported --model outputs/quickstart --exports outputs/openvino outputs/onnx

One thread. All ways score the same batch in turns, so that whatever else the machine does falls on all
of them alike; compare the ratios. The posts are made up: texts and pictures of the quickstart's kind.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import torch

from scoring_hybridsent import Predictor
from scoring_hybridsent.exported import read_export
from scoring_hybridsent.processes import keep_freed_memory
from training_hybridsent.parity import made_up_rows

BATCHES = (1, 16)


def ways_to_score(model: str, exports: Sequence[str]) -> dict[str, Predictor]:
    """Load the model and its exports, by the names of the table's rows."""
    ways = {"the model": Predictor(model, faster=False)}
    ways["the model, as run_predict.py reworks it"] = Predictor(model)
    for folder in exports:
        told = read_export(folder)
        if told is None:
            raise SystemExit(f"error: {folder} has no export.json. Give exported folders.")
        name = told["format"] + (" int8" if told["quantization"] == "int8" else "")
        ways[name] = Predictor(folder, backend=told["format"])
    for way in ways.values():
        way.load()
    return ways


def measure(ways: dict[str, Predictor], batch_size: int, posts: int) -> dict[str, list[float]]:
    """Time each way on each batch, all ways on one after the other; the first batch warms up.

    Args:
        ways: What to time; the first one prepares the inputs.
        batch_size: Posts in a batch.
        posts: How many to score with each.

    Returns:
        Seconds a post, by way, batch by batch.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rows = made_up_rows(3 * (posts + batch_size))
    whole = [row for row in rows if row.text is not None and row.image is not None]
    preparer = next(iter(ways.values())).preparer
    for start in range(0, posts + batch_size, batch_size):
        inputs = preparer[whole[start : start + batch_size]].inputs
        for name, way in ways.items():
            begun = time.perf_counter()
            way.backend(inputs, way.layout.fields)
            if start:
                seconds[name].append((time.perf_counter() - begun) / batch_size)
    return seconds


def as_table(measured: dict[int, dict[str, list[float]]]) -> str:
    """Return the measurements, by batch size, as Markdown."""
    lines = ["| batch | way | ms a post | times the model's rate |", "|---:|---|---:|---:|"]
    for size, seconds in measured.items():
        model = next(iter(seconds.values()))
        for name, found in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(model, found, strict=True))
            milliseconds = 1000 * statistics.median(found)
            lines.append(f"| {size} | {name} | {milliseconds:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default="outputs/quickstart", help="%(default)s")
    parser.add_argument("--exports", nargs="+", required=True, help="folders made of this model")
    parser.add_argument("--posts", type=int, default=64, help="scored each way (%(default)s)")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_freed_memory()
    ways = ways_to_score(given.model, given.exports)
    print(as_table({size: measure(ways, size, given.posts) for size in BATCHES}))


if __name__ == "__main__":
    main()
