"""Results that visitors made a link to: few, small, and gone with the server."""

import json
import secrets
from pathlib import Path
from typing import Any

ENDING = ".json"


class SharedResults:
    """Keep shared results as files in a temporary folder.

    Args:
        folder: Folder of their own.
        most: Results that are kept; the oldest goes first.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, result: dict[str, Any]) -> str:
        """Keep a result.

        Args:
            result: What JSON can hold.

        Returns:
            Its key, which nobody can guess.

        Raises:
            OSError: The disk is full.
        """
        key = secrets.token_urlsafe(16)
        beside = self._folder / f".{key}"
        try:
            beside.write_text(json.dumps(result), encoding="utf-8")
            beside.rename(self._folder / f"{key}{ENDING}")
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        kept = sorted(self._folder.glob(f"*{ENDING}"), key=lambda file: file.stat().st_mtime_ns)
        for file in kept[: -self._most]:
            file.unlink(missing_ok=True)
        return key

    def find(self, key: str) -> dict[str, Any] | None:
        """Return a result.

        Args:
            key: What a link holds, whoever wrote it.

        Returns:
            The result; None if it is gone.
        """
        for file in self._folder.glob(f"*{ENDING}"):
            if secrets.compare_digest(file.stem.encode(), key.encode(errors="replace")):
                return json.loads(file.read_text(encoding="utf-8"))
        return None
