"""Print how long files and functions are, beside what the best code of this field keeps.

make sizes

Lines are those of the file, blank and comment lines included; a function's are from its `def` to its
end. Nothing fails on these figures: they are here to be looked at before and after a change.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

NOT_OURS = ("build", "mutants", "tests")  # what tools leave behind; the tests have their own row
AIMS = "file median under 150, function median at most 12, 90 % under 45, none above 80"


class Function(NamedTuple):
    """A function and its length.

    Attributes:
        lines: From its `def` to its end.
        place: File and line.
        name: Its name.
    """

    lines: int
    place: str
    name: str


def functions(file: Path) -> Iterator[Function]:
    """Yield all functions of a file, those inside others included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            yield Function(lines, f"{file}:{node.lineno}", node.name)


def row(name: str, files: list[Path]) -> str:
    """Return the figures of some files as a row of a Markdown table."""
    lengths = [len(file.read_text(encoding="utf-8").splitlines()) for file in files]
    found = [function for file in files for function in functions(file)]
    lines = [function.lines for function in found]
    tenth = quantiles(lines, n=10, method="inclusive")[-1]
    longest = max(found)
    cells = [name, len(files), sum(lengths), f"{median(lengths):g}", f"{median(lines):g}"]
    cells += [f"{tenth:g}", f"{longest.lines} {longest.name} ({longest.place})"]
    return f"| {' | '.join(map(str, cells))} |"


def folders(root: Path) -> list[str]:
    """Return the folders of the project that hold Python files, but for the tests."""
    found = {file.parent.name for file in root.glob("*/*.py")}
    return sorted(name for name in found if name[0] != "." and name not in NOT_OURS)


def table(root: Path) -> str:
    """Return the table of all folders, and of the tests by themselves."""
    parts = {name: sorted(root.joinpath(name).rglob("*.py")) for name in folders(root)}
    parts["scripts"] = sorted(root.glob("*.py"))
    everything = [file for files in parts.values() for file in files]
    parts = {
        **parts,
        "all of it": everything,
        "tests": sorted(root.joinpath("tests").rglob("*.py")),
    }
    head = "| | files | lines | file median | function median | 90 % under | longest function |"
    return "\n".join(
        [head, "|---|---:|---:|---:|---:|---:|---|", *(row(*part) for part in parts.items())]
    )


def main() -> None:
    """Print the table."""
    print(table(Path()))
    print(f"Aims: {AIMS} lines.")


if __name__ == "__main__":
    sys.exit(main())
