"""A night waits for its prices, within its grace; who waits is named, and what comes late has the panel read again."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import time_machine

from forecast_assets.automation.alerts import deadline_observation, messages_for, prices_observation
from forecast_assets.automation.jobs import JOBS, NIGHT_RUN
from forecast_assets.automation.late_prices import late_prices
from forecast_assets.automation.nights import NIGHT, Nights, due_nights
from forecast_assets.automation.waiting import awaited_prices, lacking_prices, nights_to_make, waiting_nights
from forecast_assets.champion.late_tickers import recent_quotes, tickers_to_add
from forecast_assets.core.panel.completeness import QUOTES
from forecast_assets.core.specs import AlertSpec, ArrivalSpec
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import PARTITIONS, QUOTED, TABLE
from forecast_assets.store.asset_keys import RAW_PANEL
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import KEY_A, fields

DAYS = ["2025-06-24", "2025-06-25", "2025-06-26", "2025-06-27"]  # Tuesday to Friday
EUROPE = ("ADS.DE", "BAS.DE", "SAP.DE", "SIE.DE")
AMERICA = ("AAPL", "KO", "MSFT")
CLOSE = dt.datetime(2025, 6, 27, 20, tzinfo=dt.UTC)  # of New York; Frankfurt's was at 15:30
SPEC = ArrivalSpec(grace_hours=9, late_hours=12)
HOUR = dt.timedelta(hours=1)


def panel(root: Path, *friday: str) -> Store:
    """A store whose panel has all tickers up to Thursday, and those of ``friday``."""
    store, rows = Store(root / "store"), []
    for exchange, tickers in (("XETR", EUROPE), ("XNYS", AMERICA)):
        for ticker in tickers:
            of = DAYS if ticker in friday else DAYS[:-1]
            rows += [(exchange, ticker, dt.date.fromisoformat(day)) for day in of]
    days = DAYS if friday else DAYS[:-1]
    with store.stage(RAW_PANEL, input_key=KEY_A) as staging:
        contents = {"years": ["2025"], "days": days, "sessions": days}
        (staging.path / PARTITIONS).write_text(json.dumps(contents))
        pl.DataFrame(rows, schema=QUOTES, orient="row").write_parquet(staging.path / QUOTED)
        store.commit(staging, fields(config={"panel": {}}))
    return store


def night(store: Store, day: str, *tickers: str) -> None:
    """A complete night that forecast these tickers at its own session."""
    table = pl.DataFrame({"date": [dt.date.fromisoformat(day)] * len(tickers), "ticker": tickers})
    for asset in NIGHT:
        with store.stage(asset, day, input_key=KEY_A) as staging:
            table.write_parquet(staging.path / TABLE)
            store.commit(staging, fields())


@pytest.fixture
def copied_in_part(tmp_path: Path) -> Store:
    """Three of the seven tickers of Friday have come, none of Frankfurt's; Thursday's night is done."""
    store = panel(tmp_path, *AMERICA)
    night(store, DAYS[2], *EUROPE, *AMERICA)
    return store


def test_a_night_waits_for_an_exchange_that_lacks_prices_within_its_grace(
    copied_in_part: Store, tmp_path: Path
) -> None:
    root = str(tmp_path)
    assert due_nights(copied_in_part, root) == [DAYS[3]]
    assert nights_to_make(copied_in_part, root, spec=SPEC, now=CLOSE + 2 * HOUR) == []
    (sentence,) = waiting_nights(copied_in_part, root, spec=SPEC, now=CLOSE + 2 * HOUR).values()
    assert sentence == (
        "0 of 4 tickers of XETR, without ADS.DE, BAS.DE, SAP.DE and 1 more; from 2025-06-28 05:00 UTC on it is made from "
        "what is there"
    )
    assert nights_to_make(copied_in_part, root, spec=SPEC, now=CLOSE + 9 * HOUR) == [DAYS[3]]
    at_once = SPEC.model_copy(update={"grace_hours": 0})
    assert nights_to_make(copied_in_part, root, spec=at_once, now=CLOSE + 2 * HOUR) == [DAYS[3]]
    panel(tmp_path, *AMERICA, *EUROPE)
    assert nights_to_make(copied_in_part, root, spec=SPEC, now=CLOSE + 2 * HOUR) == [DAYS[3]]


def test_a_night_of_another_day_is_not_held_up_by_one_that_waits(copied_in_part: Store, tmp_path: Path) -> None:
    night(copied_in_part, DAYS[0], *EUROPE)  # Wednesday's is missing
    assert nights_to_make(copied_in_part, str(tmp_path), spec=SPEC, now=CLOSE + HOUR) == [DAYS[1]]


def test_tickers_that_came_late_are_added_until_their_exchange_closes_again(
    copied_in_part: Store, tmp_path: Path
) -> None:
    night(copied_in_part, DAYS[3], *AMERICA)
    assert tickers_to_add(copied_in_part, spec=SPEC, now=CLOSE + 10 * HOUR) is None  # nothing has come yet
    panel(tmp_path, *AMERICA, *EUROPE[:2])
    late = tickers_to_add(copied_in_part, spec=SPEC, now=CLOSE + 10 * HOUR)
    assert late is not None
    assert (late.day, late.tickers) == (DAYS[3], EUROPE[:2])
    assert nights_to_make(copied_in_part, str(tmp_path), spec=SPEC, now=CLOSE + 10 * HOUR) == [DAYS[3]]
    assert tickers_to_add(copied_in_part, spec=SPEC, now=CLOSE + 12 * HOUR) is None
    for hours, found in ((67.4, True), (67.6, False)):  # Frankfurt closes on Monday at 15:30
        days = SPEC.model_copy(update={"late_hours": 96})
        assert (tickers_to_add(copied_in_part, spec=days, now=CLOSE + hours * HOUR) is not None) == found


def test_what_is_awaited_is_named_before_and_after_the_night(copied_in_part: Store, tmp_path: Path) -> None:
    def awaited(hours: float) -> dict[str, str]:
        return awaited_prices(copied_in_part, str(tmp_path), spec=SPEC, now=CLOSE + hours * HOUR)

    assert awaited(1)[DAYS[3]].startswith("0 of 4 tickers of XETR")
    assert awaited(9.1) == {}  # it is to be made now
    night(copied_in_part, DAYS[3], *AMERICA)
    assert awaited(9.2)[DAYS[3]].endswith("SAP.DE and 1 more; the night is made, and adds those that come")
    assert awaited(12.1) == {}
    assert awaited(72.1) == {"2025-06-30": "no row of it has come"}
    assert awaited(24 * 365) == {}  # a panel that nobody feeds any more


def test_the_deadline_alert_names_the_night_that_waits_and_one_made_without_prices(
    copied_in_part: Store, tmp_path: Path
) -> None:
    due, alerts = dt.date.fromisoformat(DAYS[3]), AlertSpec()
    waiting = waiting_nights(copied_in_part, str(tmp_path), spec=SPEC, now=CLOSE)
    quotes = recent_quotes(copied_in_part)
    assert quotes is not None
    lacking = lacking_prices(quotes, DAYS[3], spec=SPEC)
    nights = Nights.of(copied_in_part, str(tmp_path))
    late = deadline_observation(due=due, nights=nights, sessions=DAYS, alerts=alerts, waiting=waiting)
    assert late is not None
    assert f"The night of {DAYS[3]} waits for prices: 0 of 4 tickers of XETR" in late.sentence
    assert prices_observation(due=due, nights=nights, lacking=lacking, alerts=alerts) is None

    night(copied_in_part, DAYS[3], *AMERICA)
    made = Nights.of(copied_in_part, str(tmp_path))
    short = prices_observation(due=due, nights=made, lacking=lacking, alerts=alerts)
    assert short is not None
    assert (short.on, short.stamp) == (True, DAYS[3])
    assert "the panel has 0 of 4 tickers of XETR, without ADS.DE" in short.sentence
    whole = prices_observation(due=due, nights=made, lacking=[], alerts=alerts)
    assert whole is not None
    (over,) = messages_for([whole], open_episodes={"prices": DAYS[3]})
    assert over.title == "The night has its prices"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_a_panel_is_read_again_where_prices_are_awaited_and_a_file_is_new(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Monday evening no row of Monday has come."""
    store, files = panel(tmp_path, *AMERICA), tmp_path / "raw"
    night(store, DAYS[3], *AMERICA)
    files.mkdir()
    monkeypatch.setenv("FORECAST_PANEL", str(files))
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path))

    def tick(cursor: str | None) -> tuple[object, str | None]:
        resources = {
            "store": StoreResource(),
            "settings": SettingsResource(profile="smoke"),
            "source": PanelSource(),
        }
        with (
            time_machine.travel("2025-06-30T22:00+00:00"),
            dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context,
        ):
            return late_prices(context), context.cursor

    quiet, _ = tick(None)
    assert isinstance(quiet, dg.SkipReason)
    assert quiet.skip_message == "the schedule has begun no night of late"

    @dg.job(name=JOBS["panel"].name)
    def panel_job() -> None:
        pass

    with time_machine.travel("2025-06-30T21:00+00:00"):
        instance.create_run_for_job(panel_job, tags={NIGHT_RUN: "22:00"}, status=dg.DagsterRunStatus.SUCCESS)
    first, cursor = tick(None)
    assert isinstance(first, dg.RunRequest)
    assert first.tags[NIGHT_RUN].startswith("22:00/")
    again, _ = tick(cursor)
    assert isinstance(again, dg.SkipReason)
    assert again.skip_message is not None
    assert again.skip_message.endswith("no row of it has come")
    (files / "new.csv").write_text("x")
    assert isinstance(tick(cursor)[0], dg.RunRequest)
