"""The stages of a simulated night: the real machinery around stand-ins whose files are digests of what they were made from.

What a stage needs is injected as in the graph, and published, found again and committed once as there. Only what takes
minutes is left out: reading prices, training, forecasting.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import polars as pl

from forecast_assets.assets.framework.inputs import Champion, DataRoot, Day, IssuedNights, RawFiles, Renames, Successor
from forecast_assets.assets.framework.materialise import Stage
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.parameters import is_by_partition, parameters_of
from forecast_assets.assets.framework.replays import as_of_fact
from forecast_assets.assets.nightly_forecast import require_out_of_sample
from forecast_assets.assets.raw_panel import partitions_of
from forecast_assets.champion.promotion import revocation
from forecast_assets.core.panel.days_to_come import reject_far
from forecast_assets.core.specs import PanelSpec
from forecast_assets.resources.arrival_log import record_arrivals
from forecast_assets.resources.store_io import Prepared, StoreIOManager
from forecast_assets.store.artefact_files import CARD, CHALLENGER_VERDICT, MEMBERS, NIGHT_RECORD, PARTITIONS
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

PANEL = ("raw_panel",)
NIGHT = ("challenger", "serving_model", "nightly_forecast", "target_positions", "drift_checks")
"""The assets of a run, in their order."""

ONCE = ("challenger", "nightly_forecast")
BY_DAY = ("challenger", "nightly_forecast", "target_positions", "drift_checks")
PROMOTED_SHARE = 0.4
LABELS_END = dt.timedelta(days=2)  # a challenger's last label comes so long before its night


@dataclass(frozen=True)
class StandIns:
    """The stage functions; each calls ``meanwhile`` while it works, where others act on the same store."""

    meanwhile: Callable[[], None]

    def raw_panel(self, files: RawFiles, panel: PanelSpec, data_root: DataRoot) -> StageOutput:
        """Sessions of the files: those whose day had begun when the file was first read."""
        days: set[dt.date] = set()
        for file in files.files:
            assert file.first_seen is not None
            accepted = _accepted(file.path.read_text(), file.first_seen)
            days.update(day for day in accepted if files.until is None or day <= files.until)
        self.meanwhile()
        record_arrivals(data_root, files.new)
        facts: dict[str, int | float | str] = {"as_of": as_of_fact()}
        facts |= {"rows_after_as_of": 0, "files_after_as_of": len(files.later)}
        return StageOutput({PARTITIONS: partitions_of(sorted(days), None)}, facts)

    def challenger(self, raw_panel: Version, champion: Champion, day: Day) -> StageOutput:
        """Whether a challenger of the champion is promoted, by a digest instead of its scores."""
        self.meanwhile()
        if champion is None:
            return StageOutput({CHALLENGER_VERDICT: {"promoted": False, "champion": None}})
        made = _digest(raw_panel.data_version, champion.data_version, day)
        cutoff = max(dt.date.fromisoformat(day) - LABELS_END, dt.date.fromisoformat(champion.json(CARD)["cutoff"]))
        verdict = {
            "promoted": int(made[:8], 16) < PROMOTED_SHARE * 2**32,
            "champion": champion.json(CARD)["model_version"],
            "cutoff": str(cutoff),
        }
        return StageOutput({CHALLENGER_VERDICT: verdict, "weights.txt": made})

    def serving_model(self, next_champion: Successor) -> StageOutput:
        """The bundle of whoever is next."""
        self.meanwhile()
        challenger = next_champion.challenger
        made_of = next_champion.base.json(MEMBERS) if challenger is None else challenger.json(CHALLENGER_VERDICT)
        fits = {label: fit.data_version for label, fit in next_champion.fits.items()} if challenger is None else {}
        card = {"model_version": revocation(next_champion.seen), "cutoff": made_of["cutoff"]}
        return StageOutput({CARD: card, "model.txt": _digest(card["model_version"], canonical_json(fits))})

    def nightly_forecast(
        self, raw_panel: Version, serving_model: Version, issued: IssuedNights, renames: Renames, day: Day
    ) -> StageOutput:
        """Forecasts that are a digest of all that a night reads."""
        cutoff = dt.date.fromisoformat(serving_model.json(CARD)["cutoff"])
        require_out_of_sample(day, serving_model, cutoff=cutoff)
        self.meanwhile()
        earlier = [version.data_version for night, version in sorted(issued.items()) if night < day]
        made = _digest(raw_panel.data_version, serving_model.data_version, canonical_json(renames), *earlier)
        return StageOutput({"forecasts.txt": made, NIGHT_RECORD: {"day": day, "serving_model": serving_model.id}})

    def target_positions(self, nightly_forecast: Version, issued: IssuedNights, day: Day) -> StageOutput:
        """Positions that are a digest of the nights up to this one."""
        self.meanwhile()
        nights = [version.data_version for _, version in sorted(issued.items())]
        return StageOutput({"positions.txt": _digest(day, nightly_forecast.data_version, *nights)})

    def drift_checks(self, nightly_forecast: Version, day: Day) -> StageOutput:
        """A verdict that is a digest of the night."""
        return StageOutput({"verdict.json": {"day": day, "of": nightly_forecast.data_version}})


@lru_cache(maxsize=4096)
def _accepted(text: str, seen: dt.datetime) -> list[dt.date]:
    """Return the days of a file that had begun when it was first read."""
    days = [dt.date.fromisoformat(line) for line in text.split()]
    typed = pl.DataFrame({"date": days, "reason": None, "class": None}, schema=_TYPED)
    return reject_far(typed, seen=seen).filter(pl.col("reason").is_null())["date"].to_list()


_TYPED: Any = {"date": pl.Date, "reason": pl.String, "class": pl.String}


def _digest(*parts: str) -> str:
    return sha256_text("\n".join(parts))


def stages(meanwhile: Callable[[], None]) -> dict[str, Stage]:
    """Return the stages by asset."""
    functions = StandIns(meanwhile)
    return {asset: _stage(getattr(functions, asset), asset) for asset in (*PANEL, *NIGHT)}


def _stage(function: Callable[..., StageOutput], asset: str) -> Stage:
    return Stage(
        function=function,
        asset=asset,
        parameters=parameters_of(function),
        checks=(),
        after=None,
        tuned=False,
        once=asset in ONCE,
        partitioned=asset in BY_DAY,
        models=None,
    )


def materialise(stage: Stage, day: str | None, *, resources: Any) -> None:
    """Do what Dagster does with an asset: load its parents, run the stage, publish what it prepared.

    ``resources``: store, settings, source and io_manager, as the graph's.
    """
    manager: StoreIOManager = resources.io_manager
    partition = day if stage.partitioned else None
    parents = {
        asset: manager.load_input(_input(asset, day, many=is_by_partition(kind)))  # type: ignore[arg-type]
        for asset, kind in stage.needs.parents.items()
    }
    dagster: Any = SimpleNamespace(
        partition_key=partition, resources=resources, log=_SILENT, instance=None, job_def=_OF_ONE_ASSET
    )
    result = stage.materialise(dagster, None, parents, resources)
    if isinstance(result.value, Prepared):
        context: Any = SimpleNamespace(log=_SILENT, step_context=dagster)
        manager.handle_output(context, result.value)


def _input(asset: str, day: str | None, *, many: bool) -> SimpleNamespace:
    return SimpleNamespace(
        definition_metadata={"asset": asset, "many": many},
        asset_key=SimpleNamespace(path=[asset]),
        has_asset_partitions=asset in BY_DAY,
        asset_partition_key=day,
    )


def _say_nothing(*_: object) -> None:
    pass


_OF_ONE_ASSET = SimpleNamespace(asset_layer=SimpleNamespace(executable_asset_keys=frozenset()))
_SILENT = SimpleNamespace(debug=_say_nothing, info=_say_nothing, warning=_say_nothing)


def publish(
    store: Store,
    asset: str,
    partition: str,
    files: Mapping[str, str],
    *,
    parents: Mapping[str, str],
    first: bool = False,
) -> Version:
    """Publish files without a stage: what a walk-forward trained, or another machine made."""
    key = _digest(asset, partition, *files.values(), canonical_json(dict(parents)))
    with store.stage(asset, partition, input_key=key) as staging:
        for name, text in files.items():
            (staging.path / name).write_text(text)
        return store.commit(staging, {"parents": dict(parents), "config": {}, "code_version": "1"}, first=first)
