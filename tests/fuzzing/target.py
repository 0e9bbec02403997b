"""What a target is."""

from pathlib import Path
from typing import Any, Protocol

from hypothesis.strategies import SearchStrategy

SEEDS = Path(__file__).parent / "seeds"


class Target(Protocol):
    """A way into the project for data of strangers.

    Attributes:
        inputs: What to try.
        names: What an error may name: files, rows or fields.
    """

    inputs: SearchStrategy[Any]
    names: tuple[str, ...]

    def attempt(self, value: Any) -> None:
        """Do with an input what a user would; asserts that a result, if there is one, is sane."""


def seeds(*patterns: str) -> list[bytes]:
    """Read the good files of a target."""
    return [file.read_bytes() for pattern in patterns for file in sorted(SEEDS.glob(pattern))]
