"""The report's numbers once more, from the artefacts it was made of."""

import json
from typing import Any

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
from forecast_assets.core.specs import BacktestSpec, VerdictSpec
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

REPORT_ASSET = "backtest_report"
WHOLE_PANEL = ("raw_panel", "calendar_panel")
BOOKS = "backtest"


def report_problems(resource: StoreResource) -> list[str]:
    """Where the published report is not what its artefacts give: one sentence each, none for a sound one.

    The numbers are derived again from the very versions that the report read, not from newer ones, and compared with
    ``metrics.json`` as people read it. Raises MissingArtefact where there is no report, or one of those versions is
    gone.
    """
    store = resource.store()
    version = store.current(REPORT_ASSET)
    folder = reports_folder(resource.root())
    problems = []
    stored: dict[str, Any] = version.json(METRICS)
    published: Any = None
    try:
        published = json.loads((folder / METRICS).read_bytes())
        if (folder / REPORT).read_bytes() != version.path(REPORT).read_bytes():
            problems.append(f"{folder / REPORT}: differs from the report in the store")
    except FileNotFoundError as error:
        problems.append(f"{error.filename or folder}: is gone")
    except ValueError:
        problems.append(f"{folder / METRICS}: is not JSON")
    derived = _derive(store, version, profile=stored["facts"]["profile"])
    for where, found in ((folder / METRICS, published), (f"{REPORT_ASSET} in the store: {METRICS}", stored)):
        if found is not None and (difference := first_difference(_comparable(found), _comparable(derived))):
            problems.append(f"{where}: {difference}{_version_note(stored, derived)}")
    return problems


def _derive(store: Store, report: Version, *, profile: str) -> dict[str, Any]:
    yearly: dict[str, dict[str, Version]] = {}
    whole: dict[str, Version] = {}
    for label, data_version in report.manifest.parents.items():
        asset, _, year = label.partition("/")
        if asset in WHOLE_PANEL:
            whole[asset] = _version(store, asset, None, data_version)
        elif year:
            yearly.setdefault(asset, {})[year] = _version(store, asset, year, data_version)
    books = yearly.pop(BOOKS)
    content = report_content(
        ReportInputs(**whole, models=yearly, backtest=books),
        ledger=TrialLedger.of(Trial.from_record(record) for record in report.json(TRIALS)["trials"]),
        spec=BacktestSpec.model_validate(report.manifest.config["backtest"]),
        rules=VerdictSpec.model_validate(report.manifest.config["verdict"]),
        profile=profile,
    )
    return content.summary


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
