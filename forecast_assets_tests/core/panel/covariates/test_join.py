"""A value of the user's own series enters a row from its arrival on; events count by what was known; against plain loops."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.announcements.columns import AFTERMATH
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.covariates import join
from forecast_assets.core.panel.covariates.declare import declared_features
from forecast_assets.core.panel.covariates.join import add_covariates
from forecast_assets.core.panel.covariates.read import EVENT, ROWS, Covariates, no_covariates
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.panel.leakage_checks import feature_leakage
from forecast_assets.core.panel.origins import MOMENT, origin_times
from forecast_assets.core.panel.sessions import closes, sessions
from forecast_assets.core.specs import CovariateColumn, CovariateSpec, FeatureSpec
from forecast_assets.core.windows.build import build_tensors
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk

START = dt.date(2024, 2, 1)
MOOD = CovariateSpec(path="mood.csv", kind="observed", columns={"value": CovariateColumn(column="score")})
EARNINGS = CovariateSpec(path="earnings.csv", kind="known_future", key="ticker")


def covariates(*rows: tuple[Any, ...], name: str, spec: CovariateSpec) -> Covariates:
    """Rows are (column, ticker, date, known_from, withdrawn, value)."""
    table = pl.DataFrame([(name, *row) for row in rows], schema=ROWS, orient="row")
    return Covariates({name: spec}, table)


@pytest.fixture(scope="module")
def calendar_rows() -> pl.DataFrame:
    """Three exchanges in as many parts of the world; a union calendar, so that some rows are no session."""
    parts = panel(
        walk("AAPL", 130, seed=1, start=START),
        walk("SAP.DE", 130, seed=2, start=START, exchange="XETR"),
        walk("7203.T", 130, seed=3, start=START, exchange="XTKS"),
    )
    return reindex(parts, spec=panel_spec(calendar="union"))


def closing(rows: pl.DataFrame) -> Iterator[tuple[str, str, dt.date, dt.datetime]]:
    places = rows.select("ticker", "exchange", "date")
    yield from places.join(origin_times(rows), on=["exchange", "date"], how="left", maintain_order="left").rows()


def day(number: int) -> dt.date:
    return START + dt.timedelta(days=number)


@pytest.mark.parametrize("by_ticker", [False, True])
@pytest.mark.parametrize(("transform", "over"), [("level", 1), ("change", 1), ("log_change", 3)])
@pytest.mark.parametrize("revised", [False, True])
def test_a_value_enters_from_its_arrival_on_as_a_plain_loop_has_it(
    calendar_rows: pl.DataFrame, by_ticker: bool, transform: str, over: int, revised: bool
) -> None:
    rng = np.random.default_rng(over)
    column = CovariateColumn.model_validate({"column": "score", "transform": transform, "over": over, "at_most": 2.0})
    spec = MOOD.model_copy(update={"columns": {"value": column}, "key": "ticker" if by_ticker else "date"})
    rows: list[tuple[Any, ...]] = []
    for ticker in ("AAPL", "SAP.DE") if by_ticker else (None,):
        for k in range(0, 120, 2):
            known = dt.datetime.combine(day(k), dt.time(20)) + dt.timedelta(
                hours=7 if not revised else int(rng.integers(150))
            )
            rows += [("score", ticker, day(k), known, None, float(rng.uniform(1, 5)))]
            if revised and k % 3 == 0:
                rows += [("score", ticker, day(k), known + dt.timedelta(days=5), None, float(rng.uniform(1, 5)))]
    found = add_covariates(calendar_rows, covariates(*rows, name="mood", spec=spec))["x_mood"].to_list()

    def expected(ticker: str, date: dt.date, close: dt.datetime) -> float | None:
        newest: dict[dt.date, float] = {}
        for _, of, when, known, _, value in sorted(rows, key=lambda row: row[3]):
            if known <= close and of in (None, ticker):
                newest[when] = value
        dates = sorted(newest)
        if not dates or (date - dates[-1]).days > spec.stale_days:
            return None
        value, base = newest[dates[-1]], newest[dates[-1 - over]] if len(dates) > over else None
        if transform == "level":
            return min(value, 2.0)
        if base is None:
            return None
        return min(value - base if transform == "change" else float(np.log(value / base)), 2.0)

    wanted = [expected(ticker, date, close) for ticker, _, date, close in closing(calendar_rows)]
    assert [value is None for value in found] == [value is None for value in wanted]
    assert sum(value is not None for value in found) > 100
    both = [(a, b) for a, b in zip(found, wanted, strict=True) if b is not None]
    np.testing.assert_allclose([a for a, _ in both], [b for _, b in both], rtol=1e-14)


def test_a_close_in_new_york_is_not_known_in_europe_or_asia_on_its_day(calendar_rows: pl.DataFrame) -> None:
    days = sessions("XNYS", START, day(60))
    known = dict(closes("XNYS", START, day(60)).rows())
    made = covariates(
        *(("score", None, each, known[each], None, float(k)) for k, each in enumerate(days)), name="mood", spec=MOOD
    )
    table = add_covariates(calendar_rows, made).filter(pl.col("date") == days[20])
    assert dict(table.select("ticker", "x_mood").rows()) == {"AAPL": 20.0, "SAP.DE": 19.0, "7203.T": 19.0}


def test_a_static_value_is_that_of_the_ticker(calendar_rows: pl.DataFrame) -> None:
    spec = CovariateSpec(path="s.csv", kind="static", columns={"size": CovariateColumn(column="n", transform="log")})
    table = add_covariates(calendar_rows, covariates(("n", "AAPL", None, None, None, np.e), name="s", spec=spec))
    assert table.group_by("ticker").agg(pl.col("x_s_size").unique()).sort("ticker").rows() == [
        ("7203.T", [None]),
        ("AAPL", [1.0]),
        ("SAP.DE", [None]),
    ]


@pytest.mark.parametrize("by_ticker", [False, True])
def test_events_ahead_are_counted_as_a_plain_loop_counts_them(calendar_rows: pl.DataFrame, by_ticker: bool) -> None:
    rng = np.random.default_rng(0)
    sized = {"size": CovariateColumn(column="size", at_most=1.5)}
    spec = EARNINGS.model_copy(update={"key": "ticker" if by_ticker else "date", "columns": sized})
    events: list[tuple[Any, ...]] = []
    for ticker in ("AAPL", "SAP.DE") if by_ticker else (None,):
        for k in sorted(rng.choice(170, 12, replace=False).tolist()):
            known = dt.datetime.combine(day(k), dt.time(21)) - dt.timedelta(days=int(rng.integers(0, 40)))
            withdrawn = known + dt.timedelta(days=6) if rng.random() < 0.3 else None
            size = float(rng.uniform(1, 2))
            events += [(EVENT, ticker, day(k), known, withdrawn, 1.0), ("size", ticker, day(k), known, withdrawn, size)]
            if withdrawn and rng.random() < 0.5:  # announced again
                again = withdrawn + dt.timedelta(days=3)
                events += [(EVENT, ticker, day(k), again, None, 1.0), ("size", ticker, day(k), again, None, size)]
    made = covariates(*events, name="e", spec=spec)
    found = add_covariates(calendar_rows, made)
    calendars = {exchange: sessions(exchange, START, day(300)).to_list() for exchange in ("XNYS", "XETR", "XTKS")}
    for k, (ticker, exchange, date, close) in enumerate(closing(calendar_rows)):
        ahead = [each for each in calendars[exchange] if each > date]
        latest: dict[tuple[str, dt.date], tuple[dt.datetime | None, float]] = {}
        for column, of, when, known, withdrawn, value in sorted(events, key=lambda row: row[3]):
            if of in (None, ticker) and known <= close and when > date:
                latest[column, when] = (withdrawn, value)
        live = {key: value for key, (gone, value) in latest.items() if gone is None or gone > close}
        until = {key: 1 + next(i for i, each in enumerate(ahead) if each >= key[1]) for key in live}
        row = found.row(k, named=True)
        for h in HORIZONS:
            near = [key for key in live if until[key] <= h]
            assert row[f"x_e_{h}d"] == sum(key[0] == EVENT for key in near)
            assert row[f"x_e_size_{h}d"] == pytest.approx(sum(min(live[key], 1.5) for key in near if key[0] == "size"))
        assert row["x_e_next"] == min([HORIZONS[-1] + 1, *(until[key] for key in live)])
    assert (found["x_e_20d"] >= 2).any()


def test_reports_add_the_variance_of_the_size_that_was_inferred(calendar_rows: pl.DataFrame) -> None:
    spec = EARNINGS.model_copy(update={"announcements": True})
    session = sessions("XNYS", START, day(60))[20]
    made = covariates((EVENT, "AAPL", session, dt.datetime(2024, 1, 1), None, 1.0), name="earnings", spec=spec)
    sized = calendar_rows.with_columns(announcement_jump=pl.lit(np.log(3.0)))
    before = sessions("XNYS", START, day(60))[17]
    (row,) = add_covariates(sized, made).filter(ticker="AAPL", date=before).rows(named=True)
    added = {h: np.log1p((AFTERMATH * 9 - 1) / h) if h >= 3 else 0.0 for h in HORIZONS}
    assert {h: row[f"x_earnings_variance_{h}d"] for h in HORIZONS} == pytest.approx(added)
    assert [feature.name for feature in declared_features(made.specs)][-1] == "x_earnings_variance_20d"


@pytest.fixture(scope="module")
def both() -> Covariates:
    """A series of New York's closes, a series by ticker that arrives two days late, and events told of a month before."""
    days = sessions("XNYS", START, day(250))
    known = dict(closes("XNYS", START, day(250)).rows())
    rng = np.random.default_rng(1)
    late = dt.timedelta(days=2, hours=3)
    tickers = ("AAPL", "SAP.DE", "7203.T")
    rows: list[tuple[Any, ...]] = [
        ("mood", "score", None, each, known[each] + dt.timedelta(hours=1), None, float(rng.normal())) for each in days
    ]
    rows += [("own", "v", t, each, known[each] + late, None, float(rng.normal())) for t in tickers for each in days]
    for ticker in tickers:
        for each in days.gather_every(7):
            announced = known[each] - dt.timedelta(days=20)
            rows.append(("e", EVENT, ticker, each, announced, None, 1.0))
    own = MOOD.model_copy(update={"key": "ticker", "columns": {"value": CovariateColumn(column="v")}})
    return Covariates({"mood": MOOD, "own": own, "e": EARNINGS}, pl.DataFrame(rows, schema=ROWS, orient="row"))


def leaks(rows: pl.DataFrame, both: Covariates) -> dict[str, set[str]]:
    found = feature_leakage(rows.lazy(), features=FeatureSpec(), covariates=both)
    assert all(check.rows > 200 for check in found.values())
    return {name: set(check.changed) for name, check in found.items()}


def test_covariates_pass_truncation_and_poison(calendar_rows: pl.DataFrame, both: Covariates) -> None:
    frame = feature_panel(calendar_rows, features=FeatureSpec(), covariates=both)
    names = [name for name in feature_names(frame) if name.startswith("x_")]
    assert names == [feature.name for feature in declared_features(both.specs)]
    assert all(frame[name].n_unique() > 1 for name in names)
    assert leaks(calendar_rows, both) == {"truncation": set(), "poison": set()}


def test_a_join_by_date_is_caught_by_both_checks(
    calendar_rows: pl.DataFrame, both: Covariates, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = join.newest_known

    def by_date(values: pl.DataFrame, column: CovariateColumn, *, by: list[str]) -> pl.DataFrame:
        return original(values, column, by=by).with_columns(known_from=pl.col("date").cast(MOMENT)).sort("known_from")

    monkeypatch.setattr(join, "newest_known", by_date)
    found = leaks(calendar_rows, both)
    assert {"x_mood", "x_own"} <= found["truncation"]
    assert {"x_mood", "x_own"} <= found["poison"]


def test_without_covariates_the_panel_is_the_same_to_the_last_bit(
    calendar_rows: pl.DataFrame, both: Covariates
) -> None:
    plain = feature_panel(calendar_rows, features=FeatureSpec())
    assert feature_panel(calendar_rows, features=FeatureSpec(), covariates=no_covariates()).equals(plain)
    with_own = feature_panel(calendar_rows, features=FeatureSpec(), covariates=both)
    assert with_own.select(plain.columns).equals(plain)


def test_a_covariate_that_is_missing_removes_no_forecast_origin(calendar_rows: pl.DataFrame, both: Covariates) -> None:
    with_own = feature_panel(calendar_rows, features=FeatureSpec(), covariates=both)
    assert with_own["x_own"].null_count() > 0
    plain = with_own.drop(name for name in with_own.columns if name.startswith("x_"))
    ours, theirs = (build_tensors(f, feature_names=feature_names(f)) for f in (with_own, plain))
    assert ours.ends(20).equal(theirs.ends(20))
    assert len(ours.ends(20)) > 50
