"""Inputs and settings of a stage are read off its signature."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.stage import Parameters, stage
from forecast_assets.assets.networks import b0_mlp, b4_patchtst
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
    year: int


def test_the_fields_of_a_group_are_read_like_parameters() -> None:
    def grouped(calendar_panel: Version, shared: Shared, log: Any) -> StageOutput:
        raise NotImplementedError

    asset = stage(group="panel", kinds=set())(grouped)
    assert set(asset.keys_by_input_name) == {"calendar_panel", "raw_panel", "b0_mlp"}
    assert settings_of(asset) == {"windows"}


def test_networks_differ_in_their_own_settings_and_in_whether_they_are_calibrated() -> None:
    assert settings_of(b0_mlp) == {"b0_mlp", "folds", "windows"}
    assert settings_of(b4_patchtst) == {"b4_patchtst", "folds", "windows", "calibration"}
    assert b4_patchtst.descriptions_by_key[b4_patchtst.key].startswith("B4: a PatchTST encoder")
