"""What a call of the API must be before Gradio sees it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE_KEYS = ("path", "url")
CALL = re.compile(r".*?/gradio_api/(?:queue/join|(run|api|call/v2|call)/([^/]+))/?", re.DOTALL)
TOOLS = ("/gradio_api/mcp", "/gradio_api/mcp/")  # the Model Context Protocol
TOOL = "score_post"
# For these Gradio would call the address that the request names.
NO_TOOL = ("resources/read", "prompts/get")
OTHERS = ("/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/reset/")
SESSION = re.compile(r"[\w-]{1,64}", re.ASCII)
POSTS = ("predict", "explain", TOOL)
# Inputs of the endpoints, as call/v2 names them.
INPUTS = {**dict.fromkeys(POSTS, ("text", "image")), "predict_table": ("file",)}
FORMS = {
    "predict": 'A post is "data": [text or null, uploaded image or null].',
    TOOL: 'A post is "data": [text or null, "data:image/png;base64,..." or null].',
}


class Calls:
    """Check calls: one that Gradio stumbles over would take the others of its batch with it.

    Args:
        names: Name of every function of the page by its number; `None` if it has none.
        sizes: Number of its inputs, likewise.
        uploads: Folder of the uploads.
    """

    def __init__(
        self, names: Mapping[int, str | None], sizes: Mapping[int, int], uploads: Path
    ) -> None:
        self._names, self._sizes, self._uploads = names, sizes, uploads.resolve()

    def knows(self, path: str) -> bool:
        """Check whether a path is one that takes JSON."""
        return path.endswith((*OTHERS, *TOOLS)) or CALL.fullmatch(path) is not None

    def is_tool(self, path: str) -> bool:
        """Check whether a path is that of the tool, whose calls hold images."""
        found = CALL.fullmatch(path)
        return path.endswith(TOOLS) or (found is not None and found[2] == TOOL)

    def fault_of(self, path: str, body: bytes) -> str:
        """Return what is wrong with a request; "" if nothing is."""
        try:
            content = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            return "The request is not JSON."
        if not isinstance(content, dict):
            return "The request is not a JSON object."
        if path.endswith(TOOLS):
            return "This server has tools alone." if content.get("method") in NO_TOOL else ""
        return self._envelope(content) or self._files(content) or self._call(path, content)

    def _envelope(self, content: dict[str, Any]) -> str:
        """Check what goes around the data, which Gradio takes from one post for its whole batch."""
        session = content.get("session_hash")
        if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
            return "session_hash has up to 64 letters, digits and hyphens."
        if content.get("batched") not in (None, False):
            return "Send one post a request: batched is for the server."
        number = content.get("fn_index")
        if type(number) not in (int, type(None)):  # Gradio would read "1", 1.0 and true as 1
            return "fn_index is a whole number."
        if number is not None and number not in self._names:
            return f"There is no function with fn_index {number}."
        return ""

    def _call(self, path: str, content: dict[str, Any]) -> str:
        """Check the data of a call; Gradio's own error would be a traceback."""
        found = CALL.fullmatch(path)
        if found is None:
            return ""
        way, name = found.groups()
        if name is not None and name not in self._names.values():
            return "There is no such endpoint."
        number = content.get("fn_index")
        # As Gradio finds the function: call/NAME by its name alone, others by a number if given.
        # The page itself calls run/predict with numbers of other functions.
        if number is None or way in ("call", "call/v2"):
            number = self._number(name)
        if number is None:
            return "The request names no function: give fn_index."
        called, data = self._names[number], content.get("data")
        names = INPUTS.get(called or "", ())
        if way == "call/v2":
            if not names:
                return "There is no such endpoint."
            lacking = [name for name in names if name not in content]
            if lacking and called != TOOL:  # whose inputs may be left out
                return f"The request lacks {lacking[0]!r}; it may be null."
            data = [content.get(name) for name in names]
        takes = _is_tool_post if called == TOOL else _is_post
        if called in POSTS and not takes(data):
            return FORMS[TOOL if called == TOOL else "predict"]
        if way == "call/v2" and (other := sorted({*content} - {*names})):
            return f"There is no input {other[0]!r:.80}."  # Gradio's own error would be a traceback
        size = self._sizes[number]
        few = not isinstance(data, list) or (len(data) < size and way != "call/v2")
        return f'"data" is a list of {size} values.' if few else ""

    def _number(self, name: str | None) -> int | None:
        return next((i for i, x in self._names.items() if name is not None and x == name), None)

    def _files(self, content: dict[str, Any]) -> str:
        for value in _objects_in(content):
            if "__type__" in value:  # Gradio would take it for new properties of a component
                return "An object with __type__ is not a value."
            if not any(key in value for key in FILE_KEYS):
                continue
            place = value.get("path")
            if not isinstance(place, str) or "://" in place or "\0" in place:
                return "A file must be uploaded; addresses are not fetched."
            if not _lies_in(self._uploads, place):
                return "A file must be uploaded first; files of the server are not handed out."
            if value.get("meta") != {"_type": "gradio.FileData"}:
                return 'A file needs "meta": {"_type": "gradio.FileData"}.'
        return ""


def _lies_in(folder: Path, place: str) -> bool:
    try:
        return Path(place).resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):  # unpaired surrogates, circles of links
        return False


def _is_post(data: Any) -> bool:
    return (
        isinstance(data, list)
        and len(data) == 2
        and isinstance(data[0], (str, type(None)))
        and (data[1] is None or (isinstance(data[1], dict) and "path" in data[1]))
    )


def _is_tool_post(data: Any) -> bool:
    return (
        isinstance(data, list)
        and len(data) == 2
        and all(isinstance(value, (str, type(None))) for value in data)
    )


def _objects_in(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of JSON at any depth."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
