"""Factor statistics against alphalens-reloaded: two factors of the reference panel, 2014 to 2018, day by day.

    python -m benchmarks.factor --peers .venv-peers/bin/python
    (python3.11 -m venv .venv-peers && .venv-peers/bin/pip install -r benchmarks/requirements-peers.txt)

Compared: rank IC, all and by sector, mean return by quantile, turnover of the top and the bottom quantile, rank
autocorrelation. One factor is the 5-session return; the other is the same in whole percent, for ties: on some dates edges
coincide, and both have to leave out the same ones. Where the edges lie on values (n - 1 is a multiple of 5) pandas' rounding
can tell apart edges that coincide; such dates are left out of the factor with ties. Both get rows with every return, since
alphalens drops the others.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.core.evaluation.factor import (
    QUANTILE_COUNT,
    daily_rank_ic,
    factor_statistics,
    quantile_returns,
    quantile_turnover,
    rank_autocorrelation,
    return_column,
    with_quantiles,
)
from forecast_assets.core.horizons import HORIZONS
from forecast_assets_tests.helpers.paths import FULL_PANEL
from tools.results import record

LAST_YEAR, YEARS = 2018, 5
LOOKBACK = 5
KEY = ["statistic", "period", "factor_quantile", "group", "date"]
SCHEMA = {
    "statistic": pl.String,
    "period": pl.String,
    "factor_quantile": pl.Int64,
    "group": pl.String,
    "date": pl.Date,
    "value": pl.Float64,
}


def reference_rows() -> pl.DataFrame:
    """Return date, ticker, sector, factor and the returns over each horizon, of rows that have all of them."""
    names = {"Date": "date", "Ticker": "ticker", "Sector": "sector", "Closing Price": "close"}
    whole = pl.scan_parquet(FULL_PANEL).select(pl.col(old).alias(new) for old, new in names.items())
    panel = whole.filter(pl.col("date").dt.year() <= LAST_YEAR).collect().sort("ticker", "date")
    close = pl.col("close").cast(pl.Float64)
    made = panel.with_columns(
        sector=pl.col("sector").fill_null("").replace("", "none"),
        factor=(close / close.shift(LOOKBACK) - 1).over("ticker"),
        **{return_column(h): (close.shift(-h) / close - 1).over("ticker") for h in HORIZONS},
    )
    return made.filter(pl.col("date").dt.year() > LAST_YEAR - YEARS).drop("close").drop_nulls()


def ours(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the long table of our statistics, and how many dates have no quantiles and are left out as alphalens does."""
    known = with_quantiles(rows)
    left_out = known.filter(pl.col("quantile").is_null())["date"].n_unique()
    known = known.drop_nulls("quantile")
    whole = factor_statistics(known, horizons=HORIZONS)
    parts = []
    for horizon, means in zip(HORIZONS, whole.horizons, strict=True):
        period = pl.lit(f"{horizon}D").alias("period")
        daily = daily_rank_ic(known, horizon=horizon).rename({"rank_ic": "value"})
        parts.append(daily.with_columns(period, statistic=pl.lit("ic")))
        for (sector,), members in known.group_by("sector"):
            inside = daily_rank_ic(members, horizon=horizon).rename({"rank_ic": "value"})
            parts.append(inside.with_columns(period, statistic=pl.lit("ic_in_group"), group=pl.lit(sector)))
        returns = quantile_returns(known, horizon=horizon).rename(
            {"mean_return": "value", "quantile": "factor_quantile"}
        )
        parts.append(returns.with_columns(period, statistic=pl.lit("return")))
        mean_returns = {"factor_quantile": range(1, QUANTILE_COUNT + 1), "value": means.quantile_returns}
        parts.append(pl.DataFrame(mean_returns).with_columns(period, statistic=pl.lit("mean_return")))
        parts.append(pl.DataFrame({"value": [means.rank_ic]}).with_columns(period, statistic=pl.lit("mean_ic")))
    for quantile in (1, QUANTILE_COUNT):
        turnover = quantile_turnover(known, quantile).rename({"turnover": "value"})
        parts.append(turnover.with_columns(statistic=pl.lit("turnover"), factor_quantile=pl.lit(quantile)))
    correlation = rank_autocorrelation(known).rename({"correlation": "value"})
    parts.append(correlation.with_columns(statistic=pl.lit("autocorrelation")))
    empty = pl.DataFrame(schema=SCHEMA)
    typed = [part.cast({name: SCHEMA[name] for name in part.columns}) for part in parts]
    return pl.concat([empty, *typed], how="diagonal").drop_nulls("value"), left_out


def theirs(rows: pl.DataFrame, python: str) -> pl.DataFrame:
    """Return the long table of alphalens' statistics of the same rows, from a process of its own."""
    names = {"ticker": "asset", "sector": "group"} | {return_column(h): f"{h}D" for h in HORIZONS}
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "rows.csv", Path(folder) / "out.csv"
        rows.rename(names).write_csv(source)
        script = Path(__file__).with_name("alphalens_statistics.py")
        subprocess.run([python, "-W", "ignore", str(script), str(source), str(out)], check=True)
        text = pl.read_csv(out, infer_schema=False)
    whole = text.with_columns(pl.col("factor_quantile").cast(pl.Float64), pl.col("date").str.slice(0, 10).str.to_date())
    return whole.cast(SCHEMA)  # type: ignore[arg-type]


def compare(mine: pl.DataFrame, other: pl.DataFrame) -> dict[str, dict[str, float | int]]:
    """Return by statistic how many values were compared, and their largest difference.

    Raises SystemExit where one has a value that the other has not; a rank IC of two tickers in a sector is theirs alone.
    """
    both = mine.join(other, on=KEY, how="full", nulls_equal=True, coalesce=True, suffix="_theirs")
    alone = both.filter(pl.col("value").is_null() != pl.col("value_theirs").is_null())
    pairs = (pl.col("statistic") == "ic_in_group") & (pl.col("value_theirs").abs() > 1 - 1e-9)
    if not (odd := alone.filter(~pairs.fill_null(value=False))).is_empty():
        raise SystemExit(f"{odd.height} values are of one side only, the first {odd.row(0, named=True)}")
    apart = (pl.col("value") - pl.col("value_theirs")).abs().max()
    found = both.drop_nulls(["value", "value_theirs"]).group_by("statistic").agg(pl.len(), apart).sort("statistic")
    return {name: {"values": count, "largest_difference": largest} for name, count, largest in found.iter_rows()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="a Python that has alphalens-reloaded")
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    if not FULL_PANEL.exists():
        raise SystemExit(f"{FULL_PANEL}: the reference panel is not there")
    rows = reference_rows()
    between = rows.filter((pl.len().over("date") - 1) % QUANTILE_COUNT != 0)  # edges lie between values
    factors = {
        f"return over {LOOKBACK} sessions": rows,
        "the same in whole percent": between.with_columns(pl.col("factor").round(2)),
    }
    details: dict[str, dict[str, Any]] = {}
    for name, table in factors.items():
        mine, left_out = ours(table)
        details[name] = {
            "rows": table.height,
            "dates": table["date"].n_unique(),
            "dates_without_quantiles": left_out,
            "statistics": compare(mine, theirs(table, given.peers)),
        }
        print(json.dumps({name: details[name]}, indent=1), flush=True)
    worst = max(one["largest_difference"] for part in details.values() for one in part["statistics"].values())
    figure = {"value": worst, "factors": details}
    if not given.dry:
        print(record("factor", {"factor_vs_alphalens": figure}, command="python -m benchmarks.factor --peers PYTHON"))


if __name__ == "__main__":
    main()
