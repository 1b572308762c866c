"""Estimated loss of forecasts whose outcomes have not matured, beside the loss of those that have.

A forecast over 20 sessions shows its loss a month after it was made. Three estimates are known on its own day:

- expected: of its own distribution, as if it were calibrated (``expected_loss``);
- estimated: the expected loss times what one-session forecasts, whose outcomes are known within days, have lately lost over
  what they expected;
- direct: a regression of loss over expected loss on the inputs, fitted on matured rows alone (direct loss estimation, as in
  NannyML's DLE), so that a drift of the inputs shows.

On 2014 to 2018 the second came nearest to what matured (``benchmarks.early_warning``); it is the one that is judged.
"""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.monitoring.coverage import alarming
from forecast_assets.core.monitoring.expected_loss import expected_pinball
from forecast_assets.core.scores.quantile import Floats, pinball

SHORT, LONG = HORIZONS[0], HORIZONS[-1]
LAG_SESSIONS = 2
"""Sessions of the panel, beyond the horizon's, by which nearly all outcomes are known: exchanges close on other days."""
YEAR_SESSIONS = 250
FIT_SESSIONS = 500  # newest matured ones that the regression is fitted on
FEWEST_ROWS = 1000  # of a fit
RIDGE = 1.0  # rows that the penalty weighs, of inputs with unit variance
LARGEST_RATIO = 10.0
MATURED_SHARE = 0.9  # of a window's forecasts, from which on its loss counts as known
INPUTS = ("volatility_20", "har_1", "har_5", "har_22", "volume_z_20", "log_return", "rsi_14", "macd")
"""Features that the regression reads beside the expected loss."""

ESTIMATES = ("expected", "estimated", "direct")
COLUMNS = ("date", "forecasts", *ESTIMATES, "matured", "usual")


def with_losses(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Return ``forecasts`` (quantiles, y) plus ``expected`` and ``loss``, mean over levels; a loss is null without y."""
    quantiles = forecasts.select(pl.col(QUANTILE_COLUMNS).cast(pl.Float64)).to_numpy()
    y = forecasts["y"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    loss = pl.Series("loss", pinball(y, quantiles, levels=QUANTILES).mean(axis=1)).fill_nan(None)
    return forecasts.with_columns(loss, pl.Series("expected", expected_pinball(quantiles)))


def loss_by_day(forecasts: pl.DataFrame, features: pl.DataFrame, *, history: int = YEAR_SESSIONS) -> pl.DataFrame:
    """Return the estimated and the matured loss of the forecasts over the longest horizon, per forecast day.

    ``forecasts``: date, ticker, horizon, quantiles and y (null where not matured) of one model, each key once; ``features``:
    date, ticker and ``INPUTS``, of which some may be missing. A row is about the forecasts of the last ``LONG`` sessions up
    to its date, means over tickers and sessions in log return: ``COLUMNS``. ``estimated`` and ``direct`` use nothing that
    was not known on that date; ``direct`` is made for the last ``history`` sessions. ``matured`` is null until the outcomes
    are known, ``usual`` the median of what had matured by the date, over a year.
    """
    scored = with_losses(forecasts.filter(pl.col("horizon").is_in([SHORT, LONG])))
    long = scored.filter(pl.col("horizon") == LONG)
    days = long["date"].unique().sort()
    if days.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.Float64) | {"date": pl.Date, "forecasts": pl.UInt32})
    direct = direct_losses(long, features, days=days, first=max(0, len(days) - history - LONG))
    daily = days.to_frame().join(_sums(long.with_columns(direct)), on="date", how="left")
    daily = daily.join(_sums(scored.filter(pl.col("horizon") == SHORT)), on="date", how="left", suffix="_short")
    total = {name: pl.col(name).fill_null(0.0).rolling_sum(LONG) for name in daily.columns if name != "date"}
    # What one-session forecasts lost over what they expected, by those whose outcomes were known.
    recent = (total["loss_short"] / total["expected_matured_short"]).shift(SHORT + LAG_SESSIONS)
    table = daily.select(
        "date",
        forecasts=pl.col("n").fill_null(0),
        expected=total["expected"] / total["n"],
        recent=recent,
        direct=pl.when(total["n_direct"] == total["n"]).then(total["direct"] / total["n"]),
        matured=pl.when(total["n_matured"] >= MATURED_SHARE * total["n"]).then(total["loss"] / total["n_matured"]),
    )
    known = pl.col("matured").shift(LONG + LAG_SESSIONS).rolling_median(YEAR_SESSIONS, min_samples=LONG)
    return table.with_columns(estimated=pl.col("expected") * pl.col("recent"), usual=known).select(COLUMNS)


def _sums(scored: pl.DataFrame) -> pl.DataFrame:
    """Return sums by day: n, expected, n_matured, loss, expected_matured, and n_direct, direct where there is one."""
    matured = pl.col("loss").is_not_null()
    sums: dict[str, pl.Expr] = {
        "n": pl.len(),
        "expected": pl.col("expected").sum(),
        "n_matured": matured.sum(),
        "loss": pl.col("loss").sum(),
        "expected_matured": pl.col("expected").filter(matured).sum(),
    }
    if "direct" in scored.columns:
        sums |= {"n_direct": pl.col("direct").count(), "direct": pl.col("direct").sum()}
    return scored.group_by("date", maintain_order=True).agg(**sums)


def direct_losses(scored: pl.DataFrame, features: pl.DataFrame, *, days: pl.Series, first: int) -> pl.Series:
    """Return the directly estimated loss ``direct`` (N,) of each row of ``scored``, null before the session ``first``.

    ``days`` (S,): the forecast days, ascending. The regression is fitted anew every ``LONG`` sessions, on the rows whose
    outcomes were known by then; null where these are fewer than ``FEWEST_ROWS``.
    """
    names = [name for name in INPUTS if name in features.columns]
    rows = scored.select("date", "ticker").join(
        features.select("date", "ticker", pl.col(names).cast(pl.Float64)),
        on=["date", "ticker"],
        how="left",
        maintain_order="left",
    )
    expected = scored["expected"].to_numpy()
    read = rows.select(names).to_numpy().reshape(len(expected), len(names))  # (N, 0) where none is there
    inputs = np.column_stack([np.log(np.maximum(expected, 1e-12)), read])
    loss = scored["loss"].fill_null(float("nan")).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.minimum(loss / expected, LARGEST_RATIO)
    session = np.searchsorted(days.to_numpy(), scored["date"].to_numpy())
    known_on = session + LONG + LAG_SESSIONS
    found = np.full(len(expected), np.nan)
    for begin in range(first, len(days), LONG):
        fit = (known_on <= begin) & (session >= begin - FIT_SESSIONS) & np.isfinite(ratio)
        asked = (session >= begin) & (session < begin + LONG)
        if fit.sum() >= FEWEST_ROWS:
            found[asked] = _regression(inputs[fit], ratio[fit], inputs[asked]) * expected[asked]
    return pl.Series("direct", found).fill_nan(None)


def _regression(inputs: Floats, outcome: Floats, asked: Floats) -> Floats:
    """Return the ridge regression of ``outcome`` (N,) on ``inputs`` (N, F) at ``asked`` (M, F), at least zero.

    Inputs are standardised and cut at four standard deviations; one that is not there counts as its mean.
    """
    centre, spread = np.nanmean(inputs, axis=0), np.nanstd(inputs, axis=0)

    def scaled(values: Floats) -> Floats:
        z = np.clip((values - centre) / np.where(spread > 0, spread, 1.0), -4.0, 4.0)
        return np.nan_to_num(z)

    design = scaled(inputs)
    gram = design.T @ design + RIDGE * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design.T @ (outcome - outcome.mean()))
    return np.maximum(outcome.mean() + scaled(asked) @ weights, 0.0)


def loss_monitor(daily: pl.DataFrame, *, limit: float) -> dict[str, Any]:
    """Return the monitor's state as of the last day of ``loss_by_day``, JSON-safe: "ok", "information" or "unknown".

    Information once the estimated loss is more than ``limit`` times the usual one, until it is half-way back. ``episode``:
    since when.
    """
    unknown = {
        "state": "unknown",
        "episode": None,
        "sentence": f"The loss of forecasts over {LONG} sessions can't be estimated yet: too few have matured.",
    }
    if daily.is_empty() or daily.tail(1).select("estimated", "usual").null_count().sum_horizontal().item():
        return unknown
    now = daily.row(-1, named=True)
    away = (1.0 - daily["estimated"] / daily["usual"]).fill_null(0.0).to_numpy()
    high = alarming(away[None], 1.0 - limit)[0]
    shown = {name: now[name] / now["usual"] for name in ESTIMATES if now[name] is not None}
    last = daily.filter(pl.col("matured").is_not_null()).tail(1)
    shown |= {"matured": last["matured"].item() / now["usual"]} if last.height else {}
    since = _since(high, daily["date"])
    return {
        "state": "information" if since else "ok",
        "episode": since,
        **{f"{name}_over_usual": value for name, value in shown.items()},
        "limit": limit,
        "sentence": _sentence(shown, limit=limit, since=since),
    }


def _since(high: NDArray[np.bool_], dates: pl.Series) -> str | None:
    if not high[-1]:
        return None
    quiet = np.flatnonzero(~high)
    day: dt.date = dates[int(quiet[-1]) + 1 if len(quiet) else 0]
    return day.isoformat()


def _sentence(shown: dict[str, float], *, limit: float, since: str | None) -> str:
    direct = f" ({shown['direct']:.2f} by a regression on the inputs)" if "direct" in shown else ""
    matured = f" Those that matured last lost {shown['matured']:.2f} times as much." if "matured" in shown else ""
    verdict = f"on alert since {since} (limit {limit:g})" if since else f"within the limit of {limit:g}"
    return (
        f"The last {LONG} sessions' forecasts over {LONG} sessions are estimated to lose {shown['estimated']:.2f} times as "
        f"much as usual{direct}, {verdict}.{matured}"
    )
