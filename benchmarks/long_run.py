"""Whether memory, file handles or threads grow while a training and a scoring go on for hours.

    python -m benchmarks.long_run --hours 2 --output outputs/long_run

The first half of the time goes to the quickstart's training without an end, the second to
run_predict.py with what that training saved. Each is watched from outside, with all its processes.
Prints a table, leaves all samples in `samples.csv`, and ends with 1 where something has grown.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import psutil
import yaml

from benchmarks.scoring import make_posts
from hybridsent.support.recipes import load_recipe

ROOT = Path(__file__).resolve().parents[1]
PAUSE = 5  # seconds between samples
GROWTH = 0.03  # of the memory; fragments of the C library come and go by about as much
QUANTITIES = ("memory, MiB", "file handles", "threads")
Sample = tuple[float, ...]  # seconds since the start, then the quantities


def endless_recipe(folder: Path) -> Path:
    """Write the quickstart's recipe with nothing that would end the training."""
    recipe = load_recipe("quickstart")
    recipe |= {"num_train_epochs": 1_000_000, "early_stopping_patience": None}
    recipe |= {"warmup_steps": 100, "lr_scheduler_type": "constant_with_warmup"}
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return file


def watch(command: Sequence[object], seconds: float) -> Iterator[Sample]:
    """Run a command for some time, then send it SIGTERM.

    Args:
        command: The program and its arguments.
        seconds: How long.

    Yields:
        A sample of the command with all the processes that it started.

    Raises:
        RuntimeError: It ended of itself.
    """
    start = time.monotonic()
    with subprocess.Popen(list(map(str, command)), cwd=ROOT) as process:  # noqa: S603 - our scripts
        root = psutil.Process(process.pid)
        while (past := time.monotonic() - start) < seconds:
            if process.poll() is not None:
                raise RuntimeError(f"{command[1]} ended with {process.returncode}.")
            yield past, *measure([root, *root.children(recursive=True)])
            time.sleep(PAUSE)
        process.send_signal(signal.SIGTERM)


def measure(processes: list[psutil.Process]) -> tuple[float, int, int]:
    """Return the memory in MiB, the file handles and the threads of some processes together."""
    found = []
    for process in processes:
        try:
            with process.oneshot():
                memory = process.memory_info().rss / 2**20
                found.append((memory, process.num_fds(), process.num_threads()))
        except psutil.NoSuchProcess:  # a worker of an epoch that has just ended
            continue
    memory, handles, threads = map(sum, zip(*found, strict=True))
    return memory, handles, threads


def tenth(samples: list[Sample], number: int, quantity: int) -> float:
    """Return the median of a quantity in one tenth of the time; 0 is the first."""
    size = len(samples) / 10
    chosen = samples[int(number * size) : int((number + 1) * size)]
    return median(sample[1 + quantity] for sample in chosen)


def compare(name: str, samples: list[Sample]) -> tuple[list[str], bool]:
    """Compare the end of a phase with its beginning, once all is loaded.

    Returns:
        Rows of the table; whether something has grown.
    """
    rows, grown = [], False
    for i, quantity in enumerate(QUANTITIES):
        first, middle, last = (tenth(samples, number, i) for number in (2, 5, 9))
        grown |= last > first * (1 + (GROWTH if i == 0 else 0))
        peak = max(sample[1 + i] for sample in samples)
        rows.append(
            f"| {name} | {quantity} | {first:.0f} | {middle:.0f} | {last:.0f} | {peak:.0f} |"
        )
    return rows, grown


def main(argv: Sequence[str] | None = None) -> int:
    """Train, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--hours", type=float, default=2, help="%(default)s")
    parser.add_argument("--output", type=Path, default=Path("outputs/long_run"), help="%(default)s")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table to score")
    parser.add_argument("--cpu_threads", type=int, default=os.cpu_count(), help="of each model")
    given = parser.parse_args(argv)
    folder, seconds = given.output.absolute(), given.hours * 1800
    folder.mkdir(parents=True)
    posts, trained = make_posts(folder, given.rows), folder / "model"
    threads = ["--cpu_threads", given.cpu_threads]
    train = [sys.executable, "run_train.py", endless_recipe(folder), "--output_dir", trained]
    phases = {"training": list(watch([*train, *threads], seconds))}
    model = max(trained.glob("checkpoint-*"), key=os.path.getmtime)
    score = [sys.executable, "run_predict.py", "--model", model, "--input", posts]
    phases["scoring"] = list(watch([*score, "--output", folder / "answers", *threads], seconds))
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["phase", "seconds", *QUANTITIES])
        writer.writerows([name, *sample] for name, part in phases.items() for sample in part)
    print(f"{len(list((folder / 'answers').glob('rows-*')))} files of answers.")
    print(
        "| phase | what | third tenth | middle | last tenth | peak |\n|---|---|---:|---:|---:|---:|"
    )
    compared = [compare(name, samples) for name, samples in phases.items()]
    print("\n".join(row for rows, _ in compared for row in rows))
    return int(any(grown for _, grown in compared))


if __name__ == "__main__":
    sys.exit(main())
