"""Past outcomes as scores of the forecasts made of them: what is known before a day, and what may order scenarios."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.evaluation.forecast_table import FORECAST_SCHEMA
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, TARGETS
from forecast_assets.core.scores.normal_scores import normal_score

Scores = NDArray[np.float32]
Days = NDArray[np.datetime64]

LARGEST_SCORE = 6.0
"""Beyond which a score is cut: ranks decide, and one error in the data is no direction for a whole panel."""
LEAST_SHARE = 0.5
"""Of the tickers known on an average day, that a day has to have: most of the world's exchanges were open on it."""


class PastScores(NamedTuple):
    """Scores of D forecast days, N tickers and H horizons; NaN where there was no forecast, or no outcome yet."""

    days: Days  # (D,) ascending, union of all exchanges'
    scores: Scores  # (D, N, H) standard Normal scores of the outcomes in their own forecasts
    label_end: Days  # (D, N, H) day on which the outcome was known, NaT where it never was

    def known_before(self, day: np.datetime64) -> "PastScores":
        """Return what was known before ``day``: outcomes that ended earlier, and on no later row anything.

        Strictly before it: on the day itself another exchange may close after the forecast is made.
        """
        stop = int(np.searchsorted(self.days, day))
        ended = self.label_end[:stop] < day  # False for NaT
        scores = np.where(ended, self.scores[:stop], np.float32("nan"))
        return PastScores(self.days[:stop], scores, np.where(ended, self.label_end[:stop], np.datetime64("NaT")))


def label_ends(rows: pl.DataFrame) -> pl.DataFrame:
    """Return date, ticker, horizon and ``label_end``, the date of the ticker's row that many quoted rows later.

    ``rows``: date, ticker, is_missing. With a session without a quote between, that is late and never early. A label that
    ends after the last row has none.
    """
    quoted = rows.filter(~pl.col("is_missing")).select("ticker", "date").sort("ticker", "date")
    return pl.concat(
        quoted.with_columns(
            horizon=pl.lit(h, dtype=pl.Int32), label_end=pl.col("date").shift(-h).over("ticker")
        ).drop_nulls("label_end")
        for h in HORIZONS
    )


KEY = ["date", "ticker", "horizon"]


def with_label_ends(tables: Iterable[pl.DataFrame], rows: pl.DataFrame) -> pl.DataFrame:
    """Return forecasts of several tables by date, ticker and horizon, each once, with ``label_end`` where it has come.

    ``tables``: forecast tables; of a date, ticker and horizon the first counts, and test forecasts before those that a fold
    was validated on. ``rows``: date, ticker, is_missing.
    """
    forecasts = pl.concat(table.select(list(FORECAST_SCHEMA)) for table in tables)
    forecasts = forecasts.sort(pl.col("split") != "test", maintain_order=True).unique(
        KEY, keep="first", maintain_order=True
    )
    return forecasts.join(label_ends(rows), on=KEY, how="left").sort(KEY)


def with_outcomes(tables: Iterable[pl.DataFrame], rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``with_label_ends`` with ``y`` where the outcome is known by now.

    ``rows``: date, ticker, is_missing and the targets, of the feature panel.
    """
    targets = pl.concat(
        rows.select("date", "ticker", horizon=pl.lit(h, dtype=pl.Int32), target=pl.col(name).cast(pl.Float64))
        for h, name in zip(HORIZONS, TARGETS, strict=True)
    )
    ended = with_label_ends(tables, rows).join(targets, on=KEY, how="left", maintain_order="left")
    return ended.with_columns(y=pl.coalesce("y", "target")).drop("target")


def past_scores(forecasts: pl.DataFrame, *, tickers: Sequence[str]) -> PastScores:
    """Return the scores of matured forecasts of ``tickers``, in their order.

    ``forecasts``: date, ticker, horizon, the quantiles, y and ``label_end``, each key once; others than ``tickers`` and rows
    without an outcome are left out. Raises ValueError for a label that ends on or before its own date.
    """
    days, place, row = cells_of(forecasts.drop_nulls(["y", "label_end"]), tickers=tickers)
    if (early := int((row["label_end"] <= row["date"]).sum())) > 0:
        raise ValueError(f"past_scores: {early} labels end on or before the date of their own forecast")
    cell = (*place, np.searchsorted(HORIZONS, row["horizon"].to_numpy()))
    shape = (len(days), len(tickers), len(HORIZONS))
    scores, ends = np.full(shape, np.nan, dtype=np.float32), np.full(shape, "NaT", dtype="datetime64[D]")
    found = normal_score(row["y"].to_numpy(), row.select(QUANTILE_COLUMNS).to_numpy())
    scores[cell] = np.clip(found, -LARGEST_SCORE, LARGEST_SCORE)
    ends[cell] = row["label_end"].to_numpy().astype("datetime64[D]")
    return PastScores(days, scores, ends)


def cells_of(
    rows: pl.DataFrame, *, tickers: Sequence[str]
) -> tuple[Days, tuple[NDArray[np.intp], NDArray[np.intp]], pl.DataFrame]:
    """Return the days of the rows of ``tickers``, ascending, the place (day, ticker) of each row, and those rows."""
    column = pl.DataFrame(
        {"ticker": list(tickers), "column": range(len(tickers))}, schema_overrides={"column": pl.Int64}
    )
    found = rows.join(column, on="ticker", how="inner", maintain_order="left")
    days = found["date"].unique().sort().to_numpy().astype("datetime64[D]")
    place = np.searchsorted(days, found["date"].to_numpy().astype("datetime64[D]"))
    return days, (place, found["column"].to_numpy()), found


def usable_days(past: PastScores) -> NDArray[np.intp]:
    """Return the rows of days on which enough tickers' shortest outcome is known, ascending; see ``LEAST_SHARE``."""
    known = np.isfinite(past.scores[:, :, 0]).sum(axis=1)
    return (
        np.flatnonzero(known >= max(1.0, LEAST_SHARE * known[known > 0].mean()))
        if known.any()
        else np.array([], np.intp)
    )
