"""What a portfolio may lose after one night: scenarios of the night's forecasts, by what had matured before it."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.joint.filtered import (
    PastSurprises,
    past_returns,
    past_surprises,
    stretched,
    volatility_factors,
)
from forecast_assets.core.joint.past import past_scores, with_outcomes
from forecast_assets.core.joint.portfolio import portfolio_returns, risk
from forecast_assets.core.joint.scenarios import Template, scenario_paths, scenario_returns, template
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles
from forecast_assets.core.specs import ScenarioSpec


@dataclass(frozen=True)
class NightForecasts:
    """A night's forecasts, and those before it with what became of them."""

    night: str
    tickers: tuple[str, ...]  # of the night, sorted
    sessions: tuple[dt.date, ...]  # (N,) forecast origin of each ticker: the latest one
    quantiles: Floats  # (N, H, L) of the night
    before: pl.DataFrame  # forecasts with y and label_end, each key once
    sectors: Mapping[str, str | None]


def night_forecasts(
    night: str,
    latest: pl.DataFrame,
    *,
    before: Iterable[pl.DataFrame],
    rows: pl.DataFrame,
    sectors: Mapping[str, str | None],
) -> NightForecasts:
    """Return each ticker's latest forecast of a night's table, with the outcomes of the tables ``before`` it.

    Of a date, ticker and horizon the first of ``before`` counts. ``rows``: date, ticker, is_missing and the targets, of the
    feature panel.
    """
    table = latest.filter(pl.col("horizon").is_in(list(HORIZONS))).sort("ticker", "date", "horizon")
    table = table.filter(pl.col("date") == pl.col("date").max().over("ticker"))
    origins = table.unique("ticker", maintain_order=True).select("ticker", "date")
    return NightForecasts(
        night=night,
        tickers=tuple(origins["ticker"]),
        sessions=tuple(origins["date"]),
        quantiles=table.select(QUANTILE_COLUMNS).to_numpy().reshape(origins.height, len(HORIZONS), -1),
        before=with_outcomes([*before, latest], rows),
        sectors=sectors,
    )


def first_followed(night: str, spec: ScenarioSpec) -> dt.date:
    """Return the day before which no forecast can be among the ``spec.past_days`` days that a night's scenarios follow."""
    return dt.date.fromisoformat(night) - dt.timedelta(days=int(1.6 * spec.past_days) + 60)


class NightTemplate(NamedTuple):
    """What the past days were like for the night's tickers."""

    model: Template
    surprises: PastSurprises

    @property
    def past_days(self) -> int:
        """How many days the scenarios follow."""
        return len(self.model.past.own)


def night_template(forecasts: NightForecasts, spec: ScenarioSpec) -> NightTemplate:
    """Return what the past days were like for the night's tickers. Raises BadInput where too little has matured."""
    before = forecasts.before.filter(pl.col("date") >= first_followed(forecasts.night, spec))
    every = sorted({*before["ticker"].unique().to_list(), *forecasts.tickers})
    night = np.datetime64(forecasts.night)
    past = past_scores(before, tickers=every).known_before(night)
    sectors = np.unique([forecasts.sectors.get(ticker) or "" for ticker in every], return_inverse=True)[1]
    columns = np.searchsorted(every, forecasts.tickers)
    surprises = past_surprises(before, tickers=every).known_at_end_of(night, latest=spec.past_days)
    return NightTemplate(template(past, sectors=sectors, spec=spec).of(columns), surprises.of(columns))


def held_places(forecasts: NightForecasts, weights: Mapping[str, float]) -> NDArray[np.intp]:
    """Return the places of the tickers with a weight among those of the night, ascending."""
    return np.array([k for k, ticker in enumerate(forecasts.tickers) if ticker in weights], dtype=np.intp)


def portfolio_risk(
    forecasts: NightForecasts, past: NightTemplate, weights: Mapping[str, float], spec: ScenarioSpec
) -> list[dict[str, Any]]:
    """Return a row per horizon of what a portfolio of tickers with forecasts may lose, as JSON can hold it.

    A row: horizon, the fields of ``Risk``, ``lowest_point``, its value at risk at the worst session on the way, and
    ``volatility_factor``, by which the scenarios were rescaled.
    """
    held = held_places(forecasts, weights)
    shares = np.array([weights[forecasts.tickers[place]] for place in held])
    paths = scenario_paths(forecasts.quantiles[held], past.model.of(held), spec=spec)
    drawn = portfolio_returns(paths, shares)  # (sessions, n)
    earned = past_returns(past.surprises.of(held), shares, mean_sigma_from_quantiles(forecasts.quantiles[held])[1])
    factors = volatility_factors(drawn, earned, sessions=range(1, len(drawn) + 1), spec=spec)
    returns = stretched(drawn, factors)
    lowest = np.minimum.accumulate(returns, axis=0)
    rows = []
    for horizon in HORIZONS:
        found, on_the_way = risk(returns[horizon - 1]), risk(lowest[horizon - 1])
        more = {"lowest_point": on_the_way.value_at_risk, "volatility_factor": float(factors[horizon - 1])}
        rows.append({"horizon": horizon, **found._asdict(), **more})
    return rows


class Drawn(NamedTuple):
    """Simple returns of a portfolio over each horizon (H, scenarios), and the factors that they were rescaled by."""

    returns: Floats
    factors: tuple[float, ...]


@dataclass(frozen=True)
class NightScenarios:
    """All scenarios of a night's tickers over each horizon, for portfolios that are asked about one after another."""

    forecasts: NightForecasts
    past: NightTemplate
    spec: ScenarioSpec
    returns: NDArray[np.float32]  # (N, H, scenarios) log returns

    @classmethod
    def of(cls, forecasts: NightForecasts, spec: ScenarioSpec) -> "NightScenarios":
        """Draw them. The same as those of ``portfolio_risk``. Raises BadInput where too little has matured."""
        past = night_template(forecasts, spec)
        kept = replace(forecasts, before=forecasts.before.clear())  # not needed any more, and large
        return cls(kept, past, spec, scenario_returns(forecasts.quantiles, past.model, spec=spec))

    def portfolio(self, weights: Mapping[str, float]) -> Drawn:
        """Return what a portfolio of tickers with forecasts earns in each scenario."""
        held = held_places(self.forecasts, weights)
        shares = np.array([weights[self.forecasts.tickers[place]] for place in held])
        drawn = portfolio_returns(self.returns[held], shares)  # (H, n)
        sigma = mean_sigma_from_quantiles(self.forecasts.quantiles[held])[1]
        earned = past_returns(self.past.surprises.of(held), shares, sigma)
        factors = volatility_factors(drawn, earned, sessions=HORIZONS, spec=self.spec)
        return Drawn(stretched(drawn, factors), tuple(factors.tolist()))
