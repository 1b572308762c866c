"""Rivals' forecasts, from the user's files and of a foundation model, beside ours on the same forecast origins."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.ensemble import in_fold_order
from forecast_assets.assets.fold.candidates import SKIPPED, trained
from forecast_assets.assets.framework.inputs import Log, RawRivals, Year
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import CalibrationSpec, FoldSpec, WindowSpec
from forecast_assets.resources.source import RivalFiles
from forecast_assets.store.artefact_files import RAW_FORECASTS, RIVAL_LOSSES, RIVAL_RECORDS, TABLE, TENSORS, ZERO_SHOT
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.rivals.read import RivalForecasts
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.tensors import PanelTensors

Floats = NDArray[np.float64]

USABLE = CheckSpec(
    "rival_files_are_usable", "Every file of a rival's forecasts could be read and scored.", blocking=False
)
BAND_OF = "harx"  # whose band a point forecast is given, to size its book: the networks' own starting point
"""Its scores are never a rival's."""


@stage(group="verdict", kinds={"numpy"}, partitions=years, checks=(USABLE,), tuned=True)
def rivals(
    files: RawRivals,
    ensemble: Version,
    b0_mlp: Version,
    baselines: Version,
    f0_chronos: Version,
    windowed_tensors: Version,
    calibration: CalibrationSpec,
    folds: FoldSpec,
    windows: WindowSpec,
    year: Year,
    log: Log,
) -> StageOutput:
    """Forecasts of rivals, from the user's files and zero-shot from F0, raw and calibrated as ours are, with the losses of
    both on the same rows; empty where there is none. One that can't be used is named with the reason, and the others are
    scored.
    """
    from forecast_assets.core.rivals.read import REFUSED
    from forecast_assets.core.rivals.score import no_losses, no_tables, rival_losses
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.tensors import PanelTensors

    zero_shot = f0_chronos.json(ZERO_SHOT)
    records: dict[str, dict[str, Any]] = {}
    if SKIPPED in zero_shot:
        records[f0_chronos.asset] = {REFUSED: zero_shot[SKIPPED]}
    published, raw, losses = [no_tables()], [no_tables()], [no_losses()]
    if files.files or trained([f0_chronos]):
        panel = PanelTensors.load(windowed_tensors.path(TENSORS))
        fold = make_fold(panel, year=year, spec=folds, lookback=windows.lookback)
        ours = our_tables(ensemble, b0_mlp, baselines)
    for name, read in brought(files, f0_chronos).items():
        try:
            rival = read()
            made = rival_forecasts(rival, panel=panel, fold=fold, baselines=baselines, spec=calibration)
        except BadInput as error:
            log.warning(f"rivals {year}: {error}")
            records[name] = {REFUSED: str(error)}
            continue
        records[rival.name] = found = made.record | ({"zero_shot": zero_shot} if rival.made_here else {})
        log.info(f"rivals {year}: {rival.name}, {found['form']}, {found['placed']} of {found['origins']} forecasts")
        published.append(made.published)
        raw.append(made.raw)
        losses.append(rival_losses(made.published, made.raw, ours, rival=rival))
    refused = [records[file.name][REFUSED] for file in files.files if file.name in records]
    scored = {name: record["placed"] for name, record in records.items() if REFUSED not in record}
    facts: dict[str, int | str] = {"rivals": len(scored), "refused": len(refused)}
    if not files.files:
        facts["note"] = (
            "no rival: put NAME.csv or NAME.parquet into rivals of the data root, or name a folder with FORECAST_RIVALS"
        )
    return StageOutput(
        files={
            TABLE: pl.concat(published),
            RAW_FORECASTS: pl.concat(raw),
            RIVAL_LOSSES: pl.concat(losses),
            RIVAL_RECORDS: records,
        },
        facts=facts | {f"forecasts_{name}": placed for name, placed in scored.items()},
        checks={
            USABLE.name: Check(not refused, " ".join(refused) or f"{len(files.files)} read and scored", warns=True)
        },
    )


def brought(files: RivalFiles, zero_shot: Version) -> "dict[str, Callable[[], RivalForecasts]]":
    """Return how to read each file of a rival's, by its name, and the zero-shot forecasts where there are any."""
    from forecast_assets.core.rivals.read import read_rival, rival_of_table

    found: dict[str, Callable[[], RivalForecasts]] = {
        path.name: partial(read_rival, path, until=files.until, beside=files.files) for path in files.files
    }
    if trained([zero_shot]):
        table = pl.read_parquet(zero_shot.path(TABLE))
        found[zero_shot.asset] = partial(rival_of_table, table, name=zero_shot.asset)
    return found


@dataclass(frozen=True)
class YearOfRival:
    """A rival's forecasts of one fold."""

    published: pl.DataFrame  # forecast table, calibrated where ours are
    raw: pl.DataFrame
    record: dict[str, Any]  # of the file: its form and what became of its rows


def rival_forecasts(
    rival: "RivalForecasts", *, panel: "PanelTensors", fold: "Fold", baselines: Version, spec: CalibrationSpec
) -> YearOfRival:
    """Return a rival's forecasts at the fold's origins. Raises BadInput where they can't be placed, see ``place``."""
    from forecast_assets.core.rivals.place import place, with_band
    from forecast_assets.core.rivals.score import rival_table
    from forecast_assets.core.training.calibrate import calibrate_fold

    placed = place(rival, panel=panel, fold=fold)
    quantiles = placed.quantiles if rival.has_band else with_band(placed.mean, _band(baselines, panel=panel, fold=fold))
    rows = fold.origins
    origins = pl.DataFrame(
        {
            "date": pl.Series(panel.date[rows].numpy()).cast(pl.Date),
            "ticker": pl.Series(panel.tickers).gather(panel.ticker[rows].numpy()),
            "split": ["validation"] * len(fold.validation) + ["test"] * len(fold.test),
        }
    )
    table = partial(rival_table, origins=origins, y=panel.targets[rows].double().numpy(), rival=rival, mean=placed.mean)
    raw = published = table(quantiles)
    if spec.enabled:
        published = table(calibrate_fold(quantiles, panel=panel, fold=fold, spec=spec).quantiles)
    record = {
        "form": rival.form,
        "returns": rival.returns,
        "timed": rival.timed,
        "validated": bool((raw["split"] == "validation").any()),
        "unknown_tickers": list(placed.unknown_tickers),
        **placed.counts._asdict(),
    }
    return YearOfRival(published, raw, record)


def our_tables(ensemble: Version, b0_mlp: Version, baselines: Version) -> list[pl.DataFrame]:
    """Return the forecast tables of the models that a rival is shown beside: ensemble, MLP baseline, HAR-X."""
    harx = pl.scan_parquet(baselines.path(TABLE)).filter(pl.col("model") == BAND_OF).collect()
    return [*(pl.read_parquet(version.path(TABLE)) for version in (ensemble, *trained([b0_mlp]))), harx]


def _band(baselines: Version, *, panel: "PanelTensors", fold: "Fold") -> Floats:
    """Return the quantiles (M, 3, 7) of HAR-X before calibration, in the order of ``fold.origins``."""
    from forecast_assets.core.evaluation.forecast_table import quantile_array

    file = RAW_FORECASTS if RAW_FORECASTS in baselines.manifest.files else TABLE
    table = pl.scan_parquet(baselines.path(file)).filter(pl.col("model") == BAND_OF).collect()
    return in_fold_order(quantile_array(table).quantiles, panel=panel, fold=fold)
