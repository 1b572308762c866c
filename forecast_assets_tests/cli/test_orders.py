"""``forecast-assets orders`` on a small store made by hand: shares, currencies, and what can't be asked."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from forecast_assets.cli.app import cli
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.published import KEY_A, fields

NIGHT = "2021-12-30"
PAGE = PROJECT / "docs" / "book.md"
BOOK = {
    "ticker": ["AAPL", "BA.L", "GONE", "SAP.DE"],
    "region": ["Americas", "Europe", "Americas", "Europe"],
    "weight_now": [0.0, 0.0, 0.01, 0.0],
    "weight_target": [0.1, 0.02, 0.0, -0.05],
    "trade": [0.1, 0.02, -0.01, -0.05],
    "price": [150.0, 500.0, 8.0, 100.0],  # BAE in pence
    "expected_cost": [0.0, 0.0, 0.0, 0.0],
    "note": [None, None, "gone from the panel: closed at its last price, of 2021-12-01", None],
}
QUOTES = {
    "date": ["2021-12-30", "2021-12-30", "2021-12-29", "2021-12-30", "2021-12-31"],
    "ticker": ["AAPL", "BA.L", "SAP.DE", "7203.T", "AAPL"],
    "exchange": ["XNYS", "XLON", "XETR", "XTKS", "XNYS"],
    "close": [150.0, 500.0, 100.0, 2000.0, 9.0],
}
RATES = {"currency": ["EUR", "GBP", "JPY"], "rate": [1.25, 1.5, 0.01]}


def publish(
    store: Store, asset: str, files: dict[str, pl.DataFrame], *, partition: str | None = None, **given: Any
) -> None:
    with store.stage(asset, partition, input_key=KEY_A) as staging:
        for name, table in files.items():
            table.write_parquet(staging.path / name)
        store.commit(staging, fields(**given))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("orders"), rates=True)


def made(root: Path, *, rates: bool) -> Path:
    store = Store(root / "store")
    quotes = pl.DataFrame(QUOTES).with_columns(pl.col("date").str.to_date(), is_missing=False, is_member=True)
    gone = pl.DataFrame(
        {"date": ["2021-12-01"], "ticker": ["GONE"], "exchange": ["XNYS"], "close": [8.0], "is_missing": [False]}
    ).with_columns(pl.col("date").str.to_date())
    flags = pl.DataFrame({"ticker": ["7203.T", "AAPL"], "flag": ["rescaled_drop", "new_ticker"]})
    fx = pl.DataFrame(RATES).with_columns(date=pl.lit(NIGHT).str.to_date()).filter(rates)
    book = pl.DataFrame(BOOK)
    publish(store, "target_positions", {"table.parquet": book.clear()}, partition="2021-12-28")
    publish(store, "target_positions", {"table.parquet": book, "gone.parquet": gone}, partition=NIGHT)
    publish(store, "calendar_panel", {"table.parquet": quotes})
    publish(store, "fx_rates", {"table.parquet": fx}, config={"currency": {"base": "USD"}})
    with store.stage("raw_panel", None, input_key=KEY_A) as staging:
        flags.write_parquet(staging.path / "flags.parquet")
        days = ["2021-12-28", NIGHT]
        (staging.path / "partitions.json").write_text(json.dumps({"years": [], "days": days, "sessions": days}))
        store.commit(staging, fields())
    return root


def ask(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--data-dir", str(folder), "orders", *arguments])


def answer(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    done = ask(folder, "--capital", "1000000", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return {row["ticker"]: row for row in json.loads(done.stdout)["rows"]}


def file(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def test_shares_come_from_the_capital_at_the_prices_and_rates_of_the_night(folder: Path) -> None:
    """100,000 $ at 150 $; 20,000 $ at 5 £ of 1.50 $; 50,000 $ short at 100 € of 1.25 $."""
    found = answer(folder)
    assert {ticker: (row["side"], row["shares"]) for ticker, row in found.items()} == {
        "AAPL": ("buy", 666),
        "BA.L": ("buy", 2666),
        "SAP.DE": ("sell", 400),
    }
    assert found["AAPL"]["unfilled"] == pytest.approx(2 / 3)
    assert found["BA.L"]["value"] == pytest.approx(2666 * 7.5)
    assert (found["BA.L"]["price"], found["BA.L"]["currency"]) == (500.0, "GBP")
    assert (found["SAP.DE"]["unfilled"], found["SAP.DE"]["note"]) == (0.0, "price of 2021-12-29")


def test_what_is_held_lots_and_prices_are_taken_from_files(folder: Path, tmp_path: Path) -> None:
    held = file(tmp_path, "held.csv", "ticker,shares\nAAPL,-34\nGONE,30\n7203.T,100\n")
    lots = file(tmp_path, "lots.csv", "ticker,lot\nXNYS,100\nAAPL,10\nBA.L,1000\n")
    prices = file(tmp_path, "prices.csv", "ticker,price\nSAP.DE,80\n7203.T,1000\n")
    found = answer(folder, "--held", held, "--lots", lots, "--prices", prices)
    assert {ticker: (row["side"], row["shares"], row["lot"]) for ticker, row in found.items()} == {
        "7203.T": ("sell", 100, 1),
        "AAPL": ("buy", 700, 10),
        "BA.L": ("buy", 2000, 1000),
        "GONE": ("none", 0, 100),
        "SAP.DE": ("sell", 500, 1),
    }
    assert found["7203.T"]["value"] == pytest.approx(-1000.0)  # 100 at 1,000 yen of a cent
    assert (found["GONE"]["unfilled"], found["GONE"]["held"]) == (-30.0, 30.0)
    assert found["GONE"]["note"].startswith("gone from the panel")
    assert found["SAP.DE"]["note"] is None  # a price of the user's own is not old


def test_a_csv_is_whole_or_not_there(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "orders.csv"
    done = ask(folder, "--capital", "1e6", "--out", str(out))
    assert done.exit_code == 0
    assert done.output.startswith(f"{out}: 3 orders of the night of {NIGHT}: buy 119,895, sell 50,000 USD")
    assert "unfilled, less than a lot each: 105 USD" in done.output
    written = pl.read_csv(out)
    assert written["ticker"].to_list() == ["AAPL", "BA.L", "SAP.DE"]
    before = out.read_bytes()
    assert ask(folder, "--capital", "1e6", "--out", str(out), "--held", str(tmp_path / "none.csv")).exit_code == 1
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]
    lost = ask(folder, "--capital", "1e6", "--out", str(tmp_path / "no" / "orders.csv"))
    assert "its folder does not exist" in lost.output


def test_a_night_without_a_book_has_no_orders(folder: Path) -> None:
    done = ask(folder, "--capital", "1e6", "--night", "2021-12-28")
    assert done.exit_code == 0, done.output
    assert "0 orders of the night of 2021-12-28: buy 0, sell 0 USD; gross 0.0%" in done.output


def test_several_currencies_without_rates_are_refused(tmp_path: Path) -> None:
    done = ask(made(tmp_path, rates=False), "--capital", "1e6")
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert "in 3 currencies (EUR: SAP.DE, GBP: BA.L, USD: AAPL), and there are no exchange rates" in done.output
    assert "FORECAST_FX" in done.output


@pytest.mark.parametrize(
    ("option", "content", "sentence"),
    [
        ("--held", "ticker,shares\nSAP,1\n", "f.csv: line 2: SAP has no price in the panel; did you mean SAP.DE"),
        ("--held", "ticker,weight\nSAP.DE,1\n", "f.csv: columns ['ticker', 'weight']; a file of what is held has"),
        (
            "--held",
            "ticker,shares\n7203.T,5\n",
            "7203.T: the panel's price may not be the one that is quoted, since its",
        ),
        (
            "--lots",
            "ticker,lot\nXETR,2.5\n",
            "f.csv: line 2: the lot of XETR is 2.5; a file of lots has ticker and lot",
        ),
        ("--lots", "ticker,lot\nXETR,0\n", "f.csv: line 2: the lot of XETR is 0; a file of lots has ticker and lot"),
        ("--prices", "ticker,price\nAAPL,-3\n", "f.csv: line 2: the price of AAPL is -3; a file of prices has"),
        ("--prices", "ticker,price\nAAPL,\n", "f.csv: line 2: the price of AAPL is no number"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    folder: Path, tmp_path: Path, option: str, content: str, sentence: str
) -> None:
    done = ask(folder, "--capital", "1e6", option, file(tmp_path, "f.csv", content))
    assert done.exit_code == 1
    assert sentence in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--capital", "-5"), "--capital -5: has to be above 0, such as --capital 1000000"),
        (("--capital", "nan"), "--capital nan: has to be above 0"),
        (("--capital", "1", "--night", "2020-01-01"), "no night 2020-01-01; there are 2021-12-28 to 2021-12-30"),
        (
            ("--capital", "1", "--set", "currency.base=EUR"),
            "currency.base is EUR, and the exchange rates of the store lead",
        ),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = ask(folder, *arguments)
    assert done.exit_code == 1
    assert sentence in done.output
    assert done.output.count("\n") == 1


def test_the_commands_of_the_page_are_answered(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    file(tmp_path, "held.csv", "ticker,shares\nAAPL,10\n")
    (lots,) = re.findall(r"```text\n(ticker,lot.*?)```", page, re.DOTALL)
    Path("lots.csv").write_text(lots)
    commands = re.findall(r"^    forecast-assets orders(.*?)(?:#.*)?$", page, re.MULTILINE)
    assert len(commands) == 3
    for arguments in commands:
        done = ask(folder, *arguments.split())
        assert done.exit_code == 0, done.output
