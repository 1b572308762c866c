"""What the endpoints share: the service of a request, its parameters, its errors, answers that a client may keep."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request, Response

from forecast_assets.serving import schemas
from forecast_assets.serving.batching import Batcher
from forecast_assets.serving.metrics import Metrics
from forecast_assets.serving.snapshot import Snapshot
from forecast_assets.serving.watch import Watch

HTTP_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorAnswer, "description": meaning}
    for status, meaning in {
        400: "the body can't be read",
        401: "no or a wrong token",
        403: "not a loopback name, and no token is set",
        404: "unknown ticker, with the nearest ones; or no forecast",
        408: "the body did not arrive in time",
        413: "the body is too large",
        422: "a date that has no out-of-sample forecast, weights that can't be held, or parameters of the wrong type",
        429: "too many requests from one client",
        503: "overloaded, timed out or not ready",
    }.items()
}

TickerParameter = Annotated[schemas.Ticker, Query()]
DateParameter = Annotated[schemas.Date, Query()]


@dataclass(frozen=True)
class Service:
    """What the endpoints share."""

    watch: Watch
    batcher: Batcher
    metrics: Metrics

    async def answer(self, snapshot: Snapshot, ticker: str, date: dt.date | None) -> schemas.Answer:
        """Find or compute one forecast. Raises HttpError."""
        found = snapshot.find(ticker, date)
        return found if isinstance(found, schemas.Answer) else (await self.batcher.answers(snapshot, [found]))[0]


def service_of(request: Request) -> Service:
    """Return the service that a request was sent to."""
    service: Service = request.app.state.service
    return service


def cacheable(
    request: Request, content: bytes, *, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return ``content``, or 304 without it where the client has it already.

    The client asks again each time, and no cache between keeps an answer that a token may have been needed for.
    """
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    kept = {"etag": tag, "cache-control": "private, no-cache", **(headers or {})}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=kept)
    return Response(content, media_type=media_type, headers=kept)
