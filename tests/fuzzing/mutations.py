"""Small damage to good inputs, as strategies of hypothesis, which then also finds the least damage."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

LARGEST = 1 << 18  # bytes; above csv's limit of a cell, and large enough for slow patterns to show
Edit = tuple[str, int, int, bytes]

# What has broken parsers before.
NASTY = [
    b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n",
    b"\t", b" ", b",", b'"', b"'", b"\\", b"\\ud800", b"{", b"[", b"}", b"]", b":", b"#", b"&a",
    b"*a", b"<<", b"-", b"---", b"null", b"NaN", b"1e999", b"-1", b"0", b"9" * 5000, b"../../x",
    b"/etc/passwd", b"http://x/y", b"\xe2\x80\xa8", b"\xc2\x85", b"\x1c",
]  # fmt: skip
VALUES = [
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, -(2**70), 0.5, 1e308, float("nan"), float("inf"),
    "", "x", "1", "\x00", "\ud800", "../x", "http://x", [], {}, [1], [None], ["x"], [[]], {"x": 1},
    {"": None}, [0.5, 0.5, 0.5], [1, 2, 3, 4],
]  # fmt: skip


def edit(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Apply edits to bytes, one after the other.

    Args:
        content: The bytes.
        edits: Of each its name in `EDITS`, a position (taken modulo the length), a length and bytes.

    Returns:
        The changed bytes, at most `LARGEST` of them.
    """
    for name, position, length, inserted in edits:
        start = position % (len(content) + 1)
        part = content[start : start + length]
        content = content[:start] + EDITS[name](part, inserted) + content[start + length :]
        content = content[:start] if name == "cut" else content[:LARGEST]
    return content


EDITS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "cut": lambda part, inserted: b"",
    "drop": lambda part, inserted: b"",
    "insert": lambda part, inserted: inserted + part,
    "replace": lambda part, inserted: inserted,
    "repeat": lambda part, inserted: part * 3,
    "repeat many times": lambda part, inserted: (part or inserted) * 20_000,
    "flip": lambda part, inserted: bytes(255 - byte for byte in part),
    "reverse": lambda part, inserted: part[::-1],
}


def damaged(seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
    """Return damaged copies of good files.

    Args:
        seeds: The good files.
        words: What the format gives a meaning to.
    """
    inserted = st.sampled_from([*words, *NASTY]) | st.binary(max_size=6)
    names = [*EDITS, *["insert", "replace", "drop", "flip"] * 6]  # huge inputs are slow ones
    edits = st.tuples(st.sampled_from(names), st.integers(0, 1 << 14), st.integers(0, 12), inserted)
    return st.builds(edit, st.sampled_from(seeds), st.lists(edits, max_size=6))


def damaged_json(seeds: Sequence[bytes], words: Sequence[Any] = ()) -> st.SearchStrategy[bytes]:
    """Return copies of JSON files with other values, names and gaps; some are damaged as bytes, too.

    Args:
        seeds: The good files.
        words: Values that the format gives a meaning to.
    """
    values = st.sampled_from([*words, *VALUES]) | st.integers() | st.floats() | st.text(max_size=8)
    changes = st.tuples(
        st.sampled_from(["set", "set", "drop", "rename"]), st.integers(0, 999), values
    )
    changed = st.builds(_change, st.sampled_from(seeds), st.lists(changes, min_size=1, max_size=4))
    return changed | changed | damaged(seeds)


def _change(content: bytes, changes: Sequence[tuple[str, int, Any]]) -> bytes:
    root = {"root": json.loads(content)}
    for name, position, value in changes:
        places = list(_places(root))
        holder, key = places[position % len(places)]
        if name == "set" or holder is root:
            holder[key] = copy.deepcopy(value)  # else one list would stand in two places
        elif name == "rename" and isinstance(holder, dict):
            holder[f"{key}s"] = holder.pop(key)
        else:
            del holder[key]
    return json.dumps(root["root"]).encode()


def _places(holder: Any) -> Any:
    """Yield every place of a value: what holds it, and its key or index."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])
