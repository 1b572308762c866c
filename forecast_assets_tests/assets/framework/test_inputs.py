"""What a stage gets by the name of a parameter."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from forecast_assets.assets.framework.inputs import offered
from forecast_assets.store.store import Store
from forecast_assets_tests.store.builders import publish


def test_a_damaged_earlier_night_is_left_out_with_a_warning_and_later_ones_are_not_there(tmp_path: Path) -> None:
    store, log = Store(tmp_path), Mock()
    for day in ("2025-07-01", "2025-07-02", "2025-07-03", "2025-07-04"):
        publish(store, {"table": day}, partition=day)
    store.current("panel", "2025-07-02").path("table").write_text("2025-07-03")
    resources = SimpleNamespace(store=SimpleNamespace(store=lambda: store))
    context: Any = SimpleNamespace(resources=resources, asset_key=SimpleNamespace(path=["panel"]), log=log)
    nothing: Any = None
    found = offered(["earlier"], context, nothing, "2025-07-04")["earlier"]
    assert list(found) == ["2025-07-01", "2025-07-03"]
    (told,) = log.warning.call_args.args
    assert "panel/2025-07-02" in told
    assert told.endswith("left out of what is shown.")
