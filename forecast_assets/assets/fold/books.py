"""The books of the strategies: one year for itself, and consecutive years in one piece."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecast_assets.assets.fold.candidates import trained
from forecast_assets.assets.fold.optimised import mean_risk_strategies
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec
from forecast_assets.store.artefact_files import FITS, RAW_FORECASTS, TABLE
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.backtest.accounting import Simulation
    from forecast_assets.core.backtest.currency import Conversion
    from forecast_assets.core.backtest.market import Market
    from forecast_assets.core.evaluation.delistings import Delistings
    from forecast_assets.core.scores.trading import Floats

FITS_TRADED = ("b0_mlp", "b2_tft_ticker")
"""Networks whose fits are traded one by one in the report: what could have been selected instead."""

IN_BOTH_CURRENCIES = ("ensemble", "b0_mlp", "equal_weight")
"""Strategies that are also traded with each return in its own currency, where there are exchange rates."""

DAILY = {
    **{"date": pl.Date, "strategy": pl.String, "year": pl.Int32},
    **dict.fromkeys(("gross_return", "cost", "net_return", "turnover", "gross_exposure", "net_exposure"), pl.Float64),
}
"""Daily table of a book."""

RIVAL_DAILY = {**DAILY, "rival": pl.String, "horizon": pl.Int32}
"""Daily table of a rival's book or of ours beside it, and the horizon that both trade."""

DECISION_COLUMNS = ("date", "ticker", "split", "horizon", "model", "q50", "sigma")


@dataclass(frozen=True)
class YearModels:
    """The versions of one year whose forecasts are traded."""

    ensemble: Version
    networks: tuple[Version, ...]  # those that were trained
    baselines: Version

    @classmethod
    def of(cls, ensemble: Version, networks: Iterable[Version], baselines: Version) -> "YearModels":
        """Return them without the networks that were skipped."""
        return cls(ensemble, tuple(trained(networks)), baselines)

    @property
    def names(self) -> list[str]:
        """The trained networks."""
        return [network.asset for network in self.networks]

    @property
    def fits(self) -> list[str]:
        """The single fits that are traded, such as ``b0_mlp/0``."""
        found = []
        for network in self.networks:
            if network.asset in FITS_TRADED:
                models = pl.scan_parquet(network.path(FITS)).select(pl.col("model").unique()).collect()["model"]
                found += sorted(models.to_list())
        return found

    def published(self) -> pl.DataFrame:
        """Return the ensemble's forecasts."""
        return pl.read_parquet(self.ensemble.path(TABLE))

    def decisions(self, model: str, horizon: int) -> pl.DataFrame:
        """Return the decisions of a model's forecasts: of the ensemble, a network, a fit (``b0_mlp/0``), a baseline."""
        from forecast_assets.core.backtest.decisions import forecast_decisions

        by_name = {self.ensemble.asset: self.ensemble, **{network.asset: network for network in self.networks}}
        asset, _, fit = model.partition("/")
        version = by_name.get(asset, self.baselines)
        files = (FITS, FITS) if fit else (TABLE, RAW_FORECASTS if RAW_FORECASTS in version.manifest.files else TABLE)
        published, raw = (_rows(version, file, model=model, horizon=horizon) for file in files)
        return forecast_decisions(published, raw, horizon_sessions=horizon)


def _rows(version: Version, file: str, *, model: str, horizon: int) -> pl.DataFrame:
    wanted = (pl.col("model") == model) & (pl.col("horizon") == horizon)
    return pl.scan_parquet(version.path(file)).select(DECISION_COLUMNS).filter(wanted).collect()


def rival_books(
    years: Mapping[int, YearModels],
    rivals: Mapping[int, Version],
    calendar_panel: pl.DataFrame,
    *,
    spec: BacktestSpec,
    conversion: "Conversion | None" = None,
) -> pl.DataFrame:
    """Return the daily tables of each rival's book and of ours on the very same forecast origins (``RIVAL_DAILY``).

    Both are traded by the same rules from the rival's first test origin to its last one of each block of consecutive years:
    on the traded horizon, or on the longest one of a rival that does not forecast it. ``strategy`` is the model, ours or the
    rival's.
    """
    from forecast_assets.core.backtest.costs import Costs
    from forecast_assets.core.backtest.decisions import consecutive, join_decisions
    from forecast_assets.core.backtest.simulate import market_of
    from forecast_assets.core.backtest.strategies import MODEL, Strategy
    from forecast_assets.core.rivals.score import rival_name_of

    costs = Costs.of(spec.cost_bps, calendar_panel)
    daily: list[pl.DataFrame] = [pl.DataFrame(schema=RIVAL_DAILY)]
    for name, horizon in _traded_horizons(rivals, spec.horizon_sessions).items():
        made = {year: _rival_decisions(version, name, horizon) for year, version in rivals.items()}
        have = [year for year, decided in made.items() if (decided["split"] == "test").any()]
        rules = spec.model_copy(update={"horizon_sessions": horizon})
        for run in consecutive(have):
            decided = join_decisions({year: made[year] for year in run})
            view = market_of(decided, calendar_panel, spec=rules, conversion=conversion)
            own = join_decisions({year: years[year].decisions(MODEL, horizon) for year in run})
            own = own.join(decided, on=["date", "ticker"], how="semi")
            for model, decisions in ((MODEL, own), (name, decided)):
                book = Strategy(model, model, rules).book(decisions, view, costs)
                whose = {"rival": pl.lit(rival_name_of(name)), "horizon": pl.lit(horizon, dtype=pl.Int32)}
                daily.append(book.daily.with_columns(**whose))
    return pl.concat(daily)


def _traded_horizons(rivals: Mapping[int, Version], traded: int) -> dict[str, int]:
    """Return the horizon that each rival with a test forecast is traded on: ``traded``, or its longest one without it."""
    columns = [pl.scan_parquet(version.path(TABLE)).select("model", "horizon", "split") for version in rivals.values()]
    if not columns:
        return {}
    tested = pl.concat(columns).filter(pl.col("split") == "test").unique().collect().sort("model")
    longest = tested.group_by("model", maintain_order=True).agg(
        pl.max("horizon"), has=(pl.col("horizon") == traded).any()
    )
    return {model: traded if has else horizon for model, horizon, has in longest.iter_rows()}


def _rival_decisions(version: Version, model: str, horizon: int) -> pl.DataFrame:
    """Return the decisions of a rival's forecasts of one year; without validation forecasts its whole median is its view."""
    from forecast_assets.core.backtest.decisions import forecast_decisions

    published, raw = (_rows(version, file, model=model, horizon=horizon) for file in (TABLE, RAW_FORECASTS))
    validated = (raw["split"] == "validation").any()
    return forecast_decisions(published, raw, horizon_sessions=horizon, no_skill=None if validated else (0.0, 0.0))


def year_books(
    models: YearModels,
    calendar_panel: pl.DataFrame,
    *,
    spec: BacktestSpec,
    conversion: "Conversion | None" = None,
    optimiser: MeanRiskSpec,
) -> "dict[str, Simulation]":
    """Return each strategy's book of one year for itself: from cash, and the panel ends with the year."""
    from forecast_assets.core.backtest.costs import Costs
    from forecast_assets.core.backtest.simulate import market_of
    from forecast_assets.core.backtest.strategies import MODEL, strategies

    decisions = cache(models.decisions)
    view = market_of(decisions(MODEL, spec.horizon_sessions), calendar_panel, spec=spec, conversion=conversion)
    costs = Costs.of(spec.cost_bps, calendar_panel)
    return {
        strategy.name: strategy.book(decisions(strategy.model, strategy.spec.horizon_sessions), view, costs)
        for strategy in (
            *strategies(models.names, spec),
            *mean_risk_strategies(optimiser, [models.published()], calendar_panel, spec=spec),
        )
    }


@dataclass(frozen=True)
class JoinedBooks:
    """Books over consecutive years in one piece; where a year is missing, the next opens from validation forecasts."""

    daily: pl.DataFrame  # of every strategy
    variants: pl.DataFrame  # daily table of single fits, and of the model's book a session late
    positions: pl.DataFrame  # of the model
    trades: pl.DataFrame  # of the model
    joining_error: float  # see ``core.backtest.joining``, of the model's book, and of the one that need not be neutral
    local: (
        pl.DataFrame
    )  # daily table of ``IN_BOTH_CURRENCIES`` with each return in its own currency; empty without rates
    delisted: "dict[str, Floats]"  # Sharpe ratios (R, P, C) of each strategy with each planting's delistings


def joined_books(
    years: Mapping[int, YearModels],
    calendar_panel: pl.DataFrame,
    *,
    spec: BacktestSpec,
    conversion: "Conversion | None" = None,
    delistings: "Delistings | None" = None,
    optimiser: MeanRiskSpec,
) -> JoinedBooks:
    """Simulate every strategy and variant over all years, each in one piece over the joined forecasts.

    ``delistings``: with which the Sharpe ratio of each strategy is worked out again.
    """
    from forecast_assets.core.backtest.costs import Costs
    from forecast_assets.core.backtest.decisions import consecutive, join_decisions
    from forecast_assets.core.backtest.joining import joining_error, year_by_year
    from forecast_assets.core.backtest.simulate import Terms, market_of
    from forecast_assets.core.backtest.strategies import LATE, MODEL, Strategy, strategies
    from forecast_assets.core.backtest.survivorship import delisted_returns, delisted_sharpes

    costs = Costs.of(spec.cost_bps, calendar_panel)

    @cache
    def decisions(model: str, horizon: int, run: tuple[int, ...]) -> pl.DataFrame:
        return join_decisions({year: years[year].decisions(model, horizon) for year in run})

    @cache
    def view(run: tuple[int, ...], *, local: bool = False) -> "Market":
        rates = None if local else conversion
        return market_of(decisions(MODEL, spec.horizon_sessions, run), calendar_panel, spec=spec, conversion=rates)

    names = sorted({name for models in years.values() for name in models.names})
    made = {year: {*models.names, *models.fits} for year, models in years.items()}
    fits = sorted(set().union(*made.values()) - set(names))
    late = Strategy(f"{MODEL}{LATE}", MODEL, spec, delay_sessions=1)
    variants = [late, *(Strategy(fit, fit, spec) for fit in fits)]
    published = (years[year].published() for year in years)
    optimised = mean_risk_strategies(optimiser, published, calendar_panel, spec=spec)
    daily: list[pl.DataFrame] = []
    others: list[pl.DataFrame] = []
    own_currency = [pl.DataFrame(schema=DAILY)]
    own_books: list[Simulation] = []
    joined_by_year = (MODEL, f"{MODEL}_directional")  # a neutral book without a view is empty, and joins anyhow
    errors: list[float] = []
    delisted: dict[str, Floats] = {}
    for strategy in (*strategies(names, spec), *optimised, *variants):
        is_trained = strategy.model in (*names, *fits)  # not the ensemble and the baselines, which every year has
        have = [year for year in years if not is_trained or strategy.model in made[year]]
        stretches: list[tuple[pl.Series, Floats]] = []
        for run in map(tuple, consecutive(have)):
            decided = decisions(strategy.model, strategy.spec.horizon_sessions, run)
            book = strategy.book(decided, view(run), costs)
            if delistings is not None and strategy not in variants:
                stretches.append((book.daily["date"], delisted_returns(book, view(run), delistings)))
            (others if strategy in variants else daily).append(book.daily)
            if conversion is not None and strategy.name in IN_BOTH_CURRENCIES:
                own_currency.append(strategy.book(decided, view(run, local=True), costs).daily)
            if strategy.name == MODEL:
                own_books.append(book)
            if strategy.name in joined_by_year:
                apart = year_by_year(decided, Terms(strategy.name, view(run), strategy.spec, costs))
                errors.append(joining_error(book, apart))
        if stretches:
            delisted[strategy.name] = delisted_sharpes(stretches)
    positions, trades = (pl.concat(getattr(book, table) for book in own_books) for table in ("positions", "trades"))
    return JoinedBooks(
        daily=pl.concat(daily),
        variants=pl.concat(others),
        positions=positions,
        trades=trades,
        joining_error=float(np.max(errors)),
        local=pl.concat(own_currency),
        delisted=delisted,
    )
