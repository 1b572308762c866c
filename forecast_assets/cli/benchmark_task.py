"""``benchmark-task``: a panel as tasks of the public forecasting benchmark fev."""

import datetime as dt
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import polars as pl

from forecast_assets.cli.common import listed, open_store, set_option, user_command
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.horizons import HORIZONS, TARGETS
from forecast_assets.store.artefact_files import PARTITIONS, TABLE
from forecast_assets.store.asset_keys import RAW_PANEL

if TYPE_CHECKING:
    from forecast_assets.core.settings import Settings

FEATURE_PANEL = "feature_panel"


class Source(NamedTuple):
    """The panel that is written."""

    name: str
    words: str
    rows: pl.DataFrame  # columns of the feature panel
    test_years: list[int]
    is_synthetic: bool


def panel_columns() -> list[str]:
    """Return the columns of the feature panel that are read."""
    from forecast_assets.core.benchmark_task.observations import PAST, STATIC

    return ["date", "ticker", *STATIC, "is_missing", "is_member", *PAST, *TARGETS]


def from_store() -> Source:
    """Return the panel in use. Raises MissingArtefact without one."""
    store, root = open_store()
    if not store.has(FEATURE_PANEL):
        raise MissingArtefact(
            f"{root}: no panel yet; make one with forecast-assets run --select feature_panel, or name its files with "
            "--panel, or take the synthetic one with --demo"
        )
    rows = pl.scan_parquet(store.current(FEATURE_PANEL).path(TABLE)).select(panel_columns()).collect()
    years = [int(year) for year in store.current(RAW_PANEL).json(PARTITIONS)["years"]]
    return Source("equity_returns", "the panel in the store", rows, years, False)


def from_files(path: Path, settings: "Settings") -> Source:
    """Return the panel of files, as a run would read it. Raises BadInput as a run does."""
    from forecast_assets.core.panel.adapters.folders import find_files
    from forecast_assets.core.panel.ingest import Reading

    with tempfile.TemporaryDirectory() as scratch:
        reading = Reading(find_files(path, settings.panel).files, spec=settings.panel, scratch=Path(scratch))
        raw = pl.concat(reading.parts())
    return _made_of(raw, settings, name=path.stem, words=f"the panel {path.name}", is_synthetic=False)


def synthetic(settings: "Settings") -> Source:
    """Return the demo panel of the profile."""
    from forecast_assets.core.panel.demo import write_demo_csv

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "demo.csv"
        write_demo_csv(path, settings.demo)
        made = from_files(path, settings)
    demo = settings.demo
    words = f"the synthetic demo panel ({demo.tickers} tickers, {demo.start} to {demo.end}, seed {demo.seed})"
    return made._replace(name="synthetic_equity_returns", words=words, is_synthetic=True)


def _made_of(raw: pl.DataFrame, settings: "Settings", *, name: str, words: str, is_synthetic: bool) -> Source:
    from forecast_assets.core.panel.build import feature_parts
    from forecast_assets.core.panel.calendar import reindex_parts
    from forecast_assets.core.windows.folds import first_test_year

    calendar = [part for part, _ in reindex_parts(lambda: [raw], spec=settings.panel)]
    rows = pl.concat(
        part.select(panel_columns()) for part in feature_parts(lambda: calendar, features=settings.features)
    )
    sessions = rows.select("date").unique().group_by(year=pl.col("date").dt.year()).len().sort("year")
    counts: Mapping[int, int] = dict(sessions.iter_rows())
    first = first_test_year(counts, spec=settings.folds)
    years = [] if first is None else [year for year in counts if year >= first]
    return Source(name, words, rows, years, is_synthetic)


def chosen_years(named: str | None, source: Source) -> tuple[int, int]:
    """Return the first and the last year of the cutoffs. Raises BadInput where those named are not test years in a row."""
    if not source.test_years:
        raise BadInput(f"{source.words}: it has too little history for a test year; give a longer panel")
    there = f"the test years of {source.words} are {source.test_years[0]} to {source.test_years[-1]}"
    if not named:
        return source.test_years[0], source.test_years[-1]
    try:
        years = sorted(map(int, listed(named)))
    except ValueError:
        raise BadInput(f"--years {named}: name years, such as 2019,2020; {there}") from None
    if years != list(range(years[0], years[-1] + 1)) or not set(years) <= set(source.test_years):
        raise BadInput(f"--years {named}: name test years in a row; {there}")
    return years[0], years[-1]


@click.command("benchmark-task")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--panel", type=click.Path(path_type=Path), help="Files of a panel, instead of the one in the store.")
@click.option("--demo", is_flag=True, help="The synthetic panel, instead of the one in the store.")
@click.option("--years", metavar="YEARS", help="Test years with cutoffs, in a row; default: all.")
@click.option("--every", type=int, default=HORIZONS[-1], show_default=True, help="Least sessions between two cutoffs.")
@set_option
@user_command
def command(
    out: Path, panel: Path | None, demo: bool, years: str | None, every: int, overrides: tuple[str, ...]
) -> None:
    """Write the panel to OUT as tasks of the benchmark fev.

    A task per horizon: log returns in sessions of each ticker's own exchange, cutoffs on days of the walk-forward,
    covariates, and a README with the definitions and how to score.
    """
    from forecast_assets.core.benchmark_task.cutoffs import choose_cutoffs, exchange_sessions
    from forecast_assets.core.benchmark_task.definition import OTHER_LICENCE, OWN_LICENCE, Benchmark, write_benchmark
    from forecast_assets.core.benchmark_task.observations import label_origins, observations
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    if panel is not None and demo:
        raise BadInput("benchmark-task: --panel and --demo name two panels; take one of them")
    if environment.as_of() is not None:
        raise BadInput("benchmark-task: it writes the panel as it is now; leave out --as-of (FORECAST_AS_OF)")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BadInput(f"{out}: it is there already; name a new folder")
    if not out.absolute().parent.is_dir():
        raise BadInput(f"{out}: its parent folder does not exist; create it, or name another place")
    settings = compose_settings(environment.profile_name(), list(overrides))
    source = synthetic(settings) if demo else from_files(panel, settings) if panel else from_store()
    first, last = chosen_years(years, source)
    own = exchange_sessions(source.rows)
    cutoffs = choose_cutoffs(own, first=dt.date(first, 1, 1), last=dt.date(last, 12, 31), every=every)
    benchmark = Benchmark(
        name=source.name,
        source=source.words,
        licence=OWN_LICENCE if source.is_synthetic else OTHER_LICENCE,
        cutoffs=cutoffs,
        origins=label_origins(own, cutoffs),
        series=[observations(source.rows, own, cutoffs, horizon=horizon) for horizon in HORIZONS],
        context=settings.windows.lookback,
    )
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        counts = write_benchmark(benchmark, made)
        made.replace(out)
    click.echo(f"{out}: {len(cutoffs)} cutoffs from {cutoffs[0]} to {cutoffs[-1]} of {source.words}")
    for place, count in counts.items():
        click.echo(f"  {place}: {count} series")
    click.echo(f"How to score: {out / 'README.md'}")
