"""Request limits as ASGI middleware: token and host, rate, number in flight, size of the body, time.

A rejected request costs no more than reading its headers, and is answered by one JSON sentence.
"""

import asyncio
import hmac
import json
import time
from collections import OrderedDict

from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forecast_assets.serving.metrics import Metrics
from forecast_assets.serving.same_site import LOOPBACK, refusal

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/health/live", "/health/ready"})
"""Paths that need no token, since they show no forecast: the page prompts for it, and a health check has none."""

PAGES = frozenset({"/", "/docs", "/report"})
"""Pages that a link on another site may lead to."""

REMEMBERED_CLIENTS = 10_000


class Limits(BaseModel, frozen=True, extra="forbid"):
    """The limits of one process."""

    body_bytes: int = Field(65_536, ge=1, description="largest body")
    in_flight: int = Field(256, ge=1, description="requests answered at once; more get 503")
    rate_per_second: float = Field(1000, gt=0, description="requests of one client address, sustained; more get 429")
    burst: float = Field(2000, ge=1, description="requests of one client address at once")
    timeout_seconds: float = Field(10, gt=0, description="for a whole request, including the arrival of its body")
    batch: int = Field(64, ge=1, description="forecasts computed in one run of the model")
    waiting: int = Field(128, ge=1, description="requests waiting for the model; more get 503")


class RequestLimiter:
    """Count each request, then check load, host, token, rate, size and time."""

    def __init__(self, app: ASGIApp, *, limits: Limits, token: str | None, metrics: Metrics) -> None:
        self._app = app
        self._limits = limits
        self._token = token.encode() if token else None
        self._metrics = metrics
        self._in_flight = 0
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> (requests left, when)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        try:
            await self._handle(scope, receive, send_noting_status)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
            self._metrics.observe(scope, status, time.perf_counter() - started)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if (rejection := self._rejection(scope, headers)) is not None:
            await _send_error(send, *rejection)
            return
        begun = arrived = False

        async def send_noting_begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                body = await self._body(headers, receive)
                if body is None:
                    sentence = f"The body is larger than {self._limits.body_bytes} bytes; send fewer requests at once."
                    await _send_error(send, 413, "too_large", sentence, close=True)
                    return
                arrived = True
                await self._app(scope, _replay(body, receive), send_noting_begin)
        except TimeoutError:
            if begun:
                raise  # an answer that has begun can only be cut off
            within = f"within {self._limits.timeout_seconds:g} seconds."
            if arrived:
                await _send_error(send, 503, "timeout", f"No answer {within}", close=True)
            else:
                await _send_error(send, 408, "slow_body", f"The body did not arrive {within}", close=True)

    def _rejection(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str, str] | None:
        """Return status, reason and sentence for a request that may not pass; None for one that may."""
        path = scope["path"]
        if path.startswith("/health/"):
            return None  # under load, a supervisor must not think that the service is dead
        if self._in_flight > self._limits.in_flight:
            return 503, "overloaded", "Too many requests are being answered; try again soon."
        if self._token is None:
            if why := refusal(scope["headers"], hosts=LOOPBACK, is_page=path in PAGES):
                return 403, "host", f"Without a token the service answers loopback names and its own pages only. {why}"
        elif path not in OPEN_PATHS and not self._authorised(headers):
            return 401, "token", "Send the service's token as Authorization: Bearer ...."
        if not self._within_rate(scope["client"][0] if scope["client"] else ""):
            return 429, "rate", f"More than {self._limits.rate_per_second:g} requests a second; slow down."
        return None

    def _authorised(self, headers: dict[bytes, bytes]) -> bool:
        assert self._token is not None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        return hmac.compare_digest(given.strip(), self._token) and scheme.lower() == b"bearer"

    def _within_rate(self, client: str) -> bool:
        """Take one request from the client's token bucket; the longest unseen clients are dropped, which refills theirs."""
        now = time.monotonic()
        left, when = self._buckets.pop(client, (self._limits.burst, now))
        left = min(self._limits.burst, left + (now - when) * self._limits.rate_per_second)
        passes = left >= 1
        self._buckets[client] = (left - 1 if passes else left, now)
        if len(self._buckets) > REMEMBERED_CLIENTS:
            self._buckets.popitem(last=False)
        return passes

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """Read the whole body; None where it is too large, before a byte is read if its length is declared."""
        most = self._limits.body_bytes
        declared = headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > most:
            return None
        if declared is None and b"transfer-encoding" not in headers:
            return b""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read already."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _send_error(send: Send, status: int, reason: str, sentence: str, *, close: bool = False) -> None:
    body = json.dumps({"detail": sentence, "reason": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status in (429, 503):
        headers.append((b"retry-after", b"1"))
    if close:  # bytes of this request may still be on their way
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
