"""What stages read beside the graph, described for the UI: the records that earlier nights, promotions and people leave.

A night reads the nights before it. Dagster lets an asset depend on its own earlier partitions where these are time windows;
nights are the panel's sessions, so what it reads of them is an asset that is described, and that nothing in Dagster makes.
"""

import dagster as dg

from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames

GROUP = "records"

RECORDS = {
    "arrival_log": "When each input file came, by its digest: `ledger/arrivals.jsonl`. `raw_panel` writes it "
    "where it reads a file for the first time, and every later reading and replay goes by it.",
    "earlier_panels": "Earlier versions of the panel in the store: what nights and years were made from, and where a ticker "
    "that has left is still found. `raw_panel` and `calendar_panel` leave them; `raw_panel` compares itself with the one in "
    "use and says what was revised.",
    "issued_nights": "The forecasts that nights up to this one have issued, each committed once. `nightly_forecast` leaves "
    "them; its calibration goes on from them, `target_positions` trades on them, and `drift_checks` follows their coverage.",
    "earlier_nights": "The last nights of `target_positions` and of `drift_checks` themselves: the book that the next one "
    "trades from, and the checks that are shown over time.",
    "champion_record": "Which champion serves: the versions of `serving_model`, the verdicts of `challenger`, and what a "
    "rollback has revoked (`ledger/withdrawn.jsonl`). `serving_model` promotes, `forecast-assets rollback` revokes.",
    "trial_log": "Every configuration that was ever tried, whatever came of it: `ledger/trials.jsonl`. Years and searches "
    "write it; the report deflates its Sharpe ratio by it.",
}
"""Record -> who writes it, who reads it, and where it lies."""


def records(names: PanelNames) -> list[dg.AssetSpec]:
    """Return the records of a panel."""
    return [
        dg.AssetSpec(
            names.key(record),
            description=description,
            group_name=names.name(GROUP),
            kinds={"ledger"},
            tags={"domain": "operations", "tier": "production"},
            owners=[environment.owner()],
        )
        for record, description in RECORDS.items()
    ]
