"""What the desk reads over HTTP: newest forecasts, past fans and their record, changes, book and report, examples."""

import datetime as dt
import json
import math
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from forecast_assets.core.windows.days import to_day
from forecast_assets.serving.page import endpoints
from forecast_assets.serving.schemas import BatchRequest, RiskRequest
from forecast_assets.serving.track_record import BANDS, narrowest_bands
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import (
    DAYS,
    SIGMA,
    panel,
    publish_book,
    publish_fold,
    publish_model,
    publish_night,
    publish_report,
    small_store,
)

NEW, FOLD_DAY = DAYS[-1], DAYS[104]
OPENING = "<!doctype html><title>Backtest</title>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def service(store: Store) -> Iterator[LiveService]:
    """The small store with a ticker that only the fold knows, two nights by two models, a book and a report."""
    loader = small_store(store)
    publish_fold(store, (*panel().tickers, "OLD"), DAYS[100:110], mean=0.003)
    models = [publish_model(store, panel(), shift=shift) for shift in (0.001, 0.004)]
    for day, model, mean in zip(DAYS[-2:], models, (0.02, 0.01), strict=True):
        publish_night(store, ("T00", "T01", "T02"), day, mean=mean, serving_model=model.id)
    publish_book(store, DAYS[-2], {"T00": (0.0, 0.5)})
    publish_book(store, NEW, {"T00": (0.02, 0.05), "T02": (-0.01, -0.03), "T03": (0.01, 0.0)})
    publish_report(store, f"{OPENING}<script>let x = 1;</script>")
    with LiveService(loader) as live:
        yield live


def test_the_newest_forecast_of_each_ticker_is_one_that_was_issued(service: LiveService) -> None:
    """T03 has no night: the walk-forward's is listed, though the model could compute a later one."""
    found = service.client.get("/forecasts").json()
    assert (found["night"], found["report"]) == (str(NEW), True)
    rows = {row["ticker"]: row for row in found["forecasts"]}
    assert list(rows) == ["OLD", "T00", "T01", "T02", "T03"]
    session = {ticker: (row["session"], row["source"]) for ticker, row in rows.items()}
    assert session["T02"] == (str(NEW), "ledger")
    assert session["T03"] == session["OLD"] == (str(DAYS[109]), "walk_forward")
    labels = {ticker: (row["exchange"], row["sector"]) for ticker, row in rows.items()}
    assert labels == {"OLD": (None, None)} | {f"T0{k}": ("XNYS", ("Even", "Odd")[k % 2]) for k in range(4)}
    answer = service.client.get("/predict?ticker=T02").json()
    for listed, horizon in zip(rows["T02"]["horizons"], answer["horizons"], strict=True):
        q = horizon["quantiles"]
        assert listed["sessions"] == horizon["sessions"]
        names = {
            "low": q["q025"],
            "median": q["q50"],
            "high": q["q975"],
            "p_up": horizon["p_up"],
            "sigma": horizon["sigma"],
        }
        assert {name: listed[name] for name in names} == {name: round(value, 6) for name, value in names.items()}


@pytest.mark.parametrize("path", ["/forecasts", "/book", "/report"])
def test_an_answer_that_the_client_has_already_is_not_sent_again(service: LiveService, path: str) -> None:
    first = service.client.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    again = service.client.get(path, headers={"if-none-match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert service.client.get(path, headers={"if-none-match": '"x"'}).content == first.content


def test_a_past_fan_comes_with_what_happened(service: LiveService) -> None:
    chart = service.client.get("/chart", params={"ticker": "T01", "date": str(FOLD_DAY)}).json()
    assert (chart["answer"]["session"], chart["answer"]["source"]) == (str(FOLD_DAY), "walk_forward")
    assert chart["closes"][-1]["date"] == str(FOLD_DAY)
    assert len(chart["closes"]) == 105
    assert [(one["sessions"], one["date"]) for one in chart["after"]] == [(k, str(DAYS[104 + k])) for k in range(1, 21)]
    last = chart["closes"][-1]["close"]
    for horizon, outcome in zip((1, 5, 20), chart["outcomes"], strict=True):
        assert outcome == pytest.approx(math.log(chart["after"][horizon - 1]["close"] / last), abs=1e-6)


def test_of_the_newest_fan_nothing_is_known_yet(service: LiveService) -> None:
    chart = service.client.get("/chart?ticker=T01").json()
    assert (chart["answer"]["session"], chart["after"], chart["outcomes"]) == (str(NEW), [], [None] * 3)
    old = service.client.get("/chart?ticker=OLD").json()
    assert (old["closes"], old["after"], old["outcomes"], old["announcement"]) == ([], [], [None] * 3, None)


def test_the_record_counts_outcomes_inside_the_bands_of_issued_forecasts(service: LiveService) -> None:
    record = service.client.get("/record?ticker=T01").json()
    issued = [*DAYS[100:110], *DAYS[-2:]]
    assert record["sessions"] == [str(day) for day in issued]
    tensors = panel()
    days = tensors.date.numpy().tolist()
    for k, horizon in enumerate(record["horizons"]):
        expected = []
        for day in issued:
            row = 300 + days.index(to_day(day))  # T01 is the second ticker
            y, mean = float(tensors.targets[row, k]), 0.003 if day < NEW - dt.timedelta(days=9) else 0.02
            z = {50: 0.6744898, 90: 1.6448536, 95: 1.959964}
            level = next((level for level in z if abs(y - mean) <= z[level] * SIGMA), 100)
            expected.append(None if math.isnan(y) else level)
        assert horizon["band"] == expected
        known = [level for level in expected if level is not None]
        assert horizon["matured"] == len(known) == (11 if k == 0 else 10)
        assert horizon["inside"] == {
            str(band): sum(level <= band for level in known) / len(known) for band in (50, 90, 95)
        }
    nothing = service.client.get("/record?ticker=OLD").json()
    assert [(one["matured"], one["inside"]["95"]) for one in nothing["horizons"]] == [(0, None)] * 3
    assert service.client.get("/record?ticker=T0Q").status_code == 404


def test_a_band_holds_its_ends_and_an_outcome_has_the_narrowest() -> None:
    assert [band.level for band in BANDS] == [50, 90, 95]
    quantiles = np.repeat(np.array([[[-3.0, -2, -1, 0, 1, 2, 3]]]), 2, axis=0).repeat(3, axis=1)
    outcomes = np.array([[1.0, -1.5, 3.0], [-3.1, np.nan, 2.0]])
    assert narrowest_bands(quantiles, outcomes).tolist() == [[50, 90, 95], [100, 0, 90]]


def test_a_change_is_split_into_what_data_model_and_calibration_moved(service: LiveService) -> None:
    """The stub's mean is its shift plus a ten-thousandth of the row: T01's last rows are 598 and 599."""
    found = service.client.get("/changed?ticker=T01").json()
    assert (found["before"], found["after"]) == (str(DAYS[-2]), str(NEW))
    moved = {one["cause"]: [horizon["median"] for horizon in one["horizons"]] for one in found["causes"]}
    assert moved["data"] == pytest.approx([0.001 + 0.0599 - 0.02] * 3, abs=1e-9)
    assert moved["model"] == pytest.approx([0.003] * 3, abs=1e-9)
    assert moved["calibration"] == pytest.approx([0.0] * 3, abs=1e-12)
    assert moved["revised since"] == pytest.approx([0.01 - 0.004 - 0.0599] * 3, abs=1e-9)
    assert sum(moved[cause][0] for cause in moved) == pytest.approx(-0.01)


@pytest.mark.parametrize(
    ("query", "reason", "sentence"),
    [
        ("ticker=T0Q", "unknown_ticker", "no such ticker"),
        ("ticker=T03", "no_change", "there are no two consecutive nights up to"),
        (f"ticker=T01&date={DAYS[-2]}", "no_change", "there are no two consecutive nights up to"),
    ],
)
def test_a_change_that_is_not_known_is_a_sentence(service: LiveService, query: str, reason: str, sentence: str) -> None:
    answer = service.client.get(f"/changed?{query}")
    assert (answer.status_code, answer.json()["reason"]) == (404, reason)
    assert sentence in answer.json()["detail"]


def test_a_change_whose_model_is_gone_is_a_sentence(tmp_path: Path) -> None:
    loader = small_store(store := Store(tmp_path))
    publish_night(store, ("T00",), DAYS[-2], mean=0.0)
    with LiveService(loader) as service:
        answer = service.client.get("/changed?ticker=T00")
        assert (answer.status_code, answer.json()["reason"]) == (404, "no_change")
        assert "its model, version s of serving_model, is gone" in answer.json()["detail"]
        for path, reason in (("/book", "no_book"), ("/report", "no_report")):
            answer = service.client.get(path)
            assert (answer.status_code, answer.json()["reason"]) == (404, reason)
        assert service.client.get("/forecasts").json()["report"] is False


def test_a_change_from_a_session_that_left_the_panel_is_a_sentence(tmp_path: Path) -> None:
    loader = small_store(store := Store(tmp_path))
    model, gone = publish_model(store, panel()), NEW + dt.timedelta(days=1)
    for day in (NEW, gone):
        publish_night(store, ("T00",), day, mean=0.0, serving_model=model.id)
    with LiveService(loader) as service:
        answer = service.client.get("/changed?ticker=T00")
        assert (answer.status_code, answer.json()["reason"]) == (404, "no_change")
        assert f"the panel has no row of {NEW} or {gone} any more" in answer.json()["detail"]


def test_the_book_is_the_last_nights(service: LiveService) -> None:
    book = service.client.get("/book").json()
    sums = {name: book[name] for name in ("gross", "net", "turnover", "expected_cost")}
    assert book["night"] == str(NEW)
    assert sums == pytest.approx({"gross": 0.08, "net": 0.02, "turnover": 0.06, "expected_cost": 0.00003})
    assert [(row["ticker"], round(row["trade"], 6)) for row in book["positions"]] == [
        ("T00", 0.03),
        ("T02", -0.02),
        ("T03", -0.01),
    ]


def test_a_new_book_or_report_leaves_the_snapshot_of_forecasts_as_it_is(tmp_path: Path) -> None:
    loader = small_store(store := Store(tmp_path))
    first = loader.refresh()
    publish_book(store, NEW, {"T00": (0.0, 0.1)})
    publish_report(store, OPENING)
    second = loader.refresh()
    assert first is not None
    assert second is not None
    assert (first.id, first.book, first.report) == (second.id, None, None)
    assert (second.book and second.book.gross, second.report) == (0.1, OPENING.encode())
    assert loader.refresh() is None


def test_the_report_runs_its_own_script_in_an_origin_of_its_own(service: LiveService) -> None:
    answer = service.client.get("/report")
    assert answer.text.startswith(OPENING)
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'", "sandbox allow-scripts allow-modals"} <= set(policy)
    assert any(part.startswith("script-src 'sha256-") for part in policy)


def test_each_command_in_the_docs_asks_what_the_service_understands(service: LiveService) -> None:
    document = service.client.get("/openapi.json").json()
    page = service.client.get("/docs").text
    listed = endpoints(document, address=service.url)
    assert len(listed) >= 14
    for endpoint in listed:
        curl, url, *rest = shlex.split(endpoint["command"])
        assert curl == "curl"
        assert url.replace("&", "&amp;") in page
        if endpoint["method"] == "POST":
            assert rest[:3] == ["-H", "content-type: application/json", "-d"]
            answer = service.client.post(url, content=rest[3], headers={"content-type": "application/json"})
            if endpoint["path"] == "/risk":
                assert RiskRequest.model_validate_json(rest[3]).weights[0].ticker == "BMW.DE"
                assert answer.json()["reason"] == "unknown_ticker"
            else:
                assert BatchRequest.model_validate_json(rest[3]).requests[0].ticker == "BMW.DE"
                assert json.loads(answer.text)["answers"][0]["refused"]["reason"] == "unknown_ticker"
        else:
            assert rest == []
            answer = service.client.get(url)
            assert answer.status_code == 200 or answer.json()["reason"] in ("unknown_ticker", "no_record")
