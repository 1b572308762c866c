"""Own-session returns on a regular index: what is past at a cutoff, what is its label, and that nothing overlaps."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.benchmark_task.cutoffs import choose_cutoffs, closed_by, exchange_sessions
from forecast_assets.core.benchmark_task.definition import write_lists
from forecast_assets.core.benchmark_task.observations import (
    KNOWN,
    PAST,
    Observations,
    deal,
    friday,
    label_origins,
    observations,
)
from forecast_assets.core.benchmark_task.predictions import past_quantiles, window_quantiles
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.helpers.builders import panel, panel_spec, raw

START = dt.date(2024, 2, 1)  # Tokyo's May holidays are in it
SESSIONS = 130
TOKYO_IS_CLOSED = np.array(["2024-03-20", "2024-05-03"], dtype="datetime64[D]")


def closes(seed: int, count: int = SESSIONS) -> list[float]:
    return (50 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, count)))).tolist()


def features(*parts: pl.DataFrame) -> pl.DataFrame:
    return feature_panel(reindex(panel(*parts), spec=panel_spec()), features=FeatureSpec())


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    gone = [*closes(3, 70), *[None] * (SESSIONS - 70)]
    return features(
        raw("AAA", closes(1), start=START),
        raw("BBB.T", closes(2), start=START, exchange="XTKS"),
        raw("GONE", gone, start=START),
    )


@pytest.fixture(scope="module")
def cutoffs(rows: pl.DataFrame) -> np.ndarray:
    return choose_cutoffs(exchange_sessions(rows), first=dt.date(2024, 3, 15), last=dt.date(2024, 12, 31), every=20)


def made(rows: pl.DataFrame, cutoffs: np.ndarray, horizon: int) -> Observations:
    return observations(rows, exchange_sessions(rows), cutoffs, horizon=horizon)


def timestamps(found: Observations, windows: int) -> list[dt.datetime]:
    """Of the cutoffs, counted on the longest series, whose timestamps have no gap."""
    every = found.rows["timestamp"].unique().sort().to_list()
    first = every.index(dt.datetime.combine(found.cutoff, dt.time()))
    return [every[first + k * found.places] for k in range(windows)]


def test_sessions_are_dealt_from_each_cutoff_on_and_up_to_the_next() -> None:
    dealt = deal(np.array([5, 10]), horizon=2, places=3)
    assert dealt.place.tolist() == [-1, 0, 1, 2, 3, 4]
    assert dealt.origin.tolist() == [0, 2, 4, -1, 7, 9]


def test_between_cutoffs_each_exchange_has_the_sessions_of_the_longest_label(
    rows: pl.DataFrame, cutoffs: np.ndarray
) -> None:
    own = exchange_sessions(rows)
    counts = [np.diff([closed_by(days, cutoff) for cutoff in cutoffs]) for days in own.values()]
    assert len(cutoffs) == 4
    assert min(map(min, counts)) == HORIZONS[-1]
    assert all(len(days) - closed_by(days, cutoffs[-1]) >= HORIZONS[-1] for days in own.values())
    assert max(map(max, counts)) > HORIZONS[-1]  # exchanges differ, or nothing here is tested


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("closed", [False, True])
def test_the_label_is_the_return_over_the_next_own_sessions(
    rows: pl.DataFrame, cutoffs: np.ndarray, horizon: int, closed: bool
) -> None:
    cutoffs = TOKYO_IS_CLOSED if closed else cutoffs
    found = made(rows, cutoffs, horizon)
    own = exchange_sessions(rows)
    for seed, ticker, exchange in ((1, "AAA", "XNYS"), (2, "BBB.T", "XTKS")):
        log, days = np.log(closes(seed)), own[exchange]
        first = int(np.searchsorted(days, np.datetime64(START)))
        series = found.rows.filter(ticker=ticker)
        for cutoff, at in zip(cutoffs, timestamps(found, len(cutoffs)), strict=True):
            [label] = series.filter(pl.col("timestamp") > at).head(1).to_dicts()
            last = closed_by(days, cutoff) - first - 1  # the ticker's session, from which the label counts
            assert label["target"] == pytest.approx(log[last + horizon] - log[last], abs=1e-12)
            assert label["session"] == days[first + last + horizon].astype(object)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_past_has_closed_by_its_cutoff_to_the_last_session(
    rows: pl.DataFrame, cutoffs: np.ndarray, horizon: int
) -> None:
    found = made(rows, cutoffs, horizon)
    for cutoff, at in zip(cutoffs, timestamps(found, len(cutoffs)), strict=True):
        past = found.rows.filter(pl.col("timestamp") <= at)
        assert past["session"].max() <= cutoff.astype(object)
    newest = found.rows.filter(pl.col("timestamp") <= dt.datetime.combine(found.cutoff, dt.time()))
    assert newest.group_by("ticker").agg(pl.max("session"))["session"].unique().to_list() == [cutoffs[0].astype(object)]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_observations_share_no_session(rows: pl.DataFrame, cutoffs: np.ndarray, horizon: int) -> None:
    own = exchange_sessions(rows)
    filled = made(rows, cutoffs, horizon).rows.filter(pl.col("session").is_not_null())
    for (_, exchange), part in filled.group_by("ticker", "exchange"):
        ends = np.searchsorted(own[str(exchange)], part["session"].sort().to_numpy())
        assert np.diff(ends).min() >= horizon


@pytest.mark.parametrize("horizon", HORIZONS)
def test_rows_after_a_cutoff_change_nothing_before_it(rows: pl.DataFrame, cutoffs: np.ndarray, horizon: int) -> None:
    k = 2
    day = cutoffs[k].astype(object)
    changed = features(
        *(
            raw(name, [*closes(seed)[:count], *closes(9)[count:]], start=START, exchange=exchange)
            for seed, name, exchange in ((1, "AAA", "XNYS"), (2, "BBB.T", "XTKS"))
            if (count := rows.filter(pl.col("ticker") == name, pl.col("date") <= day).height)
        ),
        raw("NEW", closes(5, 40), start=day + dt.timedelta(days=1)),
    )
    before, after = made(rows, cutoffs, horizon), made(changed, cutoffs, horizon)
    at = timestamps(before, len(cutoffs))[k]
    shown = ["ticker", "timestamp", "session", "target", *KNOWN, *PAST]
    pasts = [
        each.rows.filter(pl.col("timestamp") <= at, pl.col("ticker").is_in(["AAA", "BBB.T"])).select(shown)
        for each in (before, after)
    ]
    assert pasts[0].equals(pasts[1])
    assert not before.rows.filter(ticker="AAA")["target"].equals(after.rows.filter(ticker="AAA")["target"])


def test_the_index_is_regular_for_every_series(rows: pl.DataFrame, cutoffs: np.ndarray) -> None:
    for horizon in HORIZONS:
        found = made(rows, cutoffs, horizon)
        for _, series in found.rows.group_by("ticker"):
            stamps = series["timestamp"].sort().dt.date()
            between = np.busday_count(stamps[:-1].to_numpy(), stamps[1:].to_numpy())
            assert set(between.tolist()) == {max(1, 5 * found.weeks)}
            assert stamps.dt.weekday().max() == friday(stamps[0]).isoweekday()


def test_a_ticker_that_ends_is_forecast_while_it_is_there(rows: pl.DataFrame, cutoffs: np.ndarray) -> None:
    found = made(rows, cutoffs, 20)
    there = int((cutoffs <= rows.filter(ticker="GONE")["date"].to_numpy().max()).sum())
    series = found.rows.filter(ticker="GONE")
    assert 0 < there < len(cutoffs)
    assert series["timestamp"].max() == timestamps(found, len(cutoffs))[there - 1] + dt.timedelta(weeks=found.weeks)
    assert series["target"].to_list()[-1] is None  # it has an end, and no outcome


def test_windows_that_share_outcomes_or_have_none_are_refused(rows: pl.DataFrame) -> None:
    own = exchange_sessions(rows)
    with pytest.raises(BadInput, match="19 sessions between two cutoffs are fewer than the 20 of the longest label"):
        choose_cutoffs(own, first=START, last=dt.date(2024, 12, 31), every=19)
    with pytest.raises(
        BadInput, match="no cutoff from 2024-07-25 to 2024-12-31 has 20 sessions of every exchange after it"
    ):
        choose_cutoffs(own, first=dt.date(2024, 7, 25), last=dt.date(2024, 12, 31), every=20)


def test_a_forecast_is_looked_up_by_the_last_own_session(rows: pl.DataFrame) -> None:
    origins = label_origins(exchange_sessions(rows), TOKYO_IS_CLOSED)
    window = 1
    [day] = origins.filter(window=window, exchange="XTKS")["date"]
    assert day == dt.date(2024, 5, 2)
    levels = dict(zip(QUANTILE_COLUMNS, QUANTILES, strict=True))
    forecasts = pl.DataFrame(
        {"date": [day], "ticker": ["BBB.T"], "horizon": [5], **{k: [v] for k, v in levels.items()}}
    )
    exchanges = {"AAA": "XNYS", "BBB.T": "XTKS"}
    found = window_quantiles(forecasts, origins, window=window, horizon=5, exchanges=exchanges)
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == list(QUANTILES)
    with pytest.raises(BadInput, match=f"forecasts: BBB.T has several on {day} over 5 sessions"):
        window_quantiles(pl.concat([forecasts] * 2), origins, window=window, horizon=5, exchanges=exchanges)


def test_quantiles_of_the_past_leave_out_nulls_and_old_returns() -> None:
    series = [100.0, *np.linspace(-1, 1, 251), np.nan]
    assert past_quantiles([series], last=251)[0] == pytest.approx([2 * level - 1 for level in QUANTILES])


def test_lists_are_written_as_fev_reads_them(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "lists.parquet"
    write_lists(pl.DataFrame({"id": ["A"], "target": [[1.0, None]]}), path)
    assert [str(field.type) for field in pq.read_schema(path)] == ["string", "list<element: double>"]
