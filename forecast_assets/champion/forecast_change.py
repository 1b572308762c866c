"""Why a night's forecast differs from the one before: its data, its model or its calibration."""

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.champion.promotion import NIGHT, SERVING
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.store.artefact_files import CALIBRATION_STATE, NIGHT_RECORD, TABLE, TENSORS
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.core.training.calibrate import CalibrationState

Floats = NDArray[np.float64]

CAUSES = ("data", "model", "calibration", "revised since")
"""In this order one after the other is exchanged for that of the later night; what is left is rows revised afterwards."""


@dataclass(frozen=True)
class Change:
    """Two consecutive forecasts of a ticker, and by how much each cause moved them. All in log returns, per horizon."""

    before: dt.date  # decision sessions
    after: dt.date
    median: dict[str, Floats]  # cause -> (3,) of the median
    width: dict[str, Floats]  # cause -> (3,) of the 95 % band's width

    @property
    def main_cause(self) -> str:
        """The cause that moved the band's width most, over the horizons."""
        return max(CAUSES, key=lambda cause: float(np.abs(self.width[cause]).sum()))


@dataclass(frozen=True)
class _Night:
    bundle: "Bundle"
    state: "CalibrationState"
    issued: Floats  # (3, 7) as committed
    date: dt.date


def change(store: Store, *, ticker: str, day: dt.date) -> Change:
    """What moved the forecast of ``ticker`` from the night before to the last one up to ``day``.

    Raises BadInput where there are no two nights with the ticker, MissingArtefact where a night's model is gone.
    """
    from forecast_assets.core.windows.tensors import PanelTensors

    nights = [night for night in store.partitions(NIGHT) if night <= str(day)][-2:]
    found = [_night(store, store.current(NIGHT, night), ticker) for night in nights]
    if len(found) < 2 or found[0] is None or found[1] is None:
        raise BadInput(f"{ticker}: there are no two consecutive nights up to {day} that forecast it")
    old, new = found[0], found[1]
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    rows = panel.rows_of([ticker, ticker], np.array([old.date, new.date], dtype="datetime64[D]"))
    steps = [
        old.issued,
        old.bundle.forecast(panel, rows[1:], state=old.state).quantiles[0],
        new.bundle.forecast(panel, rows[1:], state=old.state).quantiles[0],
        new.bundle.forecast(panel, rows[1:], state=new.state).quantiles[0],
        new.issued,
    ]
    moved = [after - before for before, after in pairwise(steps)]
    middle = QUANTILE_COLUMNS.index("q50")
    return Change(
        before=old.date,
        after=new.date,
        median={cause: step[:, middle] for cause, step in zip(CAUSES, moved, strict=True)},
        width={cause: step[:, -1] - step[:, 0] for cause, step in zip(CAUSES, moved, strict=True)},
    )


def change_lines(found: Change) -> list[str]:
    """The change as people read it."""
    lines = [f"from the decision of {found.before} to that of {found.after}; mostly {found.main_cause}"]
    lines.append(f"  {'':14}" + "".join(f"{f'{h} sessions':>24}" for h in HORIZONS))
    lines.append(f"  {'':14}" + f"{'median':>12}{'95 % band':>12}" * len(HORIZONS))
    for cause in CAUSES:
        cells = "".join(
            f"{found.median[cause][k]:>+12.3%}{found.width[cause][k]:>+12.3%}" for k in range(len(HORIZONS))
        )
        lines.append(f"  {cause:14}{cells}")
    return lines


def _night(store: Store, version: Version, ticker: str) -> _Night | None:
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.core.training.calibrate import CalibrationState

    rows = pl.read_parquet(version.path(TABLE)).filter(pl.col("ticker") == ticker).sort("horizon")
    if rows.is_empty():
        return None
    made_by = version.json(NIGHT_RECORD)["serving_model"]
    bundles = [bundle for bundle in store.versions(SERVING) if bundle.id == made_by]
    if not bundles:
        raise MissingArtefact(f"{version.label}: its model, version {made_by} of {SERVING}, is gone")
    return _Night(
        bundle=Bundle.open(bundles[0]),
        state=CalibrationState.from_json(version.json(CALIBRATION_STATE)),
        issued=rows.select(QUANTILE_COLUMNS).to_numpy(),
        date=rows["date"][0],
    )
