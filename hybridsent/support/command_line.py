"""How a command ends: with one message about what went wrong, and a traceback where it is asked for."""

from __future__ import annotations

import argparse
import errno
import re
import sys
from collections.abc import Callable, Iterator
from types import TracebackType

_FOLDERS = ("datasets_scripts", "modeling_hybridsent", "hybridsent")
# The Hub's copy of our code is imported as transformers_modules.
OURS = frozenset((*_FOLDERS, "__main__", "transformers_modules"))
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# As libraries written in C++ and Rust word what the system told them.
_NO_ROOM_WORDS = re.compile(
    rf"os error ({'|'.join(map(str, _NO_ROOM))})\)|No space left|inline_container\.cc|iostream error"
)
_NO_MEMORY_WORDS = re.compile(r"can't allocate memory|out of memory|std::bad_alloc", re.IGNORECASE)
# package -> the extra of ours that brings it
_EXTRAS = {"gradio": "space", "imagehash": "audit", "ray": "ray"}
_INTERRUPTED = 130  # as of any program that an interrupt ended


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Build the parser of a command, with the option that asks for tracebacks.

    Args:
        name: Word after `hybridsent`.
        description: Docstring of its module; the examples in it stay as they are.
    """
    parser = argparse.ArgumentParser(
        prog=f"hybridsent {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_debug(parser)
    return parser


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Give a parser the option that asks for tracebacks."""
    parser.add_argument(
        "--debug", action="store_true", help="show where an error came from: the whole traceback"
    )


def run_command(run: Callable[[], None], debug: bool = False) -> int:
    """Run a command; say in one message what stopped it.

    Args:
        run: The command.
        debug: Raise what it raises, so that Python shows the traceback.

    Returns:
        Its exit status: 0; 1 after an error; 130 after an interrupt.
    """
    try:
        run()
    except KeyboardInterrupt:
        if debug:
            raise
        print("Interrupted.", file=sys.stderr)
        return _INTERRUPTED
    except Exception as error:
        if debug:
            raise
        print(f"error: {explain(error)}", file=sys.stderr)
        return 1
    return 0


def explain(error: BaseException) -> str:
    """Format an error for the user of the command.

    Args:
        error: Ours, whose message says all; or that of a library or the system.

    Returns:
        What is wrong, where it came from if not from us, and what to do.
    """
    said = str(error) or type(error).__name__
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        return f"{said}. Type: pip install 'hybridsent[{_EXTRAS[error.name]}]'"
    if is_full_disk(error):
        return (
            f"{said}\nDisk full. Free some space, or name a folder on another disk, and run "
            "the same command again."
        )
    if is_out_of_memory(error) and not _is_from_us(error):
        return f"{said}\nOut of memory: try a smaller batch size."
    if lost := lost_worker(error):
        return (
            f"{str(lost) or said}\nA worker process died, perhaps because memory ran out, or its "
            "temporary files were removed. Run the same command again; if it fails again, use fewer "
            "workers or smaller batches."
        )
    if _is_from_us(error) or (isinstance(error, OSError) and error.filename):
        return said
    return (
        f"{said}\n({type(error).__name__} from {_origin(error)}; --debug shows how it came about.)"
    )


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, is a full disk."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _NO_ROOM)
        or _NO_ROOM_WORDS.search(str(cause)) is not None
        for cause in _causes(error)
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is used-up memory, of the machine or of an accelerator."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY_WORDS.search(str(error)) is not None
    )


def lost_worker(error: BaseException) -> BaseException | None:
    """Return the death of a worker process, if an error, or one of its causes, is one.

    torch says so when it finds the process dead. While the process is still dying, only the connection
    that hands its batches over breaks.
    """
    return next((cause for cause in _causes(error) if _is_lost_worker(cause)), None)


def _is_lost_worker(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, EOFError, FileNotFoundError)):
        return _origin(error) == "multiprocessing"
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from or during, each once: a chain may be a circle."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _is_from_us(error: BaseException) -> bool:
    return _origin(error) in OURS


def _origin(error: BaseException) -> str:
    """Return the package whose line raised an error."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "Python" if trace is None else trace.tb_frame.f_globals["__name__"].partition(".")[0]
