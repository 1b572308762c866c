"""The service over real HTTP: sources of forecasts, errors, request limits, metrics."""

import contextlib
import datetime as dt
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import httpx2 as httpx
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from starlette.routing import Route

from forecast_assets.core.errors import BadSetting
from forecast_assets.serving import protocol
from forecast_assets.serving.app import create_app
from forecast_assets.serving.limits import Limits
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.protocol import HEAD_BYTES
from forecast_assets.serving.server import checked_host
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.cross_site import HOSTS
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import (
    CUTOFF,
    DAYS,
    SIGMA,
    open_stub,
    panel,
    publish_fold,
    publish_model,
    publish_night,
    publish_panel,
    small_store,
)

FOREIGN = [{"host": host} for host in HOSTS if host]
TOKEN = "a-token-of-some-length"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(small_store(Store(tmp_path_factory.mktemp("serve")))) as live:
        yield live


def ask(service: LiveService, ticker: str, date: dt.date | str | None = None) -> httpx.Response:
    return service.client.get("/predict", params={"ticker": ticker} | ({"date": str(date)} if date else {}))


@pytest.mark.parametrize(
    ("date", "source", "median", "calibrated"),
    [
        (None, "ledger", 0.01, True),
        (DAYS[299], "ledger", 0.01, True),
        (DAYS[104], "walk_forward", 0.003, False),
        (DAYS[250], "computed", 0.001 + 550 / 10_000, False),
    ],
)
def test_each_date_is_answered_from_an_out_of_sample_source(
    service: LiveService, date: dt.date | None, source: str, median: float, calibrated: bool
) -> None:
    """T01 is the second ticker of 300 sessions, so its session 250 is row 550."""
    answer = ask(service, "T01", date).json()
    assert (answer["source"], answer["calibrated"]) == (source, calibrated)
    assert answer["session"] == str(date or DAYS[299])
    assert [horizon["sessions"] for horizon in answer["horizons"]] == [1, 5, 20]
    for horizon in answer["horizons"]:
        q = list(horizon["quantiles"].values())
        assert q == sorted(q)
        assert len(q) == 7
        assert horizon["quantiles"]["q50"] == pytest.approx(median)
        assert horizon["mean"] == pytest.approx(median)
        assert horizon["sigma"] == pytest.approx(SIGMA, rel=1e-3)
        assert horizon["p_up"] == pytest.approx(NormalDist().cdf(median / SIGMA))


@pytest.mark.parametrize(
    ("ticker", "date", "status", "reason", "sentence"),
    [
        ("T0Q", None, 404, "unknown_ticker", "did you mean T0"),
        ("nothing like it", None, 404, "unknown_ticker", "no such ticker in the panel."),
        ("T00", "2031-01-07", 422, "future", "2031-01-07 is after its last session in the panel, 2018-03-13."),
        ("T00", "2018-01-06", 422, "not_a_session", "is no session of XNYS; the one before is 2018-01-05."),
        ("T00", "2018-01-01", 422, "not_a_session", "the one before is 2017-12-29."),
        ("T00", "2011-01-07", 422, "before_history", "before its history, which begins 2017-01-03."),
        ("T00", CUTOFF, 422, "in_sample", f"the model was trained on outcomes up to {CUTOFF}"),
        ("T00", DAYS[150], 422, "in_sample", "none was issued at the time."),
        ("T00", "soon", 422, "invalid", "date"),
        ("", None, 422, "invalid", "ticker"),
    ],
)
def test_a_request_without_an_out_of_sample_answer_gets_a_one_sentence_error(
    service: LiveService, ticker: str, date: dt.date | str | None, status: int, reason: str, sentence: str
) -> None:
    answer = ask(service, ticker, date)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert sentence in answer.json()["detail"]


def test_a_ticker_outside_the_universe_gets_no_forecast_on_demand(tmp_path: Path) -> None:
    store, tensors = Store(tmp_path), panel()
    loader = small_store(store)
    member = tensors.member.clone()
    member[250:260] = False
    publish_panel(store, replace(tensors, member=member))
    with LiveService(loader) as service:
        answer = ask(service, "T00", DAYS[250])
        assert (answer.status_code, answer.json()["reason"]) == (422, "not_a_member")
        assert f"it was not in the universe on {DAYS[250]}" in answer.json()["detail"]
        assert ask(service, "T00", DAYS[249]).status_code == ask(service, "T01", DAYS[250]).status_code == 200


def test_the_nearest_tickers_come_with_an_unknown_one(service: LiveService) -> None:
    assert set(ask(service, "t01").json()["nearest"]) <= {"T00", "T01", "T02", "T03"}
    assert ask(service, "t01").json()["nearest"][0] == "T01"


def test_a_batch_is_answered_in_order_and_fails_item_by_item(service: LiveService) -> None:
    wanted = [("T03", DAYS[250]), ("X", None), ("T00", None), ("T02", DAYS[260]), ("T02", DAYS[10])]
    body = {"requests": [{"ticker": name} | ({"date": str(day)} if day else {}) for name, day in wanted]}
    batch = service.client.post("/predict", json=body).json()
    found = [item["answer"] and (item["answer"]["ticker"], item["answer"]["source"]) for item in batch["answers"]]
    assert found == [("T03", "computed"), None, ("T00", "ledger"), ("T02", "computed"), None]
    reasons = [item["refused"] and item["refused"]["reason"] for item in batch["answers"]]
    assert reasons == [None, "unknown_ticker", None, None, "in_sample"]
    assert {item["answer"]["snapshot"] for item in batch["answers"] if item["answer"]} == {batch["snapshot"]}
    alone = ask(service, "T03", DAYS[250]).json()
    assert batch["answers"][0]["answer"] == alone


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"requests": [{"ticker": NaN}]}', 422),
        (b'{"requests": [{"ticker": 1e400}]}', 422),
        (b'{"requests": [{"ticker": "T00", "date": -1e400}]}', 422),
        (b'{"requests": [{"ticker": "\\ud800"}]}', 422),
        (b'{"requests": []}', 422),
        (json.dumps({"requests": [{"ticker": "T00"}] * 101}).encode(), 422),
        (b"[" * 60_000, 400),
        (b"1" * 60_000, 400),
        (b"\xff\xfe", 422),
        (b"not json", 422),
        (b"", 422),
        (b"x" * 65_537, 413),
        (b"[" * 100_000, 413),
    ],
    ids=[
        "nan",
        "huge",
        "minus_huge",
        "surrogate",
        "none",
        "many",
        "deep",
        "digits",
        "no_utf8",
        "text",
        "empty",
        "long",
        "deep_and_long",
    ],
)
def test_a_hostile_body_is_the_senders_mistake(service: LiveService, body: bytes, status: int) -> None:
    answer = service.client.post("/predict", content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_fifty_megabytes_are_rejected_whether_or_not_their_length_is_declared(service: LiveService) -> None:
    address = service.url.removeprefix("http://").split(":")
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for rest in (b"Content-Length: 52428800\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n11170\r\n" + b"x" * 70_000):
        with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
            connection.sendall(head + rest)
            assert connection.recv(12) == b"HTTP/1.1 413"


def test_a_forecast_is_explained_only_out_of_sample(service: LiveService) -> None:
    why = service.client.get("/explain", params={"ticker": "T01"}).json()
    assert (why["fit"], why["session"], why["variables"]) == ("b2_tft_ticker/1", str(DAYS[-1]), {"a": 0.5, "b": 0.5})
    assert why["title"] == "TFT + ticker embedding, fit 1"
    assert sum(why["attention"]) == pytest.approx(1)
    assert why["announcement"] is None  # the panel has no announcements
    in_sample = service.client.get("/explain", params={"ticker": "T01", "date": str(DAYS[104])})
    assert (in_sample.status_code, in_sample.json()["reason"]) == (422, "in_sample")


def test_an_expected_announcement_is_shown_beside_a_forecast(tmp_path: Path) -> None:
    plain, store = panel(), Store(tmp_path)
    chance = torch.linspace(0.0, 1.2, plain.rows)[:, None]  # of the last session of T01, half of all rows: .6
    names = (*plain.feature_names, "announcement_5d")
    tensors = replace(plain, features=torch.cat([plain.features, chance], dim=1), feature_names=names)
    publish_panel(store, tensors)
    publish_model(store, tensors)
    with LiveService(Loader(store, open_stub)) as live:
        for path in ("/explain", "/chart"):
            found = live.client.get(path, params={"ticker": "T01"}).json()["announcement"]
            assert found == {"sessions": 5, "probability": pytest.approx(0.6, abs=0.01)}
        certain = live.client.get("/explain", params={"ticker": "T03"}).json()["announcement"]
        assert certain["probability"] == 1.0


def test_health_metrics_and_the_openapi_document_are_there(service: LiveService) -> None:
    assert service.client.get("/health/live").json() == {"live": True}
    ready = service.client.get("/health/ready").json()
    assert (ready["ready"], ready["night"], ready["refused"]) == (True, str(DAYS[-1]), [])
    ask(service, "T00")
    service.client.get("/made/up/by/a/stranger")
    text = service.client.get("/metrics").text
    assert 'forecast_requests_total{route="/predict",status="200"}' in text
    assert 'forecast_requests_total{route="other",status="404"}' in text
    assert "stranger" not in text
    assert "forecast_refused_versions 0.0" in text
    assert set(service.client.get("/openapi.json").json()["paths"]) >= {"/predict", "/explain", "/health/ready"}


def test_every_route_of_the_app_has_its_own_label_in_the_metrics(tmp_path: Path) -> None:
    routes = [route for route in create_app(Loader(Store(tmp_path), open_stub)).routes if isinstance(route, Route)]
    paths = {route.path for route in routes}
    assert paths >= {"/", "/docs", "/openapi.json", "/predict", "/explain", "/chart", "/tickers", "/metrics"}
    with LiveService(small_store(Store(tmp_path))) as service:
        for route in routes:
            service.client.request(next(iter(route.methods or ())), route.path)
        text = service.client.get("/metrics").text
    assert {sample.labels["route"] for sample in requests_counted(text)} == paths


def requests_counted(text: str) -> list[Sample]:
    families = text_string_to_metric_families(text)
    return [sample for family in families for sample in family.samples if sample.name == "forecast_requests_total"]


def test_a_token_is_required_wherever_a_forecast_is_shown(tmp_path: Path) -> None:
    with LiveService(small_store(Store(tmp_path)), token=TOKEN) as service:
        for path in (
            "/predict?ticker=T00",
            "/chart?ticker=T00",
            "/tickers",
            "/metrics",
            "/explain?ticker=T00",
            "/forecasts",
            "/record?ticker=T00",
            "/changed?ticker=T00",
            "/book",
            "/sealed",
            "/report",
            "/nothing",
        ):
            assert service.client.get(path).status_code == 401
            for wrong in ("Bearer x", f"Basic {TOKEN}", TOKEN, "Bearer " + TOKEN[:-1], "Bearer \xff"):
                headers = [(b"authorization", wrong.encode("latin-1"))]
                assert service.client.get(path, headers=headers).status_code == 401
        good = {"authorization": f"Bearer {TOKEN}", "host": "forecasts.example.org"}
        assert service.client.get("/predict?ticker=T00", headers=good).status_code == 200
        assert service.client.get("/health/ready").status_code == 200
        assert service.client.get("/").status_code == 200


def test_without_a_token_only_loopback_is_bound_and_only_its_names_are_answered(service: LiveService) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        checked_host(host, token=None)
    checked_host("0.0.0.0", token=TOKEN)
    with pytest.raises(
        BadSetting, match=r"without FORECAST_API_TOKEN only loopback is served, not 0\.0\.0\.0; set a token"
    ):
        checked_host("0.0.0.0", token=None)
    with pytest.raises(BadSetting, match="needs 16 ASCII characters"):
        checked_host("0.0.0.0", token="short")
    rebound = service.client.get("/predict?ticker=T00", headers={"host": "rebound.example.org:80"})
    assert (rebound.status_code, rebound.json()["reason"]) == (403, "host")


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, *FOREIGN])
def test_another_sites_page_is_answered_nothing(service: LiveService, headers: dict[str, str]) -> None:
    assert service.client.get("/predict?ticker=T00", headers=headers).status_code == 403
    assert service.client.post("/predict", json={"requests": []}, headers=headers).status_code == 403
    own = {"origin": service.url, "sec-fetch-site": "same-origin"}
    assert service.client.get("/predict?ticker=T00", headers=own).status_code == 200


def test_the_rate_is_bounded_and_health_is_not(tmp_path: Path) -> None:
    limits = Limits(rate_per_second=0.01, burst=5)
    with LiveService(small_store(Store(tmp_path)), limits=limits) as service:
        codes = [ask(service, "T00").status_code for _ in range(8)]
        assert codes == [200] * 5 + [429] * 3
        assert service.client.get("/health/live").status_code == 200


def test_a_body_that_does_not_arrive_times_out(tmp_path: Path) -> None:
    with LiveService(small_store(Store(tmp_path)), limits=Limits(timeout_seconds=0.2)) as service:
        address = service.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
            assert connection.recv(12) == b"HTTP/1.1 408"


def test_a_head_that_never_ends_is_rejected(service: LiveService) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Endless: ")
        sent, answer = 0, b""
        while not answer and sent < 10_000_000:
            with contextlib.suppress(OSError):  # the service has hung up
                connection.sendall(b"a" * 16_384)
            sent += 16_384
            with contextlib.suppress(TimeoutError):
                connection.settimeout(0.02)
                answer = connection.recv(12)
        assert answer == b"HTTP/1.1 431"
        assert sent < 5 * HEAD_BYTES


def test_a_slow_head_times_out_and_an_idle_connection_may_be_used_again(
    service: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
        for _ in range(2):
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b'{"live":true}' in connection.recv(4096)
            time.sleep(0.3)
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: ")
        assert connection.recv(12) == b"HTTP/1.1 408"


def test_the_first_issued_forecast_counts_and_an_empty_store_is_not_ready(tmp_path: Path) -> None:
    store = Store(tmp_path)
    loader = Loader(store, open_stub)
    with LiveService(loader) as service:
        assert service.client.get("/health/ready").status_code == 503
        empty = ask(service, "T00")
        assert (empty.status_code, empty.json()["reason"]) == (503, "not_ready")
    publish_night(store, ("T00",), DAYS[20], mean=0.01)
    publish_night(store, ("T00",), DAYS[20], mean=0.02, partition=str(DAYS[21]))  # an exchange that was shut
    with LiveService(Loader(store, open_stub)) as service:
        assert ask(service, "T00").json()["horizons"][0]["mean"] == pytest.approx(0.01)
        nothing = ask(service, "T00", DAYS[19])
        assert (nothing.status_code, nothing.json()["reason"]) == (404, "no_forecast")


def test_a_past_forecast_is_never_calibrated_by_later_outcomes(tmp_path: Path) -> None:
    """The state applied to a forecast is that of a night no later than it; on the panel's last day, the model's own."""
    store = Store(tmp_path)
    tensors = panel()
    publish_panel(store, tensors)
    version = publish_model(store, tensors)
    publish_fold(store, tensors.tickers, DAYS[:2], mean=0.0)
    publish_night(store, ("T01",), DAYS[260], mean=0.0, model=version.id)
    with LiveService(Loader(store, open_stub)) as service:
        given: dict[int, Any] = {k: ask(service, "T00", DAYS[k]).json() for k in (250, 260, 270, 299)}
    assert {k: (answer["source"], answer["calibrated"]) for k, answer in given.items()} == {
        250: ("computed", False),
        260: ("computed", True),
        270: ("computed", True),
        299: ("computed", True),
    }
