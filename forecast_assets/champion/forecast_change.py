"""Why a ticker's forecast changed from one night to the next: by new data, another model or the calibration."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.champion.issued import issued_table
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.panel.lineage import latest_names
from forecast_assets.store.artefact_files import CALIBRATION_STATE, NIGHT_RECORD, TENSORS
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST, SERVING_MODEL, WINDOWED_TENSORS
from forecast_assets.store.panel_in_use import declared_renames
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.training.calibrate import CalibrationState
    from forecast_assets.core.windows.tensors import PanelTensors

Floats = NDArray[np.float64]

# Replaced by those of the later night in this order; the rest is due to rows revised since.
CAUSES = ("data", "model", "calibration", "revised since")


@dataclass(frozen=True)
class ForecastChange:
    """By how much each cause moved a ticker's forecast between two nights, in log returns per horizon."""

    before: dt.date  # session that each forecast is made at
    after: dt.date
    median: dict[str, Floats]  # cause -> (3,) of the median
    width: dict[str, Floats]  # cause -> (3,) of the 95 % band's width

    @property
    def main_cause(self) -> str:
        """The cause that moved the band's width most, summed over horizons."""
        return max(CAUSES, key=lambda cause: float(np.abs(self.width[cause]).sum()))


@dataclass(frozen=True)
class _IssuedForecast:
    bundle: Any  # as ``open_model`` opens it
    state: "CalibrationState"
    issued: Floats  # (3, 7) as published
    date: dt.date


def explain_change(store: Store, *, ticker: str, day: dt.date) -> ForecastChange:
    """Split the change of a ticker's forecast between the last two nights up to ``day`` by cause.

    Raises BadInput where the ticker has no forecast in both nights, MissingArtefact where a night's model is gone.
    """
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(store.current(WINDOWED_TENSORS).path(TENSORS))
    return forecast_change(store, ticker=ticker, day=day, panel=panel, open_model=Bundle.open)


def forecast_change(
    store: Store, *, ticker: str, day: dt.date, panel: "PanelTensors", open_model: Callable[[Version], Any]
) -> ForecastChange:
    """Do what ``explain_change`` does, with a panel that is loaded already and bundles opened by ``open_model``."""
    ticker = latest_names(declared_renames(store)).get(ticker, ticker)
    nights = [night for night in store.partitions(NIGHTLY_FORECAST) if night <= str(day)][-2:]
    opened: dict[str, Any] = {}  # two nights mostly have one model
    found = [_issued(store, store.current(NIGHTLY_FORECAST, night), ticker, open_model, opened) for night in nights]
    if len(found) < 2 or found[0] is None or found[1] is None:
        raise BadInput(f"{ticker}: there are no two consecutive nights up to {day} that forecast it")
    old, new = found[0], found[1]
    rows = panel.find([ticker, ticker], np.array([old.date, new.date], dtype="datetime64[D]"))
    if bool((rows < 0).any()):
        raise BadInput(f"{ticker}: the panel has no row of {old.date} or {new.date} any more, to forecast from again")
    steps = [
        old.issued,
        old.bundle.forecast(panel, rows[1:], state=old.state).quantiles[0],
        new.bundle.forecast(panel, rows[1:], state=old.state).quantiles[0],
        new.bundle.forecast(panel, rows[1:], state=new.state).quantiles[0],
        new.issued,
    ]
    moved = [after - before for before, after in pairwise(steps)]
    middle = QUANTILE_COLUMNS.index("q50")
    return ForecastChange(
        before=old.date,
        after=new.date,
        median={cause: step[:, middle] for cause, step in zip(CAUSES, moved, strict=True)},
        width={cause: step[:, -1] - step[:, 0] for cause, step in zip(CAUSES, moved, strict=True)},
    )


def change_lines(found: ForecastChange) -> list[str]:
    """Format the change as a text table, one row per cause."""
    lines = [
        f"from the forecast of {found.before} to that of {found.after}; mostly {found.main_cause}",
        f"  {'':14}" + "".join(f"{f'{h} sessions':>24}" for h in HORIZONS),
        f"  {'':14}" + f"{'median':>12}{'95 % band':>12}" * len(HORIZONS),
    ]
    for cause in CAUSES:
        moves = zip(found.median[cause], found.width[cause], strict=True)
        lines.append(f"  {cause:14}" + "".join(f"{median:>+12.3%}{width:>+12.3%}" for median, width in moves))
    return lines


def _issued(
    store: Store, version: Version, ticker: str, open_model: Callable[[Version], Any], opened: dict[str, Any]
) -> _IssuedForecast | None:
    from forecast_assets.core.training.calibrate import CalibrationState

    renames = declared_renames(store)
    rows = issued_table(version, renames).filter(pl.col("ticker") == ticker).sort("horizon")
    if rows.is_empty():
        return None
    rows = rows.filter(pl.col("date") == pl.col("date").max())  # one that came late has that of its session before too
    made_by = version.json(NIGHT_RECORD)["serving_model"]
    bundles = [bundle for bundle in store.versions(SERVING_MODEL) if bundle.id == made_by]
    if not bundles:
        raise MissingArtefact(f"{version.label}: its model, version {made_by} of {SERVING_MODEL}, is gone")
    if made_by not in opened:
        opened[made_by] = open_model(bundles[0])
        opened[made_by].rename(renames)
    return _IssuedForecast(
        bundle=opened[made_by],
        state=CalibrationState.from_json(version.json(CALIBRATION_STATE)),
        issued=rows.select(QUANTILE_COLUMNS).to_numpy(),
        date=rows["date"][0],
    )
