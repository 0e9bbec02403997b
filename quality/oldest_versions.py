"""Print the oldest versions that pyproject.toml allows, as constraints of pip.

python -m quality.oldest_versions > oldest.txt

`make test-oldest` installs exactly these. They are read from the floors each time, so there is no
second list that could fall behind.
"""

import re
import sys
from pathlib import Path

FLOOR = re.compile(r'"([A-Za-z][\w.-]*)(?:\[[\w,]+\])?>=([\d.]+)')


def oldest_versions(pyproject: str) -> dict[str, str]:
    """Return the floor of each requirement of a pyproject.toml.

    Args:
        pyproject: Its text.

    Returns:
        Version by distribution.

    Raises:
        ValueError: A distribution has two different floors.
    """
    floors: dict[str, str] = {}
    for name, version in FLOOR.findall(pyproject):
        if floors.setdefault(name, version) != version:
            raise ValueError(f"{name} has two floors: {floors[name]} and {version}")
    return floors


def main() -> None:
    """Print a line for each requirement."""
    for name, version in oldest_versions(Path("pyproject.toml").read_text("utf-8")).items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    sys.exit(main())
