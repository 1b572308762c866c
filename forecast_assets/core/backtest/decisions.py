"""Decisions: what a model's forecasts say to the book, one row per forecast origin of the traded horizon."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl

KEYS = ("date", "ticker", "split")
Line = tuple[float, float]


def forecast_decisions(
    forecasts: pl.DataFrame, raw: pl.DataFrame | None = None, *, horizon_sessions: int, no_skill: Line | None = None
) -> pl.DataFrame:
    """Return date, ticker, split, location, scale, sigma of one model's forecasts over ``horizon_sessions``, sorted.

    ``forecasts``: forecast table as published; ``raw``: the same before calibration, ``forecasts`` itself unless given.
    ``sigma`` is the published one, ``scale`` that before calibration. ``location`` is the median, which calibration leaves
    alone, less the no-skill location of the same forecast: intercept + slope x scale (``no_skill``), by default fitted to
    the validation forecasts (``no_skill_line``), so that neither one location for all nor scale times a pooled shape
    is a view. Raises ValueError where the table holds several models or a decision twice, or the two tables differ in
    their decisions.
    """
    published, before = (_of_horizon(t, horizon_sessions) for t in (forecasts, forecasts if raw is None else raw))
    scale = before.select("date", "ticker", scale="sigma")
    both = published.select(*KEYS, "q50", "sigma").join(scale, on=["date", "ticker"], how="left", validate="1:1")
    if (missing := both["scale"].null_count()) or len(before) != len(published):
        raise ValueError(
            f"decisions: {len(published)} forecasts and {len(before)} uncalibrated ones differ in {missing} forecast origins"
        )
    intercept, slope = no_skill or no_skill_line(both)
    location = pl.col("q50") - intercept - slope * pl.col("scale")
    return both.select(*KEYS, "scale", "sigma", location=location).sort("date", "ticker")


def no_skill_line(decisions: pl.DataFrame) -> Line:
    """Return intercept and slope of the medians on the scales of the validation forecasts, by least squares.

    Columns split, q50, scale. Raises ValueError without a validation forecast.
    """
    rows = decisions.filter(pl.col("split") == "validation")
    if rows.is_empty():
        raise ValueError("decisions: there is no validation forecast to take the no-skill location from")
    design = np.column_stack([np.ones(len(rows)), rows["scale"].to_numpy()])
    intercept, slope = np.linalg.lstsq(design, rows["q50"].to_numpy(), rcond=None)[0]
    return float(intercept), float(slope)


def validation_line(forecasts: pl.DataFrame, *, horizon_sessions: int) -> Line:
    """Return ``no_skill_line`` of a table of uncalibrated forecasts, for forecasts that the same model made later."""
    return no_skill_line(_of_horizon(forecasts, horizon_sessions).rename({"sigma": "scale"}))


def join_decisions(years: Mapping[int, pl.DataFrame]) -> pl.DataFrame:
    """Return the decisions of consecutive years as those of one book: only the first year's validation ones are kept."""
    first = min(years)
    tests = [years[year].filter((pl.col("split") == "test") | (year == first)) for year in sorted(years)]
    return pl.concat(tests)


def consecutive(years: Iterable[int]) -> list[list[int]]:
    """Return the years in runs without a gap, in order: a book is carried over New Year only within one.

    >>> consecutive([2021, 2019, 2022])
    [[2019], [2021, 2022]]
    """
    ordered: Sequence[int] = sorted(years)
    ends = [0, *(k for k, (a, b) in enumerate(pairwise(ordered), start=1) if b != a + 1), len(ordered)]
    return [list(ordered[a:b]) for a, b in pairwise(ends) if b > a]


def _of_horizon(table: pl.DataFrame, horizon_sessions: int) -> pl.DataFrame:
    rows = table.filter(pl.col("horizon") == horizon_sessions)
    if len(models := rows["model"].unique().to_list()) > 1:
        raise ValueError(f"decisions: one model at a time, the table holds {sorted(models)}")
    if rows.select("date", "ticker").is_duplicated().any():
        raise ValueError("the forecasts hold a decision twice: date, ticker and horizon must be unique")
    return rows
