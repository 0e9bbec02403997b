"""Hostile inputs by the thousand: each must end in a result or in a named error of ours.

    python -m fuzzing [TARGET ...] --inputs 1000 --seed 0

`targets` says what can be fuzzed, `verdict` what a named error is, docs/fuzzing.md what was found.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))  # for the tiny model and the fabricated sets that tests have
