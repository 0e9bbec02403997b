"""Turn pip's report of what it would install into a lock: every version, and the hash of its file.

make lock

The lock is for the workflow of this repository alone: Linux on x86-64, CPython 3.11, all of the extra
dev. Whoever installs the package gets what pyproject.toml allows.
"""

import json
import sys
from pathlib import Path
from typing import Any

HEAD = "# Made by `make lock` for Linux on x86-64 and CPython 3.11, for .github/workflows/ci.yml alone."


def pinned(entry: dict[str, Any]) -> str:
    """Return the line of one distribution of a report.

    Raises:
        KeyError: The report has no SHA-256 of it, as of a file that comes from no index.
    """
    digest = entry["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{entry['metadata']['name']}=={entry['metadata']['version']} --hash=sha256:{digest}"


def lock_of(report: dict[str, Any]) -> str:
    """Return the lock of a report; the project itself, which is a folder, is left out."""
    entries = [e for e in report["install"] if "archive_info" in e["download_info"]]
    return "\n".join([HEAD, *sorted(map(pinned, entries), key=str.lower)])


if __name__ == "__main__":
    print(lock_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
