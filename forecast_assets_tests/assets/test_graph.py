"""The materialised graph, end to end."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from safetensors.torch import load_file
from upath import UPath

from forecast_assets.assets.fold.losses import read_daily
from forecast_assets.assets.fold.train_fold import FORECASTS
from forecast_assets.assets.framework.metadata import version_metadata
from forecast_assets.assets.framework.output import SKIPPED
from forecast_assets.assets.framework.views import BY_NIGHT, BY_YEAR
from forecast_assets.core.evaluation.forecast_table import FORECAST_SCHEMA
from forecast_assets.core.models.catalogue import NETWORKS
from forecast_assets.core.report.titles import title
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.store import keys
from forecast_assets.store.artefact_files import MEMBERS, TABLE, TENSORS, TRAINING
from forecast_assets_tests.helpers.graph import PANEL, Graph
from forecast_assets_tests.helpers.staleness import Step, disagreements, observe_files, watched

YEARS = ["2018", "2019"]
TRAINED = tuple(name for name in NETWORKS if name != "b5_moe")  # it has no macro series here, see test_experts
MODELS = (*TRAINED, "ensemble")
YEARLY = [*NETWORKS, "ensemble", "baselines", "f0_chronos", "backtest", "rivals"]
CUT = date(2018, 12, 31)
BUCKET = "memory://graph"


def test_every_asset_of_the_graph_is_published(smoke_graph: Graph) -> None:
    from forecast_assets.definitions import defs

    keys = {key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys}
    views = {*BY_YEAR.names(), *BY_NIGHT.names()}
    assert set(smoke_graph.store.assets()) == keys - views  # which show what is published
    assert all(smoke_graph.store.partitions(asset) == YEARS for asset in YEARLY)
    assert smoke_graph.store.verify() == []


@pytest.mark.parametrize(
    "asset", ["calendar_panel", "feature_panel", "nightly_forecast", "target_positions", "drift_checks"]
)
def test_every_column_of_a_table_is_described_and_comes_from_columns_that_are_there(
    smoke_graph: Graph, asset: str
) -> None:
    partition = smoke_graph.store.slots(asset)[-1]
    columns = smoke_graph.version(asset, partition).manifest.facts["columns"]
    table = smoke_graph.table(asset, partition)
    assert set(columns) >= set(table.columns)  # the feature panel's macro columns are there where macro series are
    assert all(column["description"] for column in columns.values())
    for parent, name in {tuple(read) for column in columns.values() for read in column["reads"]}:
        if parent == "windowed_tensors":
            assert name in load_file(smoke_graph.version(parent).path(TENSORS))
        else:
            assert name in smoke_graph.table(parent, smoke_graph.store.slots(parent)[-1]).columns, (parent, name)


def test_every_column_of_every_table_has_a_description_in_the_ui(smoke_graph: Graph) -> None:
    without = set()
    for asset in smoke_graph.store.assets():
        version = smoke_graph.version(asset, smoke_graph.store.slots(asset)[-1])
        shown = version_metadata(asset, version, data_root=smoke_graph.data)
        if TABLE in version.manifest.files:
            columns = shown["dagster/column_schema"].columns
            assert columns
            without |= {(asset, column.name) for column in columns if not column.description}
    assert without == set()


def test_the_page_of_a_report_has_its_verdicts_as_a_table_and_where_it_lies(
    smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = smoke_graph.version("backtest_report")
    shown = version_metadata("backtest_report", version, data_root=smoke_graph.data)
    assert Path(shown["report"].value).read_text() == version.path("backtest.html").read_text()
    rows = [record.data for record in shown["verdicts"].records]
    published = version.json("metrics.json")["verdicts"]
    assert [(row["claim"], row["verdict"]) for row in rows] == [(v["claim"], v["verdict"]) for v in published]
    assert rows
    monkeypatch.setenv("FORECAST_REPORTS_URL", "http://reports.test/")
    for prefix, link in (
        ("", "http://reports.test/backtest.html"),
        ("nifty", "http://reports.test/nifty/backtest.html"),
    ):
        shown = version_metadata("backtest_report", version, data_root=smoke_graph.data, names=PanelNames(prefix))
        assert shown["report"] == dg.MetadataValue.url(link)


def test_every_input_row_is_in_raw_panel_or_in_rejected_rows(smoke_graph: Graph) -> None:
    lines = (smoke_graph.root / "raw" / "demo_panel.csv").read_text().splitlines()
    accepted, rejected = smoke_graph.table("raw_panel"), smoke_graph.table("rejected_rows")
    assert accepted.height + rejected.height == len(lines) - 1
    assert {"duplicate", "invalid"} <= set(rejected["class"])
    for row in rejected.iter_rows(named=True):
        assert lines[row["line"] - 1] == row["row"]


@pytest.mark.parametrize("asset", [*MODELS, "baselines"])
@pytest.mark.parametrize("year", YEARS)
def test_forecast_tables_share_one_schema_and_their_quantiles_are_in_order(
    smoke_graph: Graph, asset: str, year: str
) -> None:
    table = smoke_graph.table(asset, year)
    assert dict(table.schema) == FORECAST_SCHEMA
    quantiles = table.select("q025", "q05", "q25", "q50", "q75", "q95", "q975").to_numpy()
    assert (quantiles[:, 1:] >= quantiles[:, :-1]).all()
    assert table.filter(pl.col("split") == "test")["date"].dt.year().unique().to_list() == [int(year)]


def test_all_models_forecast_the_same_origins(smoke_graph: Graph) -> None:
    keys = ["date", "ticker", "horizon", "split", "y"]
    reference = smoke_graph.table("ensemble", "2019").select(keys)
    for asset in TRAINED:
        assert smoke_graph.table(asset, "2019").select(keys).equals(reference)
    for (_,), part in smoke_graph.table("baselines", "2019").group_by("model"):
        assert part.select(keys).sort("date", "ticker", "horizon").equals(reference.sort("date", "ticker", "horizon"))


def test_no_forecast_is_made_on_a_filled_row(smoke_graph: Graph) -> None:
    filled = smoke_graph.table("calendar_panel").filter("is_missing").select("date", "ticker")
    assert filled.height > 0
    assert smoke_graph.table("ensemble", "2019").join(filled, on=["date", "ticker"], how="semi").is_empty()


def test_the_report_is_published_in_reports_latest(smoke_graph: Graph) -> None:
    latest = smoke_graph.root / "reports" / "latest"
    summary = json.loads((latest / "metrics.json").read_text())
    assert summary["years"] == [2018, 2019]
    assert not summary["partial"]
    html = (latest / "backtest.html").read_text().replace("http://www.w3.org", "")
    assert "http://" not in html
    assert "https://" not in html


def test_the_report_shows_the_selection_weights_and_which_networks_have_none(smoke_graph: Graph) -> None:
    found = smoke_graph.version("backtest_report").json("metrics.json")["importance"]
    tfts = {entry["model"]: entry for entry in found["networks"]}
    variables = {"b1_tft": 19, "b2_tft_ticker": 19, "b3_tft_sector": 19, "b7_maml": 19}
    variables["b6_graph"] = 19 + 4  # and its messages
    assert set(tfts) == set(variables)
    for model, entry in tfts.items():
        assert entry["years"] == [2018, 2019]
        for k, year in enumerate(YEARS):
            published = smoke_graph.version(model, year).json("importance.json")
            shown = {variable["name"]: variable["weights"][k] for variable in entry["variables"]}
            assert shown == published["variables"]
            for part in ("variables", "ahead", "attention"):
                weights = published[part].values() if isinstance(published[part], dict) else published[part]
                assert sum(weights) == pytest.approx(1, abs=1e-4)
    assert smoke_graph.version("b4_patchtst", "2019").json("importance.json") == {}
    html = (smoke_graph.root / "reports" / "latest" / "backtest.html").read_text()
    assert "PatchTST; MLP on summaries; Boosted trees (LightGBM): no selection weights" in html
    for model, count in variables.items():
        assert f"Selection weights of {title(model)}: 12 of {count} variables" in html


def test_the_same_again_computes_nothing(smoke_graph: Graph, capfd: pytest.CaptureFixture[str]) -> None:
    before = smoke_graph.ids()
    assert smoke_graph.run().failures == []
    assert smoke_graph.ids() == before
    counted = re.findall(r"\[ *(\d+)/(\d+)\]", capfd.readouterr().err)
    assert [int(done) for done, _ in counted] == list(range(1, len(counted) + 1))
    assert {int(all_of_them) for _, all_of_them in counted} == {len(counted)}  # from the first line on


def test_a_setting_recomputes_only_what_reads_it_and_the_ui_shows_it(
    smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, steps = smoke_graph.ids(), ablation_numbers(smoke_graph)
    assert smoke_graph.run().failures == []  # Dagster has seen every year and the night
    dearer = ["backtest.cost_bps=50"]
    try:
        with watched(smoke_graph, monkeypatch, dearer) as run:
            assert smoke_graph.run(overrides=dearer).failures == []
        assert disagreements(run) == []
        changed = {asset for (asset, _), version in smoke_graph.ids().items() if before[asset, _] != version}
        # The search and the target positions trade at these costs too; the ablation reads the year's losses, without costs.
        assert changed == {"sweep", "backtest", "backtest_report", "ablation_report", "target_positions"}
        assert ablation_numbers(smoke_graph) == steps
    finally:
        with watched(smoke_graph, monkeypatch) as run:
            smoke_graph.run()
    assert disagreements(run) == []
    after = smoke_graph.ids()
    assert {slot for slot in after if after[slot] != before[slot]} == {("backtest_report", None)}
    assert evaluations_of_the_test_set(smoke_graph) == 2 * len(YEARS)  # both costs count as test-set evaluations


def test_a_skipped_model_is_missing_in_the_ui_and_what_reads_it_is_made(smoke_graph: Graph) -> None:
    assert smoke_graph.run("raw_panel", "b5_moe", "ensemble", years=["2019"]).failures == []
    b5_moe, ensemble = dg.AssetKey("b5_moe"), dg.AssetKey("ensemble")
    assert smoke_graph.instance.get_materialized_partitions(b5_moe) == set()
    assert "2019" in smoke_graph.instance.get_materialized_partitions(ensemble)
    (seen,) = smoke_graph.instance.fetch_observations(dg.AssetRecordsFilter(b5_moe), limit=1).records
    assert seen.asset_observation
    assert "FORECAST_MACRO" in str(seen.asset_observation.metadata[SKIPPED].value)
    check = smoke_graph.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(b5_moe, FORECASTS.name), limit=1
    )[0]
    assert str(check.status.value) == "FAILED"


def test_the_losses_of_every_fit_are_published_and_stand_behind_the_ensemble(smoke_graph: Graph) -> None:
    fits = read_daily(smoke_graph.version("backtest", "2019")).fits
    trained = {fit["fit"] for name in TRAINED for fit in smoke_graph.version(name, "2019").json(TRAINING)["fits"]}
    assert set(fits.filter(pl.col("model").is_in(TRAINED))["fit"]) == trained
    members = [member["fit"] for member in smoke_graph.version("ensemble", "2019").json(MEMBERS)["members"]]
    assert set(fits.filter(pl.col("model") == "ensemble")["fit"]) == set(members)
    assert set(fits.filter(pl.col("model") == "best_member")["fit"]) == {members[0]}


def ablation_numbers(graph: Graph) -> dict[str, object]:
    found = graph.version("ablation_report").json("ablation.json")
    return {key: value for key, value in found.items() if key != "facts"}


def evaluations_of_the_test_set(graph: Graph) -> int:
    metrics = graph.version("backtest_report").json("metrics.json")
    return int(metrics["evidence"]["selection"]["trials"]["looks"])


def test_cutting_the_panel_off_changes_no_weight_and_no_forecast_before_the_cut(
    smoke_graph: Graph, empty_graph: Graph
) -> None:
    short = write(empty_graph.root / "short.csv", smoke_graph.root / "raw" / "demo_panel.csv", until=CUT)
    assert empty_graph.run(panel=short).failures == []
    assert empty_graph.store.partitions("ensemble") == ["2018"]
    assert_same_forecasts(smoke_graph, empty_graph)
    assert_same_weights(smoke_graph, empty_graph)


def test_garbage_prices_after_a_day_change_no_weight_and_no_forecast_before_it(
    smoke_graph: Graph, empty_graph: Graph
) -> None:
    file = smoke_graph.root / "raw" / "demo_panel.csv"
    poisoned = write(empty_graph.root / "poisoned.csv", file, until=None, poison_after=CUT)
    assert empty_graph.run(*PANEL, panel=poisoned).failures == []
    assert empty_graph.run(*NETWORKS, "ensemble", panel=poisoned, years=["2018"]).failures == []
    poisoned_prices = empty_graph.table("raw_panel").filter(pl.col("date") > CUT)["close"]
    assert (poisoned_prices == 123456).all()
    assert_same_forecasts(smoke_graph, empty_graph, until=CUT)
    assert_same_weights(smoke_graph, empty_graph)


def write(target: Path, source: Path, *, until: date | None, poison_after: date | None = None) -> Path:
    """Write the panel's clean rows up to a day, or with garbage prices after one."""
    rows = pl.read_csv(source, infer_schema=False).filter(pl.col("Date").str.contains(r"^\d{4}-\d{2}-\d{2}$"))
    if until is not None:
        rows = rows.filter(pl.col("Date") <= str(until))
    if poison_after is not None:
        garbage = pl.when(pl.col("Date") > str(poison_after)).then(pl.lit("123456")).otherwise(pl.col("Closing Price"))
        rows = rows.with_columns(garbage.alias("Closing Price"))
    rows.write_csv(target)
    return target


def assert_same_forecasts(one: Graph, other: Graph, *, until: date | None = None) -> None:
    """Compare the fold of 2018 on the forecasts that matured in ``other`` (``until``: whose labels end by a day)."""
    keys, columns = ["date", "ticker", "horizon"], ["q025", "q50", "q975"]
    for asset in MODELS:
        left, right = (graph.table(asset, "2018") for graph in (one, other))
        if until is not None:  # 20 sessions of the slowest calendar are over after 35 days
            right = right.filter(pl.col("date") <= until - timedelta(days=35))
        both = right.filter(pl.col("y").is_not_null()).join(left, on=keys, suffix="_whole", how="left")
        assert both.height > 1000
        worst = max((both[name] - both[f"{name}_whole"]).abs().max() for name in (*columns, "y"))  # type: ignore[type-var]
        assert worst <= 1e-6, asset  # type: ignore[operator]


def assert_same_weights(one: Graph, other: Graph) -> None:
    for name in ("weights-0.safetensors", "weights-1.safetensors"):
        left, right = (load_file(g.version("b2_tft_ticker", "2018").path(name)) for g in (one, other))
        assert all(left[key].equal(right[key]) for key in left), name


def test_changing_one_years_rows_reruns_that_year_and_what_follows_it(
    smoke_graph: Graph, empty_graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(empty_graph.root / "whole.csv", smoke_graph.root / "raw" / "demo_panel.csv", until=None)
    assert empty_graph.run(*PANEL, panel=file).failures == []
    assert empty_graph.run("baselines", panel=file).failures == []
    before = empty_graph.ids()
    rows = pl.read_csv(file, infer_schema=False)
    raised = pl.when((pl.col("Date") == "2019-06-03") & (pl.col("Ticker") == rows["Ticker"][0]))
    rows.with_columns(raised.then(pl.lit("77.7")).otherwise(pl.col("Closing Price")).alias("Closing Price")).write_csv(
        file
    )
    with watched(empty_graph, monkeypatch) as run:
        observe_files(empty_graph, panel=file)
        assert empty_graph.run(*PANEL, panel=file).failures == []
        assert empty_graph.run("baselines", panel=file).failures == []
    after = empty_graph.ids()
    assert after["baselines", "2018"] == before["baselines", "2018"]
    assert after["baselines", "2019"] != before["baselines", "2019"]
    assert Step("raw_panel", None, stale=True, changed=True) in run
    assert disagreements(run) == []

    digest = keys._source_digest
    monkeypatch.setattr(
        keys, "_source_digest", lambda path, *of: digest(path, *of)[path.stem == "garch" :]
    )  # as if someone had edited it
    with watched(empty_graph, monkeypatch) as run:
        assert empty_graph.run("raw_panel", "baselines", panel=file).failures == []
    assert run == [Step("raw_panel", None, False, False), *(Step("baselines", year, True, True) for year in YEARS)]


def test_fits_that_are_made_again_are_the_same_bytes_and_no_further_trials(
    smoke_graph: Graph, empty_graph: Graph
) -> None:
    shutil.copytree(smoke_graph.root / "store", empty_graph.root / "store")
    shutil.copytree(smoke_graph.root / "raw", empty_graph.root / "raw")
    made_again = ("b1_tft", "ensemble")
    for asset in made_again:
        shutil.rmtree(empty_graph.root / "store" / asset / "2019")
    assert empty_graph.run("raw_panel", *made_again, years=["2019"]).failures == []
    for asset in made_again:
        old, new = (graph.version(asset, "2019") for graph in (smoke_graph, empty_graph))
        assert old.id != new.id
        assert old.manifest.files == new.manifest.files
        assert old.input_key == new.input_key


@pytest.fixture(scope="module")
def one_year(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """A graph on an object store, of which only 2019 was materialised."""
    with Graph(tmp_path_factory.mktemp("one_year"), data=BUCKET) as graph:
        file = smoke_graph.root / "raw" / "demo_panel.csv"
        assert graph.run(years=["2019"], panel=file).failures == []
        yield graph


def test_the_whole_graph_runs_on_an_object_store_to_the_same_result(smoke_graph: Graph, one_year: Graph) -> None:
    assert one_year.store.verify() == []
    for asset, slot in [("windowed_tensors", None), *((name, "2019") for name in (*MODELS, "baselines", "backtest"))]:
        assert one_year.version(asset, slot).data_version == smoke_graph.version(asset, slot).data_version, asset
    assert one_year.table("nightly_forecast", "2019-12-31").equals(smoke_graph.table("nightly_forecast", "2019-12-31"))


def test_one_missing_year_makes_the_report_partial_and_names_it(one_year: Graph) -> None:
    html = (UPath(one_year.data) / "reports" / "latest" / "backtest.html").read_text()
    assert "PARTIAL: years missing 2018" in html


def test_an_altered_year_is_another_error_than_a_missing_one(
    smoke_graph: Graph, one_year: Graph, tmp_path: Path
) -> None:
    file = smoke_graph.root / "raw" / "demo_panel.csv"
    UPath(one_year.data).fs.get(f"{one_year.data}/", str(tmp_path), recursive=True)
    with Graph(tmp_path) as graph:
        table = graph.version("backtest", "2019").path(TABLE)
        content = bytearray(table.read_bytes())
        content[len(content) // 2] ^= 0xFF
        table.write_bytes(bytes(content))
        outcome = graph.run("raw_panel", "backtest_report", panel=file)
    assert [failure.asset for failure in outcome.failures] == ["backtest_report"]
    assert "backtest/2019" in outcome.failures[0].message
    assert TABLE in outcome.failures[0].message
