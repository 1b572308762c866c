"""The reports' numbers once more, from the artefacts they were made of."""

import json
from collections.abc import Callable
from typing import Any

from forecast_assets.assets.ablation_report import NUMBERS, ablation_content
from forecast_assets.assets.ablation_report import REPORT as ABLATION
from forecast_assets.assets.backtest_report import (
    METRICS,
    REPORT,
    TRIALS,
    ReportInputs,
    report_content,
    reports_folder,
)
from forecast_assets.core.errors import MissingArtefact
from forecast_assets.core.evaluation.differences import first_difference
from forecast_assets.core.evaluation.trials import Trial, TrialLedger
from forecast_assets.core.specs import AblationSpec, BacktestSpec, VerdictSpec, WindowSpec
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

REPORT_ASSET = "backtest_report"
ABLATION_ASSET = "ablation_report"
WHOLE_PANEL = ("raw_panel", "calendar_panel", "windowed_tensors")
BOOKS = "backtest"


def report_problems(resource: StoreResource) -> list[str]:
    """Where a published report is not what its artefacts give: one sentence each, none for sound ones.

    The numbers are derived again from the very versions that a report read, not from newer ones, and compared with
    ``metrics.json`` and ``ablation.json`` as people read them. Raises MissingArtefact where there is no backtest report,
    or one of those versions is gone.
    """
    store = resource.store()
    report = store.current(REPORT_ASSET)
    problems = _problems(resource, report, page=REPORT, numbers=METRICS, derive=_backtest_numbers)
    if store.has(ABLATION_ASSET):
        ablation = store.current(ABLATION_ASSET)
        problems += _problems(resource, ablation, page=ABLATION, numbers=NUMBERS, derive=_ablation_numbers)
    return problems


def _problems(
    resource: StoreResource,
    version: Version,
    *,
    page: str,
    numbers: str,
    derive: Callable[[Store, Version, str], dict[str, Any]],
) -> list[str]:
    folder = reports_folder(resource.root())
    problems = []
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
    derived = derive(resource.store(), version, stored["facts"]["profile"])
    for where, found in ((folder / numbers, published), (f"{version.label} in the store: {numbers}", stored)):
        if found is not None and (difference := first_difference(_comparable(found), _comparable(derived))):
            problems.append(f"{where}: {difference}{_version_note(stored, derived)}")
    return problems


def _backtest_numbers(store: Store, report: Version, profile: str) -> dict[str, Any]:
    whole, yearly = _parents(store, report)
    content = report_content(
        ReportInputs(**whole, backtest=yearly.pop(BOOKS), models=yearly),
        ledger=TrialLedger.of(Trial.from_record(record) for record in report.json(TRIALS)["trials"]),
        spec=BacktestSpec.model_validate(report.manifest.config["backtest"]),
        rules=VerdictSpec.model_validate(report.manifest.config["verdict"]),
        profile=profile,
    )
    return content.summary


def _ablation_numbers(store: Store, report: Version, profile: str) -> dict[str, Any]:
    whole, yearly = _parents(store, report)
    tensors = whole.pop("windowed_tensors")
    return ablation_content(
        ReportInputs(**whole, models=yearly, backtest={}),
        tensors,
        spec=AblationSpec.model_validate(report.manifest.config["ablation"]),
        windows=WindowSpec.model_validate(report.manifest.config["windows"]),
        profile=profile,
    )


def _parents(store: Store, report: Version) -> tuple[dict[str, Version], dict[str, dict[str, Version]]]:
    """The versions that a report read: those of the whole panel, and by asset those of its years."""
    yearly: dict[str, dict[str, Version]] = {}
    whole: dict[str, Version] = {}
    for label, data_version in report.manifest.parents.items():
        asset, _, year = label.partition("/")
        if asset in WHOLE_PANEL:
            whole[asset] = _version(store, asset, None, data_version)
        elif year:
            yearly.setdefault(asset, {})[year] = _version(store, asset, year, data_version)
    return whole, yearly


def _version(store: Store, asset: str, partition: str | None, data_version: str) -> Version:
    for version in reversed(store.versions(asset, partition)):
        if version.data_version == data_version:
            return version
    where = f"{asset}/{partition}" if partition else asset
    raise MissingArtefact(f"{where}: the version the report was made of is gone; make the report again.")


def _comparable(summary: Any) -> Any:
    """Without the versions of the packages: those of now are not those of then, and the numbers may still agree."""
    if not isinstance(summary, dict) or not isinstance(summary.get("facts"), dict):
        return summary
    return {**summary, "facts": {key: value for key, value in summary["facts"].items() if key != "versions"}}


def _version_note(stored: dict[str, Any], derived: dict[str, Any]) -> str:
    changed = first_difference(stored["facts"]["versions"], derived["facts"]["versions"], path="version of ")
    return f" ({changed.replace('version of .', 'version of ')})" if changed else ""
