"""What a stage can ask for by the name of a parameter, beside its parents and settings; see stage.py for what each is."""

from collections.abc import Callable, Collection
from typing import Any

import dagster as dg

from forecast_assets.champion.promotion import NIGHT, current_champion, find_next_champion
from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.core.settings import Settings
from forecast_assets.store.versions import Version

SERVICES = {
    "year",
    "day",
    "hardware",
    "engine",
    "drops",
    "macro",
    "profile",
    "tracking",
    "log",
    "folder",
    "checkpoints",
    "previous",
    "trials",
    "ledger",
    "earlier",
    "data_root",
    "champion",
    "next_champion",
}
"""``folder``, ``checkpoints`` and ``previous`` are the stage's own to give, once it knows its input key."""

EARLIER_NIGHTS = 60
"""A quarter of a year of an asset's own nights: what a plot over time shows."""


def offered(
    names: Collection[str], context: dg.AssetExecutionContext, settings: Settings, partition: str | None
) -> dict[str, Any]:
    """Those of ``names`` that can be had before the input key is known."""
    offers: dict[str, Callable[[], Any]] = {
        "year": lambda: int(partition or 0),
        "day": lambda: partition,
        "hardware": lambda: context.resources.compute.hardware(),
        "engine": lambda: context.resources.compute.engine(),
        "drops": lambda: context.resources.source.drops(settings.demo),
        "macro": lambda: context.resources.source.macro(),
        "profile": lambda: context.resources.settings.profile_name(),
        "tracking": lambda: context.resources.tracking,
        "log": lambda: context.log,
        "trials": lambda: _trials(context),
        "ledger": lambda: _ledger(context, partition),
        "earlier": lambda: _earlier(context, partition),
        "data_root": lambda: str(context.resources.store.root()),
        "champion": lambda: current_champion(context.resources.store.store(), context.resources.store.root()),
        "next_champion": lambda: find_next_champion(context.resources.store.store(), context.resources.store.root()),
    }
    return {name: offers[name]() for name in names if name in offers}


def _trials(context: dg.AssetExecutionContext) -> Any:
    from forecast_assets.resources.trial_log import collect_trials  # the definitions load without it

    return collect_trials(context.resources.store.store(), context.resources.store.root())


def _ledger(context: dg.AssetExecutionContext, day: str | None) -> dict[str, Version]:
    """The nights' forecasts up to ``day``, checked. Read from the store, since a first night has none to depend on."""
    store = context.resources.store.store()
    versions = {key: store.current(NIGHT, key) for key in store.partitions(NIGHT) if day is None or key <= day}
    for version in versions.values():
        version.check()
    return versions


def _earlier(context: dg.AssetExecutionContext, day: str | None) -> dict[str, Version]:
    """This asset's last nights before ``day``, checked. They are for showing: a damaged one is left out, with a warning."""
    store, asset = context.resources.store.store(), context.asset_key.path[-1]
    sound = {}
    for key in [key for key in store.partitions(asset) if day is None or key < day][-EARLIER_NIGHTS:]:
        try:
            sound[key] = store.current(asset, key)
            sound[key].check()
        except CorruptArtefact as error:
            sound.pop(key, None)
            context.log.warning(f"{error} It is left out of what is shown.")
    return sound
