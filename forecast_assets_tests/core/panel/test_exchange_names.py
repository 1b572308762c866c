"""What a ticker's text and the word of its exchange column say: literal names, and none that lands in New York unasked."""

import pytest
from pydantic import ValidationError

from forecast_assets.core.panel.exchange_names import named_exchange, names_table
from forecast_assets_tests.helpers.builders import panel_spec

TABLE = names_table(panel_spec())


@pytest.mark.parametrize(
    ("ticker", "exchange", "by"),
    [
        # suffixes of Yahoo, Refinitiv, EODHD, Stooq, Bloomberg
        *(("AAPL.US", "XNYS", "suffix"), ("IBM.N", "XNYS", "suffix"), ("SPY.P", "XNYS", "suffix")),
        *(("600519.SH", "XSHG", "suffix"), ("000001.SZ", "XSHG", "suffix"), ("7203.JP", "XTKS", "suffix")),
        *(("VOD.LSE", "XLON", "suffix"), ("BMW.XETRA", "XETR", "suffix"), ("CEZ.PR", "XPRA", "suffix")),
        *(("M&M.NS", "XBOM", "suffix"), ("bmw.de", "XETR", "suffix"), ("NaN.TO", "XTSE", "suffix")),
        *(("BMW GY Equity", "XETR", "suffix"), ("AAPL UW", "XNYS", "suffix")),
        # symbols
        *(("^N225", "XTKS", "symbol"), ("^FTSE", "XLON", "symbol"), ("^GSPC", "XNYS", "symbol")),
        *(("I:SPX", "XNYS", "symbol"), ("sh.600519", "XSHG", "symbol"), ("SZ000001", "XSHG", "symbol")),
        *(("EURUSD=X", "24/5", "suffix"), ("EUR/USD", "24/5", "symbol"), ("C:EURUSD", "24/5", "symbol")),
        *(("ES=F", "CMES", "suffix"), ("ES1!", "CMES", "symbol"), ("CLc1", "CMES", "symbol")),
        *(("BTC-USD", "24/7", "symbol"), ("BTCUSDT", "24/7", "symbol"), ("ETH/EUR", "24/7", "symbol")),
        *(("BINANCE:SOLUSDT", "24/7", "symbol"), ("NSE:RELIANCE", "XBOM", "symbol")),
        # what looks like New York: a letter behind a dot or hyphen is a share class, a preferred share or a warrant
        *(("AAPL", "XNYS", "default"), ("BRK.B", "XNYS", "default"), ("BF-B", "XNYS", "default")),
        *(("BAC.PR.L", "XNYS", "default"), ("BAC.PRL", "XNYS", "default"), ("BAC-PL", "XNYS", "default")),
        *(("AAC.U", "XNYS", "default"), ("AAC.WS", "XNYS", "default"), ("DASH", "XNYS", "default")),
        *(("TRUE", "XNYS", "default"), ("NULL", "XNYS", "default"), ("007", "XNYS", "guess")),
        # and what does not
        *((name, None, "none") for name in ("7203", "600519", "RELIANCE", "XS1234567890", "^XYZ", "Sony Group")),
    ],
)
def test_a_ticker_names_its_exchange_or_none(ticker: str, exchange: str | None, by: str) -> None:
    named = named_exchange(ticker, None, table=TABLE)
    assert (named.exchange, named.assigned_by, named.problem) == (exchange, by, None)


@pytest.mark.parametrize(
    ("ticker", "word", "exchange"),
    [
        *(
            ("AAPL", "NMS", "XNYS"),
            ("IBM", "nyq", "XNYS"),
            ("SPY", "NYSE_ARCA", "XNYS"),
            ("KO", "New York Stock Exchange", "XNYS"),
        ),
        *(("SAP", "GER", "XETR"), ("VOD", "LSE", "XLON"), ("7203", "JPX", "XTKS"), ("TCS", "XNSE", "XBOM")),
        *(
            ("7203.T", "TSE", "XTKS"),
            ("RY.TO", "TSE", "XTSE"),
            ("RY", "TSE", "XTKS"),
        ),  # Tokyo or Toronto: the suffix says
        *(
            ("BTC-USD", "CCC", "24/7"),
            ("BTC", "24/7", "24/7"),
            ("AAPL.US", "n/a", "XNYS"),
            ("BMW.DE", "Somewhere", "XETR"),
        ),
    ],
)
def test_a_word_names_the_exchange_and_an_unknown_one_leaves_it_to_the_suffix(
    ticker: str, word: str, exchange: str
) -> None:
    assert named_exchange(ticker, word, table=TABLE).exchange == exchange


def test_an_unknown_word_or_suffix_rules_a_ticker_out_and_says_what_to_type() -> None:
    assert named_exchange("AAPL", "Somewhere", table=TABLE).problem == (
        "the exchange Somewhere of AAPL is unknown; add to panel.yaml beside the file: "
        'exchanges: {"Somewhere": MIC}, or tickers: {"AAPL": MIC}'
    )
    assert "add its suffix to panel.yaml beside the file: exchanges" in (
        named_exchange("ABC.QQ", None, table=TABLE).problem or ""
    )


def test_a_declared_exchange_stands_above_word_and_suffix() -> None:
    spec = panel_spec(tickers={7203: "XTKS", "BMW.DE": "XFRA"})
    for ticker, word, exchange in (("7203", "NYSE", "XTKS"), ("BMW.DE", None, "XFRA"), ("bmw.de", None, "XFRA")):
        named = named_exchange(ticker, word, table=TABLE, tickers=spec.tickers)
        assert (named.exchange, named.assigned_by) == (exchange, "declared")


@pytest.mark.parametrize(
    ("tickers", "message"),
    [({True: "XNYS"}, "put it in quotes"), ({"7203": "TOKYO"}, "TOKYO .7203. is not an exchange of panel.regions")],
)
def test_a_declaration_that_yaml_misread_or_of_no_exchange_is_refused(tickers: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        panel_spec(tickers=tickers)


def test_another_default_than_new_york_holds_for_every_ticker_without_a_suffix() -> None:
    table = TABLE | {"": "XBOM"}
    assert [named_exchange(t, None, table=table).exchange for t in ("RELIANCE", "7203", "AAPL.US", "ABC.QQ")] == [
        "XBOM",
        "XBOM",
        "XNYS",
        None,
    ]
