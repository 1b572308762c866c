"""Request and response schemas, as in the OpenAPI document. Returns are log returns, not annualised."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, Field

MAX_BATCH = 100

Ticker = Annotated[str, Field(min_length=1, max_length=40, description="as in the panel, such as BMW.DE")]
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
    date: dt.date | None = Field(default=None, description="session of the forecast; default: the ticker's latest")


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


class Chart(_Exact):
    """The latest forecast and the closes up to its session."""

    answer: Answer
    closes: list[Close]
    announcement: Announcement | None = Field(description="null for a panel without announcements, or without the day")


class Health(_Exact):
    """What is served, and which versions are not."""

    ready: bool
    snapshot: str | None
    model_version: str | None
    data_version: str | None
    night: str | None
    refused: list[str] = Field(
        description="versions that are damaged or incompatible; the last good ones are served instead"
    )
