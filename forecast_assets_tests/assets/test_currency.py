"""Exchange rates through the materialised graph: books and report in the base currency, everything else as it was."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from forecast_assets.store.artefact_files import POSITIONS
from forecast_assets_tests.helpers.graph import Graph, copied, environment
from forecast_assets_tests.helpers.paths import PROJECT

PAGE = PROJECT / "docs" / "currency.md"


@pytest.fixture(scope="module")
def graph(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The smoke graph with the page's own example: its file of rates, its command."""
    (python, bash) = re.findall(r"```(?:python|bash)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    folder = tmp_path_factory.mktemp("currency")
    subprocess.run([sys.executable, "-c", python], cwd=folder, check=True)
    (variable, file), command = re.findall(r"export (\w+)=(\S+)", bash)[0], bash.splitlines()[1].split()
    assert command[:3] == ["forecast-assets", "run", "--select"]
    with copied(smoke_graph.root, folder / "data") as made, environment(**{variable: folder / file}):
        made.run("raw_panel")
        assert made.run(*command[3].split(",")).failures == []
        yield made


@pytest.fixture(scope="module")
def summary(graph: Graph) -> dict[str, Any]:
    return json.loads((graph.root / "reports" / "latest" / "metrics.json").read_text())


def test_rates_change_the_books_and_the_report_and_nothing_else(graph: Graph, smoke_graph: Graph) -> None:
    before, after = smoke_graph.ids(), graph.ids()
    changed = {slot for slot in after if after[slot] != before[slot]}
    assert changed == {("fx_rates", None), ("backtest", "2018"), ("backtest", "2019"), ("backtest_report", None)}


def test_the_report_says_its_currency_and_what_rates_did_to_each_book(
    graph: Graph, smoke_graph: Graph, summary: dict[str, Any]
) -> None:
    assert summary["facts"]["currency"] == summary["currency"]["base"] == "USD"
    page = (graph.root / "reports" / "latest" / "backtest.html").read_text()
    assert re.search(r"books in\s+USD", page)
    assert "<h2>Currency</h2>" in page
    assert any(caveat.startswith("Returns of the books are in USD, unhedged") for caveat in summary["caveats"])
    without = smoke_graph.version("backtest_report").json("metrics.json")
    local = {row["strategy"]: row for row in without["strategies"]}
    base = {row["strategy"]: row for row in summary["strategies"]}
    rows = summary["currency"]["strategies"]
    assert [row["strategy"] for row in rows] == ["ensemble", "b0_mlp", "equal_weight"]
    for row in rows:
        assert row["sharpe_local"] == pytest.approx(local[row["strategy"]]["sharpe"])
        assert row["sharpe"] == pytest.approx(base[row["strategy"]]["sharpe"])
        assert row["sharpe"] != pytest.approx(row["sharpe_local"])
    exposures = {row["currency"]: row for row in summary["currency"]["exposures"]}
    assert set(exposures) == {"USD", "EUR", "JPY"}
    assert sum(row["gross"] for row in exposures.values()) == pytest.approx(base["ensemble"]["gross_exposure"])


def test_without_rates_the_report_says_that_returns_are_local(smoke_graph: Graph) -> None:
    found = smoke_graph.version("backtest_report").json("metrics.json")
    assert found["currency"] is None
    assert found["facts"]["currency"] == "each ticker's own, as if hedged at no cost"
    assert re.search(
        r"books in\s+each ticker&#39;s local currency",
        (smoke_graph.version("backtest_report").path("backtest.html")).read_text(),
    )
    assert smoke_graph.table("fx_rates").is_empty()


def test_a_held_ticker_earns_its_return_and_its_rates_move(graph: Graph) -> None:
    held = pl.read_parquet(graph.version("backtest", "2019").path(POSITIONS)).filter(
        (pl.col("strategy") == "equal_weight") & (pl.col("ticker") == "SYN05.T")
    )
    prices = graph.table("calendar_panel").filter((pl.col("ticker") == "SYN05.T") & ~pl.col("is_missing"))
    rates = graph.table("fx_rates").filter(pl.col("currency") == "JPY").select("date", "rate")
    opens = (
        prices.select("date", "open", "close", before=pl.col("date") - pl.duration(days=1))
        .sort("date")
        .join_asof(rates, left_on="before", right_on="date")
        .with_columns(value=pl.col("open") * pl.col("rate"))
        .with_columns(earned=pl.col("value").shift(-1) / pl.col("value") - 1.0, next=pl.col("date").shift(-1))
    )
    both = held.sort("date").with_columns(following=pl.col("date").shift(-1)).join(opens, on="date")
    both = both.filter(pl.col("next") == pl.col("following"))  # the union's next session is its own
    assert both.height > 200
    error = (both["pnl"] - both["weight"] * both["earned"]).abs().max()
    assert isinstance(error, float)
    assert error < 1e-12


def test_days_added_to_the_file_leave_the_years_before_them_as_they_are(graph: Graph) -> None:
    before = graph.ids()
    rates = graph.root.parent / "rates.csv"
    lines = rates.read_text().splitlines()
    shorter = graph.root.parent / "shorter.csv"
    shorter.write_text("\n".join([lines[0], *(line for line in lines[1:] if line < "2020")]) + "\n")
    with environment(FORECAST_FX=shorter):
        assert graph.run("fx_rates", "backtest").failures == []
    changed = {slot for slot, version in graph.ids().items() if before[slot] != version}
    assert changed == {("fx_rates", None)}
    assert graph.version("fx_rates").manifest.facts["checks"]["rates_cover_the_test_years"]["passed"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Date,EURUSD\n2015-01-02,1.1\n",
            "exchange rates: none leads from JPY (SYN02.T, SYN05.T) to USD; add a column JPYUSD to the file that "
            "FORECAST_FX names, or declare another currency, --set 'currency.tickers={SYN02.T: EUR}'",
        ),
        ("Date,EUR\n2015-01-02,1.1\n", "wrong.csv: the column EUR does not say which way its rates go"),
    ],
)
def test_a_file_that_can_not_be_used_stops_the_run_before_anything_is_trained(
    graph: Graph, text: str, sentence: str
) -> None:
    wrong = graph.root.parent / "wrong.csv"
    wrong.write_text(text)
    with environment(FORECAST_FX=wrong):
        (failure,) = graph.run("fx_rates", "sweep", "backtest").failures
    assert failure.asset == "fx_rates"
    assert failure.user_mistake
    assert sentence in failure.message


def test_a_gap_in_the_rates_is_a_warning_first_and_then_stops_the_years_it_touches(graph: Graph) -> None:
    rates = graph.root.parent / "rates.csv"
    lines = rates.read_text().splitlines()
    holed = graph.root.parent / "holed.csv"
    holed.write_text(
        "\n".join([lines[0], *(line for line in lines[1:] if not "2019-03-01" <= line < "2019-04")]) + "\n"
    )
    with environment(FORECAST_FX=holed):
        (failure,) = graph.run("fx_rates", "backtest").failures
    check = graph.version("fx_rates").manifest.facts["checks"]["rates_cover_the_test_years"]
    sentence = "exchange rates: the last one of EUR for 2019-03-08 is of 2019-02-28, 8 days before"
    assert not check["passed"]
    assert check["warns"]
    assert check["description"].startswith(sentence)
    assert (failure.part, failure.asset) == ("2019", "backtest")
    assert sentence in failure.message
