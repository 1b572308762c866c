"""The stage of announcements: what was made before is continued by new rows, and only by those."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.assets.announcements import announcement_rows, same_until
from forecast_assets.assets.framework.metadata import version_metadata
from forecast_assets.cli.export import export_table
from forecast_assets.store.artefact_files import ANNOUNCEMENT_PARAMETERS, CUT_ROWS, CUT_STATE, CUT_TAIL, INFERRED
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.announced import announced
from forecast_assets_tests.helpers.graph import Graph, copied

START, NOW, END = dt.date(2013, 1, 2), dt.date(2015, 5, 29), dt.date(2016, 1, 8)
STAGES = ("raw_panel", "calendar_panel", "announcements")
FILES = (INFERRED, CUT_TAIL, CUT_ROWS)
HEADER = {
    "date": "Date",
    "ticker": "Ticker",
    "sector": "Sector",
    "open": "Opening Price",
    "high": "High",
    "low": "Low",
    "close": "Closing Price",
    "volume": "Volume",
}


@pytest.fixture(scope="module")
def prices() -> pl.DataFrame:
    """Seven tickers; one lists in June 2015."""
    raw = announced(tickers=7, start=START, end=END, seed=3).raw
    return raw.filter((pl.col("ticker") != "ANN001") | (pl.col("date") > dt.date(2015, 6, 5)))


def publish(graph: Graph, prices: pl.DataFrame, file: Path) -> Version:
    """Write the raw rows, run the stages and return the announcements."""
    prices.select(pl.col(name).alias(header) for name, header in HEADER.items()).write_csv(file)
    for stage in STAGES:
        assert graph.run(stage, panel=file).failures == []
    return graph.version("announcements")


@pytest.fixture(scope="module")
def before(prices: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the announcements up to ``NOW``."""
    root = tmp_path_factory.mktemp("before")
    with Graph(root) as graph:
        version = publish(graph, prices.filter(pl.col("date") <= NOW), root / "panel.csv")
        assert version.manifest.facts["extended"] is False
        assert version.manifest.facts["years_fitted"] == 1
        assert version.manifest.facts["announcements"] > 5
    return root


@pytest.fixture
def graph(before: Path, tmp_path: Path) -> Iterator[Graph]:
    with copied(before, tmp_path / "graph") as copy:
        yield copy


def table(version: Version) -> pl.DataFrame:
    rows = announcement_rows(version)
    before, latest = rows.before.collect(), rows.latest.collect()
    assert before.filter(pl.col("date") >= rows.day).is_empty()
    assert latest.filter(pl.col("date") < rows.day).is_empty()
    return pl.concat([before, latest]).sort("ticker", "date")


def same_as_anew(version: Version, prices: pl.DataFrame, root: Path) -> None:
    """Compare what was published with what a store without an earlier version publishes."""
    root.mkdir()
    with Graph(root) as fresh:
        anew = publish(fresh, prices, root / "panel.csv")
        assert table(version).equals(table(anew))
        for file in FILES:
            found, wanted = (pl.read_parquet(v.path(file)).sort("ticker", maintain_order=True) for v in (version, anew))
            assert found.equals(wanted), file
        assert version.json(ANNOUNCEMENT_PARAMETERS)["years"] == anew.json(ANNOUNCEMENT_PARAMETERS)["years"]
        assert version.manifest.slices == anew.manifest.slices
        assert len(version.path(CUT_STATE).read_bytes()) == len(anew.path(CUT_STATE).read_bytes())


def test_a_new_session_continues_the_version_before(graph: Graph, prices: pl.DataFrame, tmp_path: Path) -> None:
    rows = prices.filter(pl.col("date") <= dt.date(2015, 6, 1))
    figures = {name: entry for name, entry in graph.version("announcements").manifest.files.items() if "plot" in name}
    version = publish(graph, rows, tmp_path / "panel.csv")
    assert version.manifest.facts["extended"] is True
    assert sorted(figures) == ["plot-dates_on_price.png", "plot-regularity.png", "plot-variance_ahead.png"]
    assert {name: entry for name, entry in version.manifest.files.items() if "plot" in name} == figures
    same_as_anew(version, rows, tmp_path / "anew")
    assert export_table(graph.store, "announcements", tmp_path / "table.csv", partitions=()) == table(version).height
    shown = version_metadata("announcements", version, data_root=graph.data)
    assert pl.read_csv(tmp_path / "table.csv")["announced"].len() == shown["dagster/row_count"]


def test_months_and_a_new_ticker_continue_it_too(graph: Graph, prices: pl.DataFrame, tmp_path: Path) -> None:
    for day in (dt.date(2015, 8, 3), dt.date(2015, 12, 31)):
        rows = prices.filter(pl.col("date") <= day)
        version = publish(graph, rows, tmp_path / "panel.csv")
        assert version.manifest.facts["extended"] is True
    assert "ANN001" in table(version)["ticker"].unique()
    same_as_anew(version, rows, tmp_path / "anew")


def test_a_new_year_is_computed_anew(graph: Graph, prices: pl.DataFrame, tmp_path: Path) -> None:
    version = publish(graph, prices, tmp_path / "panel.csv")
    assert version.manifest.facts["extended"] is False
    assert version.manifest.facts["years_fitted"] == 2
    assert sorted(version.json(ANNOUNCEMENT_PARAMETERS)["years"]) == ["2015", "2016"]


@pytest.mark.parametrize(
    ("day", "extended"), [(dt.date(2013, 6, 3), False), (dt.date(2015, 2, 3), False), (dt.date(2015, 5, 27), True)]
)
def test_a_revision_is_continued_only_after_the_cut(
    day: dt.date, extended: bool, graph: Graph, prices: pl.DataFrame, tmp_path: Path
) -> None:
    revised = (pl.col("date") == day) & (pl.col("ticker") == "ANN000")
    rows = prices.filter(pl.col("date") <= dt.date(2015, 6, 1)).with_columns(
        close=pl.when(revised).then(pl.col("close") * 1.01).otherwise("close")
    )
    rows = rows.with_columns(high=pl.max_horizontal("high", "close"))
    version = publish(graph, rows, tmp_path / "panel.csv")
    assert version.manifest.facts["extended"] is extended
    same_as_anew(version, rows, tmp_path / "anew")


def test_quotes_are_the_same_until_the_day_before_the_first_change() -> None:
    days = [dt.date(2018, 3, day) for day in (5, 6, 7, 8)]
    texts = dict.fromkeys(("exchange", "sector", "region"), "x")
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    plain = pl.DataFrame({"date": days * 2, "ticker": ["A"] * 4 + ["B"] * 4}).with_columns(
        **{name: pl.lit(value) for name, value in {**texts, **numbers, "segment": 0, "is_member": True}.items()},
        is_missing=pl.Series([False] * 7 + [True]),
    )
    later = plain.head(1).with_columns(date=dt.date(2018, 3, 9))
    assert same_until(plain, pl.concat([plain, later])) == days[3]
    third = (pl.col("ticker") == "B") & (pl.col("date") == days[2])
    revised = plain.with_columns(close=pl.when(third).then(2.0).otherwise("close"))
    assert same_until(plain, revised) == same_until(plain, plain.filter(~third)) == days[1]
    listed = plain.filter(pl.col("date") == days[1]).head(1).with_columns(ticker=pl.lit("C"))
    assert same_until(plain, pl.concat([plain, listed])) == days[0]
    assert same_until(plain, plain.filter(~pl.col("is_missing"))) == days[3]  # a hole that is no longer filled


def test_rows_of_the_last_sunday_of_a_year_belong_to_the_next_one(tmp_path: Path) -> None:
    """Riyadh trades on Sunday, 31 December 2023: a weekday of the first week of 2024, whose parameters hold for it."""
    raw = announced(tickers=9, start=dt.date(2021, 6, 1), end=dt.date(2023, 12, 31), exchanges=(("XSAU", ".SR"),)).raw
    earlier = raw.filter(pl.col("date") < dt.date(2023, 12, 31))
    assert earlier.height < raw.height
    with Graph(tmp_path / "store") as graph:
        first = publish(graph, earlier, tmp_path / "panel.csv")
        version = publish(graph, raw, tmp_path / "panel.csv")
        assert sorted(first.json(ANNOUNCEMENT_PARAMETERS)["years"]) == ["2023"]
        assert version.manifest.facts["extended"] is False
        assert sorted(version.json(ANNOUNCEMENT_PARAMETERS)["years"]) == ["2023", "2024"]
