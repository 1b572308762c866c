"""The routes."""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse

from forecast_assets.core.horizons import horizons_text
from forecast_assets.core.models.attribution import Neighbours, attributions
from forecast_assets.core.windows.days import to_date, to_day
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.batching import Batcher
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.limits import Limits, RequestLimiter
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.metrics import Metrics
from forecast_assets.serving.page import CSP, docs_page, forecast_page
from forecast_assets.serving.schemas import (
    Answer,
    BatchAnswer,
    BatchItem,
    BatchRequest,
    Chart,
    Close,
    Health,
    Neighbour,
    Refused,
    Ticker,
    Why,
)
from forecast_assets.serving.snapshot import Pending, Snapshot
from forecast_assets.serving.watch import Watch

log = logging.getLogger(__name__)

SHOWN_NEIGHBOURS = 8

_HTTP_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": meaning}
    for status, meaning in {
        400: "the body can't be read",
        401: "no or a wrong token",
        403: "not a loopback name, and no token is set",
        404: "unknown ticker, with the nearest names; or nothing to answer from",
        408: "the body did not arrive in time",
        413: "the body is too large",
        422: "a date that has no out-of-sample forecast, or parameters of the wrong kind",
        429: "too many requests of one client",
        503: "overloaded, timed out or not ready",
    }.items()
}

_Ticker = Annotated[Ticker, Query()]
_Date = Annotated[dt.date | None, Query(description="session of the decision; default: the ticker's latest")]


def create_app(
    loader: Loader, *, token: str | None = None, limits: Limits | None = None, poll_seconds: float = 1.0
) -> FastAPI:
    """The service on what ``loader`` finds. With a ``token`` every path that shows a forecast asks for it."""
    limits = limits or Limits()
    metrics = Metrics()
    watch = Watch(loader, metrics=metrics, every_seconds=poll_seconds)
    batcher = Batcher(most=limits.batch, waiting=limits.waiting)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await watch.look()
        tasks = [asyncio.create_task(watch.run()), asyncio.create_task(batcher.run())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="forecast_assets",
        version="1",
        description=f"Calibrated {horizons_text(mark='-')}session log-return forecasts, out of sample only.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere; /docs below needs no network
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(RequestLimiter, limits=limits, token=token, metrics=metrics)
    app.add_exception_handler(HttpError, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)

    async def answer(snapshot: Snapshot, ticker: str, date: dt.date | None) -> Answer:
        found = snapshot.find(ticker, date)
        return found if isinstance(found, Answer) else (await batcher.answers(snapshot, [found]))[0]

    @app.get("/predict", response_model=Answer, responses=_HTTP_ERRORS)
    async def predict(ticker: _Ticker, date: _Date = None) -> Response:
        """The forecast for one ticker, as of a session's close."""
        snapshot = watch.snapshot
        if date is None and (ready := snapshot.latest.get(ticker)) is not None:
            return Response(ready, media_type="application/json")
        made = await answer(snapshot, ticker, date)
        return Response(made.model_dump_json(), media_type="application/json")

    @app.post("/predict", response_model=BatchAnswer, responses=_HTTP_ERRORS)
    async def predict_batch(batch: BatchRequest) -> BatchAnswer:
        """Several forecasts from one snapshot; one that can't be given does not spoil the others."""
        snapshot = watch.snapshot
        items: list[BatchItem | None] = []
        wanted: list[tuple[int, Pending]] = []
        for place, query in enumerate(batch.requests):
            try:
                found = snapshot.find(query.ticker, query.date)
            except HttpError as refusal:
                items.append(BatchItem(refused=Refused(**refusal.content())))
                continue
            if isinstance(found, Answer):
                items.append(BatchItem(answer=found))
            else:
                items.append(None)
                wanted.append((place, found))
        made = await batcher.answers(snapshot, [one for _, one in wanted])
        for (place, _), computed in zip(wanted, made, strict=True):
            items[place] = BatchItem(answer=computed)
        return BatchAnswer(snapshot=snapshot.id, answers=[item for item in items if item is not None])

    @app.get("/explain", response_model=Why, responses=_HTTP_ERRORS)
    async def explain(ticker: _Ticker, date: _Date = None) -> Why:
        """What the model that is served now looks at for a decision after the outcomes it has seen."""
        snapshot = watch.snapshot
        day = snapshot.latest_day(ticker) if date is None else to_day(date)
        one = snapshot.decision(ticker, day)
        return await batcher.alone(lambda: why(snapshot, one))

    @app.get("/chart", response_model=Chart, responses=_HTTP_ERRORS)
    async def chart(ticker: _Ticker) -> Chart:
        """What the page draws."""
        snapshot = watch.snapshot
        made = await answer(snapshot, ticker, None)
        closes = snapshot.closes.up_to(ticker, to_day(made.session))
        return Chart(answer=made, closes=[Close(date=date, close=close) for date, close in closes])

    @app.get("/tickers", response_model=list[str], responses=_HTTP_ERRORS)
    async def tickers() -> list[str]:
        """Every ticker that the panel or a forecast knows."""
        return list(watch.snapshot.tickers)

    @app.get("/health/live")
    async def live() -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    @app.get("/health/ready", response_model=Health, responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        """What is served; 503 while there is nothing."""
        snapshot = watch.current
        response.status_code = 200 if snapshot is not None else 503
        return health(snapshot, watch.refused)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def prometheus() -> Response:
        """Prometheus' exposition format."""
        metrics.runs.set(batcher.runs)
        metrics.computed.set(batcher.decisions)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(forecast_page(), headers={"content-security-policy": CSP})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers={"content-security-policy": CSP})

    return app


def why(snapshot: Snapshot, one: Pending) -> Why:
    """The model's explanation of one decision. Raises HttpError where no member can be asked."""
    assert snapshot.model is not None
    assert snapshot.history is not None
    found = snapshot.model.explain(snapshot.history.panel, one.row)
    if found is None:
        raise HttpError(404, "no_explanation", "No member of the model records what it looks at.")
    fit, seen = found
    return Why(
        ticker=one.ticker,
        session=to_date(one.day),
        fit=fit,
        model_version=snapshot.model.card.model_version,
        snapshot=snapshot.id,
        attention=seen.attention[0].tolist(),
        variables=dict(zip(seen.encoder_names, seen.encoder[0].tolist(), strict=True)),
        ahead=dict(zip(seen.decoder_names, seen.decoder[0].tolist(), strict=True)),
        static=dict(zip(seen.static_names, seen.static[0].tolist(), strict=True)),
        neighbours=told_apart(seen.neighbours, snapshot.history.panel),
    )


def told_apart(neighbours: Neighbours | None, panel: PanelTensors) -> list[Neighbour]:
    """The tickers that moved the explained forecast most, where the member reads any."""
    if neighbours is None:
        return []
    (heard,) = attributions(neighbours, ticker=panel.ticker, tickers=panel.tickers)
    return [Neighbour(**one._asdict()) for one in heard[:SHOWN_NEIGHBOURS]]


def health(snapshot: Snapshot | None, refused: list[str]) -> Health:
    """What /health/ready says."""
    if snapshot is None:
        return Health(ready=False, snapshot=None, model_version=None, data_version=None, night=None, refused=refused)
    return Health(
        ready=True,
        snapshot=snapshot.id,
        model_version=snapshot.model.card.model_version if snapshot.model is not None else None,
        data_version=snapshot.history.data_version if snapshot.history is not None else None,
        night=snapshot.night,
        refused=refused,
    )


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    headers = {"retry-after": "1"} if error.status == 503 else None
    return JSONResponse(error.content(), status_code=error.status, headers=headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """What was wrong, without the input: a NaN in it could not be written as JSON."""
    assert isinstance(error, RequestValidationError)
    what = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:3])
    printable = what.encode("ascii", "backslashreplace").decode()[:500]
    return JSONResponse({"detail": printable, "reason": "invalid"}, status_code=422)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("%s failed", request.url.path, exc_info=error)
    return JSONResponse({"detail": "The service failed; its log says why.", "reason": "bug"}, status_code=500)
