"""What may come of an input: a result, or an error that one can act upon."""

import re
import traceback
from pathlib import Path

from fuzzing import ROOT

OURS = ("modeling_hybridsent", "datasets_scripts", "hybridsent")
# Exactly these: a subclass, such as UnicodeDecodeError, was not raised by a line of ours.
KINDS = ("ValueError", "OSError", "FileNotFoundError", "RuntimeError", "PostsError")
REMEDY = re.compile(
    r"\b(add|correct|download|give|holds?|leave|may|mend|must|name|needs?|one of|only|rename|"
    r"replace|remove|restore|save|set|takes?|use|write)\b",
    re.IGNORECASE,
)


def why_unnamed(error: BaseException, names: tuple[str, ...]) -> str | None:
    """Return why a user cannot act upon an error.

    Args:
        error: What the code raised.
        names: What the message may name to say where the fault is: files, rows or fields.

    Returns:
        The reason; None for a named error: raised by a line of ours, of a plain type, with a message
        that names a place and says what to do.
    """
    if isinstance(error, MemoryError) or any(isinstance(e, MemoryError) for e in _causes(error)):
        return "took too much memory"
    if type(error).__name__ not in KINDS:
        return "is of a type that a user should not see"
    frames = traceback.extract_tb(error.__traceback__)
    if not _is_ours(frames[-1].filename) or not (frames[-1].line or "").startswith("raise"):
        return "was not raised by a line of ours"
    if not any(name in str(error) for name in names):
        return f"names none of {', '.join(names)}"
    return None if REMEDY.search(str(error)) else "does not say what to do"


def place_of(error: BaseException) -> str:
    """Return the innermost line of an error, to count equal findings once."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def _is_ours(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS


def _causes(error: BaseException) -> list[BaseException]:
    """Follow the errors that led to this one."""
    found: list[BaseException] = []
    while (error := error.__cause__ or error.__context__) and error not in found:  # type: ignore
        found.append(error)
    return found
