"""Build a folder or file beside its final place, so that nobody ever sees half of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants


def cache_folder() -> Path:
    """Return the folder for what is built once: `HYBRIDSENT_CACHE`, else one beside the Hub's."""
    return Path(os.environ.get("HYBRIDSENT_CACHE") or Path(constants.HF_HOME) / "hybridsent")


def is_taken(target: Path) -> bool:
    """Check whether something is where `build_beside` would put a folder: all but an empty folder."""
    return target.exists() and not (target.is_dir() and not any(target.iterdir()))


@contextmanager
def build_beside(target: Path) -> Iterator[Path]:
    """Yield a draft folder that becomes `target` when the block ends, or vanishes when it fails.

    Two processes may build the same target at once: the first to finish keeps the place and the
    draft of the second is thrown away, so a caller that minds whose content it is checks it.

    Args:
        target: Where the finished folder goes; absent or an empty folder.

    Yields:
        The draft folder, on the same file system as the target.

    Raises:
        OSError: If the draft cannot be made, or cannot be moved to a target that is not taken.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield draft
        _make_readable(draft)
        try:
            draft.rename(target)
        except OSError:
            if not (target.is_dir() and any(target.iterdir())):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    """Let everybody read `folder`: mkdtemp and safetensors write for their owner only."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def write_whole(content: str | bytes, file: Path) -> None:
    """Write text or bytes beside `file` and rename it, so that nothing half-written stays."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
