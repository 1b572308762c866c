"""Scenarios of past days, each by what was known before it, and how portfolios and copulas did by them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.joint.copulas import gaussian, independent
from forecast_assets.core.joint.filtered import (
    PastSurprises,
    past_returns,
    past_surprises,
    stretched,
    volatility_factors,
)
from forecast_assets.core.joint.multivariate_scores import energy_score, some_pairs, variogram_score
from forecast_assets.core.joint.past import past_scores
from forecast_assets.core.joint.portfolio import LEVELS, portfolio_pit, portfolio_returns, risk
from forecast_assets.core.joint.scenarios import (
    Template,
    marginal_draws,
    matured_days,
    ordered,
    scenario_returns,
    template,
)
from forecast_assets.core.joint.var_tests import apart, christoffersen, christoffersen_independence, holm, kupiec
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles
from forecast_assets.core.specs import ScenarioSpec

SCENARIOS, INDEPENDENCE, GAUSSIAN = "scenarios", "independence", "gaussian"
SCORED_DRAWS = 1000  # of a copula's score, whose cost grows with their square
SCORED_PAIRS = 2000  # of tickers, of a variogram score


class ScenarioDay(NamedTuple):
    """One day's forecasts of N tickers with their outcomes, and what was known before them."""

    day: np.datetime64
    tickers: tuple[str, ...]
    quantiles: Floats  # (N, H, L)
    y: Floats  # (N, H), NaN where there is none
    label_end: NDArray[np.datetime64]  # (N, H), NaT where there is none
    model: Template
    surprises: PastSurprises  # of N tickers


def scenario_days(
    forecasts: pl.DataFrame,
    *,
    days: Sequence[np.datetime64] | NDArray[np.datetime64],
    sectors: Mapping[str, str | None],
    spec: ScenarioSpec,
    skip_early: bool = False,
) -> Iterator[ScenarioDay]:
    """Yield each of ``days`` on which a ticker has forecasts over every horizon.

    ``forecasts``: date, ticker, horizon, the quantiles, y, label_end, each key once: of the days and of what came before.
    ``skip_early``: leave out the first days, before which too little had matured; else they raise BadInput.
    """
    tickers = forecasts["ticker"].unique().sort().to_list()
    past, surprises = past_scores(forecasts, tickers=tickers), past_surprises(forecasts, tickers=tickers)
    code = np.unique([sectors.get(ticker) or "" for ticker in tickers], return_inverse=True)[1]
    wanted = forecasts.filter(pl.col("date").is_in(np.asarray(days).astype("datetime64[D]").tolist()))
    for (day,), rows in wanted.sort("date", "ticker", "horizon").group_by("date", maintain_order=True):
        whole = rows.filter(pl.len().over("ticker") == len(HORIZONS))
        if whole.is_empty():
            continue
        names = whole["ticker"].unique(maintain_order=True).to_list()
        column, shape = np.searchsorted(tickers, names), (len(names), len(HORIZONS))
        on = np.datetime64(str(day), "D")
        known = past.known_before(on)
        if skip_early and matured_days(known) < spec.least_days:
            continue
        yield ScenarioDay(
            day=on,
            tickers=tuple(names),
            quantiles=whole.select(QUANTILE_COLUMNS).to_numpy().reshape(*shape, -1),
            y=whole["y"].fill_null(float("nan")).to_numpy().reshape(shape),
            label_end=whole["label_end"].to_numpy().astype("datetime64[D]").reshape(shape),
            model=template(known, sectors=code, spec=spec).of(column),
            surprises=surprises.known_at_end_of(on, latest=spec.past_days).of(column),
        )


def var_column(level: float) -> str:
    """Return the column of a level's value at risk: ``var_95``."""
    return f"var_{100 * level:g}"


def es_column(level: float) -> str:
    """Return the column of a level's expected shortfall: ``es_95``."""
    return f"es_{100 * level:g}"


Weights = Callable[[ScenarioDay], Floats]
"""The weights (N,) of a portfolio at the close of a day, as known then."""


def equal_weights(day: ScenarioDay) -> Floats:
    """Return the same weight of every ticker that is forecast on the day, one in all."""
    return np.full(len(day.tickers), 1.0 / len(day.tickers))


def same_weights(weights: Mapping[str, float]) -> Weights:
    """Return the same weights on every day, of tickers that are forecast on it."""
    return lambda day: np.array([weights.get(ticker, 0.0) for ticker in day.tickers])


def held_weights(positions: pl.DataFrame) -> Weights:
    """Return the weights of a book from its daily positions (date, ticker, weight): what it holds at a day's close.

    Of tickers that are forecast on the day; those of an exchange that was closed are left out.
    """
    by_day: dict[np.datetime64, dict[str, float]] = {}
    for day, ticker, weight in positions.select("date", "ticker", "weight").iter_rows():
        by_day.setdefault(np.datetime64(day, "D"), {})[ticker] = weight
    return lambda day: np.array([by_day.get(day.day, {}).get(ticker, 0.0) for ticker in day.tickers])


def portfolio_outcomes(
    day: ScenarioDay, returns: NDArray[np.float32], portfolios: Mapping[str, Weights], *, spec: ScenarioSpec
) -> list[dict[str, object]]:
    """Return a row per portfolio and horizon: what it risked by the scenarios (N, H, n) and what it then earned.

    The portfolio is held as it is from close to close, its returns rescaled as `filtered` has it. A ticker without an
    outcome is left out of both sides, and a portfolio that holds nothing has no row. A row: date, portfolio, horizon,
    label_end, realised, pit, and ``var_95`` and ``es_95`` of each level.
    """
    rows: list[dict[str, object]] = []
    for name, weights in portfolios.items():
        held = weights(day)
        if not held.any():
            continue
        mine = np.flatnonzero(held)
        past = past_returns(day.surprises.of(mine), held[mine], mean_sigma_from_quantiles(day.quantiles[mine])[1])
        whole = portfolio_returns(returns[mine], held[mine])  # (H, n)
        factors = volatility_factors(whole, past, sessions=HORIZONS, spec=spec)
        for k, horizon in enumerate(HORIZONS):
            known = np.isfinite(day.y[:, k]) & (held != 0)
            if not known.any():
                continue
            drawn = whole[k] if known[mine].all() else portfolio_returns(returns[known, k], held[known])
            drawn = stretched(drawn[None], factors[k : k + 1])[0]
            realised = float(held[known] @ np.expm1(day.y[known, k]))
            found = risk(drawn)
            row: dict[str, object] = {
                "date": day.day.astype(object),
                "portfolio": name,
                "horizon": horizon,
                "label_end": day.label_end[known, k].max().astype(object),
                "realised": realised,
                "pit": portfolio_pit(drawn, realised),
            }
            for level, loss, tail in zip(LEVELS, found.value_at_risk, found.expected_shortfall, strict=True):
                row |= {var_column(level): loss, es_column(level): tail}
            rows.append(row)
    return rows


def copula_scores(day: ScenarioDay, *, spec: ScenarioSpec, draws: int = SCORED_DRAWS) -> list[dict[str, object]]:
    """Return a row per horizon and copula with its energy and variogram score, of the tickers that have an outcome.

    All three join the same ``draws`` of each ticker's forecast. Returns are in units of the forecast's sigma,
    so that no ticker decides by being volatile. A row: date, horizon, copula, tickers, energy, variogram.
    """
    joint = scenario_returns(day.quantiles, day.model, spec=spec.model_copy(update={"scenarios": draws}))
    _, sigma = mean_sigma_from_quantiles(day.quantiles)
    rows: list[dict[str, object]] = []
    for k, horizon in enumerate(HORIZONS):
        known = np.isfinite(day.y[:, k]) & (sigma[:, k] > 0)
        if known.sum() < 2:
            continue
        generator = np.random.default_rng([spec.seed, 3, horizon, int(day.day.astype(np.int64)) & 0xFFFFFFFF])
        marginal = marginal_draws(day.quantiles[known, k], count=draws)
        made = {
            SCENARIOS: joint[known, k],
            INDEPENDENCE: ordered(marginal, independent((int(known.sum()), draws), generator=generator)),
            GAUSSIAN: ordered(marginal, gaussian(day.model.past.scores[:, known, k], count=draws, generator=generator)),
        }
        unit = sigma[known, k]
        pairs = some_pairs(int(known.sum()), most=SCORED_PAIRS, generator=generator)
        outcome = day.y[known, k] / unit
        for copula, returns in made.items():
            scaled = returns / unit[:, None]
            rows.append(
                {
                    "date": day.day.astype(object),
                    "horizon": horizon,
                    "copula": copula,
                    "tickers": int(known.sum()),
                    "energy": energy_score(scaled, outcome),
                    "variogram": variogram_score(scaled, outcome, pairs=pairs),
                }
            )
    return rows


def apart_outcomes(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return rows of ``portfolio_outcomes`` whose outcomes do not overlap, by horizon, portfolio and date.

    Over one session every day counts: only where exchanges close on different days do two of them share a session.
    """
    parts = []
    for (horizon, _), table in outcomes.sort("horizon", "portfolio", "date").group_by(
        "horizon", "portfolio", maintain_order=True
    ):
        day, end = (table[name].to_numpy().astype("datetime64[D]") for name in ("date", "label_end"))
        parts.append(table if horizon == HORIZONS[0] else table[apart(day, end)])
    return pl.concat(parts)


def coverage_tests(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Test the value at risk of each portfolio and horizon, on days whose outcomes do not overlap: ``apart_outcomes``.

    ``outcomes``: from ``portfolio_outcomes``. A row per portfolio, horizon and level: days, exceedances, expected, the p
    values ``kupiec``, ``independence`` and ``christoffersen`` (conditional coverage), and ``kupiec_holm`` and
    ``christoffersen_holm``, adjusted among those two of all portfolios and levels of a horizon.
    """
    rows = []
    for (horizon, portfolio), table in apart_outcomes(outcomes).group_by("horizon", "portfolio", maintain_order=True):
        for level in LEVELS:
            exceeded = (-table["realised"] > table[var_column(level)]).to_numpy()
            rows.append(
                {
                    "portfolio": portfolio,
                    "horizon": horizon,
                    "level": level,
                    "days": len(exceeded),
                    "exceedances": int(exceeded.sum()),
                    "expected": len(exceeded) * (1 - level),
                    "kupiec": kupiec(exceeded, level=level).p_value,
                    "independence": christoffersen_independence(exceeded).p_value,
                    "christoffersen": christoffersen(exceeded, level=level).p_value,
                }
            )
    parts = []
    for _, family in pl.DataFrame(rows).group_by("horizon", maintain_order=True):
        adjusted = holm([*family["kupiec"], *family["christoffersen"]])
        by_holm = {"kupiec_holm": adjusted[: family.height], "christoffersen_holm": adjusted[family.height :]}
        parts.append(family.with_columns(**{name: pl.Series(values) for name, values in by_holm.items()}))
    return pl.concat(parts)
