"""What the next champion would be made from, observed: by it the UI knows whether ``serving_model`` would be another one.

A bundle is made from the members and weights of the newest year's ensemble, or from the challenger promoted over it. An
ensemble that was made again of the same weights, or a challenger that was not promoted, changes nothing.
"""

import warnings
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from forecast_assets.assets.framework.staleness import observation
from forecast_assets.champion.promotion import find_next_champion, revocation
from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import MEMBERS
from forecast_assets.store.asset_keys import CHALLENGER, ENSEMBLE

NEXT_CHAMPION = "next_champion"

MADE_FROM = (ENSEMBLE, CHALLENGER)  # what can change it


def next_champion(names: PanelNames) -> dg.AssetsDefinition:
    """Return the asset that shows what a panel's next champion would be made from."""
    spec = dg.AssetSpec(
        names.key(NEXT_CHAMPION),
        description="What the next champion would be made from: the members and weights of the newest year's ensemble, or "
        "the challenger that was promoted over them. Looked at whenever one of these is made; where it has changed, "
        "`serving_model` is out of date.",
        deps=[names.key(asset) for asset in MADE_FROM],
        group_name=names.name("night"),
        kinds={"ledger"},
        owners=[environment.owner()],
        tags={"domain": "operations", "tier": "production"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # the decorator's own: a user can do nothing about it
        decorate = dg.multi_observable_source_asset(name=names.name(f"observe_{NEXT_CHAMPION}"), specs=[spec])
        return decorate(names.renamed(observe))


def observe(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[dg.ObserveResult]:
    """Record what the next champion would be made from. Raises MissingArtefact where there can be none yet."""
    yield dg.ObserveResult(asset_key=store.names.key(NEXT_CHAMPION), data_version=dg.DataVersion(_made_from(store)))


def report_next_champion(instance: dg.DagsterInstance, where: StoreResource) -> None:
    """Record what the next champion would be made from, where that has changed; nothing where there can be none.

    What is damaged is for ``serving_model`` to say: what has just been published is sound.
    """
    store = where.store()
    years = store.partitions(ENSEMBLE)
    try:
        if not years or MEMBERS not in store.current(ENSEMBLE, years[-1]).manifest.files:
            return
        now = _made_from(where)
    except (MissingArtefact, CorruptArtefact):
        return
    of_asset = dg.AssetRecordsFilter(where.names.key(NEXT_CHAMPION))
    last = instance.fetch_observations(of_asset, limit=1).records
    before = last[0].asset_observation if last else None
    if before is None or before.tags is None or before.tags.get(DATA_VERSION_TAG) != now:
        event, _ = observation(NEXT_CHAMPION, now, where.names)
        instance.report_runless_asset_event(event)


def _made_from(where: StoreResource) -> str:
    return revocation(find_next_champion(where.store(), where.root()).seen)
