"""Features and outcomes of `benchmarks.mean_models`: cross-sectional ranks, and returns, before the first test year.

Features are ranks within date and region among the tickers that close at the same moment, so that none uses a later
close. The outcome is tradable: the return from the next open to the open h sessions after it, in units of volatility.
"""

import datetime as dt
import tempfile
from pathlib import Path

import polars as pl

from forecast_assets.core.panel.calendar import reindex_parts
from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.panel.sessions import closes
from forecast_assets.resources.settings import compose_settings

LAST = dt.date(2018, 12, 31)
"""No later row is read."""

HORIZONS = (5, 20)

FEW = {  # feature -> sign of its premium
    "momentum_12_1": 1,  # Jegadeesh, Titman (1993)
    "return_5": -1,  # Lehmann (1990)
    "return_20": -1,  # Jegadeesh (1990)
    "volatility_60": -1,  # Ang, Hodrick, Xing, Zhang (2006)
    "high_52w": 1,  # George, Hwang (2004)
}
ALL = FEW | {
    "momentum_6_1": 1,  # Jegadeesh, Titman (1993)
    "residual_momentum": 1,  # Blitz, Huij, Martens (2011)
    "beta_252": -1,  # Frazzini, Pedersen (2014)
    "max_return_20": -1,  # Bali, Cakici, Whitelaw (2011)
    "max_loss_20": -1,  # Atilgan, Bali, Demirtas, Gunaydin (2020)
    "volume_20": 1,  # Gervais, Kaniel, Mingelgrin (2001)
    "sector_20": 1,  # Moskowitz, Grinblatt (1999)
    "sector_relative_5": -1,  # Da, Liu, Schaumburg (2014)
    "intraday_20": -1,  # this and the next two: Barardehi, Bogousslavsky, Muravyev (2022)
    "intraday_12_1": 1,
    "overnight_252": -1,
}

MAX_OUTCOME = 5.0
"""Outcomes are clipped to this many standard deviations."""

SIGMA_FLOOR = 0.005
"""Lower bound of the one-session volatility."""


def inner_panel(path: Path) -> pl.DataFrame:
    """Return the calendar panel up to ``LAST``, with the declared corrections."""
    if not path.exists():
        raise SystemExit(f"{path}: the panel does not exist; name one by --panel")
    spec = compose_settings("full", []).panel
    with tempfile.TemporaryDirectory() as scratch:
        raw = list(Reading([InputFile(path, path.name)], spec=spec, scratch=Path(scratch), until=LAST).parts())
    panel = pl.concat([part for part, _ in reindex_parts(lambda: raw, spec=spec)])
    assert panel.select(pl.col("date").max()).item() <= LAST
    return panel


def origins(panel: pl.DataFrame) -> pl.DataFrame:
    """Return per ticker and quoted session with a year of history: ranks of ``ALL``, sigma, y_h and end_h of ``HORIZONS``.

    Windows count quoted sessions and stay within a segment. The last date is the last on which labels of
    all exchanges end by ``LAST``; a label is null where its ticker ends before.
    """
    real = panel.filter(~pl.col("is_missing")).sort("ticker", "date")
    days = [
        closes(name, *span).select("date", "close", exchange=pl.lit(name))
        for (name,), part in real.group_by("exchange")
        for span in [part.select(pl.min("date").alias("first"), pl.max("date").alias("last")).row(0)]
    ]
    moments = pl.concat(days).rename({"close": "moment"})
    rows = real.join(moments, on=["exchange", "date"], how="left", maintain_order="left")
    group, sector = ["date", "region", "moment"], ["date", "region", "moment", "sector"]
    own, r = ["ticker", "segment"], pl.col("r")

    def total(name: str, longest: int, latest: int = 0) -> pl.Expr:
        """Sum over the sessions from ``longest`` ago to ``latest`` ago."""
        return pl.col(name).rolling_sum(longest - latest).shift(latest)

    beta = pl.rolling_cov("r", "market", window_size=252, min_samples=252) / pl.col("market").rolling_var(252)
    opens = pl.col("open").log()
    mean = pl.col("volume").fill_null(0.0).rolling_mean
    found = (
        rows.with_columns(pl.col("sector").fill_null("none"))
        .with_columns(
            r=pl.col("close").log().diff().over(own),
            day=(pl.col("close") / pl.col("open")).log(),
        )
        .with_columns(night=r - pl.col("day"), market=r.mean().over(group), peers=r.mean().over(sector))
        .with_columns(
            momentum_12_1=total("r", 252, 21).over(own),
            return_5=total("r", 5).over(own),
            return_20=total("r", 20).over(own),
            volatility_60=r.rolling_std(60).over(own),
            high_52w=(pl.col("close") / pl.col("close").rolling_max(252)).over(own),
            momentum_6_1=total("r", 126, 21).over(own),
            beta_252=beta.over(own),
            market_12_1=total("market", 252, 21).over(own),
            max_return_20=r.rolling_max(20).over(own),
            max_loss_20=(-r.rolling_min(20)).over(own),
            volume_20=(mean(20) / mean(252)).over(own).fill_nan(None),
            sector_20=total("peers", 20).over(own),
            sector_5=total("peers", 5).over(own),
            intraday_20=total("day", 20).over(own),
            intraday_12_1=total("day", 252, 21).over(own),
            overnight_252=total("night", 252).over(own),
            **{f"y_{h}": (opens.shift(-1 - h) - opens.shift(-1)).over(own) for h in HORIZONS},
            **{f"end_{h}": pl.col("date").shift(-1 - h).over(own) for h in HORIZONS},
        )
        .with_columns(
            residual_momentum=pl.col("momentum_12_1") - pl.col("beta_252") * pl.col("market_12_1"),
            sector_relative_5=pl.col("return_5") - pl.col("sector_5"),
            sigma=pl.col("volatility_60").clip(lower_bound=SIGMA_FLOOR),
        )
        .drop_nulls(["moment", *ALL])  # a session that no calendar has closes no exchange
    )
    ends = [f"end_{h}" for h in HORIZONS]
    labelled = found.drop_nulls(ends).group_by("exchange").agg(pl.max("date"))
    complete = found.filter(pl.col("date") <= labelled["date"].min())
    assert complete.select(pl.max_horizontal(pl.col(ends).max())).item() <= LAST
    return complete.select(
        *("date", "ticker", "region", "sector", "sigma", *ends),
        *(((pl.col(name).rank() - 0.5) / pl.len() - 0.5).over(group).alias(name) for name in ALL),
        *((pl.col(f"y_{h}") / (pl.col("sigma") * h**0.5)).clip(-MAX_OUTCOME, MAX_OUTCOME) for h in HORIZONS),
        close="moment",
    ).sort("date", "ticker")
