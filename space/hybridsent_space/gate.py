"""What every request must pass before Gradio sees it."""

import asyncio
import errno
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hybridsent_space.calls import Calls
from hybridsent_space.limits import FULL_DISK, message_of
from hybridsent_space.settings import Settings
from hybridsent_space.storage import Storage
from hybridsent_space.uploads import FORM, FULL, Upload

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DRAINED = 10_000_000  # bytes read on of a body that is too large, so that its sender reads why
# Of calls of the tool with more than `max_json_bytes`, so many arrive at once, and so many are read,
# which takes ten times their size; the others wait. One has so many seconds to arrive.
ARRIVING, READ, PATIENCE = 30, 3, 60
UPLOADS = ("/gradio_api/upload", "/gradio_api/upload/")
HOST = re.compile(rb"[\w.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?", re.ASCII)
# A long run of base64 in JSON, which may escape characters of it.
IMAGE = re.compile(rb"[A-Za-z0-9+/=\\]{1000,}")
# Gradio would keep whatever a session holds, without a limit, for whoever asks; and would fetch.
CLOSED = ("/deep_link", "/proxy=", "/component_server", "/stream/", "/mcp/sse")
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
    """Refuse what is no call or upload of this page, oversized bodies, and more than there is room for.

    Args:
        app: What comes behind.
        calls: Checks calls.
        storage: Counts the bytes of all uploads.
        settings: Limits.
    """

    def __init__(self, app: Any, calls: Calls, storage: Storage, settings: Settings) -> None:
        self._app, self._calls, self._storage = app, calls, storage
        self._settings = settings
        self._running = 0  # requests other than uploads
        self._arriving, self._read = asyncio.Semaphore(ARRIVING), asyncio.Semaphore(READ)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        path = scope["path"]
        is_post = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if not _has_good_host(scope):
            await _refuse(send, 400, "The request names no host.")
        elif any(part in path for part in CLOSED) or (is_post and not self._takes(path)):
            await _refuse(send, 404, "There is no such address.")
        elif is_post and path.endswith(UPLOADS):
            await self._pass_upload(scope, receive, send)
        elif is_post:
            await self._pass_body(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _takes(self, path: str) -> bool:
        return path.endswith(UPLOADS) or self._calls.knows(path)

    async def _pass_upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            kind = dict(scope["headers"]).get(b"content-type", b"")
            upload = Upload(receive, kind, self._settings.max_table_bytes, self._storage)
        except ValueError:
            await _refuse(send, *FORM)
            return
        if not await asyncio.to_thread(self._storage.has_room):
            await upload.drain()
            await _refuse(send, *FULL)
            return
        is_stored = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal is_stored
            is_stored |= message.get("status") == 200
            if not (upload.fault or upload.aborted):
                await send(message)

        try:
            await self._app(scope, upload.receive, sending)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            upload.fault = (507, FULL_DISK)
        finally:
            if not is_stored:
                self._storage.remove(upload.size)
        if upload.fault:
            await upload.drain()
            await _refuse(send, *upload.fault)

    async def _pass_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        most, body = self._settings.max_json_bytes, _Body(receive)
        if await body.read(most):
            await self._pass_call(scope, body, receive, send)
            return
        fault: tuple[int, str] | None = (413, message_of("max_json_bytes", most))
        if self._calls.is_tool(scope["path"]):
            async with self._arriving:
                fault = await self._pass_large_call(scope, body, receive, send)
        if fault:
            await body.drain()
            await _refuse(send, *fault)

    async def _pass_large_call(
        self, scope: Scope, body: "_Body", receive: Receive, send: Send
    ) -> tuple[int, str] | None:
        """Pass a call with a large image on; return status and message if it is refused."""
        most, others = self._settings.max_tool_bytes, self._settings.max_json_bytes
        try:
            if not await asyncio.wait_for(body.read(most), PATIENCE):
                return 413, message_of("max_tool_bytes", most)
        except asyncio.TimeoutError:
            return 408, "The request takes too long to arrive."
        if (
            len(IMAGE.sub(b"", body.content)) > others
        ):  # lists by the million would hold up everybody
            return 413, f"Without its image: {message_of('max_json_bytes', others)}"
        async with self._read:
            await self._pass_call(scope, body, receive, send)
        return None

    async def _pass_call(self, scope: Scope, body: "_Body", receive: Receive, send: Send) -> None:
        if fault := self._calls.fault_of(scope["path"], body.content):
            await _refuse(send, 400, fault)
            return
        if self._running >= self._settings.max_waiting:  # the tool's calls pass by Gradio's queue
            await _refuse(send, 503, message_of("max_waiting", self._settings.max_waiting))
            return
        self._running += 1
        try:
            await self._replay(scope, body.content, receive, send)
        finally:
            self._running -= 1

    async def _replay(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        sent = False

        async def replay() -> MutableMapping[str, Any]:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


def _has_good_host(scope: Scope) -> bool:
    """Drop the header of another server; Gradio builds an address of the others, for a whole batch."""
    scope["headers"] = [x for x in scope["headers"] if x[0] != b"x-gradio-server"]
    hosts = [x for name, x in scope["headers"] if name in (b"host", b"x-forwarded-host")]
    return all(HOST.fullmatch(host.split(b",")[0].strip()) for host in hosts)


class _Body:
    """The body of a request, read as far as it is wanted."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._more = receive, True
        self.content = b""

    async def read(self, most: int) -> bool:
        """Read on up to its end, or to more bytes than allowed; return whether it is whole."""
        parts, size = [self.content], len(self.content)
        while self._more and size <= most:
            parts.append(await self._next())
            size += len(parts[-1])
        self.content = b"".join(parts)
        return not self._more and size <= most

    async def drain(self) -> None:
        """Read on without keeping anything, so that the sender reads why it is refused."""
        size, self.content = len(self.content), b""
        while self._more and size <= DRAINED:
            size += len(await self._next())

    async def _next(self) -> bytes:
        message = await self._receive()
        self._more = message.get("more_body", False)
        return bytes(message.get("body", b""))


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
