"""The command `hybridsent`: its first word names a command, the rest is for that command.

What a command needs is imported once its words are read, so that help and mistakes cost no time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from hybridsent.support.command_line import run_command

COMMANDS = (
    "train", "predict", "evaluate", "prepare", "audit", "card", "publish", "export", "bundle", "demo",
)  # fmt: skip


def overview() -> str:
    """Return the help of the command: every command with the first line of its module."""
    lines = ["usage: hybridsent COMMAND ...", "", "Image-text sentiment with hybrid fusion.", ""]
    for name in COMMANDS:
        summary = str(import_module(f"hybridsent.commands.{name}").__doc__).splitlines()[0]
        lines.append(f"  {name:<9} {summary}")
    lines += ["", "hybridsent COMMAND --help shows examples and settings."]
    return "\n".join([*lines, "hybridsent --version prints the version."])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Words after the program's name. Default: those of this process.

    Returns:
        Exit status: 0; 1 after an error; 2 for an unknown command; 130 after an interrupt.
    """
    name, *words = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
        return 0
    if name == "--version":
        from hybridsent import __version__

        print(__version__)
        return 0
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(f"error: hybridsent has no command {name!r}: give one of {known}.", file=sys.stderr)
        return 2
    command = import_module(f"hybridsent.commands.{name}")
    return run_command(partial(command.run, words), debug="--debug" in words)
