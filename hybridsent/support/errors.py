"""The one error that bad data raises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SHOWN = 10
LONGEST = 200


class PostsError(ValueError):
    """Data that cannot be used; the message says what, where and what to do."""

    @classmethod
    def about(
        cls, file: str | Path, problem: str, offenders: Sequence[str] = (), remedy: str = ""
    ) -> PostsError:
        """Build an error with what is wrong and what to do.

        Args:
            file: The file or folder that is wrong.
            problem: What is wrong with it.
            offenders: The rows, ids or files concerned; the first ten are shown.
            remedy: What to do.

        Returns:
            The error, to be raised by the caller.
        """
        total = f" ({len(offenders)} in all)" if len(offenders) > SHOWN else ""
        lines = [f"{file}: {problem}{total}"]
        lines += [f"  - {offender[:LONGEST]}" for offender in offenders[:SHOWN]]
        if len(offenders) > SHOWN:
            lines.append("  - ...")
        return cls("\n".join([*lines, remedy]).rstrip())
