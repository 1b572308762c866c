"""Replays have a data root of their own: one that serves is left as it is."""

from forecast_assets.core.errors import BadInput
from forecast_assets.resources import environment
from forecast_assets.store.asset_keys import ENSEMBLE, NIGHTLY_FORECAST, RAW_PANEL, SERVING_MODEL
from forecast_assets.store.store import Store

NOW = "now"  # what the raw panel's facts say of a reading that is no replay


def as_of_fact() -> str:
    """Return the time of the replay for the facts of a raw panel."""
    as_of = environment.as_of()
    return str(as_of.moment) if as_of else NOW


def require_own_root(store: Store, data_root: str) -> None:
    """Raise BadInput for a replay where the panel of now is current, and years, nights or a champion are made from it.

    A replay makes the older panel current, and all that is made from it. The service would follow, and refuse what it
    answered before.
    """
    as_of = environment.as_of()
    if as_of is None or not store.has(RAW_PANEL):
        return
    in_use = store.has(SERVING_MODEL) or store.partitions(ENSEMBLE) or store.partitions(NIGHTLY_FORECAST)
    facts = store.current(RAW_PANEL).manifest.facts
    # An earlier release did not say so; what it left unread tells a replay.
    unread = facts["rows_after_as_of"] or facts["files_after_as_of"]
    if not in_use or facts.get("as_of", str(as_of) if unread else NOW) != NOW:
        return
    day, root = as_of.day, data_root.rstrip("/")
    raise BadInput(
        f"--as-of {day}: a replay would put an older panel in the place of the one in {root}, under the service too; replay "
        f"in a data root of its own, which forecast-assets fork {root}-replay --as-of {day} makes, with --data-dir "
        f"{root}-replay. A night that is missing here is made by forecast-assets nightly, without --as-of"
    )
