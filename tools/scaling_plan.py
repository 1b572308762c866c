"""Estimate 100,000 tickers and 20 models from measured unit costs; writes the tables of ``docs/scaling.md``.

    python -m tools.scaling_plan

``forecast_assets_tests/tools/test_scaling_plan.py`` fails when the page and the committed results differ.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.resources.settings import compose_settings
from tools.results import RESULTS, ROOT

PAGE = ROOT / "docs" / "scaling.md"
BEGIN, END = "<!-- plan: begin -->", "<!-- plan: end -->"
HOUR, GIB = 3600.0, 2.0**30


@dataclass(frozen=True)
class Job:
    """The job to estimate."""

    epochs: int
    samples_per_ticker: float  # of an epoch
    compared_origins: int  # forecast after each epoch
    tickers: int = 100_000
    models: int = 20
    years: int = 7
    fits: int = 3
    validation_sessions: int = 126
    test_sessions: int = 252
    hours: float = 24.0  # to train the networks in

    @classmethod
    def of_full_profile(cls) -> Self:
        """Return the job with TFTs that are trained as those of the ``full`` profile are on the reference panel."""
        spec = compose_settings("full", []).b1_tft
        tickers = figure("panel", "ingest_growth_exponent")["sizes"][0]["tickers"]
        return cls(spec.epochs, spec.samples_per_epoch / tickers, spec.compared_origins)


@dataclass(frozen=True)
class Units:
    """Measured costs of one unit each."""

    sessions_per_ticker: float
    panel_seconds_per_row: float  # wall, on two cores
    tensor_bytes_per_row: float
    train_windows_per_core_second: float
    infer_windows_per_core_second: float
    fit_gib: float  # beside the panel
    fold_over_tensors: float  # peak of a fold's panel over its tensors
    night_panel_seconds_per_ticker: float
    night_forecast_seconds_per_ticker: float
    export_seconds: float

    @classmethod
    def measured(cls) -> Self:
        """Read them from the committed results."""
        big, growth = figure("panel", "big_panel_peak_gib"), figure("panel", "ingest_growth_exponent")
        fold, epoch = figure("fold", "fold_peak_vs_base_tensors"), figure("fold", "full_panel_epoch_minutes")
        infer = figure("models", "tft_infer_vs_pytorch_forecasting")
        night, forecast = figure("nightly", "nightly_minutes"), figure("nightly", "forecast_all_seconds")
        reference = growth["sizes"][0]
        panel = ("raw_panel", "calendar_panel", "feature_panel", "windowed_tensors")
        return cls(
            sessions_per_ticker=reference["rows"] / reference["tickers"],
            panel_seconds_per_row=big["seconds"] / big["rows"],
            tensor_bytes_per_row=fold["base_tensors_gib"] * GIB / reference["rows"],
            train_windows_per_core_second=epoch["windows_per_second"] / epoch["threads"],
            infer_windows_per_core_second=infer["ours_windows_per_cpu_second"],
            fit_gib=fold["model_and_libraries_gib"],
            fold_over_tensors=fold["value"],
            night_panel_seconds_per_ticker=sum(night["seconds"][stage] for stage in panel) / reference["tickers"],
            night_forecast_seconds_per_ticker=forecast["value"] / forecast["tickers"],
            export_seconds=night["seconds"]["serving_model"],
        )


class Line(NamedTuple):
    """One line of a table."""

    what: str
    value: float
    unit: str
    how: str


def unit_costs(units: Units) -> list[Line]:
    """Return what was measured, with the benchmark that measured it."""
    return [
        Line("sessions of a ticker", units.sessions_per_ticker, "rows", "panel"),
        Line("raw rows to tensors", units.panel_seconds_per_row * 1e6, "s per million rows, two cores", "panel"),
        Line("tensors", units.tensor_bytes_per_row, "bytes per row", "fold"),
        Line("training, TFT of hidden 16", units.train_windows_per_core_second, "windows per core second", "fold"),
        Line("forecasting, TFT of hidden 32", units.infer_windows_per_core_second, "windows per core second", "models"),
        Line("a fit beside its panel", units.fit_gib, "GiB", "fold"),
        Line("a fold's panel over its tensors, peak", units.fold_over_tensors, "times", "fold"),
        Line("a night's panel", units.night_panel_seconds_per_ticker * 1e3, "s per 1,000 tickers", "nightly"),
        Line("a night's forecasts", units.night_forecast_seconds_per_ticker * 1e3, "s per 1,000 tickers", "nightly"),
        Line("a champion's export", units.export_seconds, "s", "nightly"),
    ]


def plan(job: Job, units: Units) -> list[Line]:
    """Return the job in rows, hours, cores and memory."""
    rows = job.tickers * units.sessions_per_ticker
    tensors = rows * units.tensor_bytes_per_row / GIB
    fits = job.models * job.years * job.fits
    samples = job.tickers * job.samples_per_ticker * job.epochs
    scored = job.compared_origins * job.epochs
    forecasts = job.tickers * (job.validation_sessions + job.test_sessions)
    train = samples / units.train_windows_per_core_second / HOUR
    infer = (scored + forecasts) / units.infer_windows_per_core_second / HOUR
    cores = fits * (train + infer) / job.hours
    beside = (units.fold_over_tensors - 1) * tensors + units.fit_gib
    return [
        Line("rows", rows / 1e6, "million", "tickers x sessions"),
        Line("raw rows to tensors", rows * units.panel_seconds_per_row / HOUR, "hours, one machine", "rows x cost"),
        Line("tensors", tensors, "GiB", "rows x bytes"),
        Line("fits", fits, "", "models x years x fits"),
        Line("training a fit", train, "core hours", "tickers x samples x epochs / windows per second"),
        Line("forecasting a fit", infer, "core hours", "some of validation per epoch, then validation and test"),
        Line("all fits", fits * (train + infer), "core hours", "fits x both"),
        Line(f"cores for {job.hours:.0f} hours", cores, "", "core hours / hours"),
        Line("memory of a machine", tensors, "GiB", "the mapped tensors, shared by its fits"),
        Line("and for each fit on it", beside, "GiB", "peak less tensors"),
        Line("rows of one fit's forecasts", len(HORIZONS) * forecasts / 1e6, "million", "forecasts x horizons"),
        Line("a night's panel", job.tickers * units.night_panel_seconds_per_ticker / HOUR, "hours", "tickers x cost"),
        Line(
            "a night's forecasts", job.tickers * units.night_forecast_seconds_per_ticker / 60, "min", "tickers x cost"
        ),
    ]


def section(job: Job, units: Units) -> str:
    """Return both tables as Markdown."""
    return "\n".join(
        [
            "| measured | cost | unit | by |",
            "|---|---|---|---|",
            *(
                f"| {x.what} | {shown(x.value)} | {x.unit} | `python -m benchmarks.{x.how}` |"
                for x in unit_costs(units)
            ),
            "",
            f"| {job.tickers:,} tickers, {job.models} models | | | how |",
            "|---|---|---|---|",
            *(f"| {x.what} | {shown(x.value)} | {x.unit} | {x.how} |" for x in plan(job, units)),
        ]
    )


def shown(value: float) -> str:
    """Format with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def with_plan(page: str) -> str:
    """Return ``page`` with the tables of the committed results. Raises ValueError where its markers are missing."""
    before, found, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{PAGE.name}: the markers {BEGIN} and {END} must both be there, in this order")
    return f"{before}{BEGIN}\n{section(Job.of_full_profile(), Units.measured())}\n{END}{after}"


@cache
def _results(name: str) -> dict[str, Any]:
    return dict(json.loads(Path(RESULTS, f"{name}.json").read_text(encoding="utf-8"))["figures"])


def figure(name: str, key: str) -> dict[str, Any]:
    """Return one committed figure with its details."""
    return dict(_results(name)[key])


def main() -> None:
    """Rewrite the page in place."""
    PAGE.write_text(with_plan(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
