"""The calibration state of a night: that of the night before, updated with the outcomes that have matured since."""

import datetime as dt
from collections.abc import Mapping

import numpy as np
import polars as pl
import torch

from forecast_assets.champion.bundle import Bundle
from forecast_assets.champion.issued import issued_table
from forecast_assets.core.evaluation.forecast_table import quantile_array
from forecast_assets.core.specs import CalibrationSpec
from forecast_assets.core.training.calibrate import CalibrationState, Issued, follow, label_dates
from forecast_assets.core.windows.days import to_day
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import CALIBRATION_STATE
from forecast_assets.store.versions import Version


def update_calibration(
    today: dt.date,
    bundle: Bundle,
    panel: PanelTensors,
    *,
    folds: Mapping[str, Version],
    nights: Mapping[str, Version],
    spec: CalibrationSpec,
    renames: Mapping[str, str],
) -> CalibrationState:
    """Return the calibration state for the forecasts of ``today``: that of the night before, updated by what has matured.

    The first night starts, as its fold did, at the first validation row and updates on the fold's own forecasts.
    ``renames``: old ticker -> new one, for what was issued under the old one.
    """
    if not bundle.card.calibrated:
        return CalibrationState.initial()
    own = issued_table(folds[str(bundle.card.fold)], renames).filter(pl.col("date") <= today)
    tables = [issued_table(version, renames) for _, version in sorted(nights.items())]
    keys = ["date", "ticker", "horizon"]
    issued = issued_with_outcomes(
        pl.concat([*tables, own]).unique(keys, keep="first", maintain_order=True), panel, bundle
    )
    if nights:
        night = max(nights)
        state = CalibrationState.from_json(nights[night].json(CALIBRATION_STATE))
        since = to_day(dt.date.fromisoformat(night))
        passed = panel.date[panel.observed].unique().tolist()
    else:  # as the fold did, which forecasts on no day of its purge
        passed = sorted({*own["date"].unique().to_physical().to_list(), to_day(today)})
        state, since = CalibrationState.initial(), passed[0]
    return follow(state, issued, since=since, days=[d for d in passed if since < d <= to_day(today)], spec=spec)


def issued_with_outcomes(table: pl.DataFrame, panel: PanelTensors, bundle: Bundle) -> Issued:
    """Join issued forecasts with their outcomes in the panel.

    Dropped are those of tickers that have left it, and of rows whose history was taken back since: what groups a forecast
    is calibrated in can't be known without it.
    """
    arrays = quantile_array(table)
    rows = panel.find(arrays.ticker.tolist(), arrays.date).numpy()
    listed = (rows >= 0) & (panel.run_length.numpy()[np.maximum(rows, 0)] > 0)
    return Issued(
        quantiles=arrays.quantiles[listed],
        y=panel.targets[rows[listed]].double().numpy(),
        label_date=label_dates(panel)[rows[listed]],
        groups=bundle.groups(panel, torch.from_numpy(rows[listed])),
    )
