"""What the service takes and gives, as its OpenAPI document shows it. Returns are log returns, never annualised."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_BATCH = 100

Ticker = Annotated[str, Field(min_length=1, max_length=40, description="as in the panel, such as BMW.DE")]
Source = Literal["ledger", "walk_forward", "computed"]


class _Exact(BaseModel):
    """Frozen, no unknown field, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    """The forecast that was, or would have been, made at the close of ``session``."""

    ticker: str
    session: dt.date = Field(description="the forecast knows nothing after this session's close")
    horizons: list[Horizon]
    source: Source = Field(
        description="ledger: issued by a night; walk_forward: by that year's fold, out of sample; computed: on demand"
    )
    calibrated: bool
    model_version: str
    data_version: str
    snapshot: str = Field(description="equal for all answers that come from the same model and data")


class Refused(_Exact):
    """Why there is no answer."""

    detail: str
    reason: str
    nearest: list[str] = []


class Query(_Exact):
    """One decision to be answered."""

    ticker: Ticker
    date: dt.date | None = Field(default=None, description="session of the decision; default: the ticker's latest")


class BatchRequest(_Exact):
    """Several decisions at once."""

    requests: list[Query] = Field(min_length=1, max_length=MAX_BATCH)


class BatchItem(_Exact):
    """One of the two."""

    answer: Answer | None = None
    refused: Refused | None = None


class BatchAnswer(_Exact):
    """In the order of the requests, all from one snapshot."""

    snapshot: str
    answers: list[BatchItem]


class Neighbour(_Exact):
    """A ticker whose moves the network read beside the own ones."""

    ticker: str
    correlation: float | None = Field(
        description="of both tickers' latest returns at the decision; null where it was a neighbour earlier only"
    )
    added: float = Field(description="to the median of the next session's log return, over the window's sessions")


class Why(_Exact):
    """What the network looked at: shares that sum to 1 in each of the first four, and who it heard from."""

    ticker: str
    session: dt.date
    fit: str
    model_version: str
    snapshot: str
    attention: list[float] = Field(description="over the window's sessions, oldest first")
    variables: dict[str, float]
    ahead: dict[str, float] = Field(description="what is known of the sessions ahead")
    static: dict[str, float]
    neighbours: list[Neighbour] = Field(description="the most influential first; empty for a network that reads none")


class Close(_Exact):
    """One session's close in the ticker's currency."""

    date: dt.date
    close: float


class Chart(_Exact):
    """The latest forecast over the closes up to its session."""

    answer: Answer
    closes: list[Close]


class Health(_Exact):
    """What is being served, and what was refused."""

    ready: bool
    snapshot: str | None
    model_version: str | None
    data_version: str | None
    night: str | None
    refused: list[str] = Field(description="versions that were found damaged or unfit; the last good ones are served")
