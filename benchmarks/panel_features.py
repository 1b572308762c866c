"""Speed of the features against pandas, and incremental runs of the feature panel against full ones.

python -m benchmarks.panel_features
python -m benchmarks.panel_features --only features_vs_pandas
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.corrections import apply_corrections
from forecast_assets.core.panel.features import (
    SCALE,
    add_cross,
    add_own_features,
    cross_names,
    number_rows,
    own_names,
)
from forecast_assets.core.panel.incremental import Span, Stored, extend_parts
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.paths import FULL_PANEL
from forecast_assets_tests.helpers.reading import read_files
from tools.results import record

TICKERS, SESSIONS, ROUNDS = 500, 5_000, 5

Figures = dict[str, dict[str, Any]]


def prices(tickers: int, sessions: int, *, seed: int = 0) -> pl.DataFrame:
    """Return random walks with high and low, sorted by ticker and date."""
    rng = np.random.default_rng(seed)
    rows = tickers * sessions
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (tickers, sessions)), axis=1)).ravel()
    opening = close * np.exp(rng.normal(0, 0.003, rows))
    days = pl.Series(np.arange(sessions, dtype=np.int32)).cast(pl.Date)
    return pl.DataFrame(
        {
            "date": pl.concat([days] * tickers),
            "ticker": np.repeat([f"T{code:04d}" for code in range(tickers)], sessions),
            "exchange": np.repeat("XNYS", rows),
            "sector": np.repeat([f"S{code % 11}" for code in range(tickers)], sessions),
            "segment": np.zeros(rows, dtype=np.int32),
            "is_member": np.ones(rows, dtype=bool),
            "open": opening,
            "high": np.maximum(opening, close) * np.exp(np.abs(rng.normal(0, 0.002, rows))),
            "low": np.minimum(opening, close) * np.exp(-np.abs(rng.normal(0, 0.002, rows))),
            "close": close,
            "volume": rng.integers(1_000, 1_000_000, rows).astype(float),
        }
    )


def ours(rows: pl.DataFrame) -> pl.DataFrame:
    """Return all features of observed rows."""
    numbered = number_rows(rows).with_columns(position=pl.col("row"))
    spec = FeatureSpec()
    return add_cross(add_own_features(numbered, spec=spec), spec=spec)


def in_pandas(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the same features, each as a pandas user would write it: groupby, rolling, ewm."""
    out = pd.DataFrame(index=rows.index)
    ticker = rows["ticker"]
    log_close, log_open = np.log(rows["close"]), np.log(rows["open"])

    def by(series: pd.Series) -> Any:
        return series.groupby(ticker, sort=False)

    def rolling(series: pd.Series, window: int) -> Any:
        return by(series).rolling(window)

    def plain(series: pd.Series) -> pd.Series:
        return series.reset_index(level=0, drop=True)

    def seeded_ema(series: pd.Series, window: int, alpha: float, first: int) -> pd.Series:
        row = by(series).cumcount()
        seed = plain(rolling(series, window).mean())
        started = series.where(row > first, seed.where(row == first))
        return plain(by(started).ewm(alpha=alpha, adjust=False).mean())

    out["log_return"] = r = by(log_close).diff()
    out["return_5"], out["return_20"] = by(log_close).diff(5), by(log_close).diff(20)
    previous = by(log_close).shift(1)
    out["overnight_gap"], out["intraday_return"] = log_open - previous, log_close - log_open
    volume = rolling(rows["volume"], 20)
    out["volume_z_20"] = (rows["volume"] - plain(volume.mean())) / plain(volume.std())
    out["volatility_20"] = plain(rolling(r, 20).std()).clip(lower=1e-4)
    change = by(rows["close"]).diff()
    up, down = (seeded_ema(side.clip(lower=0), 14, 1 / 14, 14) for side in (change, -change))
    out["rsi_14"] = 100 * up / (up + down)
    line = seeded_ema(rows["close"], 12, 2 / 13, 25) - seeded_ema(rows["close"], 26, 2 / 27, 25)
    out["macd"] = line / rows["close"]
    out["macd_signal"] = seeded_ema(line, 9, 2 / 10, 33) / rows["close"]
    out["skew_60"], out["kurt_60"] = plain(rolling(r, 60).skew()), plain(rolling(r, 60).kurt())
    day = 0.5 * np.log(rows["high"] / rows["low"]) ** 2 - (2 * np.log(2) - 1) * out["intraday_return"] ** 2
    proxy = out["overnight_gap"] ** 2 + day
    for window in (1, 5, 22):
        out[f"har_{window}"] = np.log((proxy if window == 1 else plain(rolling(proxy, window).mean())).clip(lower=1e-8))
    out[SCALE] = np.sqrt(seeded_ema(r**2, 20, 0.06, 20)).clip(lower=1e-4)
    for name, column in (("rank_return_1", "log_return"), ("rank_volatility", "volatility_20")):
        group = out[column].groupby([rows["date"], rows["exchange"]])
        out[name] = (group.rank() - 0.5) / group.transform("count") - 0.5
    day = [rows["date"], rows["exchange"]]
    for name, keys in (("market_return", day), ("sector_return", [*day, rows["sector"]])):
        out[name] = r.groupby(keys).transform("mean").where(r.notna())
    out["market_variance"] = np.log((r**2).groupby(day).transform("mean").clip(lower=1e-8)).where(r.notna())
    volatility = np.log(out["volatility_20"])
    out["market_volatility"] = volatility.groupby(day).transform("mean").where(volatility.notna())
    return out


def measure_pandas() -> Figures:
    """Check that both agree, then time them in interleaved rounds on the same rows."""
    rows = prices(TICKERS, SESSIONS)
    frame = rows.to_pandas()
    mine, theirs = ours(rows), in_pandas(frame)
    apart = {}
    for name in (*own_names(FeatureSpec()), *cross_names(FeatureSpec())):
        left, right = mine[name].to_numpy(), theirs[name].to_numpy()
        if (np.isnan(left) != np.isnan(right)).any():
            raise SystemExit(f"{name}: defined on other rows than in pandas")
        apart[name] = float(np.nanmax(np.abs(left - right)))
    if max(apart.values()) > 1e-9:
        raise SystemExit(f"values differ from pandas by {apart}")
    seconds: dict[str, list[float]] = {"ours": [], "pandas": []}
    for _ in range(ROUNDS):
        for name, run in (("ours", lambda: ours(rows)), ("pandas", lambda: in_pandas(frame))):
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    middle = {name: median(samples) for name, samples in seconds.items()}
    return {
        "features_vs_pandas": {
            "value": round(median(a / b for a, b in zip(*seconds.values(), strict=True)), 4),
            "ours_seconds": round(middle["ours"], 3),
            "pandas_seconds": round(middle["pandas"], 3),
            "rows": rows.height,
            "features": len(apart),
            "max_abs_diff": max(apart.values()),
            "polars_threads": pl.thread_pool_size(),
        }
    }


def measure_incremental() -> Figures:
    """Extend the reference panel by its last five sessions, one by one, and by a revised row; compare with a full run."""
    if not FULL_PANEL.exists():
        raise SystemExit(f"{FULL_PANEL}: the reference panel does not exist, so incremental runs can't be measured")
    panel, spec = compose_settings("full", []).panel, FeatureSpec()
    raw, _ = read_files([FULL_PANEL], spec=panel)
    raw, _ = apply_corrections(raw, corrections=panel.corrections)
    days = raw["date"].unique().sort()
    revised = pl.when((pl.col("date") == days[-500]) & (pl.col("ticker") == "AAPL")).then(1.01 * pl.col("close"))
    history = [raw.filter(pl.col("date") <= days[-1 - k]) for k in (5, 4, 3, 2, 1)]
    history += [raw.with_columns(close=revised.otherwise("close")), raw]
    calendar = reindex(history[0], spec=panel)
    features, seconds = feature_panel(calendar, features=spec), []
    for step in history[1:]:

        def before(span: Span, calendar: pl.DataFrame = calendar, features: pl.DataFrame = features) -> Stored:
            first = span.after is None  # the panel comes in one part, which has all there was
            return Stored(calendar, features) if first else Stored(calendar.clear(), features.clear())

        calendar = reindex(step, spec=panel)
        started = time.perf_counter()
        features = pl.concat(extend_parts(lambda: [calendar], features=spec, stored=before))  # noqa: B023
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    whole = feature_panel(calendar, features=spec)
    anew = time.perf_counter() - started
    apart = {}
    for name in whole.columns:
        if whole[name].dtype == pl.Float64:
            same = whole[name].eq_missing(features[name])
            apart[name] = 0.0 if same.all() else float((whole[name] - features[name]).abs().max())  # type: ignore[arg-type]
            if (whole[name].is_null() != features[name].is_null()).any():
                raise SystemExit(f"{name}: defined on other rows than in the full run")
        elif not whole[name].equals(features[name]):
            raise SystemExit(f"{name}: differs from the full run")
    return {
        "incremental_max_abs_diff": {
            "value": max(apart.values()),
            "columns_not_identical": sorted(name for name, diff in apart.items() if diff),
            "rows": whole.height,
            "seconds_incremental": round(median(seconds), 2),
            "seconds_full": round(anew, 2),
        }
    }


MEASUREMENTS: dict[str, Callable[[], Figures]] = {
    "features_vs_pandas": measure_pandas,
    "incremental_max_abs_diff": measure_incremental,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(MEASUREMENTS), help="measure one figure")
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    for name in [given.only] if given.only else list(MEASUREMENTS):
        figures = MEASUREMENTS[name]()
        print(json.dumps(figures, indent=2))
        if not given.dry:
            command = "python -m benchmarks.panel_features" + (f" --only {given.only}" if given.only else "")
            print(record("panel_features", figures, command=command))


if __name__ == "__main__":
    main()
