"""Tables and archives as strangers send them, and data that is no post."""

import io
import struct
import zipfile

import pyarrow
import pyarrow.parquet

# Limits of a Space, so low that what breaks them is small, too.
SMALL_LIMITS = {
    "max_table_rows": 300,
    "max_image_pixels": 2_000_000,
    "max_image_bytes": 2_000_000,
    "max_table_bytes": 10_000_000,
    "max_unpacked_bytes": 40_000_000,
    "max_shared_results": 3,
}
# Data of a call that is no post.
SHAPES = [
    [],
    ["a"],
    ["a", None, None],
    [{"not": "a text"}, None],
    [7, None],
    ["a", 7],
    ["a", {"not": "a file"}],
    ["a", [None]],
    "a",
    None,
]


def zipped(*files, claim=None):
    """Return an archive of files, given as name and content; it may claim a size of the first."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files:
            made.writestr(name, content)
    data = buffer.getvalue()
    if claim:  # the sizes that the archive tells of its first file, in both places
        size = struct.pack("<I", len(files[0][1]))
        data = data.replace(size, struct.pack("<I", claim))
    return data


def parquet(**columns):
    """Return a Parquet file without Arrow's own schema: a dictionary is there to save room only."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer, store_schema=False)
    return buffer.getvalue()


def repeated(value, rows):
    """Return a column in which all rows share one value."""
    indices = pyarrow.array([0] * rows, pyarrow.int32())
    return pyarrow.DictionaryArray.from_arrays(indices, [value])
