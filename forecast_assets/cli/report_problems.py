"""Derive the reports' numbers again from the artefacts they were made of, and list what differs."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import polars as pl

from forecast_assets.assets.ablation_report import ablation_content
from forecast_assets.assets.backtest import score_forecasts
from forecast_assets.assets.backtest_report import BacktestInputs, ReportInputs, report_content, reports_folder
from forecast_assets.assets.fold.coverage import year_cells
from forecast_assets.assets.fold.losses import YearForecasts, losses_files
from forecast_assets.assets.framework.parameters import Parameters, Values, arguments, needs_of, parameters_of
from forecast_assets.core.errors import MissingArtefact
from forecast_assets.core.evaluation.differences import first_difference, same_numbers
from forecast_assets.core.evaluation.trials import Trial, TrialLog
from forecast_assets.core.panel.lineage import rows_kept
from forecast_assets.core.specs import (
    AblationSpec,
    BacktestSpec,
    CoverageSpec,
    CurrencySpec,
    MeanRiskSpec,
    ScenarioSpec,
    SurvivorshipSpec,
    VerdictSpec,
    WindowSpec,
)
from forecast_assets.store.artefact_files import (
    ABLATION_METRICS,
    ABLATION_PAGE,
    BACKTEST_METRICS,
    BACKTEST_PAGE,
    TABLE,
    TRIALS,
)
from forecast_assets.store.asset_keys import BACKTEST_REPORT
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

Inputs = TypeVar("Inputs", bound=Parameters)
Derive = Callable[[Inputs, Version, str], dict[str, Any]]


def report_problems(store: Store, root: str) -> list[str]:
    """Return where a published report is not what its artefacts give, one sentence each.

    The forecasts of each year are scored again and compared with the losses that the year published; from these and the
    daily returns the numbers are derived again and compared with ``metrics.json`` and ``ablation.json`` as people read
    them: all from the very versions that a report read, not from newer ones. Raises MissingArtefact where there is no
    backtest report, or one of those versions is gone.
    """
    report = store.current(BACKTEST_REPORT)
    reports = [report] + ([store.current("ablation_report")] if store.has("ablation_report") else [])
    years = {year.path(TABLE): year for made in reports for year in opened(ReportInputs, store, made).backtest.values()}
    problems = [problem for made in reports for problem in panel_problems(store, made)]
    problems += [problem for year in years.values() for problem in loss_problems(store, year)]
    problems += _problems(store, root, report, BACKTEST_PAGE, BACKTEST_METRICS, BacktestInputs, _backtest_numbers)
    for ablation in reports[1:]:
        problems += _problems(store, root, ablation, ABLATION_PAGE, ABLATION_METRICS, ReportInputs, _ablation_numbers)
    return problems


def _problems(
    store: Store, root: str, version: Version, page: str, numbers: str, read: type[Inputs], derive: Derive[Inputs]
) -> list[str]:
    folder, problems = reports_folder(root), []
    stored: dict[str, Any] = version.json(numbers)
    published: Any = None
    try:
        published = json.loads((folder / numbers).read_bytes())
        if (folder / page).read_bytes() != version.path(page).read_bytes():
            problems.append(f"{folder / page}: differs from the report in the store")
    except FileNotFoundError as error:
        problems.append(f"{error.filename or folder}: is gone")
    except ValueError:
        problems.append(f"{folder / numbers}: is not JSON")
    derived = derive(opened(read, store, version), version, stored["facts"]["profile"])
    for where, found in ((folder / numbers, published), (f"{version.label} in the store: {numbers}", stored)):
        if found is not None and (difference := first_difference(_comparable(found), _comparable(derived))):
            problems.append(f"{where}: {difference}{_version_note(stored, derived)}")
    return problems


def panel_problems(store: Store, report: Version) -> list[str]:
    """Return the years of a report that forecast another panel than the one that it read, one sentence each."""
    inputs, problems = opened(ReportInputs, store, report), []
    panel = pl.scan_parquet(inputs.calendar_panel.path(TABLE)).filter(~pl.col("is_missing"))
    renames = inputs.raw_panel.manifest.config["panel"].get("renames", {})
    for year in inputs.years:
        forecasts = pl.scan_parquet(inputs.ensemble[year].path(TABLE)).filter(pl.col("split") == "test")
        rows = rows_kept(forecasts, panel, renames=renames)
        if not rows.same_panel:
            problems.append(
                f"{report.label} mixes panels: of {rows.before} forecasts' tickers and dates in {year}, {rows.kept} are in "
                f"the panel that it read; run {year} again, or give each panel a data root of its own"
            )
    return problems


def loss_problems(store: Store, backtest: Version) -> list[str]:
    """Return the files of a year whose losses are not those of the forecasts that it read, one sentence each."""
    forecasts = opened(YearForecasts, store, backtest)
    lookback = WindowSpec.model_validate(backtest.manifest.config["windows"]).lookback
    return [
        f"{backtest.label}: {name} does not hold the losses of the forecasts it was made from"
        for name, expected in losses_files(score_forecasts(forecasts, lookback=lookback), year_cells(forecasts)).items()
        if not same_numbers(pl.read_parquet(backtest.path(name)), expected)
    ]


def _backtest_numbers(inputs: BacktestInputs, report: Version, profile: str) -> dict[str, Any]:
    content = report_content(
        inputs,
        log=TrialLog.of(Trial.from_record(record) for record in report.json(TRIALS)["trials"]),
        spec=BacktestSpec.model_validate(report.manifest.config["backtest"]),
        currency=CurrencySpec.model_validate(report.manifest.config["currency"]),
        coverage=CoverageSpec.model_validate(report.manifest.config["coverage"]),
        scenarios=ScenarioSpec.model_validate(report.manifest.config.get("scenarios", {})),  # an older report has none
        rules=VerdictSpec.model_validate(report.manifest.config["verdict"]),
        survivorship=SurvivorshipSpec.model_validate(report.manifest.config.get("survivorship", {})),
        optimiser=MeanRiskSpec.model_validate(report.manifest.config.get("mean_risk", {})),
        profile=profile,
    )
    return content.summary


def _ablation_numbers(inputs: ReportInputs, report: Version, profile: str) -> dict[str, Any]:
    spec = AblationSpec.model_validate(report.manifest.config["ablation"])
    return ablation_content(inputs, spec=spec, profile=profile)


def opened(bundle: type[Inputs], store: Store, child: Version) -> Inputs:
    """Return what ``child`` read, of which ``bundle`` is all or a part."""
    parameters = parameters_of(bundle)
    names = list(needs_of(parameters).parents)
    parents = _parents(store, child, names)
    if absent := [name for name in names if name not in parents]:
        raise MissingArtefact(f"{child.label}: was made by older code, without {absent}; run the graph again.")
    return bundle(**arguments(parameters, Values(parents, {}, {})))


def _parents(store: Store, child: Version, assets: Sequence[str]) -> dict[str, Any]:
    """Return the versions of ``assets`` that ``child`` read, by asset, and by year where a report read all years."""
    found: dict[str, Any] = {}
    for label, seen in child.manifest.parents.items():
        asset, _, year = label.partition("/")
        if asset not in assets:
            continue
        if year and child.partition is None:
            found.setdefault(asset, {})[year] = _version(store, asset, year, seen, by=None)
        else:
            found[asset] = _version(store, asset, year or None, seen, by=child.partition)
    return found


def _version(store: Store, asset: str, partition: str | None, seen: str, *, by: str | None) -> Version:
    """Return the newest version of which ``by``, a year's fold (None: a report), recorded ``seen``."""
    for version in reversed(store.versions(asset, partition)):
        if version.seen_by(int(by) if by else None) == seen:
            return version
    where = f"{asset}/{partition}" if partition else asset
    raise MissingArtefact(f"{where}: the version the report was made of is gone; make the report again.")


def _comparable(summary: Any) -> Any:
    """Leave out the packages' versions: they may have changed since, and the numbers still agree."""
    if not isinstance(summary, dict) or not isinstance(summary.get("facts"), dict):
        return summary
    return {**summary, "facts": {key: value for key, value in summary["facts"].items() if key != "versions"}}


def _version_note(stored: dict[str, Any], derived: dict[str, Any]) -> str:
    changed = first_difference(stored["facts"]["versions"], derived["facts"]["versions"], path="version of ")
    return f" ({changed.replace('version of .', 'version of ')})" if changed else ""
