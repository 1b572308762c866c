"""Nights: what they forecast is what the walk-forward would have, once each, in order, and never in sample."""

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from forecast_assets.assets.framework.freshness import LATEST_NIGHT, PARTS, report_latest_night
from forecast_assets.assets.framework.partitions import due_days
from forecast_assets.assets.nightly_forecast import require_out_of_sample
from forecast_assets.automation.nights import due_nights
from forecast_assets.automation.schedules import NIGHT_RUN, next_night, nightly_schedule
from forecast_assets.champion.forecast_change import change_lines, explain_change
from forecast_assets.champion.promotion import find_next_champion, roll_back
from forecast_assets.champion.record import issued_forecasts, issued_record, outcomes, sealed_in_time, with_harx
from forecast_assets.champion.risk import read_forecasts, risk_record, stated_risk
from forecast_assets.cli.risk import read_portfolio, risk_of_night
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.core.monitoring.book_risk import HorizonRisk
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.panel_names import FIRST
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.fork import fork
from forecast_assets.store.seals import read_seals, seal_nights
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.graph import PANEL, Graph

KEYS = ["date", "ticker", "horizon"]
NIGHT = ("serving_model", "nightly_forecast")
LAST = "2019-12-31"


@pytest.fixture
def replay(smoke_graph: Graph, tmp_path: Path) -> Iterator[Graph]:
    """The smoke graph's store in a folder of its own, without its panel and its nights."""
    for asset in smoke_graph.store.assets():
        if asset not in ("raw_panel", "nightly_forecast", "drift_checks", "challenger", "target_positions"):
            shutil.copytree(smoke_graph.root / "store" / asset, tmp_path / "store" / asset, copy_function=shutil.copy2)
    shutil.copytree(smoke_graph.root / "raw", tmp_path / "raw")
    with Graph(tmp_path) as graph:
        yield graph


def with_walk_forward(graph: Graph, night: str) -> pl.DataFrame:
    """The night's own forecasts joined with the walk-forward's; a ticker whose exchange was shut has an older one."""
    own = graph.table("nightly_forecast", night).filter(pl.col("date") == pl.lit(night).str.to_date())
    both = own.join(graph.table("ensemble", "2019"), on=KEYS, suffix="_walk_forward")
    assert both.height == own.height > 0
    return both


def worst_difference(both: pl.DataFrame) -> float:
    return max(float(np.abs((both[name] - both[f"{name}_walk_forward"]).to_numpy()).max()) for name in QUANTILE_COLUMNS)


def test_a_night_forecasts_every_live_ticker_as_the_walk_forward_did(smoke_graph: Graph) -> None:
    night = smoke_graph.table("nightly_forecast", LAST)
    walk_forward = smoke_graph.table("ensemble", "2019").filter(pl.col("split") == "test")
    latest = walk_forward.group_by("ticker").agg(pl.col("date").max()).filter(pl.col("date") > pl.date(2019, 12, 21))
    assert set(night["ticker"]) == set(latest["ticker"])
    assert night["y"].null_count() == night.height
    assert worst_difference(with_walk_forward(smoke_graph, LAST)) <= 1e-6


def test_replayed_nights_are_the_walk_forwards_and_each_is_committed_once(replay: Graph) -> None:
    panel_file = replay.root / "raw" / "demo_panel.csv"
    nights = ["2019-03-14", "2019-03-15", "2019-03-18"]
    for night in nights:
        made = (*PANEL, *NIGHT, "target_positions", "drift_checks")
        assert replay.run(*made, panel=panel_file, as_of=night).failures == []
    assert replay.store.partitions("nightly_forecast") == nights
    over_time = ["plot-drift_over_time.png" in replay.version("drift_checks", night).manifest.files for night in nights]
    assert over_time == [False, True, True]  # a first night has none to be compared with
    for night in nights:
        assert worst_difference(with_walk_forward(replay, night)) <= 1e-6, night
    found = explain_change(replay.store, ticker="SYN00", day=dt.date(2019, 3, 15))
    assert (found.before, found.after) == (dt.date(2019, 3, 14), dt.date(2019, 3, 15))
    assert not found.width["model"].any()  # the champion is the same
    assert np.abs(found.width["revised since"]).max() <= 1e-6
    assert np.abs(found.width["data"]).min() > 0
    assert np.abs(found.width["calibration"]).max() > 0
    moved = [band_width(replay, night, "SYN00") for night in nights[:2]]
    np.testing.assert_allclose(sum(found.width.values()), moved[1] - moved[0], atol=1e-12)
    assert change_lines(found)[0].startswith("from the forecast of 2019-03-14 to that of 2019-03-15; mostly ")
    is_scored_against_harx(replay)
    keep_the_risk_that_was_stated(replay, nights)
    before = replay.ids()
    other = ["calibration.rate=0.1"]
    assert replay.run("nightly_forecast", panel=panel_file, as_of=nights[-1], overrides=other).failures == []
    assert {slot: v for slot, v in replay.ids().items() if slot[0] == "nightly_forecast"} == {
        slot: v for slot, v in before.items() if slot[0] == "nightly_forecast"
    }


def is_scored_against_harx(replay: Graph) -> None:
    """The first two nights have matured over one session; HAR-X's bands beside them are nearly its walk-forward's."""
    assert read_seals(replay.data) == []  # replays are not sealed
    assert not any(each.sessions for each in issued_record(replay.store, replay.data).scores)
    seal_nights(
        replay.store, replay.data, now=dt.datetime(2019, 3, 15, 15, tzinfo=dt.UTC)
    )  # before one exchange closed
    found, everything = (issued_record(replay.store, replay.data, replays=replays) for replays in (False, True))
    assert (found.nights, found.sealed_nights, found.no_reference) == (3, 3, "")
    issued = issued_forecasts(replay.store, read_seals(replay.data))
    panel = PanelTensors.load(replay.version("windowed_tensors").path(TENSORS))
    own = outcomes(panel, issued)
    timed = issued.with_columns(exchange=own.exchange, label_end=own.label_end, y=own.y)
    in_time = timed.filter(sealed_in_time(timed) & pl.col("y").is_not_null())
    late = timed.filter(~sealed_in_time(timed))
    assert found.sealed_in_time == in_time.height > 0
    assert late.height > 0
    assert (late["label_end"] <= dt.date(2019, 3, 15)).all()
    assert everything.scores[0].forecasts == found.scores[0].forecasts + late.height == found.matured
    walk_forward = replay.table("baselines", "2019").filter(pl.col("model") == "harx")
    both = with_harx(replay.store, panel, timed).join(walk_forward, on=KEYS, suffix="_walk_forward")
    assert both.height == issued.height
    wide, reference = both["harx_q975"] - both["harx_q025"], both["q975_walk_forward"] - both["q025_walk_forward"]
    np.testing.assert_allclose(wide / reference, 1.0, atol=0.3)
    (replay.root / "ledger" / "seals.jsonl").unlink()


def keep_the_risk_that_was_stated(replay: Graph, nights: list[str]) -> None:
    """The first two books have an outcome; each night carries on what the one before has scored."""
    books = [replay.version("target_positions", night) for night in nights]
    stated = [found.risk for book in books if (found := stated_risk(book)) is not None]
    assert [str(risk.night) for risk in stated] == nights
    records = [risk_record([book]) for book in books]
    assert [record["night"].cast(pl.String).to_list() for record in records] == [[], nights[:1], nights[:2]]
    assert records[2].head(1).equals(records[1])
    panel = replay.table("feature_panel")
    for risk, row in zip(stated, records[2].iter_rows(named=True), strict=False):
        assert risk.over_one_session is not None
        assert risk.over_one_session.value_at_risk == (row["var_95"], row["var_99"])
        returns = {
            (day, name): y for day, name, y in panel.select("date", "ticker", "target_1d").drop_nulls().iter_rows()
        }
        held = [(one.weight, returns[one.session, one.ticker]) for one in risk.positions]
        assert row["realised"] == pytest.approx(sum(weight * np.expm1(y) for weight, y in held))
    check = books[2].manifest.facts["checks"]["value_at_risk_holds"]
    assert (check["passed"], check["metadata"]["nights_95"], check["metadata"]["stated_after_outcome"]) == (True, 2, 2)
    forecasts, spec = read_forecasts(replay.store, None), ScenarioSpec()
    portfolio = read_portfolio(replay.store, forecasts, None)
    told = risk_of_night(forecasts, portfolio, spec)["horizons"]
    assert [HorizonRisk.model_validate(row) for row in told] == list(stated[2].horizons)


def band_width(graph: Graph, night: str, ticker: str) -> np.ndarray:
    """Width of the committed 95 % band, (3,)."""
    rows = graph.table("nightly_forecast", night).filter(pl.col("ticker") == ticker).sort("horizon")
    return (rows["q975"] - rows["q025"]).to_numpy()


def test_missed_nights_are_caught_up_with_in_order(replay: Graph) -> None:
    panel_file = replay.root / "raw" / "demo_panel.csv"
    assert replay.run(*PANEL, *NIGHT, panel=panel_file, as_of="2019-06-06").failures == []
    assert replay.run(*PANEL, panel=panel_file, as_of="2019-06-12").failures == []
    missed = ["2019-06-07", "2019-06-10", "2019-06-11", "2019-06-12"]
    assert due_nights(replay.store, replay.data) == missed
    assert replay.instance.get_dynamic_partitions("day") == ["2019-06-06", *missed]  # no session before the first night
    assert replay.run(*NIGHT, panel=panel_file, as_of="2019-06-12").failures == []
    assert due_nights(replay.store, replay.data) == []
    for night in replay.store.partitions("nightly_forecast"):
        table = replay.table("nightly_forecast", night)
        assert str(table["date"].max()) == night
        assert worst_difference(with_walk_forward(replay, night)) <= 1e-6, night


def test_a_session_before_the_first_night_is_no_partition_but_for_the_last() -> None:
    sessions = ["2019-06-05", "2019-06-06", "2019-06-07"]
    assert due_days(sessions, nights=[]) == sessions[-1:]
    assert due_days(sessions, nights=["2019-06-06"]) == sessions[1:]
    assert due_days(sessions, nights=["2019-06-10"]) == sessions[-1:]


def test_only_the_newest_night_once_complete_is_fresh(smoke_graph: Graph) -> None:
    def latest() -> tuple[int, object]:
        events = smoke_graph.instance.fetch_materializations(dg.AssetKey(LATEST_NIGHT), limit=9).records
        last = events[0].asset_materialization if events else None
        return len(events), last.metadata["day"].value if last else None

    def report(day: str) -> None:
        for part in PARTS[:2]:
            version = smoke_graph.version(part, LAST)
            manifest = version.manifest.model_copy(update={"partition": day})
            report_latest_night(Version(manifest, version.place), smoke_graph.instance, smoke_graph.store, FIRST)

    before, _ = latest()
    report("2019-12-30")  # an older one
    assert latest()[0] == before
    report(LAST)
    assert latest() == (max(before, 1), LAST)


def test_a_night_that_the_champion_was_trained_on_is_rejected(replay: Graph) -> None:
    panel_file = replay.root / "raw" / "demo_panel.csv"
    [failure] = replay.run(*PANEL, *NIGHT, panel=panel_file, as_of="2018-11-30").failures
    assert "would be in sample" in failure.message
    assert replay.store.partitions("nightly_forecast") == []


def test_the_schedule_reads_the_panel_and_a_night_follows_only_where_one_is_due(
    replay: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(replay.root))
    panel_file = replay.root / "raw" / "demo_panel.csv"
    assert replay.run("raw_panel", panel=panel_file).failures == []
    tick = dg.build_schedule_context(scheduled_execution_time=dt.datetime(2019, 12, 31, 22))
    request = nightly_schedule(tick)
    assert isinstance(request, dg.RunRequest)
    assert NIGHT_RUN in request.tags
    run = replay.instance.create_run_for_job(_panel_job(), tags=dict(request.tags), status=dg.DagsterRunStatus.SUCCESS)
    by_hand = replay.instance.create_run_for_job(_panel_job(), status=dg.DagsterRunStatus.SUCCESS)
    store = StoreResource(data_dir=str(replay.root))

    def evaluate(of: dg.DagsterRun) -> object:
        context = dg.build_run_status_sensor_context("next_night", _success(of), replay.instance, of)
        return next_night(context, store=store, settings=SettingsResource(profile="smoke"))

    due = evaluate(run)
    assert isinstance(due, dg.RunRequest)
    assert due.partition_key == LAST
    assert isinstance(evaluate(by_hand), dg.SkipReason)
    assert replay.run(*NIGHT, panel=panel_file).failures == []
    assert isinstance(evaluate(run), dg.SkipReason)


def _panel_job() -> dg.JobDefinition:
    from forecast_assets.definitions import defs

    return defs.resolve_job_def("panel")


def _success(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=run.job_name, message="")


def test_a_rollback_brings_the_champion_before_back_and_no_night_undoes_it(replay: Graph) -> None:
    root = str(replay.root)
    with pytest.raises(BadInput, match="first champion"):
        roll_back(replay.store, root)
    first = replay.store.current("serving_model")
    panel_file = replay.root / "raw" / "demo_panel.csv"
    assert replay.run("raw_panel", panel=panel_file).failures == []
    # Another walk-forward: other fits, another champion.
    other = ["b4_patchtst.learning_rate=0.2", "ensemble.members=6", "ensemble.tolerance=100"]
    again = replay.run("b4_patchtst", "ensemble", years=["2019"], panel=panel_file, overrides=other)
    assert again.failures == []
    assert replay.run("serving_model", panel=panel_file).failures == []
    second = replay.store.current("serving_model")
    assert second.id != first.id
    gone, serving = roll_back(replay.store, root)
    assert gone is not None
    assert (gone.id, serving.id) == (second.id, first.id)
    assert find_next_champion(replay.store, root).seen == first.manifest.parents
    assert replay.run("serving_model", panel=panel_file).failures == []
    assert replay.store.current("serving_model").id == first.id


def test_a_night_before_its_champion_was_chosen_is_rejected(smoke_graph: Graph) -> None:
    champion = smoke_graph.version("serving_model")
    parents = {**champion.manifest.parents, "challenger/2019-06-03": "d"}
    chosen = Version(champion.manifest.model_copy(update={"parents": parents}), champion.place)
    require_out_of_sample("2019-06-03", chosen, cutoff=dt.date(2018, 12, 31))
    with pytest.raises(BadInput, match="was promoted on 2019-06-03 by outcomes that came later"):
        require_out_of_sample("2019-05-31", chosen, cutoff=dt.date(2018, 12, 31))


def test_a_walk_forward_that_is_half_made_again_changes_no_champion(replay: Graph) -> None:
    panel_file = replay.root / "raw" / "demo_panel.csv"
    before = replay.version("serving_model")
    assert replay.run("raw_panel", panel=panel_file).failures == []
    best = replay.version("ensemble", "2019").json("members.json")["members"][0]["fit"].partition("/")[0]
    half = replay.run(best, years=["2019"], panel=panel_file, overrides=[f"{best}.learning_rate=0.2"])
    assert half.failures == []
    assert find_next_champion(replay.store, str(replay.root)).seen == before.manifest.parents
    shutil.rmtree(replay.root / "store" / "serving_model")
    with pytest.raises(MissingArtefact, match=f"was made from other fits than the current {best}/2019"):
        find_next_champion(replay.store, str(replay.root))


def test_a_replay_touches_nothing_live_and_has_a_root_of_its_own(replay: Graph, tmp_path: Path) -> None:
    panel_file = replay.root / "raw" / "demo_panel.csv"
    assert replay.run(*PANEL, *NIGHT, panel=panel_file).failures == []
    live = replay.ids()
    with pytest.raises(BadInput, match="would put an older panel in the place of the one in") as error:
        replay.run(*PANEL, *NIGHT, panel=panel_file, as_of="2019-06-06")
    assert f"forecast-assets fork {replay.root}-replay --as-of 2019-06-06" in str(error.value)
    assert replay.ids() == live

    own = tmp_path / "own"
    fork(str(replay.root), own, before="2019-06-06")
    with Graph(own) as graph:
        assert graph.store.partitions("nightly_forecast") == []
        assert graph.run(*PANEL, *NIGHT, panel=panel_file, as_of="2019-06-06").failures == []
        assert worst_difference(with_walk_forward(graph, "2019-06-06")) <= 1e-6
        assert graph.run(*PANEL, panel=panel_file, as_of="2019-06-05").failures == []  # no panel of now is current here
    assert replay.ids() == live
    assert replay.store.verify() == []
