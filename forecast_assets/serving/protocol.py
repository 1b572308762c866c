"""Uvicorn's HTTP/1.1 protocol with two limits that it lacks: the size of a request's head, and the time it takes.

Without them one connection could send a header for ever, and its bytes would be kept in memory.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536
HEAD_SECONDS = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 to a head of more than ``HEAD_BYTES``, and 408 to one that takes longer than ``HEAD_SECONDS``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._head_is_open = True
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_is_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES + len(data):  # the head was too long before this piece
                self._reject(b"431 Request Header Fields Too Large", b"The head of the request is too large.")
                return
            if self._deadline is None:
                self._start_deadline()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        self._cancel_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head_is_open, self._head_bytes = True, 0
        super().on_message_complete()

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(
            HEAD_SECONDS, self._reject, b"408 Request Timeout", b"The head of the request did not arrive in time."
        )

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _reject(self, status: bytes, sentence: bytes) -> None:
        self._cancel_deadline()
        if self.transport.is_closing():
            return
        body = b'{"detail": "' + sentence + b'", "reason": "head"}'
        head = b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: "
        self.transport.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        self.transport.close()
