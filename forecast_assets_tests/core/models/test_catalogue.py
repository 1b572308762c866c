"""One catalogue of networks: what is made from it agrees with it."""

import pytest

from forecast_assets.core.models.catalogue import (
    CANDIDATES,
    CATALOGUE,
    EARLIER_NAMES,
    EXPERIMENTS,
    MLP_BASELINE,
    MODELS,
    NETWORKS,
    Model,
)
from forecast_assets.core.report.ablation import STEPS
from forecast_assets.core.settings import Settings
from forecast_assets.resources.settings import compose_settings


def test_every_network_but_the_baseline_is_a_candidate_and_a_step() -> None:
    assert (MLP_BASELINE, *CANDIDATES) == NETWORKS
    assert {model for model, _, _ in STEPS} >= set(CANDIDATES)
    assert {model.step.against for model in CATALOGUE if model.step} <= set(NETWORKS)


def test_no_two_models_have_a_name_in_common() -> None:
    assert len(MODELS) == len(EXPERIMENTS) == len(CATALOGUE)


@pytest.mark.parametrize("model", CATALOGUE, ids=lambda model: model.key)
def test_a_network_has_a_section_of_the_settings_of_its_own_type(model: Model) -> None:
    assert Settings.model_fields[model.key].annotation is model.spec
    assert type(compose_settings("smoke", []).network(model.key)) is model.spec


def test_a_family_is_set_at_once_and_one_network_by_itself() -> None:
    settings = compose_settings("demo", ["tft.epochs=9", "b2_tft_ticker.epochs=7"])
    epochs = {key: settings.network(key).most_epochs for key, model in MODELS.items() if model.family == "tft"}
    assert epochs == {"b1_tft": 9, "b2_tft_ticker": 7, "b3_tft_sector": 9, "b5_moe": 9, "b6_graph": 9, "b7_maml": 9}


def test_settings_that_an_earlier_release_published_are_read_under_todays_names() -> None:
    settings = compose_settings("smoke", []).network("b7_maml")
    names = {today: earlier for earlier, today in EARLIER_NAMES.items()}
    earlier = {names.get(name, name): value for name, value in settings.model_dump(mode="json").items()}
    assert earlier.keys() >= EARLIER_NAMES.keys()
    assert type(settings).published(earlier) == settings
