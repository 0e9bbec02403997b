"""One row of the input, with what already speaks against scoring it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from modeling_hybridsent.inputs_hybridsent import has_text

COLUMNS = ("id", "text", "image", "file_name")  # all that is read; an ImageFolder has file_name
EMPTY = "neither text nor image"


class Row(NamedTuple):
    """A row and its place.

    Attributes:
        number: Position in the input, from 0, over all its files.
        id: As the input has it, as a string; None without one.
        text: None if there is none.
        image: Path inside `folder`, or what else `load_image` takes; None if there is none.
        folder: Where paths of pictures start, and which they may not leave; "hf://..." for what is
            streamed from the Hub.
        problem: Why the row cannot be scored, None if nothing is known.
    """

    number: int
    id: str | None
    text: str | None = None
    image: Any = None
    folder: str = "."
    problem: str | None = None


def post_row(number: int, cells: Mapping[str, Any], folder: str) -> Row:
    """Make a row out of its cells.

    Args:
        number: Position in the input.
        cells: By column; absent, None and empty mean that there is none.
        folder: Where paths of pictures start.

    Returns:
        The row, with its problem where text or id cannot be used, or nothing is there to score.
    """
    post_id, text = cells.get("id"), cells.get("text")
    image = picture_source(cells.get("image", cells.get("file_name")))
    try:
        post_id = _as_id(post_id)
        if isinstance(text, str):
            _require_whole_characters(text)
        has = has_text(text, "text")
    except UnicodeEncodeError as error:
        return Row(number, None, problem=f"not UTF-8 in id or text: {error.reason}")
    except ValueError as error:
        return Row(number, post_id, problem=str(error))
    if not has and image is None:
        return Row(number, post_id, problem=EMPTY)
    return Row(number, post_id, text, image, folder)


def _as_id(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else _dumped(value)
    _require_whole_characters(text)
    return text


def _require_whole_characters(text: str) -> None:
    """Raise on half a character pair: it passes JSON, but fits no tokenizer and no table."""
    text.encode()


def _dumped(value: Any) -> str:
    """Write a list or an object as JSON would, and anything else as Python would."""
    return json.dumps(value, default=str) if isinstance(value, (list, dict)) else str(value)


def picture_source(image: Any) -> Any:
    """Take bytes, else path, out of what `datasets` stores; None for what is empty."""
    if isinstance(image, Mapping) and {"bytes", "path"} & set(image):
        image = image.get("path") if image.get("bytes") is None else image["bytes"]
    if isinstance(image, str) and not image.strip():
        return None
    return image
