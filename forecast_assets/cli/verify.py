"""``verify``: check the store's hashes and derive the reports' numbers again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress

from forecast_assets.champion.issued import altered_forecasts
from forecast_assets.cli.common import json_option, open_store, print_json, user_command, variable_option
from forecast_assets.core.errors import BadInput, CorruptArtefact
from forecast_assets.store.asset_keys import BACKTEST_REPORT
from forecast_assets.store.chain import broken_links
from forecast_assets.store.seals import compare_seals, read_seals, seal_problems
from forecast_assets.store.store import Store


@click.command("verify")
@json_option
@variable_option(
    "--seals", "FORECAST_SEALS", help="Compare with the seals kept in a file, or in git:FOLDER", metavar="PLACE"
)
@user_command
def command(as_json: bool) -> None:
    """Check all hashes, what is missing, seals and reports.

    What was dropped, altered or dated otherwise since it was sealed is named. That the newest nights were dropped shows
    only against seals that are kept elsewhere.
    """
    store, root = open_store()
    artefacts = sum(len(store.slots(asset)) for asset in store.assets())
    with _bar(store) as bar:
        damaged = [*map(str, store.verify(on_asset=bar.begin)), *broken_links(store), *broken_seals(store, root)]
        damaged += [] if damaged else altered_forecasts(store)
        wrong: list[str] | None = None
        if not damaged and store.has(BACKTEST_REPORT):
            from forecast_assets.cli.report_problems import report_problems
            from forecast_assets.resources.trial_log import lost_trials

            bar.begin("the reports' numbers")
            damaged = lost_trials(store, root)
            wrong = None if damaged else report_problems(store, root)
    if as_json:
        print_json({"artefacts": artefacts, "damaged": damaged, "reports": wrong})
    else:
        _say(root, artefacts, damaged, wrong)
    if damaged or wrong:
        what = f"{len(damaged)} problems" if damaged else "the report is not what its artefacts give"
        repair = "to repair them" if damaged else ""
        click.echo(f"forecast-assets: {what}; run the graph again {repair}".rstrip(), err=True)
        sys.exit(1)


def broken_seals(store: Store, root: str) -> list[str]:
    """Return a sentence for each thing that is not as it was sealed: here, and in the places of FORECAST_SEALS.

    Raises BadSetting and BadInput for a place that can't be read, or that holds no seal though there is one.
    """
    from forecast_assets.resources import environment
    from forecast_assets.resources.seal_places import VARIABLE, seal_places

    try:
        seals, found = read_seals(root), seal_problems(store, root)
    except CorruptArtefact as error:
        return [str(error)]
    for place in seal_places(environment.seals()):
        lines = place.read()
        if not lines and not seals:
            raise BadInput(f"{VARIABLE}: {place} holds no seal, and no night of {root} is sealed yet")
        found += compare_seals(seals, lines, where=str(place), ordered=place.ordered)
    return found


def _say(root: str, artefacts: int, damaged: list[str], wrong: list[str] | None) -> None:
    if damaged:
        click.echo("\n".join(damaged))
        return
    click.echo(f"{root}/store: {artefacts} artefacts, all as published")
    if wrong:
        click.echo("\n".join(wrong))
    elif wrong is not None:
        click.echo(f"{root}/reports/latest: every number derived again")


class _Steps:
    """A bar in a terminal: one step per asset, and one for the reports."""

    def __init__(self, bar: Progress, count: int) -> None:
        self._bar = bar
        self._task = bar.add_task("verify", total=count)
        self._begun = 0

    def begin(self, what: str) -> None:
        self._bar.update(self._task, description=what, completed=self._begun)
        self._begun += 1


@contextmanager
def _bar(store: Store) -> Iterator[_Steps]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Steps(bar, len(store.assets()) + 1)
