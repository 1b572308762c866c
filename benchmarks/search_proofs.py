"""What the search chooses on a real panel when its test years change: the number of proofs in which a setting differs.

    python -m benchmarks.search_proofs                       the 40-ticker panel; about ten minutes of one core
    python -m benchmarks.search_proofs --panel other.csv     a trial, printed and not recorded

A small search, from the raw file to the settings it publishes, on half of the tickers, so that which are drawn matters. It
is repeated with each change of ``helpers.changed_test_years``, from the first test year on. Nothing is forecast in a test
year.
"""

import argparse
import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import CHOICES, TUNED_SETTINGS
from forecast_assets_tests.helpers.changed_test_years import CHANGES
from forecast_assets_tests.helpers.graph import PANEL, Graph
from forecast_assets_tests.helpers.paths import PANEL_40
from tools.results import record

STAGES = (*PANEL, "sweep")
SETTINGS = (
    "sweep.years=[2017,2018]",
    "sweep.max_tickers=20",
    "sweep.models=[b2_tft_ticker,b4_patchtst]",
    "sweep.hidden=[16]",
    "sweep.learning_rate=[0.001,0.003]",
    "sweep.lookback=[60]",
    "sweep.epochs=1",
    "sweep.samples_per_epoch=512",
    "sweep.trials=3",
)


def searched(rows: pl.DataFrame) -> dict[str, Any]:
    """Return setting -> value as chosen on raw ``rows``, the winning trial, and each score."""
    with tempfile.TemporaryDirectory() as folder, Graph(Path(folder), profile="full") as graph:
        rows.write_csv(panel := Path(folder) / "panel.csv")
        outcome = graph.run(*STAGES, overrides=SETTINGS, panel=panel)
        if outcome.failures:
            raise SystemExit("\n".join(failed.message for failed in outcome.failures))
        version, trials = graph.version("sweep"), graph.table("sweep")
        tuned = version.json(TUNED_SETTINGS)
        scored = [trials[name].to_list() for name in trials.columns if name.startswith(("mae", "pinball", "coverage"))]
        if CHOICES in version.manifest.files:
            scored.append(pl.read_parquet(version.path(CHOICES))["score"].to_list())
        chosen = {"winner": tuned["trial"], **tuned["settings"]}
        return {"chosen": chosen, "scores": [score for column in scored for score in column]}


def measure(panel: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of all proofs on the raw file ``panel``."""
    rows = pl.read_csv(panel, try_parse_dates=True)
    since = dt.date(compose_settings("full", []).folds.first_test_year, 1, 1)
    before = searched(rows)
    print(json.dumps(before), flush=True)
    proofs = {}
    for name, change in CHANGES.items():
        after = searched(change(rows, since))
        print(json.dumps({name: after}), flush=True)
        keys = sorted(before["chosen"].keys() | after["chosen"].keys())
        proofs[name] = {
            "changed": [key for key in keys if before["chosen"].get(key) != after["chosen"].get(key)],
            "scores_changed": scores_changed(before["scores"], after["scores"]),
        }
    return {
        "search_winner_changed": {
            "value": sum(bool(proof["changed"]) for proof in proofs.values()),
            "unit": f"of {len(proofs)} proofs in which the winner or a chosen setting differs",
            "proofs": proofs,
            "chosen": before["chosen"],
            "scores": len(before["scores"]),
        }
    }


def scores_changed(before: list[float | None], after: list[float | None]) -> int:
    """Return how many scores are not the same to the last bit."""
    if len(before) != len(after):
        return max(len(before), len(after))
    return sum(one != other for one, other in zip(before, after, strict=True))


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--panel", type=Path, default=PANEL_40, help="raw CSV file; recorded where it is the 40 tickers"
    )
    given = parser.parse_args()
    if not given.panel.exists():
        raise SystemExit(f"{given.panel} does not exist: the reference panel is needed")
    measured = measure(given.panel)
    print(json.dumps(measured, indent=2))
    if given.panel.name == PANEL_40.name:
        record("search_proofs", measured, command="python -m benchmarks.search_proofs")


if __name__ == "__main__":
    main()
