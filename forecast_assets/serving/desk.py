"""The desk at ``/`` and what it reads: the newest forecasts, a ticker's fan and record, the book, the report."""

import math

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from forecast_assets.champion.forecast_change import CAUSES, ForecastChange
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.announced import WITHIN, announcement_chance
from forecast_assets.core.windows.days import to_date, to_day
from forecast_assets.serving import schemas
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.page import desk_page, docs_page, report_policy
from forecast_assets.serving.portfolio import sealed_answer
from forecast_assets.serving.service import HTTP_ERRORS, DateParameter, TickerParameter, cacheable, service_of
from forecast_assets.serving.snapshot import Snapshot
from forecast_assets.serving.track_record import track_record

JSON = "application/json"

router = APIRouter()


@router.get("/forecasts", response_model=schemas.NewestForecasts, responses=HTTP_ERRORS)
async def forecasts(request: Request) -> Response:
    """The newest issued forecast of every ticker; 304 where If-None-Match has the ETag of the same answer."""
    snapshot = service_of(request).watch.snapshot
    return cacheable(request, snapshot.newest, media_type=JSON)


@router.get("/chart", response_model=schemas.Chart, responses=HTTP_ERRORS)
async def chart(request: Request, ticker: TickerParameter, date: DateParameter = None) -> schemas.Chart:
    """A forecast, the closes before it and what happened after it, as the desk draws them."""
    service = service_of(request)
    snapshot = service.watch.snapshot
    made = await service.answer(snapshot, ticker, date)
    day = to_day(made.session)
    history = snapshot.history
    outcomes = [None] * len(HORIZONS)
    if history is not None:
        realised = history.outcomes(ticker, np.array([day], dtype=np.int32))[0].tolist()
        outcomes = [None if math.isnan(value) else value for value in realised]
    row = None if history is None else history.find(ticker, day)
    return schemas.Chart(
        answer=made,
        closes=[schemas.Close(date=date, close=close) for date, close in snapshot.closes.up_to(ticker, day)],
        after=[
            schemas.LaterClose(sessions=sessions, date=date, close=close)
            for sessions, date, close in snapshot.closes.after(ticker, day)
        ],
        outcomes=outcomes,
        announcement=None if row is None else announcement(snapshot, row),
    )


@router.get("/record", response_model=schemas.TrackRecord, responses=HTTP_ERRORS)
async def record(request: Request, ticker: TickerParameter) -> schemas.TrackRecord:
    """The forecasts issued for a ticker against what happened: how often outcomes lay inside the bands so far."""
    return track_record(service_of(request).watch.snapshot, ticker)


@router.get("/changed", response_model=schemas.ChangeAnswer, responses=HTTP_ERRORS)
async def changed(request: Request, ticker: TickerParameter, date: DateParameter = None) -> schemas.ChangeAnswer:
    """Why a ticker's forecast changed between the last two nights up to a date: data, model or calibration."""
    service = service_of(request)
    snapshot = service.watch.snapshot
    day = date or to_date(snapshot.latest_day(ticker))
    found = await service.batcher.call(lambda: service.watch.loader.change(snapshot, ticker, day))
    return change_answer(ticker, found)


@router.get("/book", response_model=schemas.Book, responses=HTTP_ERRORS)
async def book(request: Request) -> Response:
    """The last night's target positions and trades; 304 where If-None-Match has the ETag of the same answer."""
    found = service_of(request).watch.snapshot.book
    if found is None:
        raise HttpError(404, "no_book", "There is no book yet; a night makes it (target_positions).")
    return cacheable(request, found.model_dump_json().encode(), media_type=JSON)


@router.get("/sealed", response_model=schemas.SealedRecord, responses=HTTP_ERRORS)
async def sealed(request: Request) -> schemas.SealedRecord:
    """What has matured of the forecasts that were sealed before their outcome, scored so that looking often is allowed."""
    service = service_of(request)
    snapshot = service.watch.snapshot
    found = await service.batcher.call(lambda: service.watch.loader.sealed_record(snapshot))
    return sealed_answer(found, snapshot)


@router.get(
    "/report",
    response_class=HTMLResponse,
    responses={**HTTP_ERRORS, 200: {"content": {"text/html": {}}, "description": "the page"}},
)
async def report(request: Request) -> Response:
    """The published backtest report, one HTML page."""
    found = service_of(request).watch.snapshot.report
    if found is None:
        raise HttpError(404, "no_report", "There is no backtest report yet; materialise backtest_report.")
    policy = {"content-security-policy": report_policy(found)}
    return cacheable(request, found, media_type="text/html", headers=policy)


@router.get("/", include_in_schema=False)
async def page() -> HTMLResponse:
    html, policy = desk_page()
    return HTMLResponse(html, headers={"content-security-policy": policy})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    html, policy = docs_page(request.app.openapi(), address=f"{request.url.scheme}://{request.url.netloc}")
    return HTMLResponse(html, headers={"content-security-policy": policy})


def announcement(snapshot: Snapshot, row: int) -> schemas.Announcement | None:
    """Return the announcement that is expected at a row of the panel; None for a panel without them."""
    assert snapshot.history is not None
    chance = announcement_chance(snapshot.history.panel, row)
    return None if chance is None else schemas.Announcement(sessions=WITHIN, probability=chance)


def change_answer(ticker: str, found: ForecastChange) -> schemas.ChangeAnswer:
    """Return the answer of /changed."""
    causes = [
        schemas.Cause(
            cause=cause,
            horizons=[
                schemas.MovedHorizon(sessions=sessions, median=float(median), width=float(width))
                for sessions, median, width in zip(HORIZONS, found.median[cause], found.width[cause], strict=True)
            ],
        )
        for cause in CAUSES
    ]
    return schemas.ChangeAnswer(
        ticker=ticker, before=found.before, after=found.after, main_cause=found.main_cause, causes=causes
    )
