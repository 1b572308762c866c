"""No request makes the service fail: requests that schemathesis makes from the OpenAPI document, and random bytes."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast_assets.serving.limits import Limits
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import DAYS, small_store

UNBOUNDED = Limits(rate_per_second=1e9, burst=1e9)
QUIET = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(small_store(Store(tmp_path_factory.mktemp("fuzz"))), limits=UNBOUNDED) as live:
        yield live


def operation(result: Any) -> Any:
    """Return one operation of the document; raises where a part of it can't be read."""
    return result.ok()


def test_what_the_document_allows_and_forbids_is_answered(service: LiveService) -> None:
    schema = schemathesis.openapi.from_dict(service.client.get("/openapi.json").json())
    routes = [operation(result) for result in schema.get_all_operations()]
    assert len(routes) >= 8
    answered = 0

    for route in routes:

        @settings(QUIET, max_examples=15)
        @given(case=route.as_strategy())
        def answer(case: schemathesis.Case) -> None:
            nonlocal answered
            answered += 1
            assert case.call(base_url=service.url, timeout=20).status_code < 500

        answer()
    assert answered >= len(routes)


@given(ticker=st.one_of(st.sampled_from(["T00", "T01"]), st.text()), date=st.one_of(st.dates().map(str), st.text()))
@QUIET
def test_any_ticker_and_date_get_an_answer_or_a_client_error(service: LiveService, ticker: str, date: str) -> None:
    query = {"ticker": ticker.encode("utf-8", "replace"), "date": date.encode("utf-8", "replace")}
    answer = service.client.get("/predict", params=httpx.QueryParams(query))
    assert answer.status_code < 500
    assert "NaN" not in answer.text or "NaN" in ticker + date


@given(body=st.binary(max_size=300))
@QUIET
def test_any_random_body_is_a_client_error(service: LiveService, body: bytes) -> None:
    answer = service.client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500


@given(day=st.sampled_from(DAYS))
@QUIET
def test_every_session_out_of_sample_is_answered_and_no_other(service: LiveService, day: dt.date) -> None:
    answer = service.client.get("/predict", params={"ticker": "T02", "date": str(day)})
    place = DAYS.index(day)
    out_of_sample = 100 <= place < 110 or place > 199
    assert answer.status_code == (200 if out_of_sample else 422)
