"""Publish a finished run: copy the metrics of both reports to ``benchmarks/metrics``, and note the code that made them.

    python -m tools.publish data/full      then: python -m tools.pages

The README says, from what is noted, which stages have changed since; a test fails where what it says is not so.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from forecast_assets.assets.framework.stage import STAGES
from forecast_assets.definitions import defs
from forecast_assets.store.artefact_files import ABLATION_METRICS, BACKTEST_METRICS
from forecast_assets.store.asset_keys import BACKTEST_REPORT
from forecast_assets.store.store import Store
from tools.results import ROOT

METRICS = ROOT / "benchmarks" / "metrics"
STAGES_FILE = METRICS / "panel_stages.json"
ABLATION_REPORT = "ablation_report"
COPIED = {"panel.json": (BACKTEST_REPORT, BACKTEST_METRICS), "panel_ablation.json": (ABLATION_REPORT, ABLATION_METRICS)}


def stages_of(store: Store) -> dict[str, str]:
    """Return the code version of each stage that the reports of a store rest on.

    Raises SystemExit where years of one stage were made by different code, MissingArtefact where there is no report.
    """
    found: dict[str, str] = {}
    waiting: list[tuple[str, str | None]] = [(asset, None) for asset, _ in COPIED.values()]
    seen = set(waiting)
    while waiting:
        asset, partition = waiting.pop()
        manifest = store.current(asset, partition).manifest
        if found.setdefault(asset, manifest.code_version) != manifest.code_version:
            raise SystemExit(
                f"{asset}: its years were made by different code; run the graph again before you publish it"
            )
        for label in manifest.parents:
            name, _, part = label.partition("/")
            slot = (name, part or None)
            if name in STAGES and slot not in seen and store.has(*slot):  # others are files and settings
                seen.add(slot)
                waiting.append(slot)
    return dict(sorted(found.items()))


def current_stages() -> dict[str, str]:
    """Return the code version of each stage as the code is now."""
    names = {key.path[-1] for key in defs.resolve_asset_graph().materializable_asset_keys}
    return {name: stage.code_version for name, stage in STAGES.items() if name in names}


def sentence(published: Mapping[str, str] | None, current: Mapping[str, str]) -> str:
    """Say which stages have changed since the published run; None: it did not note its code."""
    if published is None:
        return "That run did not note the code of its stages: all of them count as changed since."
    changed = [f"`{name}`" for name, version in sorted(published.items()) if current.get(name) != version]
    if not changed:
        return f"None of its {len(published)} stages has changed since."
    return f"Changed since, of its {len(published)} stages: {', '.join(changed)}."


def published_stages() -> dict[str, str] | None:
    """Return what the published run noted; None where it noted nothing."""
    return json.loads(STAGES_FILE.read_text(encoding="utf-8")) if STAGES_FILE.exists() else None


def publish(root: Path) -> None:
    """Copy the metrics of a store's reports, and note the code of their stages. Raises as ``stages_of``."""
    store = Store(root)
    stages = stages_of(store)
    for name, (asset, file) in COPIED.items():
        (METRICS / name).write_bytes(store.current(asset).path(file).read_bytes())
    STAGES_FILE.write_text(json.dumps(stages, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Copy and note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path, help="of a finished run")
    publish(parser.parse_args().data_root / "store")
    print(sentence(published_stages(), current_stages()))


if __name__ == "__main__":
    main()
