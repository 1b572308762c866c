"""The report in one sentence and four tiles, from its verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from forecast_assets.core.evaluation.daily_losses import DailyLosses
from forecast_assets.core.evaluation.significance import NO_DIFFERENCE, Interval, bootstrap_interval
from forecast_assets.core.report.formats import decimal, percent, signed_percent
from forecast_assets.core.report.titles import title
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import ResamplingSpec

FAMILIAR, HARDEST = "ewma", "harx"
"""Whom the headline compares with: the model that most readers know, and in the last tile the one hardest to beat."""

NAMES = {"ewma": "EWMA", "harx": "HAR-X"}


class Findings(NamedTuple):
    """The verdicts by what they are about; entries as from ``verdicts.verdict``."""

    forecasts: Sequence[Mapping[str, Any]]  # against other models, with their ``rival``
    calibration: Sequence[Mapping[str, Any]]  # by year and horizon, then by group where there is a contract
    trading: Mapping[str, Any]
    selection: Sequence[Mapping[str, Any]] = ()


def headline(found: Findings) -> str:
    """Return one sentence in plain words: forecasts, calibration, profit after costs.

    >>> better = {"rival": "ewma", "verdict": "beats", "estimate": 0.979}
    >>> headline(Findings([better], [{"verdict": "met"}], {"verdict": "no evidence"}))
    'Forecasts beat EWMA by 2.1 % and are calibrated; there is no evidence of trading profit after costs.'
    """
    chosen = _against(found.forecasts, FAMILIAR) or next(iter(found.forecasts), None)
    forecasts = _forecasts_in_words(chosen) if chosen else "Forecasts are compared with no other model"
    calibration, agrees = _calibration_in_words(found.calibration)
    good = chosen is not None and chosen["verdict"] in ("beats", NO_DIFFERENCE)
    join = "and" if agrees == good else "but"
    return f"{forecasts} {join} {calibration}; {_trading_in_words(found.trading, found.selection)}."


def tiles(found: Findings, *, coverage: Interval, subject: str) -> list[dict[str, Any]]:
    """Return the tiles: label, estimate, low, high, their texts ``value`` and ``interval``, and the verdict's word.

    ``coverage``: from ``pooled_coverage``; ``subject``: the model that the report is about. A comparison that was not
    made has no tile. Estimates may be NaN.
    """
    familiar, hardest = (_against(found.forecasts, name) for name in (FAMILIAR, HARDEST))
    loss = [_loss_tile(entry) for entry in (familiar, hardest) if entry]
    trading = found.trading
    middle = [
        _tile("95 % band covers", coverage, found.calibration[0]["verdict"], percent),
        _tile(
            f"Net Sharpe ratio, {title(subject)}",
            Interval(trading["estimate"], trading["low"], trading["high"]),
            trading["verdict"],
            decimal,
        ),
    ]
    return [*loss[:1], *middle, *loss[1:]]


def pooled_coverage(losses: DailyLosses, *, model: str, spec: ResamplingSpec) -> Interval:
    """Return the share of outcomes inside the model's 95 % band over all horizons and years, by resampled blocks of days."""
    of_model = losses.scores.filter(pl.col("model") == model)
    daily = of_model.group_by("date").agg(pl.col("inside_95", "n").cast(pl.Float64).sum()).sort("date")

    def share(table: Floats) -> float:
        inside, forecasts = table.sum(axis=0)
        return float(inside / forecasts)

    table = daily.select("inside_95", "n").to_numpy()
    return bootstrap_interval(table, share, samples=spec.bootstrap_samples, seed=spec.seed)


def _against(forecasts: Sequence[Mapping[str, Any]], rival: str) -> Mapping[str, Any] | None:
    return next((entry for entry in forecasts if entry["rival"] == rival), None)


def _name(rival: str) -> str:
    return NAMES.get(rival) or title(rival)


def _forecasts_in_words(entry: Mapping[str, Any]) -> str:
    other, by = _name(entry["rival"]), percent(abs(1.0 - entry["estimate"]))
    return {
        "beats": f"Forecasts beat {other} by {by}",
        "loses": f"Forecasts lose to {other} by {by}",
        NO_DIFFERENCE: f"Forecasts are as good as those of {other}, within the difference that matters,",
    }.get(entry["verdict"], f"Forecasts show no evidence of beating {other}")


def _calibration_in_words(entries: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """Return what calibration comes to, and whether that is good news."""
    by_year, *by_group = (entry["verdict"] for entry in entries)
    if by_year == "not tested":
        return "their calibration is not tested", False
    if by_year != "met":
        return "are not calibrated in every year and horizon", False
    if "missed" in by_group:
        return "are calibrated in every year, though not on every exchange or at every width", True
    return "are calibrated", True


def _trading_in_words(trading: Mapping[str, Any], selection: Sequence[Mapping[str, Any]]) -> str:
    if trading["verdict"] == "loses":
        return "trading on them loses money after costs"
    if trading["verdict"] != "beats":
        return "there is no evidence of trading profit after costs"
    if any(entry["verdict"] != "beats" for entry in selection):
        return "trading on them earned a profit after costs, which the number of trials may explain"
    return "trading on them earned a profit after costs"


def _loss_tile(entry: Mapping[str, Any]) -> dict[str, Any]:
    change = Interval(entry["estimate"] - 1.0, entry["low"] - 1.0, entry["high"] - 1.0)
    return _tile(f"Pinball loss against {_name(entry['rival'])}", change, entry["verdict"], signed_percent)


def _tile(label: str, interval: Interval, verdict: str, text: Any) -> dict[str, Any]:
    span = f"{text(interval.low)} to {text(interval.high)}" if interval.low == interval.low else "no interval"
    texts = {"value": text(interval.estimate), "interval": span}
    return {"label": label, **interval._asdict(), **texts, "verdict": verdict}
