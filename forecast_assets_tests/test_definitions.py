"""The definitions load fast, validate, and have descriptions, owners and deadlines."""

import subprocess
import sys
from typing import Any

import dagster as dg

from forecast_assets.assets.framework.freshness import LATEST_NIGHT, PARTS
from forecast_assets.automation.jobs import NIGHT_ASSETS, PANEL_ASSETS
from forecast_assets.core.models.catalogue import NETWORKS

HEAVY = (
    "torch",
    "lightning",
    "pytorch_forecasting",
    "pandas",
    "exchange_calendars",
    "dataframely",
    "matplotlib",
    "scipy",
    "hydra",
)


def test_loading_the_definitions_loads_nothing_heavy() -> None:
    code = f"import sys, forecast_assets.definitions; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_asset_selections_resolve_from_strings() -> None:
    """With an older antlr, pinned by an older Hydra, each of them raises TypeError."""
    from forecast_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    chosen = dg.AssetSelection.from_string('group:"models" and not key:"baselines"').resolve(graph)
    assert {key.to_user_string() for key in chosen} == {*NETWORKS, "f0_chronos", "ensemble"}


def test_the_definitions_validate() -> None:
    from forecast_assets.definitions import defs

    dg.Definitions.validate_loadable(defs)


def test_each_setting_of_a_stage_is_in_its_launchpad_with_its_description() -> None:
    from forecast_assets.core.models.catalogue import TftSpec
    from forecast_assets.definitions import defs

    schema: Any = defs.resolve_assets_def("b2_tft_ticker").op.config_schema.config_type
    section = schema.fields["b2_tft_ticker"].config_type
    assert set(TftSpec.model_fields) == set(section.fields)
    assert section.fields["fits"].description == TftSpec.model_fields["fits"].description


def test_every_asset_has_an_owner_and_what_a_night_makes_a_deadline() -> None:
    from forecast_assets.definitions import defs

    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert {owner for spec in specs.values() for owner in spec.owners} == {"team:forecasting"}
    assert all(spec.owners for spec in specs.values())
    watched = {name for name, spec in specs.items() if spec.freshness_policy is not None}
    assert watched == {*PANEL_ASSETS, "serving_model", LATEST_NIGHT}
    assert {*PARTS, "serving_model"} == set(NIGHT_ASSETS)


def test_every_asset_that_may_be_computed_again_declares_its_code_version_in_the_ui() -> None:
    from forecast_assets.assets.framework.stage import STAGES
    from forecast_assets.assets.framework.staleness import with_code_versions
    from forecast_assets.definitions import ASSETS
    from forecast_assets.resources.settings import compose_settings

    shown, other = (
        {spec.key.to_user_string(): spec.code_version for asset in declared for spec in asset.specs}
        for overrides in ([], ["drift.recent_sessions=33"])
        for declared in [with_code_versions(ASSETS, STAGES, compose_settings("smoke", overrides))]
    )
    committed_once = {"challenger", "nightly_forecast"}
    assert {asset for asset, version in shown.items() if not version} == committed_once
    assert {asset for asset in shown if shown[asset] != other[asset]} == {"drift_checks"}


def test_every_stage_has_a_description_an_owner_a_kind_tags_and_a_check() -> None:
    from forecast_assets.assets.framework.stage import STAGES
    from forecast_assets.definitions import ASSETS, defs

    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert {"domain", "tier"} <= set(spec.tags), spec.key
    with_checks = {asset.key.to_user_string() for asset in ASSETS if list(asset.check_specs)}
    assert with_checks == {asset.key.to_user_string() for asset in ASSETS} & set(STAGES)


def test_every_resource_says_what_it_is_and_each_of_its_fields_too() -> None:
    from forecast_assets.definitions import RESOURCES, defs

    described = {name: each.description for name, each in defs.get_repository_def().get_top_level_resources().items()}
    assert set(described) == set(RESOURCES)
    assert all(described.values()), described
    settings = [each for each in RESOURCES.values() if isinstance(each, dg.ConfigurableResource)]
    assert len(settings) == 5
    without = [name for each in settings for name, field in type(each).model_fields.items() if not field.description]
    assert without == []
