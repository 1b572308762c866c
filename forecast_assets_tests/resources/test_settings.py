import os
from pathlib import Path

import pytest

from forecast_assets import model_files
from forecast_assets.core.errors import BadSetting
from forecast_assets.core.settings import Settings
from forecast_assets.resources.settings import SettingsResource, compose_settings, profiles, validated


@pytest.mark.parametrize("profile", profiles())
def test_every_profile_fills_every_setting(profile: str) -> None:
    assert isinstance(compose_settings(profile, []), Settings)


def test_a_profile_changes_what_it_says_and_leaves_the_rest() -> None:
    smoke, full = compose_settings("smoke", []), compose_settings("full", [])
    assert smoke.windows.lookback == 20
    assert full.windows.lookback == 120
    assert smoke.backtest.cost_bps == full.backtest.cost_bps == 5.0


def test_an_override_wins_even_for_a_setting_that_stands_in_no_file() -> None:
    settings = compose_settings("smoke", ["backtest.cost_bps=8", "b2_tft_ticker.epochs=7"])
    assert settings.backtest.cost_bps == 8
    assert settings.b2_tft_ticker.epochs == 7


def test_the_declared_corrections_can_be_left_out() -> None:
    assert {c.ticker for c in compose_settings("full", []).panel.corrections} == {"DHR", "VIV.PA", "AMCR", "SW"}
    assert compose_settings("full", ["corrections=none"]).panel.corrections == ()


@pytest.mark.parametrize("profile", profiles())
def test_the_reference_panels_trials_are_declared_only_where_asked_for(profile: str) -> None:
    assert compose_settings(profile, []).verdict.declared_trials == ()
    declared = compose_settings(profile, ["verdict=reference"]).verdict.declared_trials
    assert {"equal weight, daily", "LightGBM 20-day"} <= {trial.name for trial in declared}


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadSetting, match="no profile 'huge'; choose one of demo, full, smoke"):
        compose_settings("huge", [])


def test_an_unknown_setting_is_named_with_the_nearest_one() -> None:
    with pytest.raises(BadSetting, match=r"b2_tft_ticker\.epoch.*nearest is b2_tft_ticker\.epochs"):
        compose_settings("smoke", ["b2_tft_ticker.epoch=7"])


def test_a_value_out_of_range_is_reported_with_its_setting() -> None:
    with pytest.raises(BadSetting, match=r"backtest\.cost_bps: Input should be greater than or equal to 0, got -1"):
        compose_settings("smoke", ["backtest.cost_bps=-1"])


def test_a_replay_does_not_apply_a_correction_that_was_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    late = "{ticker: A, kind: trim, date: 2020-01-02, known_from: 2020-03-02, reason: found late}"
    early = "{ticker: B, kind: trim, date: 2020-01-02, reason: declared from the start}"
    settings = SettingsResource(profile="smoke", overrides=[f"panel.corrections=[{late},{early}]"])

    def tickers(as_of: str) -> list[str]:
        monkeypatch.setenv("FORECAST_AS_OF", as_of)
        return [correction.ticker for correction in settings.settings().panel.corrections]

    assert tickers("2020-03-01") == ["B"]
    assert tickers("2020-03-02") == ["A", "B"]
    assert tickers("") == ["A", "B"]


def test_a_profile_names_files_of_models_which_have_to_be_loaded_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("# @package _global_\nmodels: [~/a.py, b.py]\n")
    monkeypatch.setattr(model_files, "PROFILES", tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("FORECAST_PROFILE", "mine")
    monkeypatch.setenv("FORECAST_MODELS", f"c.py{os.pathsep}~/d.py")
    assert model_files.model_files() == ["/home/somebody/a.py", "b.py", "c.py", "/home/somebody/d.py"]
    content = {"models": ["b.py"]}
    with pytest.raises(
        BadSetting, match=r"models: b.py was not loaded when this process began; choose the profile with"
    ):
        validated(content)


def test_without_a_profile_named_the_files_are_those_of_the_default_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model_files, "PROFILES", tmp_path)
    monkeypatch.delenv("FORECAST_PROFILE", raising=False)
    monkeypatch.delenv("FORECAST_MODELS", raising=False)
    (tmp_path / "demo.yaml").write_text("models: [mine.py]\n")
    assert model_files.model_files() == ["mine.py"]


def test_without_a_name_there_are_no_files_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_files.model_files() == []
    monkeypatch.setenv("FORECAST_PROFILE", "no_such_profile")
    assert model_files.model_files() == []
