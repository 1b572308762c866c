"""What is to be forecast: log returns over 1, 5 and 20 sessions of the ticker's own exchange."""

import polars as pl

from forecast_assets.core.horizons import HORIZONS, TARGETS
from forecast_assets.core.panel.sessions import sessions

GROUP = ["ticker", "segment"]


def add_targets(panel: pl.DataFrame, *, quoted: pl.DataFrame) -> pl.DataFrame:
    """``panel`` plus ``target_{h}d`` = log close(t+h) - log close(t) and ``label_end``, the date of the furthest one.

    ``quoted``: every (exchange, date) with a quote in the whole panel, of which ``panel`` may be some tickers.

    h counts sessions of the ticker's own exchange, filled ones included, within its segment. A target is null when its
    first or last session is a filled row or when its last one is outside the segment. Local currency, no FX.
    """
    # On a union calendar other exchanges' sessions are rows too; they are not steps of h.
    own = panel.sort("ticker", "date").filter(_own_session(panel, quoted))
    log_close = pl.col("close").log()
    observed = ~pl.col("is_missing")
    targets, ends = [], []
    for horizon, name in zip(HORIZONS, TARGETS, strict=True):
        # The one place that looks across a border: where it says no, the plain shifts below are not used.
        valid = observed & observed.shift(-horizon).over(GROUP).fill_null(False)
        targets.append(pl.when(valid).then(log_close.shift(-horizon) - log_close).alias(name))
        ends.append(pl.when(valid).then(pl.col("date").shift(-horizon)))
    labelled = own.select("ticker", "date", *targets, label_end=pl.max_horizontal(ends))
    return panel.join(labelled, on=["ticker", "date"], how="left", maintain_order="left")


def _own_session(panel: pl.DataFrame, quoted: pl.DataFrame) -> pl.Expr:
    """A day of the exchange's calendar, or one on which it was quoted all the same (a special session)."""
    calendars = [
        pl.DataFrame({"date": sessions(str(exchange), days["date"].min(), days["date"].max())}).select(  # type: ignore[arg-type]
            pl.lit(str(exchange)).alias("exchange"), "date"
        )
        for (exchange,), days in panel.select("exchange", "date").group_by("exchange")
    ]
    own = pl.concat([quoted, *calendars]).unique()
    pairs = own.select(pl.struct("exchange", "date").alias("pair"))["pair"]
    return pl.struct("exchange", "date").is_in(pairs.implode())
