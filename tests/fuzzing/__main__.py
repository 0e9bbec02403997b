"""Fuzz targets, by default all of them; ends with a table, and with code 1 if there are findings."""

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from hypothesis.configuration import set_hypothesis_home_dir

from fuzzing.engine import Finding, fuzz
from fuzzing.guard import quiet
from fuzzing.targets import TARGETS


def run(name: str, inputs: int, seed: int) -> tuple[int, Counter[str]]:
    """Fuzz one target and print each finding once.

    Args:
        name: Of the target.
        inputs: How many inputs to try.
        seed: Of their choice.

    Returns:
        Number of inputs, and findings by place.
    """
    tried, places = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[name](Path(folder))
        for found in fuzz(target, inputs, seed):
            if isinstance(found, Finding):
                places[found.place] += 1
                if places[found.place] == 1:
                    _print(name, found)
            else:
                tried += found
    return tried, places


def _print(name: str, finding: Finding) -> None:
    print(f"\n{name}: {finding.place}\ninput: {finding.value!r:.2000}", flush=True)
    print("".join(traceback.format_exception(finding.error))[-3000:], flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m fuzzing", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=1000, help="inputs of each target")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other inputs")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"unknown {', '.join(sorted(unknown))}; one of {', '.join(TARGETS)}")
    return arguments


def main() -> int:
    """Read the command line, fuzz, and print the table."""
    given = _arguments()
    print("| target | inputs | findings |\n|---|---:|---:|", flush=True)
    bad = 0
    with tempfile.TemporaryDirectory() as home, quiet():
        set_hypothesis_home_dir(home)  # or it would leave a folder in the checkout
        for name in given.targets or TARGETS:
            tried, places = run(name, given.inputs, given.seed)
            print(f"| {name} | {tried:,} | {len(places)} |", flush=True)
            bad += len(places)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
