import base64
import datetime as dt
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.assets.backtest_report import COMPARED
from forecast_assets.core import report as core_report
from forecast_assets.core.errors import BadInput
from forecast_assets.core.evaluation.daily_losses import DailyLosses, daily_losses
from forecast_assets.core.evaluation.forecast_metrics import forecast_metrics
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.report.factor import factor_view
from forecast_assets.core.report.figure_style import to_svg
from forecast_assets.core.report.formats import decimal, fact, fact_name, p_value, percent, points
from forecast_assets.core.report.html import render_backtest_report
from forecast_assets.core.report.report_figures import backtest_figures, fan_subjects
from forecast_assets.core.report.summary import FACTS, plain, summarise, who_survived
from forecast_assets.core.report.titles import title
from forecast_assets.core.specs import BacktestSpec, VerdictSpec
from tools.results import ROOT

EVIL = "<script>alert(1)</script>"
CALENDAR = pl.date_range(dt.date(2023, 1, 2), dt.date(2024, 12, 31), interval="1d", eager=True)
DAYS = CALENDAR.filter(CALENDAR.dt.weekday() <= 5)
SPEC = BacktestSpec(bootstrap_samples=60, horizon_sessions=20, cost_bps=5.0)
LEVELS = np.array([-1.96, -1.645, -0.674, 0.0, 0.674, 1.645, 1.96])
FACT_VALUES: dict[str, Any] = {
    "data_version": "d4ta",
    "config_hash": "c0nf",
    "seeds": [0, 1],
    "versions": {"polars": "2.1.0"},
    "fits": 31,
    "profile": "smoke",
    "panel_first": "2020-01-02",
    "panel_last": "2024-12-31",
    "panel_rows": 147383,
}


def forecasts(model: str, *, width: float, tickers: tuple[str, ...] = ("AAA", "BMW.DE", EVIL)) -> pl.DataFrame:
    """Standard Normal outcomes (the same for every model) under a Normal band of standard deviation ``width``."""
    generator = np.random.default_rng(11)
    parts = []
    for ticker in tickers:
        for horizon in HORIZONS:
            y = generator.standard_normal(len(DAYS))
            parts.append(
                pl.DataFrame(
                    {
                        "date": DAYS,
                        "ticker": ticker,
                        "horizon": pl.Series([horizon] * len(DAYS), dtype=pl.Int32),
                        **{
                            name: [level * width] * len(DAYS)
                            for name, level in zip(QUANTILE_COLUMNS, LEVELS, strict=True)
                        },
                        "mean": 0.0,
                        "sigma": width,
                        "y": np.where(np.arange(len(DAYS)) < len(DAYS) - horizon, y, np.nan),
                        "split": "test",
                        "model": model,
                    }
                ).with_columns(pl.col("y").fill_nan(None))
            )
    return pl.concat(parts)


def book(strategy: str, *, gross: float, noise: float, turnover: float, seed: int = 0) -> pl.DataFrame:
    """Daily returns of exactly ``gross`` on average and ``noise`` standard deviation."""
    z = np.random.default_rng(seed).standard_normal(len(DAYS))
    z = (z - z.mean()) / z.std()
    return pl.DataFrame({"date": DAYS, "gross_return": gross + noise * z}).select(
        "date",
        pl.lit(strategy).alias("strategy"),
        pl.col("date").dt.year().cast(pl.Int32).alias("year"),
        "gross_return",
        pl.lit(turnover * 5e-4).alias("cost"),
        (pl.col("gross_return") - turnover * 5e-4).alias("net_return"),
        pl.lit(turnover).alias("turnover"),
        pl.lit(1.0 if noise else 0.0).alias("gross_exposure"),
        pl.lit(0.0).alias("net_exposure"),
    )


TABLE = pl.concat(
    [
        forecasts("ensemble", width=1.0),
        forecasts("b0_mlp", width=2.0),
        forecasts("b0_mlp_raw", width=3.0),
        forecasts("ewma", width=1.5),
        forecasts("ewma_raw", width=1.6),
    ]
)
DAILY = pl.concat(
    [
        book("ensemble", gross=0.002, noise=0.005, turnover=0.05),
        book("b0_mlp", gross=0.002, noise=0.005, turnover=0.05),
        book("b0_mlp_naive", gross=0.0, noise=0.005, turnover=2.0, seed=1),
        book("equal_weight", gross=0.0005, noise=0.01, turnover=0.0, seed=2),
        book("random_walk", gross=0.0, noise=0.0, turnover=0.0),
        book(EVIL, gross=0.0, noise=0.001, turnover=0.1, seed=3),
    ]
)


def losses_of(table: pl.DataFrame) -> DailyLosses:
    return daily_losses([table], references=["ensemble", "b0_mlp", "ewma", "ewma_raw", "harx"])


def summary(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "losses": losses_of(TABLE),
        "daily": DAILY,
        "facts": FACT_VALUES,
        "missing_years": [],
        "spec": SPEC,
        "model": "ensemble",
        "baseline": "ewma_raw",
        "compared": ["b0_mlp", "ewma", "har"],
        "rules": VerdictSpec(),
    }
    return summarise(**(arguments | changes))


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    made = summary(facts=FACT_VALUES | {"note": EVIL}, factor=factor())
    return made | {"caveats": [f"{EVIL} ended in 2024.", *made["caveats"]]}


def factor() -> dict[str, Any]:
    """The factor view of six tickers of one sector, whose medians are those of a ranking that changes by day."""
    tickers = tuple("ABCDEF")
    table = forecasts("ensemble", width=1.0, tickers=tickers)
    ranked = table.with_columns(q50=pl.Series(np.random.default_rng(5).standard_normal(table.height)))
    groups = table.select("date", "ticker").unique().with_columns(sector=pl.lit(EVIL), exchange=pl.lit("XETR"))
    return factor_view("ensemble", ranked, [("b0_mlp", ranked)], groups=groups, horizon=20)


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {
        entry.get("version", entry["claim"].split(":")[0] + ":" + entry.get("rival", "")): entry["verdict"]
        for entry in found["verdicts"]
    }


class Page(HTMLParser):
    """Tags and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(whole: dict[str, Any]) -> str:
    prices = pl.concat(
        [
            pl.DataFrame({"date": DAYS, "ticker": name, "close": np.linspace(90.0, 110.0, len(DAYS))})
            for name in ("BMW.DE", EVIL)
        ]
    )
    figures = backtest_figures(
        forecasts=TABLE, daily=DAILY, prices=prices, curves=None, risked=pl.DataFrame(), summary=whole
    )
    return render_backtest_report(whole, {name: to_svg(figure) for name, figure in figures.items()})


def test_the_summary_is_strict_json_and_reads_back_as_itself(whole: dict[str, Any]) -> None:
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


def test_verdicts_follow_from_the_planted_numbers(whole: dict[str, Any]) -> None:
    assert verdicts(whole) == {
        "equal weight": "beats",
        "naive": "beats",  # the baseline pays 10 bp a day for nothing
        "same rule": "no evidence",  # the same book twice
        "directional": "not tested",
        "hedged": "no evidence",
        "Trading:": "beats",
        "Forecasts:b0_mlp": "beats",  # the true width against twice and one and a half times of it
        "Forecasts:ewma": "beats",
        "Calibration:": "met",
    }


def test_every_model_has_one_row_a_horizon_with_its_uncalibrated_scores_beside(whole: dict[str, Any]) -> None:
    rows = {row["model"]: row for row in whole["forecasts"] if row["horizon"] == 5}
    assert set(rows) == {"ensemble", "b0_mlp", "ewma"}
    scores = forecast_metrics(losses_of(TABLE), baseline="ewma_raw").filter(pl.col("year").is_null())
    raw = {row["model"]: row for row in scores.iter_rows(named=True) if row["horizon"] == 5}
    for name in ("b0_mlp", "ewma"):
        for score in ("pinball_ratio", "coverage_95", "coverage_90"):
            assert rows[name][score] == raw[name][score]
            assert rows[name][f"{score}_raw"] == raw[f"{name}_raw"][score]
    assert rows["ewma"]["pinball_ratio_raw"] == 1.0
    assert rows["ensemble"]["pinball_ratio_raw"] is None
    assert {row["model"] for row in whole["forecasts_by_year"]} == set(rows)
    assert whole["over_baseline"]["estimate"] == pytest.approx(
        np.mean([row["pinball_ratio"] for row in whole["forecasts"] if row["model"] == "ensemble"]), abs=1e-3
    )


def test_a_model_that_is_worse_loses() -> None:
    found = verdicts(summary(model="b0_mlp", compared=["ensemble"]))
    assert found["Forecasts:ensemble"] == "loses"
    assert found["Calibration:"] == "missed"


def test_the_forecasts_come_first_in_the_order_asked_for() -> None:
    found = summary(compared=["ewma", "b0_mlp"])["verdicts"]
    assert [entry.get("rival") or entry.get("version") for entry in found[:3]] == ["ewma", "b0_mlp", "equal weight"]
    assert COMPARED[0] == "harx"


def test_the_same_forecasts_under_two_names_have_one_card() -> None:
    again = TABLE.filter(pl.col("model") == "b0_mlp").with_columns(model=pl.lit("best_member"))
    found = summary(losses=losses_of(pl.concat([TABLE, again])), compared=["b0_mlp", "ewma", "best_member"])
    assert [entry["rival"] for entry in found["verdicts"] if "rival" in entry] == ["b0_mlp", "ewma"]


def test_forecasts_that_hardly_differ_have_no_difference_that_matters() -> None:
    """A width of 1.0001 loses by .00001 at most on these outcomes."""
    close = pl.concat([TABLE, forecasts("harx", width=1.0001)])
    (entry,) = (e for e in summary(losses=losses_of(close), compared=["harx"])["verdicts"] if e.get("rival") == "harx")
    assert entry["verdict"] == "no difference that matters"
    assert re.search(r": (1\.0000|0\.9999) \[(0\.9999|1\.0000), (1\.0000|1\.0001)\] on average", entry["sentence"])
    strict = summary(losses=losses_of(close), compared=["harx"], rules=VerdictSpec(smallest_difference=0.0))
    assert strict["verdicts"][0]["verdict"] in ("beats", "loses", "no evidence")
    page = render_backtest_report(summary(losses=losses_of(close), compared=["harx"]), {})
    assert '<li class="no-difference-that-matters">' in page


def test_a_difference_that_is_mostly_commissions_says_so(whole: dict[str, Any]) -> None:
    dear = book("b0_mlp_naive", gross=0.002, noise=0.005, turnover=2.0, seed=1)
    daily = pl.concat([DAILY.filter(pl.col("strategy") != "b0_mlp_naive"), dear])
    entry, other = (
        next(entry for entry in found["verdicts"] if entry.get("version") == "naive")
        for found in (summary(daily=daily), whole)
    )
    assert entry["costs"] > 0.5 * entry["estimate"] > 0
    words = f"Most of it is commissions: Ensemble pays {100 * entry['costs']:.1f} points less at the same volatility."
    assert words in entry["sentence"]
    assert other["costs"] < 0.5 * other["estimate"]
    assert "commissions" not in other["sentence"]


def test_hedged_figures_say_from_when_on_they_are_measured(whole: dict[str, Any]) -> None:
    hedged = next(entry for entry in whole["verdicts"] if entry.get("version") == "hedged")
    assert hedged["sentence"].endswith(f"Measured from {DAYS[63]}, the first hedged session.")
    trading = next(entry for entry in whole["verdicts"] if entry["claim"].startswith("Trading"))
    assert f"measured from {DAYS[63]}, the first hedged session" in trading["sentence"]
    years = [row for row in whole["strategies_by_year"] if row["strategy"] == "ensemble"]
    assert [row["hedged_from"] for row in years] == [str(DAYS[63]), str(DAYS.filter(DAYS.dt.year() == 2024)[0])]
    early = next(row for row in whole["strategies"] if row["strategy"] == "equal_weight")
    assert early["hedged_sharpe"] != pytest.approx(early["sharpe"])


def test_one_return_is_called_compound_and_the_other_a_mean(page: str) -> None:
    text = re.sub(r"\s+", " ", Page(page).text)
    assert "Return p.a., compound" in text
    assert "Mean net p.a." in text
    assert "Means are arithmetic, so that gross less costs is net" in text
    assert not re.search(r"(?<!Mean )(?<!Mean gross )Net p\.a\.", text)


def test_the_return_difference_is_that_of_sharpe_ratios_at_ten_percent(whole: dict[str, Any]) -> None:
    entry = next(entry for entry in whole["verdicts"] if entry.get("version") == "naive")
    sharpe = {row["strategy"]: row["sharpe"] for row in whole["strategies"]}
    assert entry["estimate"] == pytest.approx(0.1 * (sharpe["ensemble"] - sharpe["b0_mlp_naive"]))
    assert entry["low"] < entry["estimate"] < entry["high"]


def test_gross_less_cost_is_net_in_the_cost_table(whole: dict[str, Any]) -> None:
    for row in whole["strategies"]:
        assert row["gross_annual_mean"] - row["cost_annual_mean"] == pytest.approx(row["net_annual_mean"], abs=1e-12)
    naive = next(row for row in whole["strategies"] if row["strategy"] == "b0_mlp_naive")
    assert naive["break_even_cost_bps"] == pytest.approx(0.0, abs=1e-9)


def test_coverage_is_named_by_its_level(whole: dict[str, Any]) -> None:
    sentence = whole["verdicts"][-1]["sentence"]
    row = next(row for row in whole["forecasts"] if row["model"] == "ensemble" and row["horizon"] == 5)
    assert (
        f"5 sessions: 95 % band {100 * row['coverage_95']:.1f} %, 90 % band {100 * row['coverage_90']:.1f} %"
        in sentence
    )


def test_an_undefined_sharpe_is_null_and_prints_as_a_dash(whole: dict[str, Any], page: str) -> None:
    row = next(row for row in whole["strategies"] if row["strategy"] == "random_walk")
    assert row["sharpe"] is None
    cells = re.search(r"<tr><td class=\"name\">Random walk</td>(.*?)</tr>", page, flags=re.S)
    assert cells is not None
    shown = [
        re.sub(r"\s+", " ", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells.group(1), flags=re.S)
    ]
    assert shown == ["0.0 %", "0.0 %", "-", "-", "0.0 %", "-", "0.000", "0.00", "0.00", "random_walk"]
    assert not re.search(r"\b(nan|NaN|None|inf)\b", Page(page).text)


def test_every_fact_and_every_verdict_is_on_the_page(whole: dict[str, Any], page: str) -> None:
    text = Page(page).text
    for value in ("d4ta", "c0nf", "0, 1", "polars 2.1.0", "31", "smoke", "147\u202f383"):
        assert value in text
    for entry in whole["verdicts"]:
        assert entry["sentence"] in text
    for word in ("Survivorship", "local currency", "were evaluated before", "Trials so far: not counted; 31 fits"):
        assert word in text


def test_with_a_universe_the_page_says_who_its_members_were() -> None:
    universe = {"members_ever": 31, "members_today": 24, "members_by_year": "2019: 31", "universe_without_prices": 0}
    found = summary(facts=FACT_VALUES | universe | {"universe_unpriced": ""})
    (said,) = [caveat for caveat in found["caveats"] if caveat.startswith(("Universe", "Survivorship"))]
    assert "31 over time and 24 on the panel's last day" in said
    assert said.endswith("Every ticker that it lists has prices in the panel.")
    lacking = {**universe, "universe_without_prices": 2, "universe_unpriced": "LEH, WCOM"}
    assert "2 of the tickers that it lists have no prices in the panel (LEH, WCOM)" in who_survived(lacking)


def test_the_factor_view_has_a_line_by_horizon_sector_exchange_and_model(whole: dict[str, Any], page: str) -> None:
    section = page.partition("<h2>How forecasts rank tickers</h2>")[2].partition("<h2>")[0]
    for row in whole["factor"]["horizons"]:
        assert f"<td>{decimal(row['rank_ic'], 4)}</td>" in section
    assert section.count("<details>") == 2
    assert all(f"<td>{name}</td>" in section for name in ("XETR", title("b0_mlp"), html.escape(EVIL)))
    assert section.count("<svg") == 2


def test_the_headline_and_its_tiles_come_before_any_figure_and_figures_before_tables(
    whole: dict[str, Any], page: str
) -> None:
    text, first_figure = re.sub(r"\s+", " ", Page(page).text), page.index("<svg")
    assert page.index('class="headline"') < page.index('class="tiles"') < first_figure < page.index("<table")
    assert page.index("Verdict</h2>") < page.index("<table")
    assert whole["headline"] in text
    for tile in whole["tiles"]:
        assert f"{tile['label']}{tile['value']}95 % interval {tile['interval']} {tile['verdict']}" in text


def test_the_contents_name_every_section_and_link_to_it(page: str) -> None:
    sections = re.findall(r"<h2>(.*?)</h2>", page)
    links = re.findall(r'<li><a href="#([a-z-]+)">(.*?)</a></li>', page)
    assert [heading for _, heading in links] == sections
    ids = [attributes["id"] for _, attributes in Page(page).tags if "id" in attributes and "class" not in attributes]
    assert all(ids.count(anchor) == 1 for anchor, _ in links)
    assert len(sections) >= 10


def test_the_page_on_the_report_names_every_section_in_its_order() -> None:
    template = (Path(core_report.__path__[0]) / "templates" / "backtest.html.j2").read_text(encoding="utf-8")
    headings = re.findall(r'\{\{ (?:shown|folded)\("[a-z-]+", "(.*?)(?: of " ~ .*)?"?\) \}\}', template)
    named = re.findall(r"^\| \*\*(.*?)\*\* \|", (ROOT / "docs" / "report.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert named == headings
    assert len(named) > 15


def test_a_verdict_has_a_row_in_the_forest_plot_with_its_estimate_and_interval(
    whole: dict[str, Any], page: str
) -> None:
    for entry in whole["verdicts"]:
        assert f'<th scope="row">{html.escape(entry["claim"], quote=False)}</th>' in page
    drawn = [entry for entry in whole["verdicts"] if entry["low"] is not None]
    assert page.count('<path class="range"') == len(drawn)
    (trading,) = (entry for entry in drawn if entry["measure"] == "Sharpe ratio")
    assert f"<td>{decimal(trading['low'])} to {decimal(trading['high'])}</td>" in page


def test_the_page_needs_no_network_and_runs_no_script_but_its_own(page: str) -> None:
    tags = Page(page).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert {tag for tag, _ in tags} & {
        "link",
        "img",
        "image",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    } == set()
    assert not [
        attribute
        for _, attributes in tags
        for attribute in attributes
        if attribute.startswith("on") or attribute == "src"
    ]
    links = [value for _, attributes in tags for name, value in attributes.items() if name.endswith("href")]
    assert all(value is not None and value.startswith("#") for value in links)
    assert not re.search(r"url\((?!#|['\"]?#)|@import", page)
    policy = next(
        attributes["content"] for tag, attributes in tags if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_a_name_that_is_a_script_is_text(page: str) -> None:
    assert EVIL not in page
    assert Page(page).text.count(EVIL) >= 4  # a fact, a caveat, a strategy in a table, its label in a figure


def test_tables_scroll_inside_their_container(page: str) -> None:
    assert page.count("<table") == page.count('<div class="scroll" tabindex="0"><table')


def test_a_partial_report_names_the_missing_years() -> None:
    page = render_backtest_report(summary(missing_years=[2022, 2021]), {})
    assert "PARTIAL: years missing 2021, 2022" in Page(page).text
    assert "<title>PARTIAL: Backtest 2023, 2024</title>" in page


def test_a_complete_report_is_not_labelled_partial(page: str) -> None:
    assert "PARTIAL" not in page


def test_the_same_summary_gives_the_same_page(whole: dict[str, Any]) -> None:
    assert render_backtest_report(whole, {}) == render_backtest_report(json.loads(json.dumps(whole)), {})


def test_a_missing_fact_is_named() -> None:
    facts = {name: FACT_VALUES[name] for name in FACTS if name != "seeds"}
    with pytest.raises(BadInput, match=r"facts \['seeds'\] are missing"):
        summary(facts=facts)


def test_a_model_without_a_book_is_an_error() -> None:
    with pytest.raises(BadInput, match="no book of ensemble among"):
        summary(daily=DAILY.filter(pl.col("strategy") != "ensemble"))


def test_a_figure_without_a_section_is_an_error(whole: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="figure 'pie': must be an <svg> element"):
        render_backtest_report(whole, {"pie": "<svg></svg>"})
    with pytest.raises(ValueError, match="figure 'equity'"):
        render_backtest_report(whole, {"equity": EVIL})


def test_the_fan_shows_bmw_or_else_the_ticker_with_most_forecasts_when_last_matured() -> None:
    last = DAYS[len(DAYS) - 21]  # the 20-session label of the next decision has not matured
    assert fan_subjects(TABLE, model="ensemble")[0] == ("BMW.DE", last)
    others = TABLE.filter(pl.col("ticker") != "BMW.DE")
    assert fan_subjects(others, model="ensemble")[0][0] == EVIL  # "<" sorts before "A"
    fewer = others.filter((pl.col("ticker") != EVIL) | (pl.col("date") > DAYS[9]))
    assert fan_subjects(fewer, model="ensemble")[0] == ("AAA", last)


def test_other_fans_are_spread_over_the_alphabet() -> None:
    tickers = sorted(TABLE["ticker"].unique())
    shown = [ticker for ticker, _ in fan_subjects(TABLE, model="ensemble")]
    assert shown[0] == "BMW.DE"
    assert sorted(shown) == tickers
    wide = pl.concat(TABLE.filter(ticker="AAA").with_columns(ticker=pl.lit(f"T{k:02d}")) for k in range(31))
    assert [ticker for ticker, _ in fan_subjects(wide, model="ensemble", most=4)] == ["T00", "T01", "T11", "T21"]
    assert fan_subjects(wide, model="ensemble", most=1)[0][0] == "T00"


def test_numbers_print_as_people_write_them() -> None:
    assert [percent(0.1234), percent(-0.05), percent(-0.0001), percent(None), percent(float("nan"))] == [
        "12.3 %",
        "\u22125.0 %",
        "0.0 %",
        "-",
        "-",
    ]
    assert [p_value(0.0321), p_value(0.0002), p_value(None)] == ["0.032", "<0.001", "-"]
    assert [points(0.031), points(-0.031), points(0.0)] == ["+3.1", "\u22123.1", "0.0"]
    assert [decimal(1234567, 0), decimal(-1.005, 1), decimal(None)] == ["1\u202f234\u202f567", "\u22121.0", "-"]
    assert [fact(value) for value in (None, True, [1, 2], {"a": 1.5}, [], "x")] == [
        "-",
        "yes",
        "1, 2",
        "a 1.5",
        "-",
        "x",
    ]
    assert [fact_name(key) for key in ("panel_rows", "fits")] == ["panel rows", "fits behind this report"]


def test_costs_by_region_are_printed_in_words() -> None:
    found = summary(spec=SPEC.model_copy(update={"cost_bps": {"default": 5.0, "Europe": 8.0}}))
    assert found["simulation"]["cost_bps"] == {"default": 5.0, "Europe": 8.0}
    assert "; 5 bp (Europe 8 bp) of each trade's value on each side" in found["simulation_sentence"]
    assert "5 bp (Europe 8 bp) a side, all years" in Page(render_backtest_report(found, {})).text


def test_readers_see_titles_and_the_keys_only_where_they_are_called_keys(page: str) -> None:
    shown = re.sub(r'<td class="key">.*?</td>', "", page)
    assert "MLP baseline, traded daily without smoothing" in shown
    assert not re.search(r"\b(b0_mlp|b0_mlp_naive|equal_weight|random_walk|ewma)\b", Page(shown).text)


def test_only_what_json_can_hold_goes_into_a_summary() -> None:
    assert plain({"a": (float("inf"), dt.date(2024, 1, 2)), 3: None}) == {"a": [None, "2024-01-02"], "3": None}
    with pytest.raises(TypeError, match="not ndarray"):
        plain({"a": np.zeros(2)})


def test_the_rules_of_the_simulation_are_spelled_out(whole: dict[str, Any]) -> None:
    assert whole["simulation_sentence"] == (
        "Decided at the close, executed at each ticker's next open; 5 bp of each trade's value on each side, after "
        "netting; 0.5 x Kelly on the 20-session forecast, in as many tranches; smoothing 0.9; at most 5 % a ticker "
        "and 2 x gross; neutral book, without net position, forecast scale or past beta in any region; a location without "
        "a view is no edge."
    )
