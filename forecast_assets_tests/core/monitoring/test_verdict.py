import datetime as dt
import json

import polars as pl

from forecast_assets.core.monitoring.coverage import EPISODES, CoverageLimits
from forecast_assets.core.monitoring.verdict import drift_verdict

TODAY = dt.date(2024, 6, 28)
LIMITS = CoverageLimits(
    centre=0.95, low=0.9, high=0.98, decay=0.9, mean_names=40.0, false_alerts_per_year=0.5, history_days=700
)


def features(*alerts: bool) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "feature": [f"f{i}" for i in range(len(alerts))],
            "ks_distance": [0.5 if alert else 0.1 for alert in alerts],
            "p_value": [0.001 if alert else 0.5 for alert in alerts],
            "alert": list(alerts),
        }
    )


def episodes(*ongoing: bool) -> pl.DataFrame:
    rows = [(TODAY - dt.timedelta(days=9 - i), TODAY, 4, "below", last) for i, last in enumerate(ongoing)]
    return pl.DataFrame(rows, schema=EPISODES, orient="row")


def verdict(drifted: pl.DataFrame, rule: pl.DataFrame, alarm: pl.DataFrame | None, *, loss: str = "ok") -> dict:
    found = drift_verdict(
        as_of=TODAY,
        features=drifted,
        rule=rule,
        alarm=alarm,
        limits=LIMITS if alarm is not None else None,
        loss={"state": loss, "sentence": "Losses."},
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_quiet_monitors_are_ok() -> None:
    found = verdict(features(False, False), episodes(), episodes(False))
    assert found["level"] == "ok"
    assert found["monitors"]["coverage_alarm"]["episode"] is None
    assert "1 episode on record" in found["monitors"]["coverage_alarm"]["sentence"]


def test_the_fixed_rule_is_information_and_no_more() -> None:
    found = verdict(features(False), episodes(False, True), episodes())
    assert found["level"] == "information"
    assert found["monitors"]["coverage_rule"]["episode"] == "2024-06-20"


def test_a_high_estimated_loss_is_information_and_an_unknown_one_is_nothing() -> None:
    assert verdict(features(False), episodes(), episodes(), loss="information")["level"] == "information"
    assert verdict(features(False), episodes(), episodes(), loss="unknown")["level"] == "ok"


def test_the_calibrated_alarm_and_a_moved_feature_are_warnings() -> None:
    assert verdict(features(False), episodes(True), episodes(True))["level"] == "warning"
    found = verdict(features(False, True), episodes(), episodes())
    assert found["level"] == "warning"
    assert found["monitors"]["features"]["sentence"] == "1 of 2 features moved away from the reference period: f1."


def test_an_alarm_without_limits_is_unknown_and_not_ok() -> None:
    found = verdict(features(False), episodes(), None)
    assert found["monitors"]["coverage_alarm"]["state"] == "unknown"
    assert found["level"] == "ok"
