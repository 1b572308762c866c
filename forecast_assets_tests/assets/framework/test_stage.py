"""Inputs and settings of a stage are read off its signature."""

from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from forecast_assets.assets.framework.inputs import Log, Year
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.parameters import Parameters
from forecast_assets.assets.framework.stage import stage
from forecast_assets.assets.networks import network_asset
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.specs import WindowSpec
from forecast_assets.store.versions import Version


def settings_of(asset: dg.AssetsDefinition) -> set[str]:
    """Return the settings that the launchpad offers, which are those that the stage reads."""
    kind: Any = asset.op.config_schema.as_field().config_type
    return set(kind.fields)


@dataclass(frozen=True)
class Shared(Parameters):
    raw_panel: Version
    b0_mlp: dict[str, Version]
    windows: WindowSpec
    year: Year


def test_the_fields_of_a_group_are_read_like_parameters() -> None:
    def grouped(calendar_panel: Version, shared: Shared, log: Log) -> StageOutput:
        raise NotImplementedError

    asset = stage(group="panel", kinds=set())(grouped)
    assert set(asset.keys_by_input_name) == {"calendar_panel", "raw_panel", "b0_mlp"}
    assert settings_of(asset) == {"windows"}


def test_networks_differ_in_their_own_settings_alone() -> None:
    b0_mlp, b4_patchtst = (network_asset(MODELS[key]) for key in ("b0_mlp", "b4_patchtst"))
    assert settings_of(b0_mlp) == {"b0_mlp", "folds", "windows", "calibration"}
    assert settings_of(b4_patchtst) == {"b4_patchtst", "folds", "windows", "calibration"}
    assert b4_patchtst.descriptions_by_key[b4_patchtst.key].startswith("B4: a PatchTST encoder")


def test_a_parameter_of_an_unknown_kind_is_an_error_at_definition() -> None:
    def odd(raw_panel: Version, hardware: Any) -> StageOutput:
        raise NotImplementedError

    with pytest.raises(
        TypeError, match=r"parameter hardware: typing\.Any is no parent, no settings and no injected input"
    ):
        stage(group="panel", kinds=set())(odd)
