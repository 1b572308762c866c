"""``factor``: how well a model's median or a feature ranks tickers by their returns."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from forecast_assets.cli.common import json_option, listed, open_store, user_command
from forecast_assets.cli.export import chosen_slots
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, TARGETS, horizons_text
from forecast_assets.store.artefact_files import PARTITIONS, TABLE
from forecast_assets.store.asset_keys import ENSEMBLE, RAW_PANEL
from forecast_assets.store.store import Store

FEATURE_PANEL = "feature_panel"
OF_SEVERAL_MODELS = ("baselines", "rivals")
"""Assets whose table holds more models than one."""

GROUPS = ("sector", "exchange")
NO_FEATURES = {"segment", *TARGETS}


@dataclass(frozen=True)
class FactorRows:
    """A factor with the returns that followed it: date, ticker, sector, exchange, factor, ``return_column`` by horizon."""

    what: str  # "ensemble, median over 5 sessions"
    horizons: list[int]
    rows: pl.DataFrame

    @property
    def years(self) -> list[int]:
        """The years that have a row."""
        return self.rows["date"].dt.year().unique().sort().to_list()


def factor_rows(store: Store, name: str, *, horizon: int | None, years: Sequence[str]) -> FactorRows:
    """Read the factor ``name``: a model's median over ``horizon`` sessions (None: the shortest), or a feature.

    Of ``years``, all test years where there are none. Raises BadInput for a name that is neither, and where no row is
    left; MissingArtefact for what is not materialised.
    """
    from forecast_assets.core.models.catalogue import EXPERIMENTS, MODELS
    from forecast_assets.core.rivals.score import rival_key

    key = EXPERIMENTS[name].key if name in EXPERIMENTS else name
    if key in (*MODELS, ENSEMBLE):
        found = forecast_rows(store, key, key, horizon=horizon, years=years)
    else:
        shared = {model: asset for asset in OF_SEVERAL_MODELS for model in models_of(store, asset)}
        features = feature_names(store)
        model = name if name in shared else rival_key(name)
        if model in shared:
            found = forecast_rows(store, shared[model], model, horizon=horizon, years=years)
        elif name in features:
            found = feature_rows(store, name, horizon=horizon, years=years)
        else:
            raise BadInput(_no_such_factor(name, [*MODELS, ENSEMBLE, *shared, *features]))
    if found.rows.is_empty():
        raise BadInput(f"{found.what}: no value in {', '.join(years) or 'the test years'}, so there is nothing to rank")
    if found.rows.group_by("date").agg(pl.col("factor").n_unique())["factor"].max() == 1:
        raise BadInput(f"{found.what}: the same for all tickers on every date, so it ranks none")
    return found


def forecast_rows(store: Store, asset: str, model: str, *, horizon: int | None, years: Sequence[str]) -> FactorRows:
    """Return a model's test forecasts: the median over ``horizon`` sessions with the returns over every horizon."""
    from forecast_assets.core.evaluation.factor import forecast_factor

    versions = [store.current(asset, slot) for slot in chosen_slots(store, asset, years)]
    test = pl.concat(
        pl.scan_parquet(version.path(TABLE)).filter(pl.col("model") == model, pl.col("split") == "test")
        for version in versions
    ).select("date", "ticker", "horizon", "q50", "y")
    table = test.collect()
    horizons = sorted(table["horizon"].unique().to_list())
    chosen = horizon if horizon is not None else min(horizons, default=HORIZONS[0])
    if horizons and chosen not in horizons:
        raise BadInput(f"{model}: no forecasts over {_sessions(chosen)}; it has {', '.join(map(str, horizons))}")
    rows, _ = forecast_factor(table, horizon=chosen)
    groups = pl.scan_parquet(store.current(FEATURE_PANEL).path(TABLE)).select("date", "ticker", *GROUPS).collect()
    rows = rows.join(groups, on=["date", "ticker"], how="left")
    return FactorRows(f"{model}, median over {_sessions(chosen)}", horizons, rows)


def feature_rows(store: Store, name: str, *, horizon: int | None, years: Sequence[str]) -> FactorRows:
    """Return a feature of the quoted rows of members, with the returns over every horizon."""
    from forecast_assets.core.evaluation.factor import return_column

    if horizon is not None:
        raise BadInput(f"{name}: a feature has no forecast horizon; leave out --horizon")
    wanted = list(years) or store.current(RAW_PANEL).json(PARTITIONS)["years"]
    panel = pl.scan_parquet(store.current(FEATURE_PANEL).path(TABLE))
    known = panel.filter(~pl.col("is_missing"), pl.col("is_member"), pl.col(name).is_not_null())
    rows = known.filter(pl.col("date").dt.year().cast(pl.String).is_in(wanted)).select(
        *("date", "ticker", *GROUPS),
        pl.col(name).cast(pl.Float64).alias("factor"),
        *((pl.col(target).exp() - 1).alias(return_column(h)) for h, target in zip(HORIZONS, TARGETS, strict=True)),
    )
    return FactorRows(f"{name}, feature", list(HORIZONS), rows.collect())


def models_of(store: Store, asset: str) -> list[str]:
    """Return the models in the tables of an asset, sorted; none for one that is not materialised."""
    if not store.partitions(asset):
        return []
    paths = [store.current(asset, slot).path(TABLE) for slot in chosen_slots(store, asset, ())]
    return sorted(
        {model for path in paths for model in pl.scan_parquet(path).select("model").unique().collect()["model"]}
    )


def feature_names(store: Store) -> list[str]:
    """Return the columns of the feature panel that are numbers and no outcomes."""
    schema = pl.read_parquet_schema(store.current(FEATURE_PANEL).path(TABLE))
    return [name for name, dtype in schema.items() if dtype.is_numeric() and name not in NO_FEATURES]


@click.command("factor")
@click.argument("name")
@click.option(
    "--horizon", type=int, metavar="SESSIONS", help="Horizon of a model's median; default: the shortest it has."
)
@click.option("--years", metavar="YEARS", help="Years, comma-separated; default: all test years of the panel.")
@json_option
@user_command
def command(name: str, horizon: int | None, years: str | None, as_json: bool) -> None:
    """Show how a model or a feature ranks returns.

    NAME is a network (B2 or b2_tft_ticker), the ensemble, a baseline, a rival, or a feature of the feature panel. By
    horizon, sector and exchange: rank IC, mean return by quantile, turnover and rank autocorrelation, before costs.
    """
    from forecast_assets.core.evaluation.factor import factor_statistics, statistics_by_group

    store, _ = open_store()
    found = factor_rows(store, name, horizon=horizon, years=listed(years))
    every = asdict(factor_statistics(found.rows, horizons=found.horizons))
    groups = {
        group: {
            value: asdict(statistics)
            for value, statistics in statistics_by_group(found.rows, group=group, horizons=found.horizons).items()
        }
        for group in GROUPS
    }
    if as_json:
        click.echo(json.dumps({"factor": found.what, "years": found.years, "all": every, **groups}, indent=2))
        return
    print_statistics(found, every, groups)


def print_statistics(found: FactorRows, every: dict[str, Any], groups: dict[str, dict[str, Any]]) -> None:
    """Print one table: a line per horizon of all tickers, of each sector and of each exchange."""
    click.echo(
        f"{found.what}: {', '.join(map(str, found.years))}; {every['dates']:,} dates, {every['dates_with_quantiles']:,} "
        f"with quantiles; {every['tickers']:,} tickers, {every['rows']:,} rows"
    )
    count = len(every["horizons"][0]["quantile_returns"])
    returns = (*(f"Q{k}" for k in range(1, count + 1)), f"Q{count} - Q1")
    table = Table("", "horizon", "dates", "rank IC", "t", *returns, "t", "turnover Q1", f"Q{count}", "autocorr.")
    _add_lines(table, "all", every)
    for members in groups.values():
        for value, statistics in members.items():
            _add_lines(table, escape(value), statistics)
    console = Console(width=max(Console().width, 140))
    console.print(table)
    click.echo(
        "Returns in basis points over the horizon, before costs. Quantiles are cut by date, within a sector or exchange "
        "for its lines. t is Newey-West, by date."
    )


def _add_lines(table: Table, name: str, statistics: dict[str, Any]) -> None:
    changes = (
        _share(statistics["bottom_turnover"]),
        _share(statistics["top_turnover"]),
        _number(statistics["rank_autocorrelation"]),
    )
    table.add_section()
    for at, row in enumerate(statistics["horizons"]):
        returns = [_basis_points(value) for value in (*row["quantile_returns"], row["spread"])]
        table.add_row(
            name if at == 0 else "",
            str(row["horizon"]),
            f"{row['dates']:,}",
            _number(row["rank_ic"], digits=4),
            _number(row["rank_ic_t"]),
            *returns,
            _number(row["spread_t"]),
            *(changes if at == 0 else ("", "", "")),
        )


def _no_such_factor(name: str, known: list[str]) -> str:
    from forecast_assets.core.nearest import nearest_names

    if name in TARGETS:
        return f"{name}: an outcome, over {horizons_text(last='or')} sessions; a factor is known on its date"
    near = nearest_names(name, known)
    advice = f"; did you mean {', '.join(near)}?" if near else "; a feature is a column of the feature panel"
    return f"{name}: no such model and no such feature{advice}"


def _sessions(count: int) -> str:
    return f"{count} session" + ("" if count == 1 else "s")


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _basis_points(value: float | None) -> str:
    return "-" if value is None else f"{1e4 * value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
