"""When the service says that the last night is old, and why."""

import datetime as dt
from pathlib import Path

import pytest

from forecast_assets.serving.freshness import Deadline, staleness
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import DAYS, publish, small_store

THU, FRI, MON = dt.date(2025, 7, 10), dt.date(2025, 7, 11), dt.date(2025, 7, 14)
FIRST = "No night has been run; the walk-forward ends on 2025-07-10, and that of 2025-07-14 is due"
NOT_READ = "no prices after 2025-07-10 have been read."
NOT_MADE = "prices up to 2025-07-14 have been read, and the nights since have not been made (forecast-assets nightly)."


@pytest.mark.parametrize(
    ("night", "newest", "panel_end", "due", "sentence"),
    [
        (FRI, FRI, FRI, FRI, None),
        (FRI, FRI, MON, FRI, None),  # Monday's night has some hours left
        (THU, THU, THU, FRI, f"The last night is of 2025-07-10, and that of 2025-07-11 is due: {NOT_READ}"),
        (FRI, FRI, MON, MON, f"The last night is of 2025-07-11, and that of 2025-07-14 is due: {NOT_MADE}"),
        (
            FRI,
            FRI,
            None,
            MON,
            "The last night is of 2025-07-11, and that of 2025-07-14 is due: the store holds no panel",
        ),
        (None, THU, THU, MON, f"{FIRST}: {NOT_READ}"),
        (FRI, FRI, FRI, None, None),  # a synthetic panel or a replay: nothing more is awaited
        (FRI, FRI, MON, None, f"The last night is of 2025-07-11, and that of 2025-07-14 is due: {NOT_MADE}"),
        (None, THU, MON, None, None),
        (None, None, MON, MON, None),
    ],
)
def test_an_old_night_is_called_stale_with_its_reason(
    night: dt.date | None, newest: dt.date | None, panel_end: dt.date | None, due: dt.date | None, sentence: str | None
) -> None:
    found = staleness(night=night, newest=newest, panel_end=panel_end, due=due)
    assert found == sentence or (sentence is not None and found is not None and found.startswith(sentence))


def test_the_calendars_are_looked_up_once_a_minute() -> None:
    now = dt.datetime(2025, 7, 12, 7, 59, 30, tzinfo=dt.UTC)  # New York closed on Friday at 20:00
    asked = []

    def clock() -> dt.datetime:
        asked.append(now)
        return now

    deadline = Deadline(12.0, clock)
    assert deadline.session(["XNYS"]) == THU
    now += dt.timedelta(seconds=59)
    assert deadline.session(["XNYS"]) == THU
    now += dt.timedelta(seconds=1)
    assert deadline.session(["XNYS"]) == FRI
    assert deadline.session(["XNYS", "XTKS"]) == FRI
    assert deadline.session([]) is None
    assert Deadline(None, clock).session(["XNYS"]) is None


def test_health_says_that_the_night_is_stale(tmp_path: Path) -> None:
    store, last = Store(tmp_path), DAYS[-1]
    loader = small_store(store)
    clock = [dt.datetime(last.year, last.month, last.day, 23, tzinfo=dt.UTC)]
    publish(store, "raw_panel", None, {"partitions.json": {"sessions": [str(last)], "days": [str(last)]}})
    with LiveService(loader, deadline=Deadline(2.0, lambda: clock[0])) as service:
        assert service.client.get("/health/ready").json()["stale"] is None
        clock[0] += dt.timedelta(days=1)
        stale = None
        while stale is None:
            stale = service.client.get("/health/ready").json()["stale"]
        assert stale.startswith(f"The last night is of {last}, and that of")
        assert stale.endswith(f"is due: no prices after {last} have been read.")


def test_a_failure_in_the_calendars_takes_no_forecast_away(tmp_path: Path) -> None:
    def broken() -> dt.datetime:
        raise RuntimeError("no time")

    with LiveService(small_store(Store(tmp_path)), deadline=Deadline(2.0, broken)) as service:
        health = service.client.get("/health/ready").json()
        assert (health["ready"], health["night"], health["stale"]) == (True, str(DAYS[-1]), None)
        lines = service.client.get("/metrics").text.splitlines()
        (failures,) = [line for line in lines if line.startswith("forecast_watch_failures_total ")]
        assert float(failures.split()[1]) >= 1
