"""B0 to the ensemble, one against the other."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from forecast_assets.assets.backtest_report import BASELINE, MODEL, ReportInputs, publish_files, run_facts
from forecast_assets.assets.decisions import RAW
from forecast_assets.assets.product import TABLE, Product
from forecast_assets.assets.stage import stage
from forecast_assets.assets.windowed_tensors import TENSORS
from forecast_assets.core.specs import AblationSpec, WindowSpec
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.windows.tensors import PanelTensors

REPORT, NUMBERS = "ablation.html", "ablation.json"

MODELS = (
    *("ensemble", "best_member", "b4_patchtst", "b3_tft_sector", "b2_tft_ticker", "b1_tft", "b0_mlp"),
    *("harx", "har", "garch", "ewma"),
)
"""Shown in this order; the ensemble's other calibrations are shown as steps only."""


def publish_ablation(version: Version, _instance: dg.DagsterInstance, data_root: str) -> None:
    """Put the report beside the other one."""
    publish_files(version, data_root, (REPORT, NUMBERS))


@stage(group="verdict", kinds={"matplotlib"}, after=publish_ablation)
def ablation_report(
    raw_panel: Version,
    calendar_panel: Version,
    windowed_tensors: Version,
    baselines: dict[str, Version],
    b0_mlp: dict[str, Version],
    b1_tft: dict[str, Version],
    b2_tft_ticker: dict[str, Version],
    b3_tft_sector: dict[str, Version],
    b4_patchtst: dict[str, Version],
    ensemble: dict[str, Version],
    ablation: AblationSpec,
    windows: WindowSpec,
    profile: str,
) -> Product:
    """What each step from the friend's MLP to the ensemble is worth: HTML report and numbers, over the years at hand."""
    from forecast_assets.core.evaluation.figure import to_svg
    from forecast_assets.core.evaluation.gallery import ablation_figures
    from forecast_assets.core.evaluation.report import render_ablation_report

    networks = {
        "b1_tft": b1_tft,
        "b2_tft_ticker": b2_tft_ticker,
        "b3_tft_sector": b3_tft_sector,
        "b4_patchtst": b4_patchtst,
    }
    inputs = ReportInputs(
        raw_panel=raw_panel,
        calendar_panel=calendar_panel,
        models={"ensemble": ensemble, "b0_mlp": b0_mlp, **networks, "baselines": baselines},
        backtest={},
    )
    summary = ablation_content(inputs, windowed_tensors, spec=ablation, windows=windows, profile=profile)
    figures = ablation_figures(summary)
    scores = pl.DataFrame(summary["scores"], infer_schema_length=None)
    return Product(
        files={
            TABLE: scores,
            REPORT: render_ablation_report(summary, {name: to_svg(figure) for name, figure in figures.items()}),
            NUMBERS: json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n",
        },
        facts={
            "years": ", ".join(map(str, summary["years"])),
            "verdicts": "; ".join(f"{v['claim']}: {v['verdict']}" for v in summary["verdicts"]),
        },
        plots=figures,
    )


@dataclass
class _Newcomers:
    """Collects the losses of names that list in the test years while all tables pass by."""

    ages: pl.DataFrame
    losses: list[pl.DataFrame] = field(default_factory=list)

    def watch(self, tables: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        from forecast_assets.core.evaluation.daily import forecast_losses

        for table in tables:
            self.losses.append(forecast_losses(table.join(self.ages, on=["ticker", "date"], how="semi")))
            yield table


def ablation_content(
    inputs: ReportInputs, windowed_tensors: Version, *, spec: AblationSpec, windows: WindowSpec, profile: str
) -> dict[str, Any]:
    """Everything the report says, from the artefacts alone."""
    from forecast_assets.core.evaluation.ablation import RAW as UNCALIBRATED
    from forecast_assets.core.evaluation.ablation import SPLIT, newcomer_scores
    from forecast_assets.core.evaluation.ablation import ablation as compare
    from forecast_assets.core.evaluation.daily import daily_losses
    from forecast_assets.core.windows.tensors import PanelTensors

    ensemble = inputs.models[MODEL]
    years = sorted(ensemble)
    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    newcomers = _Newcomers(newcomers_of(panel, ensemble[years[0]], lookback=windows.lookback))
    spans = (newcomers.watch(tables) for tables in (_with_other_calibrations(inputs, year) for year in years))
    losses = daily_losses(spans, references=[*MODELS, UNCALIBRATED, SPLIT])
    rows = pl.concat(newcomers.losses)
    wanted = inputs.raw_panel.json("partitions.json")["years"]
    return compare(
        losses,
        newcomer_scores(rows, newcomers.ages, baseline=BASELINE),
        models=MODELS,
        baseline=BASELINE,
        spec=spec,
        facts=run_facts(inputs, years=years, profile=profile),
        years=[int(year) for year in years],
        missing_years=[int(year) for year in wanted if year not in years],
    )


def newcomers_of(panel: "PanelTensors", first_year: Version, *, lookback: int) -> pl.DataFrame:
    """ticker, date, age of the first decisions of names whose first window lies in the test years: no fold's training
    has seen them then.
    """
    from forecast_assets.core.evaluation.ablation import newcomer_decisions

    ends = panel.ends(lookback)
    decisions = pl.DataFrame(
        {
            "date": pl.Series(panel.date[ends].numpy()).cast(pl.Date),
            "ticker": pl.Series(panel.tickers).gather(panel.ticker[ends].numpy()),
        }
    )
    first = decisions.group_by("ticker").agg(first=pl.col("date").min())
    test = pl.scan_parquet(first_year.path(TABLE)).filter(pl.col("split") == "test")
    return newcomer_decisions(first, decisions, since=test.select(pl.col("date").min()).collect().item())


def _with_other_calibrations(inputs: ReportInputs, year: str) -> Iterator[pl.DataFrame]:
    """A year's tables; then the ensemble as it came out, and with split conformal instead."""
    yield from inputs.forecasts(year)
    ensemble: Mapping[str, Version] = inputs.models[MODEL]
    if RAW in ensemble[year].manifest.files:
        yield from _other_calibrations(pl.read_parquet(ensemble[year].path(RAW)))


def _other_calibrations(raw: pl.DataFrame) -> Iterator[pl.DataFrame]:
    from forecast_assets.core.evaluation.ablation import RAW as UNCALIBRATED
    from forecast_assets.core.evaluation.ablation import SPLIT
    from forecast_assets.core.evaluation.forecast_table import forecast_table, quantile_array
    from forecast_assets.core.training.calibrate import calibrate_split

    yield raw.with_columns(model=pl.lit(UNCALIBRATED))
    arrays = quantile_array(raw)
    split = raw.unique(["date", "ticker"], maintain_order=True)["split"]  # in the arrays' order: date, then ticker
    validation = (split == "validation").to_numpy()
    yield forecast_table(
        date=pl.Series(arrays.date),
        ticker=arrays.ticker,
        quantiles=calibrate_split(arrays.quantiles, y=arrays.y, validation=validation),
        y=arrays.y,
        split=split,
        model=SPLIT,
    )
