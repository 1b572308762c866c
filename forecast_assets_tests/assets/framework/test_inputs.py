"""What a stage gets beside its parents and settings."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from forecast_assets.assets.framework.inputs import StageContext, _earlier_nights
from forecast_assets.store.store import Store
from forecast_assets_tests.store.builders import publish


def test_a_damaged_earlier_night_is_left_out_with_a_warning_and_later_ones_are_not_there(tmp_path: Path) -> None:
    store, log = Store(tmp_path), Mock()
    for day in ("2025-07-01", "2025-07-02", "2025-07-03", "2025-07-04"):
        publish(store, {"table": day}, partition=day)
    store.current("panel", "2025-07-02").path("table").write_text("2025-07-03")
    resources = SimpleNamespace(store=SimpleNamespace(store=lambda: store))
    dagster: Any = SimpleNamespace(resources=resources, log=log)
    nothing: Any = None
    found = _earlier_nights(StageContext("panel", "2025-07-04", dagster, nothing))
    assert list(found) == ["2025-07-01", "2025-07-03"]
    (told,) = log.warning.call_args.args
    assert "panel/2025-07-02" in told
    assert told.endswith("left out of what is shown.")
