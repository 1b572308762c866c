"""The HTTP application, and the endpoints of its API; those that the desk adds are in ``desk``."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from forecast_assets.core.horizons import horizons_text
from forecast_assets.core.models.attribution import attributions
from forecast_assets.core.report.titles import title
from forecast_assets.core.windows.days import to_date, to_day
from forecast_assets.serving import desk, schemas
from forecast_assets.serving.batching import Batcher
from forecast_assets.serving.desk import announcement
from forecast_assets.serving.freshness import Deadline
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.limits import Limits, RequestLimiter
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.metrics import Metrics
from forecast_assets.serving.portfolio import held_weights, portfolio_answer
from forecast_assets.serving.service import HTTP_ERRORS, DateParameter, Service, TickerParameter, service_of
from forecast_assets.serving.snapshot import PendingForecast, Snapshot
from forecast_assets.serving.watch import Watch

log = logging.getLogger(__name__)

SHOWN_NEIGHBOURS = 8

router = APIRouter()


def create_app(
    loader: Loader,
    *,
    token: str | None = None,
    limits: Limits | None = None,
    deadline: Deadline | None = None,
    poll_seconds: float = 1.0,
) -> FastAPI:
    """Build the service on the store of ``loader``. With a ``token``, every path that shows a forecast requires it.

    Without a ``deadline`` no session is ever due.
    """
    limits, metrics = limits or Limits(), Metrics()
    watch = Watch(loader, metrics=metrics, every_seconds=poll_seconds, deadline=deadline or Deadline(None))
    batcher = Batcher(batch_size=limits.batch, queue_size=limits.waiting)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await watch.poll()
        tasks = [asyncio.create_task(watch.run()), asyncio.create_task(batcher.run())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="forecast_assets",
        version="1",
        description=f"Calibrated {horizons_text(mark='-')}session log-return forecasts, out of sample only.",
        routes=[
            *router.routes,
            *desk.router.routes,
        ],  # not include_router, which hides the paths that requests are counted by
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere; /docs below needs no network
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = Service(watch, batcher, metrics)
    app.add_middleware(RequestLimiter, limits=limits, token=token, metrics=metrics)
    app.add_exception_handler(HttpError, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
    return app


@router.get("/predict", response_model=schemas.Answer, responses=HTTP_ERRORS)
async def predict(request: Request, ticker: TickerParameter, date: DateParameter = None) -> Response:
    """The forecast for one ticker, as of a session's close."""
    service = service_of(request)
    snapshot = service.watch.snapshot
    if date is None and (ready := snapshot.latest.get(ticker)) is not None:
        return Response(ready, media_type="application/json")
    made = await service.answer(snapshot, ticker, date)
    return Response(made.model_dump_json(), media_type="application/json")


@router.post("/predict", response_model=schemas.BatchAnswer, responses=HTTP_ERRORS)
async def predict_batch(request: Request, batch: schemas.BatchRequest) -> schemas.BatchAnswer:
    """Several forecasts from one snapshot; an item without a forecast has its error, and the others are answered."""
    service = service_of(request)
    snapshot = service.watch.snapshot
    items: list[schemas.BatchItem | None] = []
    pending: list[tuple[int, PendingForecast]] = []
    for place, query in enumerate(batch.requests):
        try:
            found = snapshot.find(query.ticker, query.date)
        except HttpError as error:
            items.append(schemas.BatchItem(refused=schemas.ErrorAnswer(**error.content())))
            continue
        if isinstance(found, schemas.Answer):
            items.append(schemas.BatchItem(answer=found))
        else:
            items.append(None)
            pending.append((place, found))
    made = await service.batcher.answers(snapshot, [one for _, one in pending])
    for (place, _), computed in zip(pending, made, strict=True):
        items[place] = schemas.BatchItem(answer=computed)
    return schemas.BatchAnswer(snapshot=snapshot.id, answers=[item for item in items if item is not None])


@router.post("/risk", response_model=schemas.RiskAnswer, responses=HTTP_ERRORS)
async def risk(request: Request, portfolio: schemas.RiskRequest) -> schemas.RiskAnswer:
    """What a portfolio may lose after the last night: value at risk, expected shortfall and quantiles of its return."""
    service = service_of(request)
    snapshot = service.watch.snapshot
    weights = held_weights(portfolio, snapshot)
    return await service.batcher.call(
        lambda: portfolio_answer(service.watch.loader.night_scenarios(snapshot), weights, snapshot)
    )


@router.get("/explain", response_model=schemas.ExplainAnswer, responses=HTTP_ERRORS)
async def explain(request: Request, ticker: TickerParameter, date: DateParameter = None) -> schemas.ExplainAnswer:
    """What the current model's forecast rests on: attention, selected variables, neighbours; out of sample only."""
    service = service_of(request)
    snapshot = service.watch.snapshot
    day = snapshot.latest_day(ticker) if date is None else to_day(date)
    one = snapshot.pending(ticker, day)
    return await service.batcher.call(lambda: explanation(snapshot, one))


@router.get("/tickers", response_model=list[str], responses=HTTP_ERRORS)
async def tickers(request: Request) -> list[str]:
    """Every ticker of the panel or of a forecast."""
    return list(service_of(request).watch.snapshot.tickers)


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@router.get("/health/ready", response_model=schemas.Health, responses={503: {"model": schemas.Health}})
async def ready(request: Request, response: Response) -> schemas.Health:
    """What is served; 503 while there is nothing."""
    watch = service_of(request).watch
    response.status_code = 200 if watch.current is not None else 503
    return health(watch)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def prometheus(request: Request) -> Response:
    """Metrics in Prometheus' exposition format."""
    service = service_of(request)
    service.metrics.runs.set(service.batcher.runs)
    service.metrics.computed.set(service.batcher.forecasts)
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def explanation(snapshot: Snapshot, one: PendingForecast) -> schemas.ExplainAnswer:
    """Explain one forecast by a member of the model. Raises HttpError where no member can be explained."""
    assert snapshot.model is not None
    assert snapshot.history is not None
    found = snapshot.model.explain(snapshot.history.panel, one.row)
    if found is None:
        raise HttpError(404, "no_explanation", "No member of the model has attention or variable selection to show.")
    fit, weights = found
    panel, read = snapshot.history.panel, weights.neighbours  # None for a member that reads no neighbours
    ranked = [] if read is None else attributions(read, ticker=panel.ticker, tickers=panel.tickers)[0]
    return schemas.ExplainAnswer(
        ticker=one.ticker,
        session=to_date(one.day),
        fit=fit,
        title=title(fit),
        model_version=snapshot.model.card.model_version,
        snapshot=snapshot.id,
        attention=weights.attention[0].tolist(),
        variables=dict(zip(weights.encoder_names, weights.encoder[0].tolist(), strict=True)),
        ahead=dict(zip(weights.decoder_names, weights.decoder[0].tolist(), strict=True)),
        static=dict(zip(weights.static_names, weights.static[0].tolist(), strict=True)),
        neighbours=[schemas.Neighbour(**one._asdict()) for one in ranked[:SHOWN_NEIGHBOURS]],
        announcement=announcement(snapshot, one.row),
    )


def health(watch: Watch) -> schemas.Health:
    """Return the answer of /health/ready."""
    snapshot = watch.current
    if snapshot is None:
        return schemas.Health(
            ready=False,
            snapshot=None,
            model_version=None,
            data_version=None,
            night=None,
            stale=None,
            refused=watch.problems,
        )
    return schemas.Health(
        ready=True,
        snapshot=snapshot.id,
        model_version=snapshot.model.card.model_version if snapshot.model is not None else None,
        data_version=snapshot.history.data_version if snapshot.history is not None else None,
        night=snapshot.night,
        stale=watch.stale,
        refused=watch.problems,
    )


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    headers = {"retry-after": "1"} if error.status == 503 else None
    return JSONResponse(error.content(), status_code=error.status, headers=headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """Describe an invalid request without quoting its input: a NaN in it could not be written as JSON."""
    assert isinstance(error, RequestValidationError)
    what = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:3])
    printable = what.encode("ascii", "backslashreplace").decode()[:500]
    return JSONResponse({"detail": printable, "reason": "invalid"}, status_code=422)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("%s failed", request.url.path, exc_info=error)
    return JSONResponse({"detail": "The service failed; its log says why.", "reason": "bug"}, status_code=500)
