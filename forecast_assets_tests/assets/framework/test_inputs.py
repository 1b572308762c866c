"""Injected inputs of a stage."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from forecast_assets.assets.framework.inputs import StageContext, _earlier_nights
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import publish


def test_earlier_nights_leave_out_later_ones_and_damaged_ones_with_a_warning(tmp_path: Path) -> None:
    store, log = Store(tmp_path), Mock()
    for day in ("2025-07-01", "2025-07-02", "2025-07-03", "2025-07-04"):
        publish(store, {"table": day}, partition=day)
    store.current("panel", "2025-07-02").path("table").write_text("2025-07-03")
    resources: Any = SimpleNamespace(store=SimpleNamespace(store=lambda: store))
    dagster: Any = SimpleNamespace(log=log)
    nothing: Any = None
    found = _earlier_nights(StageContext("panel", "2025-07-04", dagster, resources, nothing))
    assert list(found) == ["2025-07-01", "2025-07-03"]
    (warning,) = log.warning.call_args.args
    assert "panel/2025-07-02" in warning
    assert warning.endswith("left out of what is shown.")
