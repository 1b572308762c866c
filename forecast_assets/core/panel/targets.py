"""Targets: log returns over each horizon, in sessions of the ticker's own exchange, and the day the last one ends."""

import polars as pl

from forecast_assets.core.horizons import HORIZONS, TARGETS
from forecast_assets.core.panel.sessions import sessions

GROUP = ["ticker", "segment"]


def add_targets(panel: pl.DataFrame, *, quoted: pl.DataFrame) -> pl.DataFrame:
    """Return ``panel`` plus ``target_{h}d`` = log close(t+h) - log close(t) and ``label_end``, the furthest one's date.

    ``quoted``: every (exchange, date) with a quote in the whole panel, of which ``panel`` may be some tickers.

    h counts sessions of the ticker's own exchange, filled ones included, within its segment. A target is null when its
    first or last session is a filled row or when its last one is outside the segment. Local currency, no FX.
    """
    # On a union calendar other exchanges' sessions are rows too; they are not steps of h.
    marked = panel.sort("ticker", "date").join(
        _own_sessions(panel, quoted), on=["exchange", "date"], how="left", maintain_order="left"
    )
    begins = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in GROUP)
    own = marked.filter("own").with_columns(segment_id=begins.fill_null(True).cum_sum())
    log_close, observed = pl.col("log_close"), ~pl.col("is_missing")
    targets, ends = [], []
    for horizon, name in zip(HORIZONS, TARGETS, strict=True):
        # The one check against crossing a border: where it fails, the shifts below are not used.
        same = pl.col("segment_id").shift(-horizon) == pl.col("segment_id")
        valid = (observed & same & observed.shift(-horizon)).fill_null(False)
        targets.append(pl.when(valid).then(log_close.shift(-horizon) - log_close).alias(name))
        ends.append(pl.when(valid).then(pl.col("date").shift(-horizon)))
    labelled = own.lazy().with_columns(log_close=pl.col("close").log())
    labels = labelled.select("ticker", "date", *targets, label_end=pl.max_horizontal(ends)).collect()
    if labels.height == panel.height and panel.select("ticker", "date").equals(labels.select("ticker", "date")):
        return panel.hstack(labels.drop("ticker", "date"))  # the usual calendar: no row is another exchange's
    return panel.join(labels, on=["ticker", "date"], how="left", maintain_order="left")


def _own_sessions(panel: pl.DataFrame, quoted: pl.DataFrame) -> pl.DataFrame:
    """Return (exchange, date, own): the days of each exchange's calendar, and quoted ones (special sessions)."""
    spans = panel.group_by("exchange").agg(first=pl.min("date"), last=pl.max("date"))
    calendars = [
        pl.DataFrame({"date": sessions(exchange, first, last)}).select(pl.lit(exchange).alias("exchange"), "date")
        for exchange, first, last in spans.iter_rows()
    ]
    return pl.concat([quoted, *calendars]).unique().with_columns(own=pl.lit(True))
