"""The ``forecast-assets`` command."""

import datetime as dt
import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from forecast_assets.core.errors import UserError

DEFAULT_HOME = "dagster_home"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option("--data-dir", help="Root of raw/, store/ and reports/ (FORECAST_DATA_DIR).")
@click.option("--profile", help="A file in conf/profile (FORECAST_PROFILE).")
@click.option("--as-of", metavar="DATE", help="Nothing after it is read (FORECAST_AS_OF).")
@click.pass_context
def cli(context: click.Context, debug: bool, data_dir: str | None, profile: str | None, as_of: str | None) -> None:
    """Calibrated 1-, 5- and 20-session return forecasts from a raw price panel."""
    context.obj = {"debug": debug}
    _export(FORECAST_DATA_DIR=data_dir, FORECAST_PROFILE=profile, FORECAST_AS_OF=as_of)


def _export(**variables: str | None) -> None:
    os.environ.update({name: value for name, value in variables.items() if value})


def _command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options every command takes after its name too, and one sentence instead of a traceback for a user's mistake."""

    @click.option("--debug", is_flag=True, help="Show tracebacks.")
    @click.option("--data-dir", help="Root of raw/, store/ and reports/ (FORECAST_DATA_DIR).")
    @click.option("--profile", help="A file in conf/profile (FORECAST_PROFILE).")
    @click.option("--as-of", metavar="DATE", help="Nothing after it is read (FORECAST_AS_OF).")
    @click.pass_context
    @wraps(function)
    def run(
        context: click.Context,
        debug: bool,
        data_dir: str | None,
        profile: str | None,
        as_of: str | None,
        **options: Any,
    ) -> None:
        _export(FORECAST_DATA_DIR=data_dir, FORECAST_PROFILE=profile, FORECAST_AS_OF=as_of)
        try:
            function(**options)
        except UserError as error:
            if debug or context.obj["debug"]:
                traceback.print_exc()
            click.echo(f"forecast-assets: {error}", err=True)
            sys.exit(1)

    return run


@cli.command()
@click.option("--select", metavar="KEYS", multiple=True, help="Asset keys, comma-separated or repeated; default: all.")
@click.option("--years", metavar="YEARS", help="Test years, comma-separated; default: all the panel has.")
@click.option("--panel", metavar="PATH", help="The raw panel: a file or a folder of drops (FORECAST_PANEL).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a knob; repeatable.")
@_command
def run(select: tuple[str, ...], years: str | None, panel: str | None, overrides: tuple[str, ...]) -> None:
    """Materialise the graph; what has not changed is not computed again."""
    _export(FORECAST_PANEL=panel)
    materialise(_listed(",".join(select)), _listed(years), list(overrides))

    from forecast_assets.automation.verdict import print_verdict
    from forecast_assets.definitions import store

    print_verdict(store)


@cli.command()
@click.option("--trials", type=click.IntRange(0), help="Distinct settings that are tried.")
@click.option("--workers", type=click.IntRange(1), help="Processes that try settings at the same time.")
@click.option(
    "--storage", metavar="URL", help="Of the study: a database (no password in it), or a journal file; default: SQLite."
)
@click.option("--wandb-yaml", type=click.Path(dir_okay=False, path_type=Path), help="Only write a W&B sweep's YAML.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a knob; repeatable.")
@_command
def sweep(
    trials: int | None, workers: int | None, storage: str | None, wandb_yaml: Path | None, overrides: tuple[str, ...]
) -> None:
    """Search settings on the years before the first test year; a search that was killed goes on."""
    given = {"trials": trials, "workers": workers, "storage": storage}
    knobs = [f"sweep.{name}={value}" for name, value in given.items() if value is not None] + list(overrides)
    if wandb_yaml is None:
        materialise(("sweep",), (), knobs)
        return
    from forecast_assets.automation.wandb_sweep import wandb_sweep
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    profile = environment.profile_name()
    settings = compose_settings(profile, knobs)
    year = max(year for year in settings.sweep.years if year < settings.folds.first_test_year)
    wandb_yaml.write_text(wandb_sweep(settings.sweep, profile=profile, year=year), encoding="utf-8")
    click.echo(f"{wandb_yaml}: written; `wandb sweep {wandb_yaml}` takes it")


def materialise(select: tuple[str, ...], years: tuple[str, ...], overrides: list[str]) -> None:
    """Run ``select`` with a line of progress per asset; exit code 1 where one failed."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(Path(DEFAULT_HOME).absolute())))
    prepare_home(home)

    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    profile = environment.profile_name()
    environment.as_of()  # an unreadable clock, an unknown profile or knob is told before anything starts
    compose_settings(profile, overrides)

    import dagster as dg

    from forecast_assets.automation.pipeline import Plan, run_pipeline
    from forecast_assets.definitions import defs, store

    plan = Plan(select=select, years=years, settings={"profile": profile, "overrides": overrides})
    with dg.DagsterInstance.get() as instance:
        outcome = run_pipeline(defs, instance=instance, store=store.store(), plan=plan)
    for failure in outcome.failures:
        where = f"{failure.asset} {failure.part}".strip()
        click.echo(f"forecast-assets: {where}: {failure.message}", err=True)
        if not failure.user_mistake:
            click.echo(failure.trace, err=True)
    if outcome.failures:
        sys.exit(1)


def prepare_home(home: Path) -> None:
    """Make ``home`` a Dagster home; a new one gets the settings the project ships."""
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        from importlib.resources import files

        settings.write_bytes((files("forecast_assets") / "conf" / "dagster.yaml").read_bytes())


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part for part in (text or "").replace(" ", ",").split(",") if part)


@cli.command()
@click.option("--panel", metavar="PATH", help="The raw panel: a file or a folder of drops (FORECAST_PANEL).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a knob; repeatable.")
@_command
def nightly(panel: str | None, overrides: tuple[str, ...]) -> None:
    """Read the panel again and run every night that is due, as the schedule does."""
    _export(FORECAST_PANEL=panel)
    from forecast_assets.automation.jobs import NIGHT_ASSETS, PANEL_ASSETS

    materialise((*PANEL_ASSETS, *NIGHT_ASSETS), (), list(overrides))


@cli.command()
@_command
def rollback() -> None:
    """Let the champion before the current one serve again; no later night brings the current one back."""
    from forecast_assets.automation.nights import roll_back
    from forecast_assets.resources.store_io import StoreResource

    resource = StoreResource()
    gone, serving = roll_back(resource.store(), resource.root())
    click.echo(f"serving_model: version {serving.id} serves again, {gone.id} is withdrawn")


@cli.command("demo-panel")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@_command
def demo_panel(out: Path) -> None:
    """Write the synthetic panel (planted, documented signal; messy rows) to OUT."""
    from forecast_assets.core.panel.demo import write_demo_csv
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    write_demo_csv(out, compose_settings(environment.profile_name(), []).demo)
    click.echo(f"{out}: written")


@cli.command()
@_command
def verify() -> None:
    """Re-hash every artefact against its manifest, and derive the report's numbers from them again."""
    from forecast_assets.automation.rederive import REPORT_ASSET, report_problems
    from forecast_assets.resources.store_io import StoreResource

    resource = StoreResource()
    store = resource.store()
    problems = store.verify()
    for problem in problems:
        click.echo(str(problem))
    if problems:
        click.echo(f"forecast-assets: {len(problems)} problems; run the graph again to repair them", err=True)
        sys.exit(1)
    artefacts = sum(len(store.slots(asset)) for asset in store.assets())
    click.echo(f"{resource.root()}/store: {artefacts} artefacts, all as published")
    if not store.has(REPORT_ASSET):
        return
    wrong = report_problems(resource)
    for sentence in wrong:
        click.echo(sentence)
    if wrong:
        click.echo("forecast-assets: the report is not what its artefacts give; run the graph again", err=True)
        sys.exit(1)
    click.echo(f"{resource.root()}/reports/latest: every number derived again")


@cli.command()
@click.option("--keep", type=click.IntRange(min=1), default=3, show_default=True, help="Latest versions that stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@_command
def prune(keep: int, dry_run: bool) -> None:
    """Remove old versions: of each asset and partition the current and the latest stay, and all that have ever served.

    What was tried stays counted: every trial is in the ledger before its version goes.
    """
    from forecast_assets.automation.prune import prune as prune_store
    from forecast_assets.resources.store_io import StoreResource

    resource = StoreResource()
    with resource.store().run_turn(told=lambda text: click.echo(text, err=True)):
        gone = prune_store(resource.store(), resource.root(), keep=keep, dry_run=dry_run)
    size = sum(entry.bytes for version in gone for entry in version.manifest.files.values()) / 2**20
    for asset in sorted({version.asset for version in gone}):
        click.echo(f"{asset}: {sum(version.asset == asset for version in gone)} versions")
    what, shared = "would go" if dry_run else "removed", "; files that other versions share stay" if gone else ""
    click.echo(f"{resource.root()}/store: {len(gone)} versions {what}, {size:.1f} MiB{shared}")


@cli.command()
@_command
def status() -> None:
    """What is materialised, from when, how large, how long it took."""
    from forecast_assets.automation.status import print_status
    from forecast_assets.resources.store_io import StoreResource

    print_status(StoreResource())


@cli.command()
@click.argument("asset")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--years", metavar="YEARS", help="Partitions, comma-separated; default: all.")
@click.option("--raw", is_flag=True, help="Without the apostrophe before text that a spreadsheet would evaluate.")
@_command
def export(asset: str, out: Path, years: str | None, raw: bool) -> None:
    """Write an asset's table to OUT as CSV (all its partitions one below the other).

    Text that begins like a formula gets an apostrophe before it, so that the file is safe to open in a spreadsheet.
    """
    from forecast_assets.automation.export import export_table
    from forecast_assets.resources.store_io import StoreResource

    rows = export_table(StoreResource().store(), asset, out, partitions=_listed(years), raw=raw)
    click.echo(f"{out}: {rows} rows")


@cli.command()
@click.argument("ticker")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@click.option("--model", default="b2_tft_ticker", show_default=True, help="The network to ask.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it, as a PNG.")
@_command
def explain(ticker: str, day: dt.datetime, model: str, out: Path | None) -> None:
    """What a network looked at when it forecast TICKER on DATE: variables, and sessions it attended to."""
    from forecast_assets.automation.explain import explain_decision, write_explanation
    from forecast_assets.resources.store_io import StoreResource

    why = explain_decision(StoreResource().store(), model=model, ticker=ticker, day=day.date())
    click.echo(f"{ticker} {day.date()}: {why.fit}")
    for title, weights in (("selected variables", why.variables), ("of the sessions ahead", why.ahead)):
        click.echo(f"  {title}")
        for name, weight in sorted(weights.items(), key=lambda item: -item[1])[:8]:
            click.echo(f"    {weight:6.1%}  {name}")
    far = sorted(range(len(why.attention)), key=lambda k: -why.attention[k])[:5]
    click.echo("  attended to most, in sessions before the decision")
    for k in far:
        click.echo(f"    {why.attention[k]:6.1%}  {len(why.attention) - 1 - k}")
    if why.neighbours:
        click.echo("  heard most from, in basis points of the median for the next session, correlation")
    for one in why.neighbours[:8]:
        now = "earlier only" if one.correlation is None else f"{one.correlation:+.2f}"
        click.echo(f"    {1e4 * one.added:+9.2g}  {one.ticker} ({now})")
    if out is not None:
        write_explanation(why, title=f"{ticker} on {day.date()}: what {model} looked at", out=out)
        click.echo(f"{out}: drawn")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Another than loopback needs FORECAST_API_TOKEN.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--rate", type=click.FloatRange(min=1), help="Requests a second of one client address; default: 1000.")
@_command
def serve(host: str, port: int, rate: float | None) -> None:
    """Answer forecasts over HTTP; new models and nights are picked up while it runs."""
    from forecast_assets.resources import environment
    from forecast_assets.resources.store_io import StoreResource
    from forecast_assets.serving.limits import Limits
    from forecast_assets.serving.loading import Loader
    from forecast_assets.serving.model import open_model
    from forecast_assets.serving.server import serve as run_server

    limits = Limits() if rate is None else Limits(rate_per_second=rate, burst=2 * rate)
    loader = Loader(StoreResource().store(), open_model)
    run_server(loader, host=host, port=port, token=environment.api_token(), limits=limits)


@cli.command()
@click.argument("ticker")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@_command
def changed(ticker: str, day: dt.datetime) -> None:
    """Why TICKER's forecast of the night of DATE differs from the night before: data, model or calibration."""
    from forecast_assets.automation.change import change, change_lines
    from forecast_assets.resources.store_io import StoreResource

    for line in change_lines(change(StoreResource().store(), ticker=ticker, day=day.date())):
        click.echo(line)


@cli.command()
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a knob; repeatable.")
@_command
def knobs(overrides: tuple[str, ...]) -> None:
    """Every knob with its value in the profile and what it means."""
    from forecast_assets.automation.knobs import knob_lines
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    for line in knob_lines(compose_settings(environment.profile_name(), list(overrides))):
        click.echo(line)


def main() -> None:
    """Console entry point."""
    cli(prog_name="forecast-assets")


if __name__ == "__main__":
    main()
