"""Exchange rates are read strictly: the pair's name says the direction, and numbers that say another are refused."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.core.panel.currencies import CURRENCIES, HUNDREDTHS, QUOTED_IN, require_in_panel, ticker_currencies
from forecast_assets.core.panel.exchange_rates import USUAL_DOLLARS, read_rates
from forecast_assets.core.specs import CurrencySpec
from forecast_assets_tests.helpers.builders import panel_spec

FIRST, SECOND = dt.date(2024, 1, 30), dt.date(2024, 1, 31)
WIDE = "Date,EURUSD,USDJPY\n2024-01-30,1.1,150\n2024-01-31,,151\n"


def read(
    folder: Path, text: str, *, base: str = "USD", until: dt.date | None = None
) -> list[tuple[dt.date, str, float]]:
    file = folder / "fx.csv"
    file.write_text(text)
    return read_rates(file, base=base, until=until).rows()


def test_both_shapes_and_both_directions_are_units_of_the_base(tmp_path: Path) -> None:
    wanted = [(FIRST, "EUR", 1.1), (FIRST, "JPY", 1 / 150), (SECOND, "JPY", 1 / 151)]
    assert read(tmp_path, WIDE) == wanted
    long = "date,pair,rate\n2024-01-31,USD/JPY,151\n2024-01-30,EURUSD=X,1.1\n2024-01-30,USD/JPY,150\n"
    assert read(tmp_path, long) == wanted
    pl.DataFrame({"Date": [FIRST, SECOND], "EURUSD": [1.1, None], "USDJPY": [150, 151]}).write_parquet(
        tmp_path / "fx.parquet"
    )
    assert read_rates(tmp_path / "fx.parquet", base="USD").rows() == wanted


def test_a_base_without_a_pair_is_reached_through_the_other_currency(tmp_path: Path) -> None:
    (yen, dollars) = read(tmp_path, WIDE, base="EUR")
    assert yen[:2] == (FIRST, "JPY")
    assert yen[2] == pytest.approx(1 / 150 / 1.1)
    assert dollars == (FIRST, "USD", 1 / 1.1)


def test_rows_after_the_replayed_day_are_not_read(tmp_path: Path) -> None:
    assert [day for day, _, _ in read(tmp_path, WIDE, until=FIRST)] == [FIRST, FIRST]
    with pytest.raises(
        BadInput, match=r"fx.csv: no rate up to 2024-01-01; give the file rows, or leave FORECAST_FX unset"
    ):
        read(tmp_path, WIDE, until=dt.date(2024, 1, 1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Date,EUR\n2024-01-30,1.1\n", "the column EUR does not say which way its rates go; name a pair: EURUSD is"),
        ("date,currency,rate\n2024-01-30,EUR,1.1\n", "the column currency does not say which way its rates go"),
        ("Date,JPYUSD\n2024-01-30,150\n", r"JPYUSD is about 150, but one JPY .* these are rates of USDJPY: rename it"),
        ("Date,GBPUSD\n2024-01-30,0.0127\n", r"one GBP is worth about 1.4 USD; give the rate of one whole GBP"),
        ("Date,GBXUSD\n2024-01-30,0.0127\n", "GBXUSD: GBX is a hundredth of GBP; give the rate of GBP"),
        ("Date,DEXUSEU\n2024-01-30,1.1\n", "DEXUSEU is no pair of currencies; name it like EURUSD, or remove it"),
        (
            "Date,EURUSD,USDEUR\n2024-01-30,1.1,1.1\n",
            r"one USD is 1.1 EUR by USDEUR and 0.909091 by EURUSD; one of them",
        ),
        (
            "Date,EURUSD,USDJPY,EURJPY\n2024-01-30,0.9,150,165\n",
            "on 2024-01-30 one EUR is 0.9 USD by EURUSD and 1.1 by EURJPY and JPYUSD; one of them is wrong or the other way",
        ),
        ("Date,EURUSD,EUR/USD\n2024-01-30,1.1,1.1\n", "EUR/USD is there twice; keep one"),
        ("Date,EURUSD\n30.01.2024,1.1\n", "line 2: the date is not one like 2024-01-31"),
        ("Date,EURUSD\n2024-01-30,1.1\n2024-01-30,1.2\n", r"line 2 \(and 1 more\): the date is there twice for EURUSD"),
        ("Date,EURUSD\n2024-01-30,1.1\n2024-01-31,n/a\n", "line 3: the rate of EURUSD is no number above zero"),
        ("Date,EURUSD\n2024-01-30,0\n", "line 2: the rate of EURUSD is no number above zero"),
        ("Date,EURUSD\n2024-01-30,nan\n", "line 2: the rate of EURUSD is no number above zero"),
        ("Date,EURUSD\n2024-01-30,1.1\n2024-01-31,11\n", "line 3: the rate of EURUSD is more than 3 times that of the"),
        ("date,pair,rate\n2024-01-30,EURUSD,\n", "line 2: the rate is missing; leave the row out"),
        ("date,pair,rate\n2024-01-30,,1.1\n", "line 2: the pair is missing; name it, such as EURUSD"),
        (
            "date,pair,value\n2024-01-30,EURUSD,1.1\n",
            r"missing columns \['rate'\]; a file of exchange rates has either",
        ),
        ("EURUSD\n1.1\n", "no column Date; a file of exchange rates has either Date and a column per pair"),
        ("Date,EURUSD,EURUSD \n2024-01-30,1.1,1.1\n", r"columns \['EURUSD'\] are there twice; keep one of each"),
        ("Date\n2024-01-30\n", "no pair; a file of exchange rates"),
        ("Date,EURUSD\n", "no row; a file of exchange rates"),
        ("", r"not readable as a CSV with commas \(empty CSV\)"),
    ],
)
def test_a_file_that_has_to_be_guessed_at_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(BadInput, match=f"fx.csv: .*{problem}"):
        read(tmp_path, text)


def test_empty_lines_are_no_rows_and_a_column_of_parquet_has_to_hold_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, WIDE.replace("2024-01-31", "\n,,\n2024-01-31") + "\n") == read(tmp_path, WIDE)
    pl.DataFrame({"Date": [FIRST], "EURUSD": [True]}).write_parquet(tmp_path / "fx.parquet")
    with pytest.raises(BadInput, match=r"fx.parquet: column EURUSD holds Boolean; write numbers"):
        read_rates(tmp_path / "fx.parquet", base="USD")
    (tmp_path / "fx.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInput, match=r"fx.parquet: not readable as a Parquet file"):
        read_rates(tmp_path / "fx.parquet", base="USD")


def test_a_base_that_the_file_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadSetting, match=r"fx.csv has no pair with CHF \(it has EUR, JPY, USD\); add one, or --set currency"
    ):
        read(tmp_path, WIDE, base="CHF")
    with pytest.raises(BadSetting, match=r"currency.base: XYZ is no currency that is known here"):
        read(tmp_path, WIDE, base="XYZ")


@given(code=st.sampled_from(sorted(CURRENCIES - {"USD"})), factor=st.floats(1 / 3, 3))
def test_usual_rates_are_accepted_and_told_from_their_inverse_where_units_differ(
    tmp_path_factory: pytest.TempPathFactory, code: str, factor: float
) -> None:
    folder, usual = tmp_path_factory.getbasetemp(), USUAL_DOLLARS[code] * factor
    assert read(folder, f"Date,{code}USD\n2024-01-30,{usual!r}\n") == [(FIRST, code, usual)]
    if not 1 / 25 < USUAL_DOLLARS[code] < 25:
        with pytest.raises(BadInput, match=f"these are rates of USD{code}: rename it"):
            read(folder, f"Date,{code}USD\n2024-01-30,{1 / usual!r}\n")


def test_every_exchange_of_the_settings_has_a_currency_but_those_of_pairs() -> None:
    spec = panel_spec()
    assert set(spec.regions) - set(QUOTED_IN) == {"24/7", "24/5"}
    assert {HUNDREDTHS.get(code, code) for code in QUOTED_IN.values()} <= CURRENCIES <= set(USUAL_DOLLARS)


@pytest.mark.parametrize(
    ("ticker", "exchange", "currency", "per_unit"),
    [
        ("AAPL", "XNYS", "USD", 1.0),
        ("BA.L", "XLON", "GBP", 100.0),
        ("NPN.JO", "XJSE", "ZAR", 100.0),
        ("SMSN.IL", "XLON", "USD", 1.0),
        ("BTC-EUR", "24/7", "EUR", 1.0),
        ("ETHUSDT", "24/7", "USD", 1.0),
        ("BTC-USD.CC", "24/7", "USD", 1.0),
        ("EURJPY=X", "24/5", "JPY", 1.0),
        ("BTC", "24/7", None, 1.0),
        ("TLV.RO", "XBSE", None, 1.0),
        ("SHEL.L", "XLON", "EUR", 1.0),  # declared
        ("VOD.L", "XLON", "GBP", 1.0),
        ("X.A", "XNOW", "GBP", 100.0),
    ],
)
def test_a_ticker_is_quoted_in_what_is_declared_or_what_its_exchange_and_name_say(
    ticker: str, exchange: str, currency: str | None, per_unit: float
) -> None:
    spec = CurrencySpec(tickers={"SHEL.L": "EUR", "VOD.L": "GBP"}, exchanges={"XNOW": "GBp"})
    found = ticker_currencies(pl.DataFrame({"ticker": [ticker], "exchange": [exchange]}), spec)
    assert found.select("currency", "per_unit").row(0) == (currency, per_unit)


def test_what_is_declared_has_to_be_a_currency_of_what_is_in_the_panel() -> None:
    row = pl.DataFrame({"ticker": ["A"], "exchange": ["XNYS"]})
    with pytest.raises(
        BadSetting, match=r"currency.tickers: EURO is no currency; write a code such as EUR, or GBX, ILA, ZAC"
    ):
        ticker_currencies(row, CurrencySpec(tickers={"A": "EURO"}))
    with pytest.raises(BadSetting, match=r"currency.tickers: 'AA' is no ticker of the panel; the nearest is A"):
        require_in_panel(CurrencySpec(tickers={"AA": "EUR"}), row)
    with pytest.raises(BadSetting, match=r"currency.exchanges: 'XNY' is no exchange of the panel; the nearest is XNYS"):
        require_in_panel(CurrencySpec(tickers={"A": "EUR"}, exchanges={"XNY": "EUR"}), row)
    with pytest.raises(ValueError, match="has to be a currency's code in capitals, such as EUR"):
        CurrencySpec(base="eur")
