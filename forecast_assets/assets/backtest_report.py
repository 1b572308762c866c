"""The backtest report: the verdict over all years at hand."""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import dagster as dg
import polars as pl
from upath import UPath

from forecast_assets.assets.fold.books import RIVAL_DAILY, JoinedBooks, YearModels, joined_books, rival_books
from forecast_assets.assets.fold.candidates import trained
from forecast_assets.assets.fold.delistings import delistings_of
from forecast_assets.assets.fold.losses import read_cells, read_daily
from forecast_assets.assets.fold.risked import risked_by_day
from forecast_assets.assets.framework.inputs import ProfileName, Trials
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.parameters import Networks, Parameters
from forecast_assets.assets.framework.stage import stage
from forecast_assets.assets.fx_rates import OWN_CURRENCIES, conversion_of
from forecast_assets.core.errors import BadInput
from forecast_assets.core.models.catalogue import BESIDE_BASELINE, MLP_BASELINE
from forecast_assets.core.panel.point_in_time import UNIVERSE_FACTS
from forecast_assets.core.specs import (
    BacktestSpec,
    CoverageSpec,
    CurrencySpec,
    MeanRiskSpec,
    ScenarioSpec,
    SurvivorshipSpec,
    VerdictSpec,
)
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import (
    BACKTEST_METRICS,
    BACKTEST_PAGE,
    IMPORTANCE,
    LATEST_REPORTS,
    NEIGHBOURS,
    PARTITIONS,
    POSITIONS,
    READING,
    RISKED,
    RIVAL_BOOKS,
    RIVAL_LOSSES,
    RIVAL_RECORDS,
    TABLE,
    TICKERS,
    TRADES,
    TRAINING,
    TRIALS,
)
from forecast_assets.store.durable import replace_file
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.backtest.currency import Conversion
    from forecast_assets.core.evaluation.delistings import Delistings
    from forecast_assets.core.evaluation.trials import TrialLog
    from forecast_assets.core.report.rivals import RivalYears


MODEL = "ensemble"
STARTING_POINT = "harx"  # of the networks; the other baselines' medians rank tickers much as its does
COMPARED = ("harx", "harx_plain", MLP_BASELINE, "har", "garch", "ewma", "histvol20", *BESIDE_BASELINE, "best_member")
TRADING_COLUMNS = (
    *("date", "ticker", "exchange", "sector", "open", "close"),
    *("is_missing", "is_member", "segment", "region"),
)
PACKAGES = ("forecast-assets", "torch", "pytorch-forecasting", "lightning", "polars", "numpy", "dagster")


def reports_folder(data_root: str) -> UPath:
    """Return the folder of the latest reports below a data root."""
    return UPath(data_root) / LATEST_REPORTS


def publish_files(names: Sequence[str], version: Version, _instance: dg.DagsterInstance, where: StoreResource) -> None:
    """Copy a version's files to the folder of the latest reports, each whole or not at all; the store keeps the original."""
    for name in names:
        replace_file(reports_folder(where.root()), name, version.path(name).read_bytes())


@dataclass(frozen=True)
class ReportInputs(Parameters):
    """The artefacts that a report reads. Mappings are by year."""

    raw_panel: Version
    calendar_panel: Version
    baselines: dict[str, Version]
    b0_mlp: dict[str, Version]
    candidates: Annotated[dict[str, dict[str, Version]], Networks(BESIDE_BASELINE)]
    ensemble: dict[str, Version]
    backtest: dict[str, Version]
    rivals: dict[str, Version]

    @property
    def years(self) -> list[str]:
        """Test years of the panel that are at hand, in order. Raises BadInput where there is none."""
        of_panel = self.raw_panel.json(PARTITIONS)["years"]
        if not (years := sorted(set(self.backtest) & set(of_panel))):
            raise BadInput(
                f"backtest: the years at hand ({', '.join(sorted(self.backtest))}) are no test years of the panel "
                f"({', '.join(of_panel) or 'it has none'}); run its own years first"
            )
        return years

    @property
    def missing_years(self) -> list[int]:
        """Test years of the panel that are not at hand."""
        wanted = self.raw_panel.json(PARTITIONS)["years"]
        return [int(year) for year in wanted if year not in self.backtest]

    def models(self) -> dict[int, YearModels]:
        """Return the versions whose forecasts are traded, by year."""
        return {
            int(year): YearModels.of(self.ensemble[year], [of[year] for of in self.networks], self.baselines[year])
            for year in self.years
        }

    @property
    def rivals_by_year(self) -> dict[int, Version]:
        """The forecasts of rivals of the years at hand."""
        return {int(year): self.rivals[year] for year in self.years if year in self.rivals}

    @property
    def networks(self) -> list[Mapping[str, Version]]:
        """The models that are trained, some fits each."""
        return [self.b0_mlp, *self.candidates.values()]

    @property
    def whole(self) -> list[Version]:
        """All that is there once, for all years."""
        return [self.raw_panel, self.calendar_panel]

    @property
    def yearly(self) -> list[Mapping[str, Version]]:
        """All that is there by year."""
        return [*self.networks, self.baselines, self.ensemble, self.backtest, self.rivals]


@dataclass(frozen=True)
class BacktestInputs(ReportInputs):
    """The same with the exchange rates that the user brought."""

    fx_rates: Version

    @property
    def whole(self) -> list[Version]:
        """All that is there once, for all years."""
        return [*super().whole, self.fx_rates]


@dataclass(frozen=True)
class ReportContent:
    """The numbers, and the tables that the figures are drawn from."""

    summary: dict[str, Any]
    forecasts: pl.DataFrame  # those of the model that the report is about
    books: JoinedBooks
    rival_books: pl.DataFrame
    risked: pl.DataFrame  # by day: what the book and equal weights risked and then earned


JOINED = CheckSpec(
    "years_join",
    "the book carried over from year to year is the book simulated in one piece, New Year's night included",
)
JOINING_TOLERANCE = 1e-12


@stage(
    group="verdict",
    kinds={"matplotlib"},
    checks=(JOINED,),
    after=partial(publish_files, (BACKTEST_PAGE, BACKTEST_METRICS)),
)
def backtest_report(
    inputs: BacktestInputs,
    backtest_spec: BacktestSpec,
    currency: CurrencySpec,
    coverage: CoverageSpec,
    scenarios: ScenarioSpec,
    verdict: VerdictSpec,
    survivorship: SurvivorshipSpec,
    mean_risk: MeanRiskSpec,
    profile: ProfileName,
    trials: Trials,
) -> StageOutput:
    """HTML report and metrics.json over the years at hand: verdict first, a missing year named."""
    from forecast_assets.core.report.figure_style import to_svg
    from forecast_assets.core.report.html import render_backtest_report
    from forecast_assets.core.report.report_figures import backtest_figures

    years = inputs.years
    content = report_content(
        inputs,
        log=trials,
        spec=backtest_spec,
        currency=currency,
        coverage=coverage,
        scenarios=scenarios,
        rules=verdict,
        survivorship=survivorship,
        optimiser=mean_risk,
        profile=profile,
    )
    summary = content.summary
    last = [of[years[-1]] for of in inputs.candidates.values()]
    figures = backtest_figures(
        forecasts=content.forecasts,
        daily=content.books.daily,
        prices=pl.scan_parquet(inputs.calendar_panel.path(TABLE)).select("date", "ticker", "close").collect(),
        curves=pl.concat((pl.DataFrame(fold.json(TRAINING)["curve"]) for fold in trained(last)), how="diagonal"),
        risked=content.risked,
        summary=summary,
    )
    html = render_backtest_report(summary, {name: to_svg(figure) for name, figure in figures.items()})
    return StageOutput(
        files={
            TABLE: content.books.daily,
            POSITIONS: content.books.positions,
            TRADES: content.books.trades,
            RIVAL_BOOKS: content.rival_books,
            RISKED: content.risked,
            BACKTEST_PAGE: html,
            BACKTEST_METRICS: json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n",
            TRIALS: {"trials": [trial.as_record() for trial in trials.trials]},
        },
        facts={
            "years": ", ".join(years),
            "verdicts": "; ".join(f"{v['claim']}: {v['verdict']}" for v in summary["verdicts"]),
            "joining_error": content.books.joining_error,
            "currency": summary["facts"]["currency"],
        },
        plots={name.replace(":", "-"): figure for name, figure in figures.items()},
        checks={
            JOINED.name: Check(
                content.books.joining_error <= JOINING_TOLERANCE,
                f"largest difference {content.books.joining_error:.1e} of equity a day",
            )
        },
    )


def report_content(
    inputs: BacktestInputs,
    *,
    log: "TrialLog",
    spec: BacktestSpec,
    currency: CurrencySpec,
    coverage: CoverageSpec,
    scenarios: ScenarioSpec,
    rules: VerdictSpec,
    survivorship: SurvivorshipSpec,
    optimiser: MeanRiskSpec,
    profile: str,
) -> ReportContent:
    """Return the whole content of the report, from the artefacts and the trial log alone."""
    from forecast_assets.core.backtest.currency import in_base_money
    from forecast_assets.core.backtest.robustness import liquidity
    from forecast_assets.core.evaluation.coverage_cells import coverage_cells, with_deciles
    from forecast_assets.core.evaluation.daily_losses import join_losses
    from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX, YARDSTICK
    from forecast_assets.core.evaluation.training_noise import TrainingNoise
    from forecast_assets.core.evaluation.year_losses import SPLIT, calibrated_only
    from forecast_assets.core.panel.currencies import ticker_currencies
    from forecast_assets.core.report.coverage import CoverageContract
    from forecast_assets.core.report.evidence import Books, evidence, traded_liquidity
    from forecast_assets.core.report.importance import importance
    from forecast_assets.core.report.portfolio_risk import portfolio_risk_section
    from forecast_assets.core.report.rivals import rival_cards
    from forecast_assets.core.report.summary import summarise

    years = inputs.years
    losses = join_losses(read_daily(inputs.backtest[year]).without([SPLIT]) for year in years)
    cells = read_cells(inputs.backtest[year] for year in years)
    panel = pl.scan_parquet(inputs.calendar_panel.path(TABLE))
    traded = panel.select(TRADING_COLUMNS).collect()
    conversion = conversion_of(pl.read_parquet(inputs.fx_rates.path(TABLE)), traded.lazy(), currency)
    own = pl.concat(pl.read_parquet(inputs.ensemble[year].path(TABLE)) for year in years)
    gone = delistings_of(inputs.calendar_panel, traded, own, spec=spec, survivorship=survivorship)
    joined = joined_books(
        inputs.models(), traded, spec=spec, conversion=conversion, delistings=gone, optimiser=optimiser
    )
    rivals = rivals_of(inputs)._replace(
        books=rival_books(inputs.models(), inputs.rivals_by_year, traded, spec=spec, conversion=conversion)
    )
    liquid = traded_liquidity(liquidity(panel), joined.trades, strategies=[MODEL])
    in_base = in_base_money(liquid, "traded_value", ticker_currencies(traded, currency), conversion)
    books = Books(joined.daily, joined.variants, joined.positions, joined.trades, in_base)
    risked = risked_by_day(inputs.calendar_panel, own, joined.positions, spec=scenarios)
    summary = summarise(
        losses=losses,
        daily=joined.daily,
        facts=run_facts(inputs, profile=profile) | {"currency": conversion.base if conversion else OWN_CURRENCIES},
        missing_years=inputs.missing_years,
        spec=spec,
        model=MODEL,
        baseline=YARDSTICK,
        compared=COMPARED,
        rules=rules,
        evidence=evidence(
            losses=calibrated_only(losses),
            books=books,
            trial_log=log,
            model=MODEL,
            baseline=YARDSTICK.removesuffix(RAW_SUFFIX),
            spec=spec,
            rules=rules,
        ),
        contract=CoverageContract(coverage_cells(with_deciles(cells), spec=coverage), coverage),
        importance=importance(_selection_weights(inputs)),
        neighbours=_neighbours(inputs),
        reading=_reading(inputs.raw_panel, forecast=own["ticker"].unique()),
        rivals=rival_cards(
            rivals, model=MODEL, noise=TrainingNoise.of(losses.fits), spec=spec, rules=rules, traded=spec
        ),
        factor=_factor(inputs, horizon=spec.horizon_sessions),
        currency=_currency(joined, conversion),
        planted=_planted(inputs, own, spec=spec),
        survivorship=_survivorship(gone, joined, own, traded, spec=survivorship),
        portfolio_risk=portfolio_risk_section(risked, model=MODEL),
    )
    return ReportContent(summary, own, joined, rivals.books, risked)


def _selection_weights(inputs: BacktestInputs) -> dict[str, dict[int, Any]]:
    """Return the networks' weights of their variables, by network and year; None where it selects none."""
    weights: dict[str, dict[int, Any]] = {}
    for fold in trained(of[year] for of in inputs.networks for year in inputs.years):
        found = fold.json(IMPORTANCE) if IMPORTANCE in fold.manifest.files else None
        weights.setdefault(fold.asset, {})[int(fold.partition or 0)] = found
    return weights


def _factor(inputs: BacktestInputs, *, horizon: int) -> dict[str, Any]:
    """Return the statistics of the medians of the ensemble and, beside it, of what else was published, over all years."""
    from forecast_assets.core.report.factor import GROUPS, factor_view

    folds = trained(of[year] for of in inputs.networks for year in inputs.years)
    rivals = [inputs.rivals[year] for year in inputs.years if year in inputs.rivals]
    baselines = _test_medians([inputs.baselines[year] for year in inputs.years])
    others = pl.concat([_test_medians([*folds, *rivals]), baselines.filter(pl.col("model") == STARTING_POINT)])
    groups = pl.scan_parquet(inputs.calendar_panel.path(TABLE)).select("date", "ticker", *GROUPS).collect()
    own = _test_medians([inputs.ensemble[year] for year in inputs.years])
    names = others["model"].unique(maintain_order=True)
    beside = ((name, others.filter(pl.col("model") == name)) for name in names)
    return factor_view(MODEL, own, beside, groups=groups, horizon=horizon)


def _test_medians(versions: Sequence[Version]) -> pl.DataFrame:
    """Return model, date, ticker, horizon, q50, y of the versions' calibrated test forecasts."""
    tables = [pl.scan_parquet(version.path(TABLE)).filter(pl.col("split") == "test") for version in versions]
    return pl.concat(table.select("model", "date", "ticker", "horizon", "q50", "y") for table in tables).collect()


def _planted(inputs: BacktestInputs, own: pl.DataFrame, *, spec: BacktestSpec) -> dict[str, Any] | None:
    """Return how much of the signal of the synthetic panel was found; None where nothing was planted."""
    from forecast_assets.core.report.planted import planted_section

    strength = inputs.raw_panel.manifest.facts.get("planted_signal")
    if not strength:
        return None
    panel = pl.read_parquet(inputs.calendar_panel.path(TABLE), columns=["date", "ticker", "segment", "close"])
    return planted_section(own.filter(pl.col("split") == "test"), panel, strength=strength, spec=spec)


def _currency(joined: JoinedBooks, conversion: "Conversion | None") -> dict[str, Any] | None:
    """Return what exchange rates did to the books; None without any."""
    from forecast_assets.core.report.currency import currency_section

    if conversion is None:
        return None
    return currency_section(conversion, daily=joined.daily, local=joined.local, positions=joined.positions, model=MODEL)


def _survivorship(
    delistings: "Delistings", joined: JoinedBooks, own: pl.DataFrame, panel: pl.DataFrame, *, spec: SurvivorshipSpec
) -> dict[str, Any]:
    """Return Sharpe ratios and coverage with the delistings."""
    from forecast_assets.core.evaluation.delistings import delisted_coverage
    from forecast_assets.core.report.survivorship import survivorship_section

    coverage = delisted_coverage(own, panel, delistings)
    return survivorship_section(delistings, sharpes=joined.delisted, coverage=coverage, daily=joined.daily, spec=spec)


def rivals_of(inputs: ReportInputs) -> "RivalYears":
    """Return what the years at hand hold of rivals, without their books, which are not simulated yet."""
    from forecast_assets.core.report.rivals import RivalYears

    versions = inputs.rivals_by_year
    return RivalYears(
        records={year: version.json(RIVAL_RECORDS) for year, version in versions.items()},
        losses=pl.concat(pl.read_parquet(version.path(RIVAL_LOSSES)) for version in versions.values()),
        books=pl.DataFrame(schema=RIVAL_DAILY),
    )


def _reading(raw_panel: Version, *, forecast: pl.Series) -> list[tuple[str, str]]:
    """Return what was read and which tickers have no forecast, as (what, text) of each line; empty of older code."""
    from forecast_assets.core.panel.summary import summary_rows, without_forecast

    if READING not in raw_panel.manifest.files:
        return []
    tickers = pl.read_parquet(raw_panel.path(TICKERS))
    return [*summary_rows(raw_panel.json(READING)), *without_forecast(tickers, forecast=forecast)]


def _neighbours(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return the attribution of the last day's forecasts to neighbours; empty where no network reads any."""
    from forecast_assets.core.evaluation.neighbours import most_moved

    for fold in trained(of[inputs.years[-1]] for of in inputs.candidates.values()):
        if NEIGHBOURS in fold.manifest.files:
            return most_moved(pl.read_parquet(fold.path(NEIGHBOURS)))
    return []


def run_facts(inputs: ReportInputs, *, profile: str) -> dict[str, Any]:
    """Return the provenance that a report prints: versions, seeds, data, counts."""
    from forecast_assets.core.training.location import earned_in_words

    panel, years = inputs.raw_panel.manifest.facts, inputs.years
    fits = [fit for of in inputs.networks for year in years for fit in of[year].json(TRAINING)["fits"]]
    slopes = [fit["location_slope"] for fit in fits if "location_slope" in fit]
    universe = {name: fact for name, fact in inputs.calendar_panel.manifest.facts.items() if name in UNIVERSE_FACTS}
    versions = [
        *inputs.whole,
        *(of[year] for of in inputs.yearly for year in years if year in of),
    ]
    return {
        "data_version": sha256_text(canonical_json([v.data_version for v in versions]))[:16],
        "config_hash": sha256_text(canonical_json([v.manifest.config for v in versions]))[:16],
        "seeds": sorted({seed for of in inputs.networks for year in years for seed in of[year].manifest.seeds}),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "fits": len(fits),
        **({"location_earned": earned_in_words(slopes)} if slopes else {}),
        "profile": profile,
        "panel_first": panel["first_session"],
        "panel_last": panel["last_session"],
        "panel_rows": panel["rows_read"] - panel["rows_rejected"],
        "rows_rejected": panel["rows_rejected"],
        "rows_invalid": panel["rows_invalid"],
        "tickers": panel["tickers"],
        **universe,
    }
