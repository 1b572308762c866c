"""Descriptions of the columns of the tables whose columns are always the same, for the Dagster UI.

They are shown with a version and not published with it: a better sentence needs no table made again.
"""

from collections.abc import Iterable, Mapping

from forecast_assets.assets.framework.output import Column
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES, horizons_text
from forecast_assets.core.models.catalogue import NETWORKS

ORIGIN = "forecast origin: the session at whose close the forecast is made"
HORIZON = f"own sessions ahead: {horizons_text(last='or')}"
TICKER = "symbol, as delivered"
KNOWN_FROM = "time from which the row was known, UTC"

FORECASTS = {
    "date": ORIGIN,
    "ticker": TICKER,
    "horizon": HORIZON,
    **{name: f"{level:g} quantile of the log return" for name, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True)},
    "mean": "of the log return, from the quantiles",
    "sigma": "standard deviation of the log return, from the quantiles",
    "y": "realised log return; null until it has matured",
    "split": "validation, which chooses and calibrates, or test: out of sample",
    "model": "whose forecast it is",
}

BOOKS = {
    "date": "session",
    "strategy": "whose book it is: the ensemble, a model, or a benchmark",
    "year": "test year whose forecasts are traded",
    "gross_return": "of equity, before costs",
    "cost": "of the session's trades, fraction of equity",
    "net_return": "of equity, after costs",
    "turnover": "sum of |trades|, fraction of equity",
    "gross_exposure": "sum of |weights| after the trades",
    "net_exposure": "sum of weights after the trades",
}

SCORES = {
    "model": "whose forecasts are scored",
    "horizon": HORIZON,
    "n": "forecasts with an outcome",
    "days": "forecast origins' days",
    "pinball": "mean pinball loss over the seven quantiles, log return",
    "pinball_ratio": "pinball loss over that of the uncalibrated EWMA, on the same rows; below 1 is better",
    "coverage_95": "share of outcomes inside the 95 % band",
    "coverage_90": "share of outcomes inside the 90 % band",
    "crps": "continuous ranked probability score, from the quantiles, log return",
    "rmse": "root mean squared error of the mean, log return",
    "mae": "mean absolute error of the median, log return",
    "rank_ic": "mean over days of the rank correlation of mean and outcome across tickers",
    "pinball_ratio_raw": "the same before calibration",
    "coverage_95_raw": "the same before calibration",
    "coverage_90_raw": "the same before calibration",
}

TRIALS = {
    "trial": "number of the trial",
    "state": "complete, pruned or failed",
    "model": "network that was tried",
    "feasible": "whether the 95 % band's coverage is within its limits",
    "steps": "epochs run",
    "all_steps": "epochs of the trial, had it not been pruned",
    "seconds": "wall time",
    "error": "why it failed, else null",
    "loss": "geometric mean of the calibrated pinball losses over the horizons: what is minimised",
    **{f"coverage_95_{horizon}d": f"of the 95 % band {horizon} sessions ahead" for horizon in HORIZONS},
    **{f"pinball_{horizon}d": f"mean pinball loss {horizon} sessions ahead" for horizon in HORIZONS},
}

TABLES: dict[str, Mapping[str, str]] = {
    **dict.fromkeys((*NETWORKS, "baselines", "f0_chronos", "ensemble", "rivals"), FORECASTS),
    **dict.fromkeys(("backtest", "backtest_report"), BOOKS),
    "ablation_report": SCORES,
    "sweep": TRIALS,
    "raw_panel": {
        "date": "session",
        "ticker": TICKER,
        "exchange": "MIC, from the ticker's suffix, a column, or the default",
        "sector": "label as delivered; null where there is none",
        "open": "local currency, as delivered; null where not delivered",
        "high": "local currency, as delivered; null where not delivered",
        "low": "local currency, as delivered; null where not delivered",
        "close": "local currency, as delivered",
        "volume": "shares, as delivered",
    },
    "rejected_rows": {
        "file": "name of the input file",
        "line": "line of the row in it, the header is line 1",
        "reason": "why it was not accepted",
        "class": "duplicate, superseded, invalid, refused or outside; panel.max_invalid_share limits the invalid ones",
        "row": "the row, verbatim",
    },
    "flags": {
        "ticker": f"{TICKER}; null where it concerns an exchange or the panel",
        "date": "session it is about; null where it is about all",
        "flag": "kind of oddity, such as likely_split or ended_ticker",
        "detail": "what was found",
    },
    "announcements": {"date": "session", "ticker": TICKER},
    "macro_series": {
        "date": "day that the values are of",
        "known_from": KNOWN_FROM,
        "VIX": "CBOE volatility index, close, percent a year",
        "US10Y": "yield of ten-year Treasuries, percent a year",
        "US2Y": "yield of two-year Treasuries, percent a year",
    },
    "covariates": {
        "covariate": "name of the series, as declared",
        "column": "column of its file",
        "ticker": "whose value it is; null for a series of all tickers",
        "date": "day that the value is of",
        "known_from": f"{KNOWN_FROM}; null of a value that was always known",
        "withdrawn": "time from which an event was known not to come, UTC; null: never",
        "value": "as delivered",
    },
    "fx_rates": {
        "date": "day of the rate",
        "currency": "ISO code",
        "rate": "units of the base currency for one unit of it",
    },
}


def described(asset: str, names: Iterable[str], published: Mapping[str, Column]) -> dict[str, Column]:
    """Return a description of each column of an asset's table that has one: published with it, or else the one here.

    A column of the sweep that has none is a setting that was tried.
    """
    own = TABLES.get(asset, {})
    found = {name: Column(own[name]) for name in names if name in own}
    if asset == "sweep":
        found |= {name: Column("setting of the trial") for name in names if name not in own}
    return found | dict(published)
