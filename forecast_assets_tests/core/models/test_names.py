"""A network is named in a handful of places, for reasons of their own; this holds them against each other."""

import dataclasses

import pytest

from forecast_assets.assets.fold.candidates import Candidates, CandidateSpecs
from forecast_assets.core.models.names import CANDIDATES, MLP_BASELINE, NETWORKS
from forecast_assets.core.models.registry import MODELS
from forecast_assets.core.report.ablation import STEPS
from forecast_assets.core.specs import Settings


def test_every_list_of_networks_has_the_same_names() -> None:
    from forecast_assets.assets.networks import NETWORK_ASSETS

    assert tuple(MODELS) == NETWORKS
    assert tuple(asset.key.to_user_string() for asset in NETWORK_ASSETS) == NETWORKS
    assert (MLP_BASELINE, *CANDIDATES) == NETWORKS
    for group in (Candidates, CandidateSpecs):
        assert tuple(field.name for field in dataclasses.fields(group)) == CANDIDATES
    assert {model for model, _, _ in STEPS} >= set(CANDIDATES)


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_sweep_has_the_settings_of_each_as_the_run_has(name: str) -> None:
    of_a_run = Settings.model_fields[name].annotation
    assert {field.name: field.type for field in dataclasses.fields(CandidateSpecs)}[name] is of_a_run
