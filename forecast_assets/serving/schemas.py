"""Request and response schemas, as in the OpenAPI document. Returns are log returns, not annualised."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, Field

MAX_BATCH = 100
MAX_WEIGHTS, MAX_WEIGHT = 2000, 100.0

EXAMPLE_TICKER, EXAMPLE_DATE = "BMW.DE", "2025-05-26"
"""What the examples in /docs ask for."""

Ticker = Annotated[str, Field(min_length=1, max_length=40, description="as in the panel", examples=[EXAMPLE_TICKER])]
Date = Annotated[
    dt.date | None, Field(description="session of the forecast; default: the ticker's latest", examples=[EXAMPLE_DATE])
]
Source = Literal["ledger", "walk_forward", "computed"]


class _Exact(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Frozen; no unknown field, no NaN or infinity."""


class Quantiles(_Exact):
    """Non-decreasing quantiles of the log return."""

    q025: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    q975: float


class Horizon(_Exact):
    """The forecast for one horizon."""

    sessions: int = Field(description="horizon, in sessions of the ticker's own exchange")
    quantiles: Quantiles
    mean: float
    sigma: float = Field(ge=0)
    p_up: float = Field(ge=0, le=1, description="probability of a positive return, interpolated in Normal scores")


class Answer(_Exact):
    """The forecast made at the close of ``session``."""

    ticker: str
    session: dt.date = Field(description="the forecast uses nothing after this session's close")
    horizons: list[Horizon]
    source: Source = Field(
        description="ledger: issued by a nightly run; walk_forward: by the backtest of its year; computed: on request"
    )
    calibrated: bool
    model_version: str
    data_version: str
    snapshot: str = Field(description="equal for all answers from the same model and data")


class ErrorAnswer(_Exact):
    """Why there is no forecast."""

    detail: str = Field(description="one sentence for people")
    reason: str = Field(description="one word for programs")
    nearest: list[str] = Field(default=[], description="similar tickers, for an unknown one")


class Query(_Exact):
    """One forecast to return."""

    ticker: Ticker
    date: Date = None


class BatchRequest(_Exact):
    """Several forecasts at once."""

    requests: list[Query] = Field(min_length=1, max_length=MAX_BATCH)


class BatchItem(_Exact):
    """Either a forecast or an error."""

    answer: Answer | None = None
    refused: ErrorAnswer | None = None


class BatchAnswer(_Exact):
    """In the order of the requests, all from one snapshot."""

    snapshot: str
    answers: list[BatchItem]


class Neighbour(_Exact):
    """A correlated ticker whose returns the network read."""

    ticker: str
    correlation: float | None = Field(
        description="of both tickers' returns at the session; null where it was a neighbour only earlier"
    )
    added: float = Field(description="what it added to the median of the next session's log return")


class Announcement(_Exact):
    """A quarterly announcement that is expected, from past ones that were inferred from prices and volume."""

    sessions: int = Field(description="trading days ahead")
    probability: float = Field(description="of one within these")


class ExplainAnswer(_Exact):
    """What a forecast rests on. Attention, variables, ahead and static are shares that sum to 1 each."""

    ticker: str
    session: dt.date
    fit: str = Field(description="the explained member of the model: its key and seed")
    title: str = Field(description="its readable name")
    model_version: str
    snapshot: str
    attention: list[float] = Field(description="to each session of the window, oldest first")
    variables: dict[str, float] = Field(description="selection weights of the past variables")
    ahead: dict[str, float] = Field(description="selection weights of the variables known for the sessions ahead")
    static: dict[str, float] = Field(description="selection weights of the ticker's attributes")
    neighbours: list[Neighbour] = Field(description="the most influential first; empty where the network reads none")
    announcement: Announcement | None = Field(description="null for a panel without announcements")


class Close(_Exact):
    """One session's close in the ticker's currency."""

    date: dt.date
    close: float


class LaterClose(Close):
    """The close of a session after the forecast's."""

    sessions: int = Field(description="sessions after that of the forecast")


class Chart(_Exact):
    """A forecast, the closes up to its session, and what happened."""

    answer: Answer
    closes: list[Close]
    after: list[LaterClose] = Field(description="up to the longest horizon, as far as known")
    outcomes: list[float | None] = Field(description="realised log return of each horizon; null where not known yet")
    announcement: Announcement | None = Field(description="null for a panel without announcements, or without the day")


class NewestHorizon(_Exact):
    """The forecast for one horizon, rounded to six decimals."""

    sessions: int
    low: float = Field(description="2.5 % quantile: the 95 % band's lower end")
    median: float
    high: float = Field(description="97.5 % quantile: the 95 % band's upper end")
    p_up: float = Field(description="probability of a positive return")
    sigma: float


class NewestForecast(_Exact):
    """The newest forecast that was issued for a ticker."""

    ticker: str
    sector: str | None
    exchange: str | None = Field(description="MIC")
    session: dt.date
    source: Source
    horizons: list[NewestHorizon]


class NewestForecasts(_Exact):
    """The newest issued forecast of each ticker, by a night or else by the walk-forward; none is computed on request."""

    snapshot: str
    night: str | None = Field(description="day of the last night; null where none has been run")
    report: bool = Field(description="whether there is a backtest report at /report")
    forecasts: list[NewestForecast] = Field(description="by ticker")


class HorizonRecord(_Exact):
    """How often the outcomes of one horizon lay inside its bands."""

    sessions: int
    matured: int = Field(description="forecasts whose outcome is known")
    inside: dict[str, float | None] = Field(
        description="level of a band in % -> share of the matured outcomes inside it; null without any"
    )
    band: list[int | None] = Field(
        description="for each session, the narrowest band (level in %) that holds the outcome; 100 outside all of them, "
        "null where it is not known yet"
    )


class TrackRecord(_Exact):
    """The forecasts issued for a ticker, by nights and by the walk-forward, against what happened."""

    ticker: str
    snapshot: str
    sessions: list[dt.date] = Field(description="of the issued forecasts, ascending")
    horizons: list[HorizonRecord]


class MovedHorizon(_Exact):
    """By how much one cause moved the forecast of one horizon, log return."""

    sessions: int
    median: float
    width: float = Field(description="of the 95 % band")


class Cause(_Exact):
    """One cause of a change, and what it moved."""

    cause: str = Field(description="data, model, calibration, or revised since: rows that were corrected")
    horizons: list[MovedHorizon]


class ChangeAnswer(_Exact):
    """Why a ticker's forecast changed from one night to the next; the causes add up to the whole change."""

    ticker: str
    before: dt.date = Field(description="session of the earlier night's forecast")
    after: dt.date
    main_cause: str = Field(description="which moved the 95 % bands most, summed over horizons")
    causes: list[Cause]


class Position(_Exact):
    """One ticker of the book. Weights, trade and cost are fractions of equity."""

    ticker: str
    region: str | None
    weight_now: float = Field(description="held at the last close")
    weight_target: float = Field(description="after the next open")
    trade: float = Field(description="the difference of both")
    price: float | None = Field(description="last close, in the ticker's currency")
    expected_cost: float
    note: str | None = Field(description="why a ticker that has left the panel is closed")


class HorizonRisk(_Exact):
    """What a portfolio may lose over one horizon, shares of equity: a loss is positive."""

    sessions: int
    value_at_risk_95: float = Field(description="the loss that 5 % of the scenarios exceed; below 0 is a gain")
    value_at_risk_99: float
    expected_shortfall_95: float = Field(description="the mean loss of those worst 5 %")
    expected_shortfall_99: float
    median: float = Field(description="of the return")
    probability_of_loss: float = Field(ge=0, le=1)


class StatedRisk(_Exact):
    """The risk of a book as it was stated with its night, and whether past books kept what was stated of them."""

    horizons: list[HorizonRisk] = Field(description="empty where nothing was stated")
    why: str = Field(description="why nothing was stated, else empty")
    without_forecast: list[str] = Field(description="tickers that are held and not counted")
    kept: bool = Field(description="false where past books exceeded their value at risk too often")
    sentence: str = Field(description="how often they did")


class Weight(_Exact):
    """A weight of a portfolio."""

    ticker: Ticker
    weight: float = Field(
        ge=-MAX_WEIGHT, le=MAX_WEIGHT, description="fraction of equity, below 0: sold short", examples=[0.4]
    )


class RiskRequest(_Exact):
    """A portfolio; what is not invested earns nothing."""

    weights: list[Weight] = Field(min_length=1, max_length=MAX_WEIGHTS)


class ReturnQuantiles(_Exact):
    """Non-decreasing quantiles of the simple return."""

    q025: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    q975: float


class PortfolioHorizon(HorizonRisk):
    """The same with quantiles of the return."""

    quantiles: ReturnQuantiles
    volatility_factor: float = Field(
        description="by which losses are rescaled to the range of the portfolio's own past returns"
    )


class RiskAnswer(_Exact):
    """What a portfolio may lose after the last night, by joint scenarios of the night's forecasts."""

    night: str
    tickers: int
    gross: float = Field(description="sum of the absolute weights")
    net: float
    scenarios: int
    past_days: int = Field(description="past days that the scenarios follow")
    horizons: list[PortfolioHorizon]
    snapshot: str


class AnytimeEvidence(_Exact):
    """A mean over scored sessions with a 95 % confidence sequence and an e-value, valid however often one looks."""

    mean: float | None
    low: float | None
    high: float | None
    e_value: float


class SealedHorizon(_Exact):
    """The sealed record at one horizon."""

    sessions: int
    scored: int = Field(description="sessions that are scored, far enough apart")
    coverage_95: AnytimeEvidence = Field(description="of the 95 % band; e-value against 95 %")
    coverage_90: AnytimeEvidence
    loss_saved: AnytimeEvidence = Field(description="against HAR-X; e-value against nothing saved")


class SealedRecord(_Exact):
    """What has matured of the forecasts that nights sealed before their outcome."""

    nights: int
    sealed_nights: int
    newest_seal: str | None = Field(description="night, head and time")
    forecasts: int
    matured: int
    sealed_in_time: int = Field(description="of the matured, those sealed before their outcome: these are scored")
    horizons: list[SealedHorizon]
    snapshot: str


class Book(_Exact):
    """The target positions of the last night that has any."""

    night: str
    gross: float = Field(description="sum of the absolute target weights")
    net: float
    turnover: float = Field(description="sum of the absolute trades")
    expected_cost: float
    positions: list[Position] = Field(description="held or traded, by ticker")
    risk: StatedRisk | None = Field(default=None, description="null for a book of an earlier release")


class Health(_Exact):
    """What is served, and which versions are not."""

    ready: bool
    snapshot: str | None
    model_version: str | None
    data_version: str | None
    night: str | None
    stale: str | None = Field(
        description="a sentence where the last night is older than the newest session that is due, else null"
    )
    refused: list[str] = Field(
        description="versions that are damaged or incompatible; the last good ones are served instead"
    )
