"""Costs by region and by ticker, on literal tables, wherever a trade is charged or sized."""

import dagster as dg
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from forecast_assets.assets.framework.launchpad import launchpad_config, with_overrides
from forecast_assets.core.backtest.accounting import Simulation, reconcile
from forecast_assets.core.backtest.comparison import beta_hedge
from forecast_assets.core.backtest.costs import Costs, average_bps, cost_in_words, require_known
from forecast_assets.core.backtest.decisions import forecast_decisions
from forecast_assets.core.backtest.next_positions import target_positions
from forecast_assets.core.backtest.strategies import equal_weight
from forecast_assets.core.errors import BadSetting
from forecast_assets.core.specs import BacktestSpec
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.core.backtest.tiny_markets import (
    Quote,
    benchmark,
    calendar_panel,
    forecasts_on,
    simulate,
    weekdays,
)

BY_NAME = {"default": 5.0, "Europe": 8.0, "BMW.DE": 3.0}
BPS = {"AAPL": 5.0, "BMW.DE": 3.0, "SAP.DE": 8.0}
DATES = weekdays(24)
FLAT: list[Quote] = [(10.0, 10.0)] * len(DATES)
REGIONS = {"AAPL": "Americas", "BMW.DE": "Europe", "SAP.DE": "Europe"}
PANEL = calendar_panel(DATES, dict.fromkeys(BPS, FLAT), regions=REGIONS)
SPEC = BacktestSpec(
    horizon_sessions=1, smoothing=0.0, book="directional", name_cap=0.1, kelly_fraction=1.0, cost_bps=BY_NAME
)


def book(mean: pl.Expr | float = 0.05, *, spec: BacktestSpec = SPEC) -> Simulation:
    own = PANEL.filter(pl.col("date") <= DATES[11])
    forecasts = forecasts_on(own, mean, first_test=DATES[6])
    return simulate(forecasts, PANEL, spec=spec)


def test_a_ticker_pays_its_own_rate_else_its_regions_else_the_default() -> None:
    assert Costs.of(BY_NAME, PANEL).bps([*BPS, "NEW"]).tolist() == [5.0, 3.0, 8.0, 5.0]
    assert Costs.of(4.0, PANEL).bps(["AAPL", "NEW"]).tolist() == [4.0, 4.0]


def test_every_trade_is_charged_at_the_rate_of_its_ticker_and_the_accounts_reconcile() -> None:
    simulation = book()
    entry = simulation.trades.filter(pl.col("date") == DATES[6])
    assert entry["ticker"].to_list() == list(BPS)
    np.testing.assert_allclose(entry["cost"], [0.1 * bps * 1e-4 for bps in BPS.values()])
    assert simulation.daily["cost"][0] == pytest.approx(0.1 * (5 + 3 + 8) * 1e-4)
    assert reconcile(simulation) < 1e-15


def test_an_edge_has_to_pay_the_round_trip_of_its_own_ticker() -> None:
    edge = pl.lit(0.0011)  # 11 bp: more than twice 5 and 3, less than twice 8
    assert set(book(edge).positions["ticker"]) == {"AAPL", "BMW.DE"}


def test_equal_weight_and_its_hedge_pay_the_average_rate() -> None:
    forecasts = forecasts_on(PANEL, 0.0, first_test=DATES[6])
    market = benchmark(equal_weight, forecasts, PANEL, spec=SPEC).daily
    assert market["cost"].sum() == pytest.approx((5 + 3 + 8) / 3 * 1e-4)
    assert average_bps(BY_NAME, market) == pytest.approx((5 + 3 + 8) / 3)
    assert average_bps(BY_NAME, market.with_columns(turnover=0.0)) == 5.0
    moving = pl.Series(np.random.default_rng(0).normal(0, 0.01, market.height))
    own = market.select("date", net_return=moving, cost=pl.lit(0.0))
    market = market.with_columns(gross_return=moving)
    free, paid = (beta_hedge(own, market, cost_bps=cost, min_sessions=5) for cost in (0.0, BY_NAME))
    assert (free["net_return"] - paid["net_return"]).sum() == pytest.approx((5 + 3 + 8) / 3 * 1e-4)  # beta 0 -> 1


def test_the_next_positions_expect_the_cost_of_each_ticker() -> None:
    forecasts = forecasts_on(PANEL, 0.05, first_test=DATES[6]).filter(pl.col("date") == DATES[-1])
    decisions = forecast_decisions(forecasts, horizon_sessions=1, no_skill=(0.0, 0.0))
    positions = target_positions(decisions, PANEL, until=DATES[-1], spec=SPEC)
    np.testing.assert_allclose(positions["expected_cost"], [0.1 * bps * 1e-4 for bps in BPS.values()])


def test_one_rate_by_name_for_all_is_the_number_to_the_last_bit() -> None:
    mean = pl.lit(pl.Series(np.random.default_rng(1).normal(0, 0.01, 12 * 3)))
    plain, named = (book(mean, spec=SPEC.model_copy(update={"cost_bps": c})) for c in (5.0, {"default": 5.0}))
    assert plain.daily.equals(named.daily)
    assert plain.trades.equals(named.trades)


def test_a_rate_of_no_region_and_no_ticker_is_named_with_the_nearest() -> None:
    require_known(BY_NAME, PANEL)
    with pytest.raises(BadSetting, match=r"'Europ' is neither a region \(Americas, Europe\) nor a .*nearest is Europe"):
        require_known({"default": 5.0, "Europ": 8.0}, PANEL)


def test_costs_are_printed_in_words() -> None:
    assert cost_in_words(5.0) == "5 bp"
    assert cost_in_words({"default": 5.0}) == "5 bp"
    assert cost_in_words(BY_NAME) == "5 bp (Europe 8 bp, BMW.DE 3 bp)"


def test_the_command_line_takes_a_number_or_numbers_by_name() -> None:
    given = {value: compose_settings("smoke", [f"backtest.cost_bps={value}"]).backtest.cost_bps
             for value in ("5", "{default: 5, Europe: 8}", "{default: 5, Asia-Pacific: 2.5, BMW.DE: 3}")}  # fmt: skip
    assert given["5"] == 5.0
    assert isinstance(given["5"], float)
    assert given["{default: 5, Europe: 8}"] == {"default": 5.0, "Europe": 8.0}
    assert given["{default: 5, Asia-Pacific: 2.5, BMW.DE: 3}"] == {"default": 5.0, "Asia-Pacific": 2.5, "BMW.DE": 3.0}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{Europe: 8}", "needs a 'default', the cost for every region and ticker that has none of its own"),
        ("{default: 5, Europe: -8}", "Input should be greater than or equal to 0"),
        ("much", "Input should be a valid number, got 'much'"),
    ],
)
def test_a_bad_cost_is_one_sentence(value: str, problem: str) -> None:
    with pytest.raises(BadSetting, match=rf"backtest\.cost_bps: .*{problem}"):
        compose_settings("smoke", [f"backtest.cost_bps={value}"])
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        BacktestSpec(cost_bps=float("nan"))


def test_the_launchpad_takes_a_number_or_numbers_by_name() -> None:
    config = launchpad_config("backtest", {"backtest": BacktestSpec})

    @dg.op
    def read(config: config) -> dict[str, float]:  # type: ignore[valid-type]
        spec = with_overrides(BacktestSpec(), config.backtest)  # type: ignore[attr-defined]
        return {"default": spec.cost_bps} if isinstance(spec.cost_bps, float) else spec.cost_bps

    def given(section: dict[str, object]) -> object:
        done = dg.GraphDefinition("costs", node_defs=[read]).to_job().execute_in_process(
            run_config={"ops": {"read": {"config": {"backtest": section}}}}
        )  # fmt: skip
        return done.output_for_node("read")

    assert given({}) == {"default": 5.0}
    assert given({"cost_bps": 4}) == {"default": 4.0}
    assert given({"cost_bps": {"default": 5, "BMW.DE": 3}}) == {"default": 5.0, "BMW.DE": 3.0}
