"""Hot swap under load, damaged versions, and a model that is slower than its callers."""

import shutil
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from forecast_assets.core.errors import Unreachable
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving import loading
from forecast_assets.serving.limits import Limits
from forecast_assets.serving.loading import Loader
from forecast_assets.store.durable import replace_bytes
from forecast_assets.store.names import CHANGED
from forecast_assets.store.place import Place
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import (
    DAYS,
    Forecast,
    StubModel,
    open_stub,
    panel,
    publish_model,
    publish_night,
    small_store,
)

SWAPS = 10


def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_swaps_under_load_drop_nothing_and_mix_nothing(tmp_path: Path) -> None:
    """Night k says model "m<k>" and mean k/1000: an answer put together from two versions would contradict itself."""
    store = Store(tmp_path)
    loader = small_store(store)
    publish_night(store, panel().tickers, DAYS[-1], mean=0.0, model="m0")
    seen: set[str] = set()
    wrong: list[str] = []
    stop = threading.Event()

    def load(service: LiveService) -> None:
        body = {"requests": [{"ticker": name} for name in panel().tickers]}
        while not stop.is_set():
            answer = service.client.post("/predict", json=body)
            if answer.status_code != 200:
                wrong.append(answer.text)
                continue
            items = [item["answer"] for item in answer.json()["answers"]]
            models = {item["model_version"] for item in items}
            means = {round(1000 * item["horizons"][0]["mean"]) for item in items}
            if models != {f"m{k}" for k in means} or len(models) != 1 or len({item["snapshot"] for item in items}) != 1:
                wrong.append(answer.text)
            seen.update(models)

    with LiveService(loader) as service:
        threads = [threading.Thread(target=load, args=(service,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for k in range(1, SWAPS + 1):
                publish_night(store, panel().tickers, DAYS[-1], mean=k / 1000, model=f"m{k}")
                until(lambda k=k: f"m{k}" in seen or bool(wrong))  # type: ignore[misc]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert wrong == []
    assert seen == {f"m{k}" for k in range(SWAPS + 1)}


def test_every_poll_of_the_store_is_in_the_same_thread(tmp_path: Path) -> None:
    """The allocator keeps memory per thread: each thread of a pool would keep that of a whole model."""
    threads: list[str] = []

    def open_noted(version: Version) -> StubModel:
        threads.append(threading.current_thread().name)
        return open_stub(version)

    store = Store(tmp_path)
    with LiveService(replace(small_store(store), open_model=open_noted)):
        for shift in range(3):
            publish_model(store, panel(), shift=float(shift))
            until(lambda: len(threads) >= shift + 2)  # noqa: B023 - it is called within the iteration
    assert len(threads) >= 4
    assert set(threads) == {"watch_0"}


def test_a_damaged_version_is_reported_and_replaced_by_the_next_good_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    loader = small_store(store)

    def median(service: LiveService) -> float:
        answer = service.client.get("/predict", params={"ticker": "T00", "date": str(DAYS[250])}).json()
        return round(answer["horizons"][0]["quantiles"]["q50"] - 0.025, 6)

    with LiveService(loader) as service:
        assert median(service) == 0.001
        damaged = publish_damaged(tmp_path / "store", tmp_path / "elsewhere")
        until(lambda: bool(service.client.get("/health/ready").json()["refused"]))
        health = service.client.get("/health/ready")
        assert health.status_code == 200
        assert f"bundle.json of version {damaged.id}" in health.json()["refused"][0]
        assert "forecast_refused_versions 1.0" in service.client.get("/metrics").text
        assert median(service) == 0.001
        publish_model(store, panel(), shift=0.003)
        until(lambda: not service.client.get("/health/ready").json()["refused"])
        assert median(service) == 0.003


def test_a_service_that_starts_with_a_damaged_champion_serves_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    small_store(store)
    damaged = publish_model(store, panel(), shift=0.002)
    path = damaged.path("bundle.json")
    path.write_bytes(path.read_bytes().replace(b"0.002", b"0.009"))
    with LiveService(Loader(store, open_stub, data_root=str(tmp_path))) as service:
        answer = service.client.get("/predict", params={"ticker": "T00", "date": str(DAYS[250])}).json()
        assert round(answer["horizons"][0]["quantiles"]["q50"] - 0.025, 6) == 0.001
        health = service.client.get("/health/ready")
        assert health.status_code == 200
        assert f"bundle.json of version {damaged.id}" in health.json()["refused"][0]


def publish_damaged(root: Path, elsewhere: Path) -> Version:
    """A model that was never intact here: altered in another store, then copied into this one."""
    made = publish_model(Store(elsewhere), panel(), shift=0.002)
    path = made.path("bundle.json")
    path.write_bytes(path.read_bytes().replace(b"0.002", b"0.009"))
    slot = root / "serving_model" / "all"
    shutil.copytree(path.parent, slot / made.id)
    replace_bytes(slot / "CURRENT", f"{made.id}\n".encode())
    shutil.copy(elsewhere / CHANGED, root / CHANGED)
    return made


class CountedPlace:
    """A store's place that notes what is asked of it; on an object store each is a request."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.asked: list[str] = []

    def digests(self) -> dict[Hashable, str]:
        """Nothing is asked: a place knows them itself."""
        return self.place.digests()

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any, **options: Any) -> Any:
            self.asked.append(f"{name} {arguments[0]}")
            return getattr(self.place, name)(*arguments, **options)

        return ask


def counted(root: Path, *, nights: int) -> tuple[Loader, CountedPlace]:
    """A loader that has served ``nights`` nights, and the place behind it."""
    loader = small_store(store := Store(root))
    for day in DAYS[-nights:-1]:
        publish_night(store, ("T00",), day, mean=0.01)
    place = CountedPlace(store._place)
    store._place = place
    assert loader.refresh() is not None
    place.asked.clear()
    return loader, place


def test_a_poll_with_nothing_new_is_one_small_read(tmp_path: Path) -> None:
    loader, place = counted(tmp_path, nights=12)
    assert [loader.refresh() for _ in range(3)] == [None] * 3
    assert place.asked == [f"read {CHANGED}"] * 3


def test_a_full_check_costs_no_more_for_more_nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "FULL_CHECK_SECONDS", 0.0)
    costs = []
    for nights in (6, 24):
        loader, place = counted(tmp_path / str(nights), nights=nights)
        assert loader.refresh() is None
        costs.append(len(place.asked))
    assert costs[0] == costs[1] <= 20


def test_what_is_published_between_two_polls_is_served_by_the_second(tmp_path: Path) -> None:
    loader, _ = counted(tmp_path, nights=3)
    publish_night(Store(tmp_path), ("T00",), DAYS[200], mean=0.02)
    served = loader.refresh()
    assert served is not None
    assert str(DAYS[200]) in served.issued.nights


def test_a_writer_that_died_before_it_left_its_mark_is_seen_by_the_full_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader, _ = counted(tmp_path, nights=3)
    before = (tmp_path / CHANGED).read_bytes()
    publish_night(Store(tmp_path), ("T00",), DAYS[200], mean=0.02)
    (tmp_path / CHANGED).write_bytes(before)
    assert loader.refresh() is None
    monkeypatch.setattr(loader, "_full_check_due", 0.0)
    assert loader.refresh() is not None


def test_a_version_that_could_not_be_reached_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader, _ = counted(tmp_path, nights=3)
    publish_night(Store(tmp_path), ("T00",), DAYS[200], mean=0.02)

    def unreachable(_: Version) -> None:
        raise Unreachable("the object store can't be used")

    with monkeypatch.context() as patched:
        patched.setattr(Version, "check", unreachable)
        assert loader.refresh() is None
    assert loader.problems == ["the object store can't be used"]
    assert loader.refresh() is not None
    assert loader.problems == []


@dataclass(frozen=True)
class BrokenModel(StubModel):
    """Raises on any data."""

    def forecast(self, panel: PanelTensors, rows: Tensor, *, state: CalibrationState) -> Forecast:
        raise RuntimeError("a shape does not fit")


def open_broken_beyond(version: Version) -> StubModel:
    """The stub, broken where its shift is above 0.001."""
    made = open_stub(version)
    return made if made.shift <= 0.001 else BrokenModel(made.card, made.state, made.shift)


@pytest.mark.parametrize(
    ("features", "shift", "sentence"),
    [
        ("other", 0.0, "its features are not those of windowed_tensors (['log_return', 'other'])"),
        ("log_return", 0.002, "it fails on the current windowed_tensors (RuntimeError)"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_reported_and_the_last_one_stays(
    tmp_path: Path, features: str, shift: float, sentence: str
) -> None:
    store = Store(tmp_path)
    small_store(store)
    with LiveService(Loader(store, open_broken_beyond)) as service:
        before = service.client.get("/health/ready").json()
        publish_model(store, replace(panel(), feature_names=(features, *panel().feature_names[1:])), shift=shift)
        until(lambda: bool(service.client.get("/health/ready").json()["refused"]))
        after = service.client.get("/health/ready").json()
        assert after["refused"] == [f"serving_model: {sentence}; export it again."]
        assert after["model_version"] == before["model_version"]
        computed = service.client.get("/predict", params={"ticker": "T00", "date": str(DAYS[250])}).json()
        assert round(computed["horizons"][0]["mean"], 6) == 0.026


@dataclass(frozen=True)
class SlowModel(StubModel):
    """A tenth of a second per run, whatever its batch."""

    def forecast(self, panel: PanelTensors, rows: Tensor, *, state: CalibrationState) -> Forecast:
        time.sleep(0.1)
        return super().forecast(panel, rows, state=state)


def open_slow(version: Version) -> SlowModel:
    made = open_stub(version)
    return SlowModel(made.card, made.state, made.shift)


def ask_many(service: LiveService, requests: int) -> list[tuple[int, float]]:
    """(status, median of session 201 + k) of concurrent requests for different sessions."""

    def one(k: int) -> tuple[int, float]:
        answer = service.client.get("/predict", params={"ticker": "T00", "date": str(DAYS[201 + k])})
        content = answer.json()
        return answer.status_code, content["horizons"][0]["mean"] if answer.status_code == 200 else 0.0

    with ThreadPoolExecutor(requests) as pool:
        return list(pool.map(one, range(requests)))


def test_concurrent_computed_forecasts_share_runs_and_each_gets_its_own(tmp_path: Path) -> None:
    small_store(store := Store(tmp_path))
    with LiveService(Loader(store, open_slow)) as service:
        given = ask_many(service, 16)
        assert [status for status, _ in given] == [200] * 16
        assert [mean for _, mean in given] == pytest.approx([0.001 + (201 + k) / 10_000 for k in range(16)])
        text = service.client.get("/metrics").text
        runs = next(line for line in text.splitlines() if line.startswith("forecast_model_runs "))
        assert float(runs.split()[1]) <= 8
        assert "forecast_model_decisions 16.0" in text


def test_overload_is_rejected_at_once_and_the_rest_is_served(tmp_path: Path) -> None:
    small_store(store := Store(tmp_path))
    with LiveService(Loader(store, open_slow), limits=Limits(waiting=2, batch=1)) as service:
        codes = [status for status, _ in ask_many(service, 16)]
        assert set(codes) == {200, 503}
        assert codes.count(200) >= 3
        assert service.client.get("/predict?ticker=T00").status_code == 200
