"""Injected inputs of a stage."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from forecast_assets.assets.framework.inputs import StageContext, _earlier_nights, _issued_nights
from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import publish


def context(store: Store, asset: str, day: str, log: Mock) -> StageContext:
    resources: Any = SimpleNamespace(store=SimpleNamespace(store=lambda: store))
    dagster: Any = SimpleNamespace(log=log)
    nothing: Any = None
    return StageContext(asset, day, dagster, resources, nothing)


def test_earlier_nights_leave_out_later_ones_and_damaged_ones_with_a_warning(tmp_path: Path) -> None:
    store, log = Store(tmp_path), Mock()
    for day in ("2025-07-01", "2025-07-02", "2025-07-03", "2025-07-04"):
        publish(store, {"table": day}, partition=day)
    store.current("panel", "2025-07-02").path("table").write_text("2025-07-03")
    found = _earlier_nights(context(store, "panel", "2025-07-04", log))
    assert list(found) == ["2025-07-01", "2025-07-03"]
    (warning,) = log.warning.call_args.args
    assert "panel/2025-07-02" in warning
    assert warning.endswith("left out of what is shown.")


def test_a_damaged_night_can_be_made_again_and_stops_what_reads_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day in ("2025-07-01", "2025-07-02"):
        publish(store, {"table": day}, asset="nightly_forecast", partition=day)
    store.current("nightly_forecast", "2025-07-02").path("table").write_text("2025-07-03")
    itself = _issued_nights(context(store, "nightly_forecast", "2025-07-02", Mock()))
    assert list(itself) == ["2025-07-01"]
    with pytest.raises(CorruptArtefact, match="materialise it again"):
        _issued_nights(context(store, "target_positions", "2025-07-02", Mock()))
