"""The book's value at risk as it was stated on each night, against what the book then lost.

What was stated first counts, of the positions that it was stated for. Nights are scored in order, each once all outcomes of
its positions are known, and a score that stands is carried on as it is. An e-value needs that the outcome of a night is
known when the next one that counts states its risk: a night that begins while an earlier book's outcome is open (an exchange
was closed) is scored and does not enter it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel

from forecast_assets.core.evaluation.anytime import log_e_values_above
from forecast_assets.core.horizons import HORIZONS, TARGETS
from forecast_assets.core.joint.past import label_ends
from forecast_assets.core.joint.portfolio import LEVELS
from forecast_assets.core.monitoring.record import far_enough_apart

LEAST_NIGHTS = 20  # one exceedance of VaR 95 % is expected in as many
WARNS_FROM = 20.0  # e-value: reached with a probability of at most 1 / 20, at any time, where the risk is as stated
GRACE_DAYS = (
    21  # calendar days after a night: a ticker without an outcome by then is taken to have been closed unchanged
)

RECORD_SCHEMA = {
    **dict.fromkeys(("night", "label_end"), pl.Date()),
    "stated": pl.Datetime("us"),
    **dict.fromkeys(("var_95", "var_99", "realised"), pl.Float64()),
}
"""A row per scored night: the last session of its outcome, when its risk was stated (UTC), and both as shares of equity."""


class Position(BaseModel, frozen=True):
    """A weight of the book, and the forecast origin that its outcome counts from."""

    ticker: str
    weight: float
    session: dt.date


class HorizonRisk(BaseModel, frozen=True):
    """Shares of equity; a loss is positive, the median is of the return."""

    horizon: int
    value_at_risk: tuple[float, ...]  # by ``LEVELS``
    expected_shortfall: tuple[float, ...]
    lowest_point: tuple[float, ...]
    median: float
    probability_of_loss: float
    volatility_factor: float = 1.0  # by which the scenarios were rescaled


class BookRisk(BaseModel, frozen=True):
    """What a night's book may lose. Without horizons nothing was stated, and ``why`` says why."""

    night: dt.date
    positions: tuple[Position, ...]  # that have a forecast
    without_forecast: tuple[str, ...] = ()
    scenarios: int = 0
    past_days: int = 0
    horizons: tuple[HorizonRisk, ...] = ()
    why: str = ""

    @property
    def over_one_session(self) -> HorizonRisk | None:
        """The risk over the shortest horizon, None where nothing was stated."""
        return next((row for row in self.horizons if row.horizon == HORIZONS[0]), None)


class Stated(BaseModel, frozen=True):
    """The risk of a night's book as it is now, and as it was first stated where the night was made again since."""

    risk: BookRisk
    first: BookRisk | None = None
    first_at: str | None = None  # UTC

    def before(self, now: BookRisk, *, created: str) -> "Stated":
        """Return the statement of the same night made again: what was stated first stays."""
        if self.first is not None:
            return Stated(risk=now, first=self.first, first_at=self.first_at)
        return Stated(risk=now, first=self.risk, first_at=created) if self.risk.horizons else Stated(risk=now)

    def as_first(self, created: str) -> tuple[BookRisk, dt.datetime]:
        """Return what was stated first, and when (UTC, naive); ``created``: when this version was."""
        at = dt.datetime.fromisoformat(self.first_at or created)
        return self.first or self.risk, at.astimezone(dt.UTC).replace(tzinfo=None)


def extended_record(
    record: pl.DataFrame,
    statements: Sequence[tuple[BookRisk, dt.datetime]],
    rows: pl.DataFrame,
    *,
    until: dt.date,
) -> pl.DataFrame:
    """Return the record (``RECORD_SCHEMA``) with the nights that have matured by ``until``, in order.

    ``statements``: of nights after the record's last one, with their time. ``rows``: date, ticker, is_missing and the
    targets of the feature panel, from the oldest position's session on.
    """
    known = rows.filter(pl.col("date") <= until)
    ends = label_ends(known).filter(pl.col("horizon") == HORIZONS[0]).drop("horizon")
    outcomes = known.select("date", "ticker", y=pl.col(TARGETS[0]).cast(pl.Float64)).join(ends, on=["date", "ticker"])
    made = []
    for risk, stated in sorted(statements, key=lambda each: each[0].night):
        one = risk.over_one_session
        if one is None or not risk.positions:
            continue
        held = pl.DataFrame([position.model_dump() for position in risk.positions])
        held = held.join(outcomes, left_on=["session", "ticker"], right_on=["date", "ticker"], how="left")
        if held["y"].null_count() and (until - risk.night).days <= GRACE_DAYS:
            break  # later nights wait for it, so that the order never changes
        if held["y"].null_count() == held.height:
            continue
        realised = float(held.select((pl.col("weight") * (pl.col("y").exp() - 1)).sum()).item())
        made.append((risk.night, held["label_end"].max(), stated, *one.value_at_risk, realised))
    return pl.concat([record, pl.DataFrame(made, schema=RECORD_SCHEMA, orient="row")])


class Exceedances(NamedTuple):
    """How often a level's value at risk was exceeded."""

    level: float
    nights: int
    exceeded: int
    expected: float
    e_value: float  # evidence that it is exceeded too often, valid at every look
    binomial_p: float  # exact and one-sided, of one look at nights that do not depend on each other


class BookRiskRecord(NamedTuple):
    """The verdict over all scored nights."""

    levels: tuple[Exceedances, ...]
    e_value: float  # of the levels together
    after_outcome: int  # nights whose risk was stated after the outcome: replays, which prove nothing
    too_often: bool
    sentence: str

    def numbers(self) -> dict[str, int | float]:
        """Return them by name, for metadata."""
        found: dict[str, int | float] = {"e_value": self.e_value, "stated_after_outcome": self.after_outcome}
        for one in self.levels:
            name = f"{100 * one.level:g}"
            found |= {f"nights_{name}": one.nights, f"exceeded_{name}": one.exceeded, f"expected_{name}": one.expected}
            found |= {f"e_value_{name}": one.e_value, f"binomial_p_{name}": one.binomial_p}
        return found


def judge(record: pl.DataFrame) -> BookRiskRecord:
    """Return whether the book lost more than its value at risk too often, over the nights of a record."""
    night, end = (record[name].to_numpy() for name in ("night", "label_end"))
    counts = far_enough_apart(night, end, one_close=True)
    loss = -record["realised"].to_numpy()
    levels = tuple(_exceedances(loss > record[f"var_{100 * p:g}"].to_numpy(), counts, level=p) for p in LEVELS)
    e_value = float(np.mean([one.e_value for one in levels]))  # a mean of e-values is one
    late = int((record["stated"].dt.date() > record["label_end"]).sum())
    too_often = record.height >= LEAST_NIGHTS and e_value >= WARNS_FROM
    return BookRiskRecord(levels, e_value, late, too_often, _sentence(levels, e_value, late, record.height))


def _exceedances(hits: NDArray[np.bool_], counts: NDArray[np.bool_], *, level: float) -> Exceedances:
    from scipy.stats import binom

    logs = log_e_values_above(hits[counts].astype(np.float64), mean=1 - level)
    return Exceedances(
        level=level,
        nights=len(hits),
        exceeded=int(hits.sum()),
        expected=len(hits) * (1 - level),
        e_value=float(np.exp(min(logs[-1], 700.0))) if len(logs) else 1.0,
        binomial_p=float(binom.sf(int(hits.sum()) - 1, len(hits), 1 - level)),
    )


def _sentence(levels: Sequence[Exceedances], e_value: float, late: int, nights: int) -> str:
    if not nights:
        return "no night's book has an outcome yet, so there is nothing to compare its value at risk with"
    exceeded = " and ".join(
        f"more than its VaR {100 * one.level:g} % on {one.exceeded} ({one.expected:.1f} expected)" for one in levels
    )
    counted = f"the book lost {exceeded} of {nights} matured night{'s' if nights > 1 else ''}"
    if nights < LEAST_NIGHTS:
        verdict = f"too few to judge, {LEAST_NIGHTS} are needed"
    elif e_value >= WARNS_FROM:
        verdict = (
            f"too often (e-value {e_value:.3g}; {WARNS_FROM:g} is ever reached with a probability of at most 1 in "
            f"{WARNS_FROM:g} where the risk is as stated); hold less than it suggests, and see: forecast-assets risk --check"
        )
    else:
        verdict = f"no evidence of too many (e-value {e_value:.2g}; {WARNS_FROM:g} warns)"
    replays = f"; {late} of them stated after the outcome, as replays are" if late else ""
    return f"{counted}: {verdict}{replays}"


def weights_of(risk: BookRisk) -> Mapping[str, float]:
    """Return ticker -> weight of the positions that the risk was stated for."""
    return {position.ticker: position.weight for position in risk.positions}
