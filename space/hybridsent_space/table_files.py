"""A stranger's upload: a table, or an archive of a folder, read within limits.

What a file is, its content tells, not its name. Nothing is unpacked to the disk.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridsent_space.posts import RefusedError
from hybridsent_space.settings import Settings
from hybridsent_space.table_rows import Row, Table, read_table

TABLES = (".csv", ".jsonl", ".parquet")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


@contextmanager
def open_table(path: Path, settings: Settings) -> Iterator[Table]:
    """Open a CSV, JSONL or Parquet file, or a ZIP archive of a folder.

    An archive holds one table and the pictures that it names, or just pictures, each with a text of
    the same name beside it or without.

    Args:
        path: The file.
        settings: Limits.

    Yields:
        The table.

    Raises:
        RefusedError: It is too large, damaged or of another kind, or has no usable column.
    """
    size = path.stat().st_size
    if size > settings.max_table_bytes:
        raise RefusedError(
            f"The file has {size:,} bytes; {settings.max_table_bytes:,} are allowed. Split it."
        )
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        with _open_archive(path) as archive:
            yield _read_archive(archive, settings)
    else:
        yield read_table(path.name, path.read_bytes(), lambda _name: None, settings)


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise RefusedError(f"The ZIP archive is damaged: {error}.") from error
    with archive:
        yield archive


def _read_archive(archive: zipfile.ZipFile, settings: Settings) -> Table:
    entries = {
        entry.filename: entry
        for entry in archive.infolist()
        if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")
    }
    size = sum(entry.file_size for entry in entries.values())
    if size > settings.max_unpacked_bytes:
        raise RefusedError(
            f"Unpacked, the archive has {size:,} bytes; {settings.max_unpacked_bytes:,} are allowed."
        )
    tables = [name for name in entries if name.lower().endswith(TABLES)]
    if len(tables) > 1:
        raise RefusedError(f"The archive holds {len(tables)} tables: {tables[:3]}; keep one.")
    if not tables:
        return _pictures_alone(archive, entries, settings)
    folder = posixpath.dirname(tables[0])

    def find(name: str) -> bytes | None:
        entry = entries.get(posixpath.normpath(posixpath.join(folder, name)))
        return None if entry is None else _unpack(archive, entry)

    content = _unpack(archive, entries[tables[0]])
    return read_table(posixpath.basename(tables[0]), content, find, settings)


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read one file of an archive; never more than the size that was checked."""
    try:
        with archive.open(entry) as file:
            return file.read(entry.file_size)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise RefusedError(f"{entry.filename[:80]!r} in the archive: {error}.") from error


def _pictures_alone(
    archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], settings: Settings
) -> Table:
    """Pair pictures with the texts of the same name."""
    stems: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for name, entry in entries.items():
        stem, ending = posixpath.splitext(name)
        if ending.lower() in (*PICTURES, ".txt"):
            kind = "text" if ending.lower() == ".txt" else "image"
            stems.setdefault(stem, {})[kind] = entry
    if not stems:
        raise RefusedError("The archive holds neither a table nor a picture nor a text.")
    if len(stems) > settings.max_table_rows:
        raise RefusedError(
            f"The archive holds {len(stems):,} posts; {settings.max_table_rows:,} are allowed."
        )
    return Table(len(stems), (_pair(archive, stem, found) for stem, found in sorted(stems.items())))


def _pair(archive: zipfile.ZipFile, stem: str, found: dict[str, zipfile.ZipInfo]) -> Row:
    try:
        contents = {kind: _unpack(archive, entry) for kind, entry in found.items()}
    except RefusedError as error:
        return Row(stem[:200], error=str(error))
    try:
        text = contents["text"].decode("utf-8-sig").strip() if "text" in contents else None
    except UnicodeDecodeError:
        return Row(stem[:200], error="Its text is not UTF-8.")
    return Row(stem[:200], text, contents.get("image"))
