"""What ``run``, ``sweep`` and ``nightly`` share: materialising a selection of the graph."""

import gc
import os
import sys
from pathlib import Path

import click

from forecast_assets.cli.interrupts import end_now


def materialise(select: tuple[str, ...], years: tuple[str, ...], overrides: list[str]) -> None:
    """Run ``select`` with a line of progress per asset; exit code 1 where one failed."""
    from forecast_assets.resources import environment

    dagster_home()

    from forecast_assets.resources.signals import RECORD

    with RECORD.watched(end=end_now):
        from forecast_assets.resources.settings import compose_settings

        profile = environment.profile_name()
        environment.as_of()  # an unreadable date, an unknown profile or setting ends it before anything starts
        compose_settings(profile, overrides)

        import dagster as dg

        from forecast_assets.automation.pipeline import Plan, run_pipeline
        from forecast_assets.automation.rebuild import is_forgotten, rebuild
        from forecast_assets.definitions import defs, store

        gc.freeze()  # what is imported stays: it need not be looked through at every collection
        plan = Plan(select=select, years=years, settings={"profile": profile, "overrides": overrides})
        RECORD.be_patient()
        with dg.DagsterInstance.get() as instance:
            if is_forgotten(instance, store):
                rebuild(instance, store)
            outcome = run_pipeline(defs, instance=instance, store=store.store(), root=store.root(), plan=plan)
    for failure in outcome.failures:
        where = f"{failure.asset} {failure.part}".strip()
        message = failure.message.removeprefix(f"{failure.asset}: ")
        click.echo(f"forecast-assets: {where}: {message}", err=True)
        if not failure.user_mistake:
            click.echo(failure.trace, err=True)
    if outcome.failures:
        sys.exit(1)


def dagster_home() -> None:
    """Make the folder of ``DAGSTER_HOME`` (default: ``dagster_home``) a Dagster home, and name it by its whole path."""
    from forecast_assets.resources import environment

    named = os.environ.get("DAGSTER_HOME") or "dagster_home"
    home = Path(environment.expanded(named, variable="DAGSTER_HOME")).absolute()
    os.environ["DAGSTER_HOME"] = str(home)  # Dagster takes an absolute path alone
    prepare_home(home)


def prepare_home(home: Path) -> None:
    """Make ``home`` a Dagster home; a new one gets the settings the project ships."""
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        from importlib.resources import files

        settings.write_bytes((files("forecast_assets") / "conf" / "dagster.yaml").read_bytes())
