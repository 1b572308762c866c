"""The exchange of each ticker from its first quotes: little panels on true calendars, one per rule."""

import datetime as dt
import tempfile
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.exchanges import FIRST_QUOTES, FirstQuotes
from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.panel.sessions import sessions
from forecast_assets_tests.helpers.builders import REFERENCE, csv, panel_spec
from forecast_assets_tests.helpers.reading import read_files

START = dt.date(2024, 1, 2)
HEADER = "Date,Ticker,Open,Close,Volume"


def quotes(
    ticker: str, calendar: str, count: int, *, start: dt.date = START, volume: int = 1000, price: float | None = None
) -> list[str]:
    """Return CSV rows of ``ticker`` on the first sessions of a calendar."""
    days = sessions(calendar, start, start + dt.timedelta(days=2 * count + 30))[:count].to_list()
    prices = [100 + k if price is None else price for k in range(count)]
    return [f"{day},{ticker},{value},{value},{volume}" for day, value in zip(days, prices, strict=True)]


def read(tmp_path: Path, *rows: list[str], **settings: object) -> tuple[pl.DataFrame, Reading]:
    path = csv(tmp_path / "p.csv", *(line for part in rows for line in part), header=HEADER)
    return read_files([path], spec=panel_spec(**settings))


def homes(accepted: pl.DataFrame) -> dict[str, str]:
    return dict(accepted.select("ticker", "exchange").unique().iter_rows())


def flagged(reading: Reading, flag: str) -> list[tuple[str | None, str]]:
    return reading.flags.filter(pl.col("flag") == flag).select("ticker", "detail").rows()


def test_two_coins_leave_the_sessions_of_a_share_alone(tmp_path: Path) -> None:
    accepted, reading = read(
        tmp_path, quotes("AAPL", "XNYS", 9), quotes("BTC-USD", "24/7", 13), quotes("ETH", "24/7", 13)
    )
    assert homes(accepted) == {"AAPL": "XNYS", "BTC-USD": "24/7", "ETH": "24/7"}
    assert reading.rejected.is_empty()
    assert flagged(reading, "exchange_by_dates") == [
        ("ETH", "24/7 by its dates: 4 of its first 13 quotes are on days XNYS is closed, 0 on days 24/7 is")
    ]


def test_a_coins_symbol_that_leaves_weekends_out_is_a_share(tmp_path: Path) -> None:
    accepted, _ = read(tmp_path, quotes("DASH", "XNYS", 9), quotes("SOL", "24/7", 4))
    assert homes(accepted) == {"DASH": "XNYS", "SOL": "24/7"}


@pytest.mark.parametrize(
    ("ticker", "calendar"),
    [("7203", "XTKS"), ("RELIANCE", "XBOM"), ("600519", "XSHG"), ("TYO", "XTKS"), ("COIN X", "24/7")],
)
def test_dates_that_fit_one_calendar_alone_assign_it_with_the_evidence(
    tmp_path: Path, ticker: str, calendar: str
) -> None:
    accepted, reading = read(tmp_path, quotes(ticker, calendar, FIRST_QUOTES), quotes("AAPL", "XNYS", 130))
    assert homes(accepted) == {ticker: calendar, "AAPL": "XNYS"}
    ((flagged_ticker, detail),) = flagged(reading, "exchange_by_dates")
    assert flagged_ticker == ticker
    assert detail.startswith(f"{calendar} by its dates: ")
    assert "120 quotes" in detail


def test_dates_that_fit_several_calendars_are_refused_with_the_line_to_type(tmp_path: Path) -> None:
    few, half_year = quotes("7203", "XTKS", 3), quotes("SIEMENS", "XETR", 120)
    accepted, reading = read(tmp_path, few, half_year, quotes("AAPL", "XNYS", 130))
    assert homes(accepted) == {"AAPL": "XNYS"}
    reasons = reading.rejected["reason"].unique().sort().to_list()
    assert "the name of 7203 says no exchange" in reasons[0]
    assert 'add to panel.yaml beside the file: tickers: {"7203": MIC}' in reasons[0]
    assert "the name of SIEMENS says no exchange" in reasons[1]
    assert reading.rejected["class"].unique().to_list() == ["refused"]
    declared, told = read(tmp_path, few, half_year, tickers={7203: "XTKS", "SIEMENS": "XETR"})
    assert homes(declared) == {"7203": "XTKS", "SIEMENS": "XETR"}
    assert told.rejected.is_empty()


def test_a_default_that_half_a_year_contradicts_is_refused_and_a_few_weeks_are_told(tmp_path: Path) -> None:
    # The German calendar is that of several exchanges: it can't be assigned.
    with pytest.raises(
        BadInput,
        match=r"of the first 120 quotes of SAP are on days XNYS is closed.*add to panel.yaml beside the file: tickers",
    ):
        read(tmp_path, quotes("SAP", "XETR", 120))
    accepted, reading = read(tmp_path, quotes("SAP", "XETR", 40))
    assert homes(accepted) == {"SAP": "XNYS"}
    assert "although 2 of its first 40 quotes are on days it is closed" in flagged(reading, "exchange_in_doubt")[0][1]


def test_an_odd_name_is_the_default_as_long_as_nothing_contradicts_it_and_told(tmp_path: Path) -> None:
    accepted, reading = read(tmp_path, quotes("007", "XNYS", 5))
    assert homes(accepted) == {"007": "XNYS"}
    assert (
        'where it is another, add to panel.yaml beside the file: tickers: {"007": MIC}'
        in flagged(reading, "exchange_in_doubt")[0][1]
    )


def test_a_suffix_that_the_dates_contradict_refuses_the_ticker(tmp_path: Path) -> None:
    days = sessions("XTKS", START, dt.date(2024, 4, 30)).to_list()
    shifted = [f"{day - dt.timedelta(days=1)},7203.T,{100 + k},{100 + k},1" for k, day in enumerate(days)]
    accepted, reading = read(tmp_path, shifted, quotes("6758.T", "XTKS", 90))
    assert homes(accepted) == {"6758.T": "XTKS"}
    assert reading.rejected["reason"].unique().to_list()[0].startswith("7203.T is on XTKS by its suffix, but ")
    assert reading.rejected.height == len(days)


def test_rows_after_the_first_quotes_never_reassign_a_ticker(tmp_path: Path) -> None:
    share = quotes("PEPSI1", "XNYS", 130, start=dt.date(2023, 1, 3))
    weekends = [
        f"2023-{day},PEPSI1,1{k},1{k},5" for k, day in enumerate(("07-15", "07-16", "07-22", "07-23"), start=10)
    ]
    accepted, reading = read(tmp_path, share, weekends, quotes("AAPL", "XNYS", 150, start=dt.date(2023, 1, 3)))
    assert homes(accepted)["PEPSI1"] == "XNYS"
    assert reading.rejected["reason"].to_list() == [
        f"XNYS is closed on 2023-{day}, and too few of its tickers traded to confirm a session"
        for day in ("07-15", "07-16", "07-22", "07-23")
    ]


def test_prices_that_a_feed_only_carried_on_are_no_evidence(tmp_path: Path) -> None:
    days = [START + dt.timedelta(days=k) for k in range(60)]
    is_open = set(sessions("XNYS", START, days[-1]).to_list())
    price, rows = 100, []
    for day in days:
        price += day in is_open
        rows.append(f"{day},AAPL,{price},{price},{1000 if day in is_open else 0}")
    accepted, reading = read(tmp_path, rows)
    assert homes(accepted) == {"AAPL": "XNYS"}
    assert accepted["date"].to_list() == sorted(is_open)
    assert reading.rejected["reason"].str.starts_with("phantom: flat quote without volume").all()
    assert flagged(reading, "exchange_in_doubt") == []


@pytest.mark.parametrize(("step", "kind"), [(7, "weekly"), (30, "monthly")])
def test_weekly_and_monthly_bars_are_refused_and_called_so(tmp_path: Path, step: int, kind: str) -> None:
    rows = [f"{START + dt.timedelta(days=3 + step * k)},AAPL,{100 + k},{100 + k},1" for k in range(8)]
    with pytest.raises(
        BadInput, match=rf"the first 8 quotes of AAPL are {step} days apart: {kind} bars, .* daily ones"
    ):
        read(tmp_path, rows)


def test_rows_before_a_calendar_begins_are_refused_for_that_exchange_alone(tmp_path: Path) -> None:
    early = [f"{day},2222.SR,{30 + k},{30 + k},1" for k, day in enumerate(("2019-12-11", "2020-01-05", "2021-01-03"))]
    accepted, reading = read(tmp_path, early, quotes("IBM", "XNYS", 3, start=dt.date(1996, 1, 2)))
    assert accepted.select("ticker", pl.col("date").dt.year()).unique().sort("ticker").rows() == [
        ("2222.SR", 2021),
        ("IBM", 1996),
    ]
    assert reading.rejected.select("class", "reason").unique().rows() == [
        ("refused", "the calendar of XSAU begins on 2021-01-01: there is no session to place this row on")
    ]


def test_a_calendar_that_ends_is_projected_and_flagged_once(tmp_path: Path) -> None:
    start = dt.date(2026, 12, 1)
    accepted, reading = read(
        tmp_path,
        quotes("TCS.NS", "XBOM", 30, start=start),
        quotes("INFY.NS", "XBOM", 30, start=start),
        quotes("AAPL", "XNYS", 9, start=start),
    )
    assert accepted.height == 69
    ((ticker, detail),) = flagged(reading, "projected_sessions")
    assert ticker is None
    assert detail.startswith("the calendar of XBOM ends on 2026-12-31; sessions to 2027-02-")


def test_the_end_of_a_calendar_is_told_sixty_days_ahead_and_no_earlier(tmp_path: Path) -> None:
    for name, start, found in (("early", dt.date(2026, 9, 21), 0), ("late", dt.date(2026, 10, 19), 1)):
        folder = tmp_path / name
        folder.mkdir()
        _, reading = read(folder, quotes("TCS.NS", "XBOM", 20, start=start), quotes("AAPL", "XNYS", 20, start=start))
        flags = flagged(reading, "calendar_ends")
        assert len(flags) == found
    assert flags[0][1].startswith(
        "the trading calendar of XBOM (on 2026-12-31) ends: sessions after that are projected"
    )


def test_the_only_ticker_of_its_exchange_is_told_what_it_gets(tmp_path: Path) -> None:
    _, reading = read(tmp_path, quotes("AAPL", "XNYS", 5), quotes("MSFT", "XNYS", 5), quotes("7203.T", "XTKS", 5))
    ((ticker, detail),) = flagged(reading, "lone_ticker")
    assert ticker == "7203.T"
    assert detail.startswith("the only ticker of XTKS: its ranks within the exchange are 0, ")


def test_first_quotes_do_not_depend_on_how_rows_are_dealt_out_to_blocks() -> None:
    days = sessions("XNYS", START, dt.date(2024, 12, 31))
    rows = pl.concat(
        pl.DataFrame({"ticker": ticker, "date": days, "exchange": "XNYS", "assigned_by": "default"}) for ticker in "AB"
    ).with_columns(open=1.0, high=2.0, low=1.0, close=1.5, volume=pl.Series([1.0] * 2 * len(days)))
    found = []
    for blocks in ([rows], [rows[300:], rows[:300]], [rows[k::3] for k in (2, 0, 1)]):
        first = FirstQuotes()
        for block in blocks:
            first.add(block)
        found.append(first.quotes())
    assert found[0].group_by("ticker").len()["len"].to_list() == [FIRST_QUOTES] * 2
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_reading_up_to_a_day_equals_the_full_readings_rows_up_to_it(tmp_path: Path) -> None:
    start = dt.date(2023, 1, 3)
    parts = [
        quotes("AAPL", "XNYS", 300, start=start),
        quotes("PEPSI1", "24/7", 300, start=start),
        quotes("7203", "XTKS", 300, start=start),
        quotes("TCS.NS", "XBOM", 300, start=start),
        ["2023-08-19,AAPL,1,1,5", "2023-11-12,TCS.NS,1,1,5", "2024-02-03,7203,1,1,5"],
        quotes("LATE", "24/7", 40, start=dt.date(2023, 10, 2)),
    ]
    full, _ = read(tmp_path, *parts)
    for day in (dt.date(2023, 8, 20), dt.date(2023, 10, 3), dt.date(2024, 2, 4)):
        with_until = Reading(
            [InputFile(tmp_path / "p.csv", "p.csv")], spec=panel_spec(), scratch=_empty(tmp_path / str(day)), until=day
        )
        cut = pl.concat(with_until.parts())
        long = cut.group_by("ticker").len().filter(pl.col("len") >= FIRST_QUOTES)["ticker"].to_list()
        assert {"AAPL", "PEPSI1", "7203", "TCS.NS"} <= set(long)
        expected = full.filter(pl.col("date") <= day, pl.col("ticker").is_in(long))
        assert cut.filter(pl.col("ticker").is_in(long)).equals(expected)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.skipif(not (REFERENCE / "panel_40.csv").exists(), reason="the reference panel is not beside the checkout")
def test_every_ticker_of_the_forty_ticker_panel_keeps_the_exchange_of_its_name() -> None:
    accepted, reading = read_files([REFERENCE / "panel_40.csv"], spec=panel_spec())
    assert accepted["ticker"].n_unique() == 40
    assert "refused" not in reading.rejected["class"].to_list()
    assert reading.flags.filter(pl.col("flag").str.starts_with("exchange_")).is_empty()


def test_what_was_published_on_few_quotes_is_not_reassigned_by_later_ones(tmp_path: Path) -> None:
    path = csv(tmp_path / "p.csv", *quotes("KO", "XTKS", FIRST_QUOTES), header=HEADER)

    def reading_of(published: dict[str, str], **settings: object) -> tuple[pl.DataFrame, Reading]:
        with tempfile.TemporaryDirectory() as scratch:
            spec = panel_spec(**settings)
            reading = Reading([InputFile(path, path.name)], spec=spec, scratch=Path(scratch), published=published)
            return pl.concat(reading.parts()), reading

    assert homes(reading_of({})[0]) == {"KO": "XTKS"}
    kept, reading = reading_of({"KO": "XNYS"})
    assert homes(kept) == {"KO": "XNYS"}
    ((_, detail),) = flagged(reading, "exchange_in_doubt")
    assert detail.startswith("XNYS, as its earlier rows were published, although later ones say otherwise: XTKS by its")
    assert homes(reading_of({"KO": "XNYS"}, tickers={"KO": "XTKS"})[0]) == {"KO": "XTKS"}
