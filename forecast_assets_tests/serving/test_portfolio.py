"""Risk over HTTP: the command's numbers, drawn once a night; what can't be asked; the book's risk and the sealed record."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from forecast_assets.champion.record import IssuedRecord
from forecast_assets.champion.risk import book_risk, read_forecasts
from forecast_assets.cli.risk import Portfolio, risk_of_night
from forecast_assets.core.backtest.next_positions import POSITIONS_SCHEMA
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.monitoring.book_risk import RECORD_SCHEMA, Stated
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.serving import loading
from forecast_assets.serving.loading import Loader
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.joint_panel import feature_panel, joint_panel
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import open_stub, publish, publish_night, scored_record, small_store

SPEC = ScenarioSpec(scenarios=1000)
PANEL = joint_panel(sessions=160, seed=2)
NIGHT = str(PANEL.days[-1])
WEIGHTS = {"T00": 0.5, "T03": -0.2, "T04": 0.1}
OLD = "OLD"  # only the walk-forward has it


def publish_graph(store: Store) -> None:
    """A walk-forward up to the last night, that night, its book and the risk that was stated of it."""
    forecasts = PANEL.forecasts.drop("label_end")
    last = pl.col("date") == PANEL.days[-1].astype(object)
    renamed = forecasts.filter(pl.col("ticker") == "T05", ~last).with_columns(ticker=pl.lit(OLD))
    years = pl.concat([forecasts.filter(~last), renamed])
    publish(store, "ensemble", "2019", {"table.parquet": years}, parents={"windowed_tensors": "d0"})
    publish(store, "feature_panel", None, {"table.parquet": feature_panel(PANEL)})
    record = {"day": NIGHT, "model_version": "m1", "data_version": "d1", "calibrated": True, "serving_model": "s"}
    issued = forecasts.filter(last).with_columns(y=pl.lit(None, dtype=pl.Float64))
    files = {"table.parquet": issued, "night.json": record, "calibration.json": CalibrationState.initial().to_json()}
    publish(store, "nightly_forecast", NIGHT, files)
    rows = [
        {"ticker": ticker, "region": "Americas", "weight_now": 0.0, "weight_target": weight, "trade": weight}
        | {"price": 10.0, "expected_cost": 0.0, "note": None}
        for ticker, weight in (WEIGHTS | {"GONE": 0.05}).items()
    ]
    book = pl.DataFrame(rows, schema=POSITIONS_SCHEMA)
    stated = Stated(risk=book_risk(book, read_forecasts(store, NIGHT, spec=SPEC), SPEC))
    before = [
        (dt.date(2019, 1, 1), dt.date(2019, 1, 2), dt.datetime(2019, 1, 1, 22), 0.01, 0.02, -0.015),
        (dt.date(2019, 1, 2), dt.date(2019, 1, 3), dt.datetime(2019, 1, 2, 22), 0.01, 0.02, 0.001),
    ]
    files = {
        "table.parquet": book,
        "risk.json": stated.model_dump(mode="json"),
        "risk_record.parquet": pl.DataFrame(before, schema=RECORD_SCHEMA, orient="row"),
    }
    publish(store, "target_positions", NIGHT, files)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    publish_graph(store := Store(tmp_path_factory.mktemp("risk")))
    return store


@pytest.fixture(scope="module")
def service(store: Store) -> Iterator[LiveService]:
    with LiveService(Loader(store, open_stub, scenarios=SPEC)) as live:
        yield live


def body(weights: dict[str, float]) -> dict[str, Any]:
    return {"weights": [{"ticker": ticker, "weight": weight} for ticker, weight in weights.items()]}


def test_the_numbers_are_the_commands_for_the_same_night(service: LiveService, store: Store) -> None:
    answer = service.client.post("/risk", json=body(WEIGHTS | {"T01": 0.0})).json()
    told = risk_of_night(read_forecasts(store, None, spec=SPEC), Portfolio("w", WEIGHTS, []), SPEC)
    assert (answer["night"], answer["tickers"], answer["scenarios"]) == (NIGHT, 3, 1000)
    assert answer["past_days"] == told["past_days"]
    assert (answer["gross"], answer["net"]) == (pytest.approx(told["gross"]), pytest.approx(told["net"]))
    for found, expected in zip(answer["horizons"], told["horizons"], strict=True):
        for name in ("value_at_risk", "expected_shortfall"):
            pair = [found[f"{name}_95"], found[f"{name}_99"]]
            assert pair == pytest.approx(list(expected[name]), rel=1e-4), (found["sessions"], name)
        assert found["median"] == pytest.approx(expected["median"], abs=1e-6)
        assert found["volatility_factor"] == pytest.approx(expected["volatility_factor"])
        quantiles = list(found["quantiles"].values())
        assert quantiles == sorted(quantiles)
        assert found["quantiles"]["q05"] == pytest.approx(-found["value_at_risk_95"])


def test_the_scenarios_of_a_night_are_drawn_once(store: Store) -> None:
    loader = Loader(store, open_stub, scenarios=SPEC)
    snapshot = loader.refresh()
    assert snapshot is not None
    assert loader.night_scenarios(snapshot) is loader.night_scenarios(snapshot)


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        ({"weights": [{"ticker": "T00", "weight": 0.1}] * 2}, 422, "twice"),
        (body({"T00": 0.0}), 422, "nothing_held"),
        (body({"T0": 0.1}), 404, "unknown_ticker"),
        (body({OLD: 0.1}), 422, "no_forecast"),
        (body({}), 422, "invalid"),
        (body({"T00": 1e9}), 422, "invalid"),
        ({"weights": [{"ticker": "T00", "weight": "much"}]}, 422, "invalid"),
        ({"weights": {"T00": 0.1}}, 422, "invalid"),
        (body({f"N{k}": 0.1 for k in range(2001)}), 422, "invalid"),
    ],
)
def test_a_portfolio_that_cannot_be_held_is_one_sentence(
    service: LiveService, sent: dict[str, Any], status: int, reason: str
) -> None:
    answer = service.client.post("/risk", json=sent)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert answer.json()["detail"].count("\n") == 0


def test_nan_is_the_senders_mistake(service: LiveService) -> None:
    sent = '{"weights": [{"ticker": "T00", "weight": NaN}]}'
    answer = service.client.post("/risk", content=sent, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid")


def test_without_what_scenarios_need_it_says_so(store: Store, tmp_path: Path) -> None:
    publish_night(early := Store(tmp_path / "early"), ("T00",), dt.date(2018, 3, 1), mean=0.0)
    more = SPEC.model_copy(update={"least_days": 400})
    for loader, sentence in (
        (Loader(early, open_stub), "ensemble: not materialised"),
        (Loader(store, open_stub, scenarios=more), "at least 400 are needed"),
    ):
        with LiveService(loader) as live:
            answer = live.client.post("/risk", json=body({"T00": 0.1}))
            assert (answer.status_code, answer.json()["reason"]) == (404, "no_scenarios")
            assert sentence in answer.json()["detail"]


def test_the_books_risk_is_the_stated_one(service: LiveService, tmp_path: Path) -> None:
    risk = service.client.get("/book").json()["risk"]
    told = service.client.post("/risk", json=body(WEIGHTS)).json()["horizons"]
    assert [row["sessions"] for row in risk["horizons"]] == list(HORIZONS)
    for stated, now in zip(risk["horizons"], told, strict=True):
        assert stated == pytest.approx({name: now[name] for name in stated}, rel=1e-4, abs=1e-6)
    assert (risk["why"], risk["without_forecast"], risk["kept"]) == ("", ["GONE"], True)
    assert risk["sentence"].startswith("the book lost more than its VaR 95 % on 1 (0.1 expected)")
    loader = small_store(older := Store(tmp_path))
    publish(older, "target_positions", "2018-03-14", {"table.parquet": pl.DataFrame(schema=POSITIONS_SCHEMA)})
    snapshot = loader.refresh()
    assert snapshot is not None
    assert snapshot.book is not None
    assert snapshot.book.risk is None


def test_the_sealed_record_is_scored_once_and_has_no_nan(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = []

    def issued_record(*_: object) -> IssuedRecord:
        scored.append(1)
        return scored_record()

    monkeypatch.setattr(loading, "issued_record", issued_record)
    with LiveService(Loader(store, open_stub, data_root=str(tmp_path))) as live:
        answer = [live.client.get("/sealed").json() for _ in range(2)][1]
    assert len(scored) == 1
    assert (answer["nights"], answer["sealed_nights"], answer["newest_seal"]) == (3, 2, None)
    (horizon,) = answer["horizons"]
    assert horizon["coverage_95"] == {"mean": 0.94, "low": 0.9, "high": 0.97, "e_value": 0.3}
    assert horizon["loss_saved"] == {"mean": None, "low": None, "high": None, "e_value": 1.0}
    monkeypatch.undo()
    for loader, sentence in (
        (Loader(store, open_stub), "without a data root"),
        (Loader(store, open_stub, data_root=str(tmp_path)), "windowed_tensors"),
    ):
        with LiveService(loader) as live:
            refused = live.client.get("/sealed")
            assert (refused.status_code, refused.json()["reason"]) == (404, "no_record")
            assert sentence in refused.json()["detail"]
