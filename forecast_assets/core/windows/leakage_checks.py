"""Leakage check of the window tensors: no window may depend on later data; see ``core.panel.leakage_checks``."""

import datetime as dt

import polars as pl
import torch

from forecast_assets.core.panel.comparison import KEY
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.panel.leakage_checks import LeakageCheck, cut_day, sample
from forecast_assets.core.windows.build import build_tensors
from forecast_assets.core.windows.days import to_day
from forecast_assets.core.windows.tensors import PanelTensors


def window_leakage(feature_panel: pl.LazyFrame, *, lookback: int) -> dict[str, LeakageCheck]:
    """Check the tensors by truncation and poison: every row up to the cut, its codes, and which rows end a window.

    Targets, which look ahead, are left out. The poison is NaN in every number after the cut. The cut lies among the
    sessions that end a window.
    """
    rows = sample(feature_panel).sort(KEY)
    names = feature_names(rows)
    whole = build_tensors(rows, feature_names=names)
    ends = whole.ends(lookback)
    days = whole.date[ends if len(ends) else whole.run_length > 0]
    cut = cut_day(pl.Series(days.numpy()).cast(pl.Date))
    late = pl.col("date") > cut
    numbers = [name for name, dtype in rows.schema.items() if dtype == pl.Float64]
    poisoned = rows.with_columns(
        pl.when(late).then(pl.lit(float("nan"))).otherwise(pl.col(name)).alias(name) for name in numbers
    )
    tickers = rows["ticker"].n_unique()
    return {
        name: _compare(whole, build_tensors(other, feature_names=names), cut=cut, lookback=lookback, tickers=tickers)
        for name, other in (("truncation", rows.filter(~late)), ("poison", poisoned))
    }


def _compare(whole: PanelTensors, other: PanelTensors, *, cut: dt.date, lookback: int, tickers: int) -> LeakageCheck:
    ours = _past(whole, cut=cut, lookback=lookback, like=whole)
    theirs = _past(other, cut=cut, lookback=lookback, like=whole)
    rows = len(ours["date"])
    if rows != len(theirs["date"]):
        return LeakageCheck(cut, tickers, rows, {"rows": abs(rows - len(theirs["date"]))})
    changed = {}
    for name, values in ours.items():
        differs = (values != theirs[name]) & ~(torch.isnan(values) & torch.isnan(theirs[name]))
        if count := int(differs.reshape(rows, -1).any(dim=1).sum()):
            changed[name] = count
    return LeakageCheck(cut, tickers, rows, changed)


def _past(panel: PanelTensors, *, cut: dt.date, lookback: int, like: PanelTensors) -> dict[str, torch.Tensor]:
    """Return what a model reads of the rows up to ``cut``, with the codes of ``like``."""
    early = panel.date <= to_day(cut)
    is_end = torch.zeros(panel.rows, dtype=torch.bool)
    is_end[panel.ends(lookback)] = True
    names = ("features", "scale", "date", "observed", "member", "segment_start", "run_length")
    past = {name: getattr(panel, name) for name in names} | {"window_ends": is_end}
    for code, vocabulary in (("ticker", "tickers"), ("sector", "sectors"), ("exchange", "exchanges")):
        # A ticker that lists later shifts the codes, so codes are compared by what they stand for.
        shared = [getattr(like, vocabulary).index(name) for name in getattr(panel, vocabulary)]
        past[code] = torch.tensor(shared)[getattr(panel, code).long()]
    return {name: values[early] for name, values in past.items()}
