"""``status``: what the store holds: panel, last night, champion, verdict and report, then every artefact."""

import datetime as dt
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from forecast_assets.automation.nights import due_nights, listed
from forecast_assets.automation.waiting import awaited_prices
from forecast_assets.cli.common import json_option, open_store, print_json, user_command
from forecast_assets.core.errors import MissingArtefact
from forecast_assets.core.specs import ArrivalSpec
from forecast_assets.store.asset_keys import (
    BACKTEST_REPORT,
    DRIFT_CHECKS,
    ENSEMBLE,
    NIGHTLY_FORECAST,
    RAW_PANEL,
    SERVING_MODEL,
)
from forecast_assets.store.panel_in_use import days_in_panel, untrained_sentence, untrained_years
from forecast_assets.store.store import Store

PAGE = "reports/latest/backtest.html"


def overview(store: Store, root: str) -> dict[str, str]:
    """Return a sentence about each thing that an operator asks for first; what is not there yet is left out."""
    panel, night, champion = (_facts(store, asset) for asset in (RAW_PANEL, NIGHTLY_FORECAST, SERVING_MODEL))
    drift, report, years = _facts(store, DRIFT_CHECKS), _facts(store, BACKTEST_REPORT), store.partitions(ENSEMBLE)
    said = {}
    if panel:
        read, rejected = panel["rows_read"], panel["rows_rejected"]
        span = f"{panel['first_session']} to {panel['last_session']}"
        said["panel"] = f"{panel['tickers']} tickers, {span}; {read:,} rows read, {rejected:,} rejected"
    if years:
        said["walk-forward"] = f"test years {', '.join(years)}"
    if night:
        last = max(days_in_panel(store, NIGHTLY_FORECAST) or store.partitions(NIGHTLY_FORECAST))
        said["last night"] = f"{last}, {night['tickers']} tickers, {_age(store, NIGHTLY_FORECAST)} ago"
    if night and panel and (due := due_nights(store, root)):
        said["nights due"] = listed(due)
    if night and panel:
        said |= _awaited(store, root)
    if panel and not (check := panel["checks"].get("calendars_go_on", {"passed": True}))["passed"]:
        said["calendars"] = check["description"]
    if untrained := untrained_years(store):
        said["new year"] = untrained_sentence(untrained)
    if champion:
        said["champion"] = f"{champion['model_version']}: {champion['members']}; outcomes until {champion['cutoff']}"
    if drift:
        said["drift"] = str(drift["verdict"])
    if report:
        verdict = store.current(BACKTEST_REPORT).json("metrics.json")["verdicts"]
        said |= {"verdict": f"{verdict[0]['claim']}: {verdict[0]['verdict']}"} if verdict else {}
        said["report"] = f"{root.rstrip('/')}/{PAGE}"
    return said


def artefacts(store: Store) -> list[dict[str, Any]]:
    """Return asset, partition, time of creation, size, duration and data version of every current version."""
    rows = []
    for asset in store.assets():
        for partition in store.slots(asset):
            version = store.current(asset, partition)
            rows.append(
                {
                    "asset": asset,
                    "partition": partition,
                    "created": version.manifest.created,
                    "bytes": sum(entry.bytes for entry in version.manifest.files.values()),
                    "seconds": version.manifest.facts.get("seconds"),
                    "data_version": version.data_version,
                }
            )
    return rows


@click.command("status")
@json_option
@user_command
def command(as_json: bool) -> None:
    """Show panel, last night, champion, report and each artefact."""
    store, root = open_store()
    said, rows = overview(store, root), artefacts(store)
    if as_json:
        print_json({"overview": said, "artefacts": rows})
        return
    console = Console(highlight=False)
    if not rows:
        console.print(f"{root}: nothing is materialised yet; make it with: forecast-assets run", soft_wrap=True)
        return
    page = Table(box=None, show_header=False, pad_edge=False)
    page.add_column(style="bold", no_wrap=True)
    page.add_column(overflow="fold")
    for name, sentence in said.items():
        page.add_row(name, sentence)
    console.print(page)
    table = Table("asset", "partition", "age", "MiB", "seconds", "data version")
    for row in rows:
        took = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        cells = [row["asset"], row["partition"] or "", _since(row["created"]), f"{row['bytes'] / 2**20:.1f}", took]
        table.add_row(*cells, row["data_version"][:12])
    console.print(table)


def _awaited(store: Store, root: str) -> dict[str, str]:
    """Return which prices are awaited. The settings, for which Dagster is loaded, are asked only where any may be."""
    now, longest = dt.datetime.now(dt.UTC), ArrivalSpec(complete_share=1.0, grace_hours=1000.0, late_hours=1000.0)
    if not awaited_prices(store, root, spec=longest, now=now):
        return {}
    from forecast_assets.resources.settings import SettingsResource

    awaited = awaited_prices(store, root, spec=SettingsResource().settings().arrival, now=now)
    return {"prices awaited": "; ".join(f"{day}: {what}" for day, what in awaited.items())} if awaited else {}


def _facts(store: Store, asset: str) -> dict[str, Any]:
    """Return the facts of an asset's newest version; empty where there is none."""
    try:
        return dict(store.current(asset, max(store.partitions(asset), default=None)).manifest.facts)
    except MissingArtefact:
        return {}


def _age(store: Store, asset: str) -> str:
    return _since(store.current(asset, max(store.partitions(asset))).manifest.created)


def _since(created: str) -> str:
    """Return the age of an ISO time as "3 days, 4:05:06"."""
    return str(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(created)).split(".")[0]
