"""Break each promise in a copy of the checkout, and see whether its test notices.

python -m quality            # every promise; some minutes
python -m quality 3 7        # these, by their numbers in docs/promises.md
python -m quality --table    # the table of docs/promises.md
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from quality.promises import GROUPS, PROMISES, Promise

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "outputs", "*.egg-info", "__pycache__")
FAILED = 1  # pytest's exit status where a test failed; others are errors of its own


def table() -> str:
    """Return the promises as Markdown, numbered over all groups."""
    lines, number = [], 0
    for group, promises in GROUPS.items():
        lines += [f"\n## {group}\n", "| | promise | held by |", "|---:|---|---|"]
        for promise in promises:
            number += 1
            file, _, name = promise.test.partition("::")
            lines.append(f"| {number} | {promise.text} | `{name}` in `{file}` |")
    return "\n".join(lines).strip() + "\n"


def broken(promise: Promise, root: Path) -> str:
    """Return the text of the file with the break in it.

    Raises:
        ValueError: What is to be changed is not there exactly once.
    """
    text = (root / promise.file).read_text(encoding="utf-8")
    if text.count(promise.before) != 1:
        raise ValueError(
            f"{promise.file} has {text.count(promise.before)} x {promise.before!r}, not 1"
        )
    return text.replace(promise.before, promise.after)


def notices(promise: Promise, copy: Path) -> bool:
    """Tell whether the test of a promise fails once the promise is broken.

    Args:
        promise: What to break.
        copy: A checkout to break it in; it is mended afterwards.
    """
    file = copy / promise.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(broken(promise, copy), encoding="utf-8")
    try:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            promise.test,
        ]
        environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        run = subprocess.run(  # noqa: S603 - our own tests
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        file.write_text(whole, encoding="utf-8")
    if run.returncode not in (0, FAILED):
        print(run.stdout[-3000:], run.stderr[-3000:], sep="\n")
    return run.returncode == FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Break what the command line asks for; the exit status is 1 if a test did not notice."""
    parser = argparse.ArgumentParser(prog="python -m quality", description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, help="of promises; all unless given")
    parser.add_argument("--table", action="store_true", help="print the table of docs/promises.md")
    given = parser.parse_args(argv)
    if given.table:
        print(table(), end="")
        return 0
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        for number in given.numbers or range(1, len(PROMISES) + 1):
            promise = PROMISES[number - 1]
            noticed = notices(promise, copy)
            unnoticed += not noticed
            said = "noticed" if noticed else "NOT NOTICED"
            print(f"{number:3}  {said:12} {promise.test}", flush=True)
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main())
