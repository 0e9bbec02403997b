"""What every request must pass before Gradio sees it."""

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_BODY_BYTES = 8_000_000  # of a request that is not an upload
FILE_KEYS = ("path", "url")
# Gradio would keep whatever a session holds, without a limit, for whoever asks; and would fetch.
CLOSED = ("/deep_link", "/proxy=", "/component_server", "/stream/")
# Nothing of this page comes from elsewhere, and an image of a visitor goes nowhere.
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; script-src 'self' 'unsafe-inline' "
     b"'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
     b"media-src 'self' blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
     b"worker-src 'self' blob:; object-src 'none'; base-uri 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]  # fmt: skip


class Gate:
    """Refuse oversized bodies, files that are no upload of this server, and a full disk.

    One request that Gradio stumbles over would take with it the others of its batch, so what could
    make it stumble is turned away here, with a message.

    Args:
        app: What comes behind.
        uploads: Folder of the uploads.
        max_stored_bytes: Of all uploads together.
        batched: Gradio's number of the endpoint whose callers share a batch.
        batched_name: Its name.
    """

    def __init__(
        self, app: Any, uploads: Path, max_stored_bytes: int, batched: int, batched_name: str
    ) -> None:
        self._app = app
        self._uploads = uploads.resolve()
        self._max_stored_bytes = max_stored_bytes
        self._batched = {str(batched), batched_name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        path = scope["path"]
        if any(part in path for part in CLOSED):
            await _refuse(send, 404, "There is no such address.")
        elif scope["method"] == "POST" and path.endswith("/upload"):
            if _size_of(self._uploads) > self._max_stored_bytes:
                await _refuse(send, 507, "The server holds as many uploads as it can; come back.")
            else:
                await self._app(scope, receive, send)
        elif scope["method"] in ("POST", "PUT", "PATCH"):
            await self._pass_body(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _pass_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            await _refuse(send, 413, f"The request is larger than {MOST_BODY_BYTES:,} bytes.")
            return
        if fault := self._fault_of(scope["path"], body):
            await _refuse(send, 422, fault)
            return
        sent = False

        async def replay() -> MutableMapping[str, Any]:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    def _fault_of(self, path: str, body: bytes) -> str:
        """Return what is wrong with a request; "" if nothing is."""
        try:
            content = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            return "The request is not JSON."
        if not isinstance(content, dict):
            return "The request is not a JSON object."
        number = content.get("fn_index")
        if type(number) not in (int, type(None)):  # Gradio would read "1", 1.0 and true as 1
            return "fn_index is a whole number."
        # As Gradio finds it: by number, and by the address only where there is none.
        called = path.rstrip("/").rsplit("/", 1)[-1] if number is None else str(number)
        if called in self._batched and not _is_post(content.get("data")):
            return 'A post is "data": [text or null, uploaded image or null].'
        for file in _files_in(content):
            place = file.get("path")
            if not isinstance(place, str) or "://" in place:
                return "A file must be uploaded; addresses are not fetched."
            if not Path(place).resolve().is_relative_to(self._uploads):
                return "A file must be uploaded first; files of the server are not handed out."
            if file.get("meta") != {"_type": "gradio.FileData"}:
                return 'A file needs "meta": {"_type": "gradio.FileData"}.'
        return ""


def _is_post(data: Any) -> bool:
    return (
        isinstance(data, list)
        and len(data) == 2
        and isinstance(data[0], (str, type(None)))
        and (data[1] is None or (isinstance(data[1], dict) and "path" in data[1]))
    )


def _files_in(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects that stand for files, as Gradio marks them, at any depth."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if any(key in value for key in FILE_KEYS):
                yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


async def _read(receive: Receive) -> bytes | None:
    """Read a body; None if it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BODY_BYTES:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sending


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"detail": message, "error": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
