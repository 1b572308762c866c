"""Whether an estimated loss would have warned before the labels matured, on the years before the first test year.

    python -m benchmarks.early_warning --store STORE

Reads ``windowed_tensors`` and ``feature_panel`` of a store with the reference panel and fits HAR-X per fold, calibrated
online, as `benchmarks.joint` does; labels that end in the first test year or later are left out. About two minutes.

``loss_estimate_error``: mean absolute log of estimated over matured loss, of forecasts over 20 sessions in windows of the 20
last sessions; beside it the other estimates, and the loss that had matured last, which is what one has without any. The
interval of the difference to that last one is from resampled days.

``early_warning_lead``: sessions by which the alarm of the estimated loss came before that of the matured one (over ``TRUTH``
times the usual loss, until half-way back), median over the alarms that it announced at most ``AHEAD`` sessions before. Under
``tuned``, each signal has the limit at which it announces the most alarms (then with the longest median lead) with at most
``FALSE_A_YEAR`` false episodes a year: those that begin neither at most ``AHEAD`` sessions before an alarm nor within
``AFTER`` sessions of its beginning. These limits are chosen on the same years, for all signals alike, and the alarms are a
handful: a difference of one is no finding.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.calibration import forecasts as forecasts_of
from benchmarks.joint import INNER_YEARS, each_once, inner_year
from forecast_assets.core.evaluation.significance import bootstrap_interval
from forecast_assets.core.monitoring.coverage import alarming, coverage_by_day
from forecast_assets.core.monitoring.early_warning import (
    ESTIMATES,
    INPUTS,
    LAG_SESSIONS,
    LONG,
    SHORT,
    YEAR_SESSIONS,
    loss_by_day,
    with_losses,
)
from forecast_assets.core.specs import DriftSpec
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import TABLE, TENSORS
from forecast_assets.store.store import Store
from tools.results import record

Floats = NDArray[np.float64]

TRUTH = DriftSpec().loss_limit
AHEAD, AFTER, FALSE_A_YEAR = 2 * LONG, LONG, 0.5
YEAR = 252
SAMPLES = 2000


class Alarm(NamedTuple):
    """What a signal does with a limit."""

    limit: float
    episodes: int
    false: int
    leads: list[int | None]  # sessions before each matured alarm, None where it was not announced


def signals(daily: pl.DataFrame, forecasts: pl.DataFrame) -> dict[str, Floats]:
    """Return what is known on each day (S,), larger is worse: losses over the usual one, shares outside the 95 % band."""
    over = {name: daily[name] / daily["usual"] for name in ESTIMATES}
    matured = (daily["matured"].shift(LONG + LAG_SESSIONS) / daily["usual"]).rename("matured")
    short = (
        with_losses(forecasts.filter(pl.col("horizon") == SHORT))
        .group_by("date")
        .agg(pl.col("loss").sum(), n=pl.col("loss").count())
    )
    one = (
        daily.select("date")
        .join(short, on="date", how="left")
        .select(loss=(pl.col("loss").rolling_sum(LONG) / pl.col("n").rolling_sum(LONG)).shift(SHORT + LAG_SESSIONS))
    )
    found = {
        **over,
        "matured loss over 1 session": (one["loss"] / one["loss"].rolling_median(YEAR_SESSIONS, min_samples=LONG)),
        **{f"coverage over {h}": outside(daily, forecasts, horizon=h) for h in (SHORT, LONG)},
        "matured": matured,
    }
    return {name: series.to_numpy().astype(np.float64) for name, series in found.items()}


def outside(daily: pl.DataFrame, forecasts: pl.DataFrame, *, horizon: int) -> pl.Series:
    """Return the share outside the 95 % band over the last sessions whose outcomes are known."""
    coverage = coverage_by_day(forecasts, model="harx", horizon=horizon)
    joined = daily.select("date").join(coverage, on="date", how="left")
    share = 1.0 - joined["covered_95"].rolling_sum(LONG) / joined["names"].rolling_sum(LONG)
    return share.shift(horizon + LAG_SESSIONS)


def beginnings(signal: Floats, limit: float, centre: float) -> list[int]:
    """Return the sessions on which an alarm begins: above ``limit``, until half-way back to ``centre``."""
    away = np.nan_to_num(centre - signal)
    on = alarming(away[None], centre - limit)[0]
    return [int(k) for k in np.flatnonzero(on & ~np.append(False, on[:-1]))]


def judge(signal: Floats, limit: float, centre: float, truth: list[int]) -> Alarm:
    """Return how a signal with a limit announces the alarms ``truth``."""
    begins = beginnings(signal, limit, centre)
    leads = [max((true - k for k in begins if 0 <= true - k <= AHEAD), default=None) for true in truth]
    false = [k for k in begins if not any(-AFTER <= true - k <= AHEAD for true in truth)]
    return Alarm(limit, len(begins), len(false), leads)


def tuned(signal: Floats, truth: list[int], *, allowed: int) -> Alarm:
    """Return the alarm with the limit that announces most, then longest before, with at most ``allowed`` false episodes."""
    centre = float(np.nanmedian(signal))
    limits = np.nanquantile(signal, np.linspace(1.0, 0.5, 251)[:-1])
    found = [judge(signal, float(limit), centre, truth) for limit in limits]

    def merit(alarm: Alarm) -> tuple[int, float, int]:
        announced = [lead for lead in alarm.leads if lead is not None]
        return len(announced), float(np.median(announced)) if announced else 0.0, sum(announced)

    return max((alarm for alarm in found if alarm.false <= allowed), key=merit)


def accuracy(daily: pl.DataFrame) -> dict[str, Any]:
    """Return the error of each estimate, and the interval of the main one's difference to what had matured last."""
    table = daily.with_columns(last=pl.col("matured").shift(LONG + LAG_SESSIONS)).drop_nulls()
    errors = {
        name: (table[name].log() - table["matured"].log()).abs().to_numpy() for name in (*ESTIMATES, "last", "usual")
    }
    pair = np.column_stack([errors["estimated"], errors["last"]])
    found = bootstrap_interval(pair, lambda t: float((t[:, 0] - t[:, 1]).mean()), samples=SAMPLES, seed=0)
    means = {name: round(float(each.mean()), 4) for name, each in errors.items()}
    return {
        "value": means["estimated"],
        "others": {name: value for name, value in means.items() if name != "estimated"},
        "less_than_last_matured": [round(-found.high, 4), round(-found.low, 4)],
        "days": table.height,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    store = Store(parser.parse_args().store)
    panel, settings = PanelTensors.load(store.current("windowed_tensors").path(TENSORS)), compose_settings("full", [])
    harx = forecasts_of("harx", panel)
    made = {year: inner_year(panel, settings, harx, model="harx", year=year) for year in INNER_YEARS}
    what = f"HAR-X, {INNER_YEARS[0]} to {INNER_YEARS[-1]}, {len(panel.tickers)} tickers of the reference panel"
    forecasts = each_once(made).filter(pl.col("split") == "test").with_columns(pl.col("y").fill_nan(None))
    features = (
        pl.scan_parquet(store.current("feature_panel").path(TABLE))
        .select("date", "ticker", *INPUTS)
        .filter(pl.col("date").is_between(forecasts["date"].min(), forecasts["date"].max()))
        .collect()
    )
    daily = loss_by_day(forecasts, features, history=forecasts["date"].n_unique())
    known = signals(daily, forecasts)
    begin = LONG + LAG_SESSIONS + YEAR_SESSIONS
    known = {name: signal[begin:] for name, signal in known.items()}
    truth = beginnings(known["matured"], TRUTH, 1.0)
    years = len(known["matured"]) / YEAR
    alarms = {name: tuned(signal, truth, allowed=int(FALSE_A_YEAR * years)) for name, signal in known.items()}
    dates = daily["date"][begin:].to_list()
    shown = {
        name: {
            "limit": round(each.limit, 3),
            "episodes": each.episodes,
            "false": each.false,
            "announced": sum(lead is not None for lead in each.leads),
            "leads": each.leads,
        }
        for name, each in alarms.items()
    }
    shipped = judge(known["estimated"], TRUTH, 1.0, truth)
    announced = [lead for lead in shipped.leads if lead is not None]
    details = {
        "what": what,
        "matured_alarms": [str(dates[k]) for k in truth],
        "years": round(years, 2),
        "announced": len(announced),
        "false": shipped.false,
        "leads": shipped.leads,
        "tuned": shown,
    }
    median = float(np.median(announced)) if announced else float("nan")
    figures = {
        "loss_estimate_error": accuracy(daily) | {"what": what},
        "early_warning_lead": {"value": median, **details},
    }
    print(json.dumps(figures, indent=1))
    print(record("early_warning", figures, command="python -m benchmarks.early_warning --store STORE"))


if __name__ == "__main__":
    main()
