"""A table of forecasts is accused of what it shows, and of nothing that honest forecasts show too."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.audit.forecasts import ForecastAudit, audit_forecasts
from forecast_assets.core.audit.rows import synthetic_rows, with_known_at
from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import AuditSpec
from forecast_assets_tests.helpers.builders import panel, raw

NOISE = 0.015
UTC = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return with_known_at(synthetic_rows())


@pytest.fixture(scope="module")
def table(rows: pl.DataFrame) -> pl.DataFrame:
    """Noise, and what the next sessions return, by ticker and date."""
    log_close = pl.col("close").log()
    return rows.sort("ticker", "date").select(
        "ticker",
        "date",
        noise=pl.Series(np.random.default_rng(0).normal(0.0, NOISE, rows.height)),
        now=log_close.diff().over("ticker"),
        next=(log_close.shift(-1) - log_close).over("ticker"),
        week=(log_close.shift(-5) - log_close).over("ticker"),
    )


def audit(table: pl.DataFrame, rows: pl.DataFrame) -> ForecastAudit:
    return audit_forecasts(table, rows, name="f.csv", spec=AuditSpec())


def forecasts(table: pl.DataFrame, expression: pl.Expr, **others: pl.Expr) -> pl.DataFrame:
    timeless = {"horizon": pl.lit(1), "available_at": pl.lit(None, dtype=UTC)}
    return table.select("ticker", "date", location=expression, **(timeless | others)).drop_nulls("location")


@pytest.mark.parametrize(
    "honest", [pl.col("noise"), pl.col("now"), -pl.col("now"), pl.col("noise") + 0.05 * pl.col("next")]
)
def test_forecasts_with_a_plausible_ic_are_not_accused(
    rows: pl.DataFrame, table: pl.DataFrame, honest: pl.Expr
) -> None:
    found = audit(forecasts(table, honest), rows)
    assert found.clean
    assert "this is no proof that its forecasts saw nothing" in found.sentence()


def test_an_ic_that_no_forecast_reaches_is_evidence(rows: pl.DataFrame, table: pl.DataFrame) -> None:
    found = audit(forecasts(table, pl.col("noise") + 0.5 * pl.col("week"), horizon=pl.lit(5)), rows)
    assert found.evidence[0].kind == "implausible_ic"
    assert not found.evidence[0].proved
    assert found.ics[0].horizon == 5
    assert found.sentence().startswith("f.csv: LOOK-AHEAD LIKELY - at 5 sessions the mean rank IC is +0.619")


def test_knowing_the_next_session_alone_is_evidence_below_that(rows: pl.DataFrame, table: pl.DataFrame) -> None:
    found = audit(forecasts(table, pl.col("noise") + 0.25 * pl.col("next")), rows)
    assert [each.kind for each in found.evidence] == ["next_session_alone"]
    assert found.ics[0].mean < 0.2
    mirrored = audit(forecasts(table, -pl.col("noise") - 0.25 * pl.col("next")), rows)
    assert [each.kind for each in mirrored.evidence] == ["next_session_alone"]


def test_the_rank_ic_is_that_of_the_forecast_with_its_outcome(rows: pl.DataFrame, table: pl.DataFrame) -> None:
    perfect = audit(forecasts(table, pl.col("next")), rows).ics[0]
    assert perfect.mean == pytest.approx(1.0)
    assert perfect.by_session[0] == pytest.approx(1.0)
    assert max(map(abs, perfect.by_session[1:])) < 0.05


def test_one_ticker_is_ranked_over_the_days_of_a_month(rows: pl.DataFrame, table: pl.DataFrame) -> None:
    alone = table.filter(pl.col("ticker").is_in(["SYN00", "SYN03", "SYN06"][:2]))
    assert audit(forecasts(alone, pl.col("noise")), rows).clean
    assert not audit(forecasts(alone, pl.col("next")), rows).clean


def test_a_forecast_that_arrived_after_the_next_close_is_proof() -> None:
    rows = with_known_at(raw("A", [10.0, 11.0, 12.0]))
    days = rows["date"].to_list()  # Monday to Wednesday; New York closes at 20:00 UTC
    table = pl.DataFrame({"ticker": "A", "date": days[:2], "horizon": 1, "location": 0.01})
    in_time, late = (
        table.with_columns(available_at=(pl.col("date").cast(UTC) + pl.duration(days=1, hours=hour)))
        for hour in (19, 21)
    )
    assert audit(in_time, rows).clean
    found = audit(late, rows)
    assert found.evidence[0].proved
    assert found.sentence() == (
        f"f.csv: LEAK - the forecast for A on {days[0]} arrived at {days[1]} 21:00 UTC, after the next session's close at "
        f"{days[1]} 20:00: it may hold its own outcome. 2 of 2 forecasts arrived so late"
    )


def test_a_few_forecasts_on_no_session_are_left_out_and_many_refused(rows: pl.DataFrame, table: pl.DataFrame) -> None:
    moved = forecasts(table, pl.col("noise"))
    saturday = moved.head(1).with_columns(date=pl.lit(dt.date(2018, 1, 6)))
    found = audit(pl.concat([moved, saturday]), rows)
    assert found.rows == moved.height
    assert (
        "1 of 11,423 forecasts are dated on no session of their ticker (the first: SYN00, 2018-01-06)" in found.notes[0]
    )
    with pytest.raises(BadInput, match="date them by the session whose close they were made at"):
        audit(moved.with_columns(pl.col("date") + pl.duration(days=1)), rows)


SMALL = with_known_at(panel(raw("A", [10.0, 11.0, 12.0]), raw("B", [5.0, 6.0, 7.0])))
GOOD = forecasts(pl.DataFrame({"ticker": ["A"], "date": [dt.date(2024, 4, 8)]}), pl.lit(0.01))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (pl.lit("Z").alias("ticker"), "none of its tickers is in the panel (Z is not; the panel has A, ...)"),
        (
            pl.lit(dt.date(2020, 4, 8)).alias("date"),
            "no forecast lies within the panel's dates, 2024-04-08 to 2024-04-10",
        ),
    ],
)
def test_forecasts_of_which_the_panel_says_nothing_are_refused(changed: pl.Expr, problem: str) -> None:
    with pytest.raises(BadInput) as raised:
        audit(GOOD.with_columns(changed), SMALL)
    assert str(raised.value) == f"f.csv: {problem}"


def test_too_few_days_are_not_judged() -> None:
    found = audit(GOOD, SMALL)
    assert found.ics == ()
    assert found.notes[-1] == "horizon 1: under 60 days with a rank IC, not judged"
