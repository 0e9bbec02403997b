"""Break the code on purpose, one small change at a time, and count how often the tests notice.

make mutation

Runs mutmut as `[tool.mutmut]` of pyproject.toml says, over the functions whose mistakes no one
would see in a score: the label rule, the decision fusion and BiRAU. Prints one line for each, and
the changes that no test noticed; `mutmut show NAME` shows one of them. Ends with 1 where a module
stays below 85 %.
"""

import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from mutmut.stats import status_by_exit_code

LOWEST = 85
FUNCTIONS = {
    "label rule": ("datasets_scripts/published/labels.py", "*"),
    "decision fusion": ("modeling_hybridsent/fusion_hybridsent.py", "*HybridSentDecisionFusion*"),
    "BiRAU": ("modeling_hybridsent/birau_hybridsent.py", "*"),
}
NOTICED = ("killed", "timeout", "segfault")  # a test failed, never ended, or brought Python down


def results(file: str, pattern: str, folder: Path = Path("mutants")) -> dict[str, str]:
    """Return what became of each change whose name fits: its name -> mutmut's word for it."""
    found = json.loads((folder / f"{file}.meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    return {
        name: status_by_exit_code[code] for name, code in found.items() if fnmatch(name, pattern)
    }


def report() -> int:
    """Print the scores and what survived; return 0 where every module reaches the lowest score."""
    low = 0
    for name, (file, pattern) in FUNCTIONS.items():
        fates = results(file, pattern)
        survivors = {change: fate for change, fate in fates.items() if fate not in NOTICED}
        score = 100 * (len(fates) - len(survivors)) / len(fates)
        low += score < LOWEST
        print(f"{name}: {score:.1f} % of {len(fates)} changes noticed")
        for change, fate in survivors.items():
            print(f"    {change}: {fate}")
    return int(low > 0)


def main() -> int:
    """Run mutmut over the functions and report."""
    names = [f"{file[:-3].replace('/', '.')}.{pattern}" for file, pattern in FUNCTIONS.values()]
    command = [sys.executable, "-m", "mutmut", "run", *names]
    run = subprocess.run(command, check=False)  # noqa: S603 # all of it stands above
    return run.returncode or report()


if __name__ == "__main__":
    sys.exit(main())
