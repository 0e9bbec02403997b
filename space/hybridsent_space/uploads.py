"""An upload, counted and checked while it streams."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hybridsent_space.limits import MESSAGES, message_of
from hybridsent_space.storage import Storage

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

FULL = (507, MESSAGES["max_stored_bytes"])
FORM = (400, "An upload is a form with one file.")
OVERHEAD = 20_000  # bytes of a form around its file


class Upload:
    """The body of one upload, passed on piece by piece.

    A form that is refused or aborted ends, for Gradio, in a part without a name. This makes Gradio
    delete what it has written.

    Args:
        receive: Gives the body.
        content_type: Of the request; it names the boundary of the parts.
        most: Bytes of a file.
        storage: Counts the bytes.

    Raises:
        ValueError: It is not a form.
    """

    def __init__(self, receive: Receive, content_type: bytes, most: int, storage: Storage) -> None:
        self._receive, self._most, self._storage = receive, most, storage
        self.fault: tuple[int, str] | None = None
        self.aborted = self.complete = False
        self.size = 0
        self._parts, self._name, self._value = 0, b"", b""
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise ValueError(FORM[1])
        self._end = b"\r\n--" + options[b"boundary"] + b"\r\n\r\n"
        self._is_file = False
        try:
            self._parser = MultipartParser(options[b"boundary"], self._callbacks())
        except FormParserError as error:
            raise ValueError(FORM[1]) from error

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._add,
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
        }

    async def receive(self) -> Message:
        """Return the next piece, or the end of a form that is refused or aborted."""
        if self.fault or self.aborted or self.complete:
            return {"type": "http.disconnect"}
        message = await self._receive()
        piece = message.get("body", b"")
        if message["type"] == "http.disconnect":
            self.aborted = True
        elif not await self._takes(piece):
            self.complete = not message.get("more_body", False)
        else:
            self.complete = not message.get("more_body", False)
            return message
        return {"type": "http.request", "body": self._end, "more_body": False}

    async def _takes(self, piece: bytes) -> bool:
        try:
            self._parser.write(piece)
        except FormParserError:
            self.fault = FORM
        if not self.fault and self.size + len(piece) > self._most + OVERHEAD:
            self.fault = (413, message_of("max_table_bytes", self._most))
        if not self.fault and not self._storage.add(len(piece)):
            await asyncio.to_thread(self._storage.has_room, len(piece))
            if not self._storage.add(len(piece)):
                self.fault = FULL
        if self.fault is None:
            self.size += len(piece)
        return self.fault is None

    async def drain(self) -> None:
        """Read on, since a visitor who still sends does not read why the upload was refused."""
        left = self._most
        while not self.complete and left > 0:
            message = await self._receive()
            left -= len(message.get("body", b""))
            self.complete = not message.get("more_body", False)

    def _begin(self) -> None:
        self._parts += 1
        self._is_file, self._name = False, b""
        if self._parts > 1:
            self.fault = FORM

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name, self._value = self._name + data[start:end], b""

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            options = parse_options_header(self._value)[1]
            self._is_file = options.get(b"name") == b"files" and b"filename" in options
        self._name = b""

    def _headers(self) -> None:
        if not self._is_file:
            self.fault = FORM
