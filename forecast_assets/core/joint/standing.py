"""Scenarios of the tickers that stand at a day's close: each by its own latest forecast, by what was known then."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, TARGETS
from forecast_assets.core.joint.past import past_scores
from forecast_assets.core.joint.scenarios import matured_days, scenario_returns, template
from forecast_assets.core.scores.quantile import Floats
from forecast_assets.core.specs import ScenarioSpec


class StandingScenarios:
    """Called with a day and tickers, it returns their simple returns (N, S) over one horizon.

    Of the forecasts made by that day each ticker's latest counts; the order is that of outcomes that had ended before it.
    """

    def __init__(
        self, forecasts: pl.DataFrame, *, horizon: int, sectors: Mapping[str, str | None], spec: ScenarioSpec
    ) -> None:
        """``forecasts``: date, ticker, horizon, the quantiles, y, label_end, each key once: see ``with_outcomes``."""
        self.spec, self._place = spec, HORIZONS.index(horizon)
        whole = forecasts.filter(pl.len().over("date", "ticker") == len(HORIZONS)).sort("ticker", "date", "horizon")
        self._tickers = whole["ticker"].unique().sort().to_list()
        self._past = past_scores(whole, tickers=self._tickers)
        self._sectors = np.unique([sectors.get(ticker) or "" for ticker in self._tickers], return_inverse=True)[1]
        self._made = {
            str(ticker): (
                own["date"].to_numpy().astype("datetime64[D]")[:: len(HORIZONS)],
                own.select(QUANTILE_COLUMNS).to_numpy().reshape(-1, len(HORIZONS), len(QUANTILE_COLUMNS)),
            )
            for (ticker,), own in whole.group_by("ticker", maintain_order=True)
        }

    def __call__(self, day: np.datetime64, tickers: Sequence[str]) -> Floats | None:
        """Return the scenarios; None where fewer than ``spec.least_days`` days had matured before ``day``.

        Raises KeyError for a ticker without a forecast by ``day``.
        """
        known = self._past.known_before(day)
        if matured_days(known) < self.spec.least_days:
            return None
        quantiles = np.stack([self._latest(ticker, day) for ticker in tickers])
        columns = np.searchsorted(self._tickers, tickers)
        model = template(known, sectors=self._sectors, spec=self.spec).of(columns)
        drawn = scenario_returns(quantiles, model, spec=self.spec)[:, self._place]
        return np.expm1(drawn.astype(np.float64))

    def _latest(self, ticker: str, day: np.datetime64) -> Floats:
        days, quantiles = self._made[ticker]
        row = int(np.searchsorted(days, day, side="right")) - 1
        if row < 0:
            raise KeyError(f"{ticker} has no forecast by {day}")
        found: Floats = quantiles[row]
        return found


def outcome_rows(panel: pl.DataFrame) -> pl.DataFrame:
    """Return date, ticker, is_missing and the targets of a panel's quoted rows, as ``past.with_outcomes`` takes them.

    ``panel``: date, ticker, close, is_missing, segment. A target is the return to the ticker's quote that many quotes later
    in its segment: for outcomes that no forecast table holds yet.
    """
    log_close = pl.col("close").log()
    own = ["ticker", "segment"]
    targets = [
        (log_close.shift(-h) - log_close).over(own).alias(name) for h, name in zip(HORIZONS, TARGETS, strict=True)
    ]
    quoted = panel.filter(~pl.col("is_missing")).sort("ticker", "date")
    return quoted.select("date", "ticker", "is_missing", *targets)
