"""The leakage checks pass on a panel with halts and breaks, and fail, naming the column, on planted bugs."""

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from forecast_assets.core.panel import calendar, features, leakage_checks
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.features import Feature
from forecast_assets.core.panel.leakage_checks import (
    LeakageCheck,
    calendar_leakage,
    check_leakage,
    cut_day,
    feature_leakage,
    sample,
)
from forecast_assets.core.panel.point_in_time import SECTORS, UNIVERSE, mark_members
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk

START = dt.date(2023, 9, 1)


@pytest.fixture(scope="module")
def raw_panel() -> pl.DataFrame:
    """Two exchanges, a hole over the cut, a ticker that lists after it."""
    parts = panel(
        walk("AAPL", 150, seed=1, start=START),
        walk("MSFT", 150, seed=2, start=START),
        walk("SAP.DE", 150, seed=3, start=START, exchange="XETR"),
        walk("ZZZ", 20, seed=5, start=dt.date(2024, 3, 1)),
    )
    cut = cut_day(parts["date"])
    near = pl.col("date").is_between(cut - dt.timedelta(days=1), cut + dt.timedelta(days=4))
    return parts.filter(~((pl.col("ticker") == "MSFT") & near))


@pytest.fixture(scope="module")
def calendar_rows(raw_panel: pl.DataFrame) -> pl.DataFrame:
    return reindex(raw_panel, spec=panel_spec())


def proofs_of_features(rows: pl.DataFrame) -> dict[str, LeakageCheck]:
    return feature_leakage(rows.lazy(), features=FeatureSpec())


@pytest.mark.parametrize("kind", ["exchange", "union"])
def test_sessions_and_fills_do_not_depend_on_later_data(raw_panel: pl.DataFrame, kind: str) -> None:
    found = calendar_leakage(raw_panel.lazy(), spec=panel_spec(calendar=kind))
    assert list(found) == ["truncation", "poison"]
    assert {name: dict(check.changed) for name, check in found.items()} == {"truncation": {}, "poison": {}}
    assert all(check.holds and check.rows > 250 for check in found.values())


def test_members_and_sectors_do_not_depend_on_later_data(raw_panel: pl.DataFrame) -> None:
    cut = cut_day(raw_panel["date"])
    spells = pl.DataFrame(
        [
            ("AAPL", START, cut + dt.timedelta(days=20)),
            ("MSFT", cut, None),
            ("SAP.DE", cut + dt.timedelta(days=1), None),
        ],
        schema=UNIVERSE,
        orient="row",
    )
    labels = pl.DataFrame(
        [("AAPL", "Old", START), ("AAPL", "New", cut + dt.timedelta(days=1))], schema=SECTORS, orient="row"
    )
    found = calendar_leakage(raw_panel.lazy(), spec=panel_spec(), universe=spells, sectors=labels)
    assert all(check.holds and check.rows > 250 for check in found.values())
    marked = mark_members(reindex(raw_panel, spec=panel_spec()), spells)
    assert 0 < marked["is_member"].sum() < marked.height
    assert all(check.holds for check in proofs_of_features(marked).values())


def test_features_do_not_depend_on_later_data(calendar_rows: pl.DataFrame) -> None:
    found = proofs_of_features(calendar_rows)
    assert {name: dict(check.changed) for name, check in found.items()} == {"truncation": {}, "poison": {}}
    assert found["poison"].rows == calendar_rows.filter(pl.col("date") <= found["poison"].cut).height > 250


def plant(monkeypatch: pytest.MonkeyPatch, name: str, expression: pl.Expr) -> None:
    """Declare feature ``name`` with another expression."""
    honest = features.declare

    def declare(spec: FeatureSpec) -> tuple[Feature, ...]:
        return tuple(replace(f, expression=expression) if f.name == name else f for f in honest(spec))

    monkeypatch.setattr(features, "declare", declare)


RETURN = pl.col("log_return")


@pytest.mark.parametrize(
    ("name", "bug"),
    [
        ("return_5", pl.col("close").log().diff(5).shift(-1)),
        ("volatility_20", RETURN.rolling_std(20, center=True)),
        ("volume_z_20", (pl.col("volume") - pl.col("volume").mean()) / pl.col("volume").std()),
        ("rsi_14", pl.when(pl.col("row") == 0).then(RETURN.shift(-1)).otherwise(RETURN)),
        ("macd", pl.col("close") / pl.col("close").last()),
    ],
)
def test_a_feature_that_looks_ahead_fails_the_leakage_checks_and_is_named(
    calendar_rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, name: str, bug: pl.Expr
) -> None:
    plant(monkeypatch, name, bug)
    found = proofs_of_features(calendar_rows)
    if name == "rsi_14":  # the first row alone, filled from the second: both lie before the cut
        assert found["truncation"].holds
        return
    assert not found["truncation"].holds
    assert not found["poison"].holds
    assert name in found["truncation"].changed
    assert name in found["poison"].changed


def test_a_label_may_change_only_where_it_reaches_past_the_cut(
    calendar_rows: pl.DataFrame,
) -> None:
    def make(rows: pl.DataFrame) -> pl.DataFrame:
        last = pl.col("close").last().over("ticker")
        return rows.select("ticker", "date", "is_missing", target_1d=pl.col("close") / last)

    found = check_leakage(calendar_rows, make, cut=cut_day(calendar_rows["date"]))
    assert "target_1d" in found["truncation"].changed
    assert "target_1d" in found["poison"].changed


def test_a_fill_with_the_next_close_fails_the_leakage_checks(
    raw_panel: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = calendar.reindex

    def backward(raw: pl.DataFrame, *, spec: object) -> pl.DataFrame:
        rows = honest(raw, spec=spec)  # type: ignore[arg-type]
        observed = pl.when(~pl.col("is_missing")).then("close")
        return rows.with_columns(close=observed.backward_fill().over("ticker"))

    monkeypatch.setattr(leakage_checks, "reindex", backward)
    found = calendar_leakage(raw_panel.lazy(), spec=panel_spec())
    assert found["poison"].changed == {"close": 2}


def test_added_and_removed_rows_are_counted(calendar_rows: pl.DataFrame) -> None:
    usual = calendar_rows["volume"].max()

    def quiet(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.filter(pl.col("volume").max().over("ticker") <= usual)

    def busy(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.filter(pl.col("volume").max().over("ticker") >= usual)

    cut = cut_day(calendar_rows["date"])
    assert "rows" in check_leakage(calendar_rows, quiet, cut=cut)["poison"].changed
    assert "rows" in check_leakage(calendar_rows, busy, cut=cut)["truncation"].changed


def test_a_large_panel_is_sampled_evenly_and_always_the_same_way() -> None:
    names = [f"T{n:03d}" for n in range(157)]
    table = pl.LazyFrame({"ticker": names, "exchange": ["XNYS"] * 150 + ["XETR"] * 7})
    chosen = sample(table)
    assert chosen["ticker"].n_unique() <= 40
    assert set(chosen["exchange"]) == {"XNYS", "XETR"}
    assert sample(table.reverse()).sort("ticker").equals(chosen.sort("ticker"))


def test_a_panel_of_one_session_has_nothing_later_and_holds(raw_panel: pl.DataFrame) -> None:
    first = raw_panel.filter(pl.col("date") == raw_panel["date"].min())
    assert calendar_leakage(first.lazy(), spec=panel_spec())["truncation"].holds
