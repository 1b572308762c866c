"""Uvicorn's HTTP/1.1 protocol with limits that it lacks: of a request's head and its time, of pipelines, of connections.

Without them one connection could send a header for ever, or any number of requests without reading an answer, and all of it
would be kept in memory; and whoever opens a thousand connections would keep everybody else out.
"""

import asyncio
import contextlib
import resource
from typing import Any, ClassVar

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from forecast_assets.serving.connections import ConnectionTable

HEAD_BYTES = 65_536
HEAD_SECONDS = 10.0
PIECE_BYTES = 4_096
"""Parsed at a time. What a client sends while one of its requests waits for another's answer is parsed after that."""


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 to a head of more than ``HEAD_BYTES``, and 408 to one that takes longer than ``HEAD_SECONDS``.

    A pipeline is read as far as it is answered: beyond one piece, its requests wait in the client's own buffers.
    """

    table: ClassVar[ConnectionTable] = ConnectionTable()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._head_is_open = True
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = b""
        self._answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._start_deadline()
        if not self.table.add(self, self._client_name):
            self._reject(b"503 Service Unavailable", b"Too many requests of this client are being answered.")

    def connection_lost(self, exc: Exception | None) -> None:
        self.table.remove(self, self._client_name)
        self._cancel_deadline()
        self._unread = b""
        self.pipeline.clear()
        if self._answering is not None:  # of a pipeline, uvicorn knows its last request alone
            self._answering.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.table.touch(self, self._client_name)
        self._unread += data
        self._parse()

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        self._cancel_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head_is_open, self._head_bytes = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._parse()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def is_idle(self) -> bool:
        """Whether no request is being answered or waits for it."""
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def close(self) -> None:
        """Close the connection at once."""
        self.transport.close()

    @property
    def _client_name(self) -> str:
        return self.client[0] if self.client else ""

    def _parse(self) -> None:
        """Parse what has arrived, until a request has to wait for the answer to the one before."""
        while self._unread and not self.pipeline and not self.transport.is_closing():
            piece, self._unread = self._unread[:PIECE_BYTES], self._unread[PIECE_BYTES:]
            if self._head_is_open:
                if self._head_bytes > HEAD_BYTES:
                    self._reject(b"431 Request Header Fields Too Large", b"The head of the request is too large.")
                    return
                self._head_bytes += len(piece)
                if self._deadline is None:
                    self._start_deadline()
            super().data_received(piece)
        if self._unread and not self.transport.is_closing():
            self.flow.pause_reading()

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._on_deadline)

    def _on_deadline(self) -> None:
        if self.pipeline or self._unread:  # the rest of the head waits here, and not for the client
            self._start_deadline()
        else:
            self._reject(b"408 Request Timeout", b"The head of the request did not arrive in time.")

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


def bounded_protocol(*, connections: int) -> type[BoundedProtocol]:
    """Return the protocol of one server with a table of its own, and let this process open as many files as that takes."""
    wanted = connections + 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(
            ValueError, OSError
        ):  # a system that allows less: the table is bounded by what there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = connections if soft == resource.RLIM_INFINITY else max(16, min(connections, soft - 256))
    return type("ServerProtocol", (BoundedProtocol,), {"table": ConnectionTable(in_all=room)})
