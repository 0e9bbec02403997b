"""A stranger's upload: a table, or an archive of a folder, read within limits.

Its content, not its name, decides what a file is. Nothing is unpacked to the disk.
"""

import posixpath
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets_scripts.intake import ENDINGS, Row, ending_of, is_hidden
from hybridsent_space.limits import message_of
from hybridsent_space.posts import RefusedError
from hybridsent_space.settings import Settings
from hybridsent_space.table_rows import Table, read_table

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second begins an archive without files


@contextmanager
def open_upload(path: Path, settings: Settings) -> Iterator[Table]:
    """Open a CSV, JSON Lines or Parquet file, or a ZIP archive of a folder.

    An archive holds one table and the images that it names, or just images, each with a text of
    the same name beside it or without.

    Args:
        path: The file.
        settings: Limits.

    Yields:
        The table.

    Raises:
        RefusedError: It is too large, damaged or of another kind, or has no usable column.
    """
    if path.stat().st_size > settings.max_table_bytes:
        raise RefusedError(message_of("max_table_bytes", settings.max_table_bytes))
    with path.open("rb") as file:
        start = file.read(4)
    if start not in ZIP:
        yield read_table(path.name, path.read_bytes(), _no_image, settings)
        return
    try:
        _require_short_list(path, settings.max_listed_bytes)
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RefusedError(f"The ZIP archive is damaged: {error}.") from error
    with opened:
        yield _Archive(opened, settings).table()


def _require_short_list(path: Path, most: int) -> None:
    """Refuse an archive with so many files that opening it would hold up other visitors."""
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # where opening it begins
    if end and end[zipfile._ECD_SIZE] > most:  # type: ignore[attr-defined]
        raise RefusedError(message_of("max_listed_bytes", most))


def _no_image(name: str) -> bytes:
    if "://" in name:
        raise ValueError(f"image is a URL, and URLs are not fetched: {name!r:.200}")
    raise ValueError(f"image does not exist: {name!r:.200}")


class _Archive:
    """A ZIP archive, of which no more is unpacked than allowed.

    Args:
        archive: The archive.
        settings: Limits; `max_unpacked_bytes` counts what is unpacked, as often as it is.
    """

    def __init__(self, archive: zipfile.ZipFile, settings: Settings) -> None:
        self.archive, self.settings = archive, settings
        self.left = settings.max_unpacked_bytes
        self.entries = {
            _normal(entry.filename): entry
            for entry in archive.infolist()
            if not entry.is_dir() and not is_hidden(entry.filename)
        }

    def table(self) -> Table:
        """Return the rows of the one table, else those of images and texts of one name."""
        tables = [name for name in self.entries if ending_of(name) in ENDINGS]
        if len(tables) > 1:
            raise RefusedError(f"The archive holds {len(tables)} tables: {tables[:3]}; keep one.")
        if not tables:
            return self._pairs()
        folder = posixpath.dirname(tables[0])
        try:
            content = self._unpack(tables[0])
        except ValueError as error:
            raise RefusedError(f"The archive cannot be used: {error}") from error

        def find(name: str) -> bytes:
            place = _normal(posixpath.join(folder, name))
            return self._image(place) if place in self.entries else _no_image(name)

        return read_table(posixpath.basename(tables[0]), content, find, self.settings)

    def _image(self, name: str) -> bytes:
        size, most = self.entries[name].file_size, self.settings.max_image_bytes
        if size > most:
            raise ValueError(f"{name!r:.200}: {message_of('max_image_bytes', most, size)}")
        return self._unpack(name)

    def _unpack(self, name: str) -> bytes:
        """Read a file of the archive; raises ValueError, before it is unpacked, if it is too large."""
        entry, shown = self.entries[name], f"{name!r:.200}"
        if entry.file_size > self.left:
            most = self.settings.max_unpacked_bytes
            raise ValueError(f"{shown}: {message_of('max_unpacked_bytes', most)}")
        self.left -= entry.file_size
        try:
            with self.archive.open(entry) as file:
                return file.read(entry.file_size)
        except Exception as error:  # each way of packing has its own errors
            raise ValueError(f"{shown} cannot be unpacked: {error}") from error

    def _pairs(self) -> Table:
        """Pair images with the texts of the same name."""
        stems: dict[str, dict[str, str]] = {}
        for name in self.entries:
            stem, ending = posixpath.splitext(name)
            if ending.lower() in (*IMAGES, ".txt"):
                kind = "text" if ending.lower() == ".txt" else "image"
                stems.setdefault(stem, {})[kind] = name
        if not stems:
            raise RefusedError("The archive holds neither a table nor an image nor a text.")
        if len(stems) > self.settings.max_table_rows:
            raise RefusedError(message_of("max_table_rows", self.settings.max_table_rows))
        pairs = enumerate(sorted(stems.items()))
        return Table(len(stems), (self._pair(i, stem, names) for i, (stem, names) in pairs))

    def _pair(self, position: int, stem: str, names: dict[str, str]) -> Row:
        row = Row(position, position + 1, stem)
        try:
            image = self._image(names["image"]) if "image" in names else None
            text = self._image(names["text"]).decode("utf-8-sig") if "text" in names else None
        except UnicodeDecodeError:
            return row._replace(problem="its text is not UTF-8")
        except ValueError as error:
            return row._replace(problem=str(error))
        return row._replace(text=text and text.strip(), image=image)


def _normal(name: str) -> str:
    """Return a path as the archive is searched by: systems spell one name in several ways."""
    return posixpath.normpath(unicodedata.normalize("NFC", name.replace("\\", "/")))
