"""The nightly forecasts: one row per live ticker and horizon, committed once."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from forecast_assets.assets.fold.forecast_checks import LIVE, SOUND, live_tickers_forecast, sound_quantiles
from forecast_assets.assets.framework.column_lineage import nightly_columns
from forecast_assets.assets.framework.inputs import Day, IssuedNights, Renames
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.partitions import days
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import CalibrationSpec, FeatureSpec
from forecast_assets.store.artefact_files import CALIBRATION_STATE, NIGHT_RECORD, RAW_FORECASTS, TABLE, TENSORS
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.core.windows.tensors import PanelTensors


LIVE_DAYS = 10  # calendar days without a forecast origin after which a ticker is not forecast any more


@stage(
    group="night",
    kinds={"torch"},
    partitions=days,
    mappings={"ensemble": dg.AllPartitionMapping()},
    checks=(SOUND, LIVE),
    once=True,
)
def nightly_forecast(
    windowed_tensors: Version,
    serving_model: Version,
    ensemble: dict[str, Version],
    calibration: CalibrationSpec,
    features: FeatureSpec,
    issued: IssuedNights,
    renames: Renames,
    day: Day,
) -> StageOutput:
    """Quantiles of the sessions ahead for every ticker, as of the night; the first commit of a day is final."""
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.champion.calibration_state import update_calibration
    from forecast_assets.core.evaluation.forecast_table import forecast_table
    from forecast_assets.core.windows.tensors import PanelTensors

    today = dt.date.fromisoformat(day)
    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    bundle = Bundle.open(serving_model)
    bundle.rename(renames)
    earlier = {night: version for night, version in issued.items() if night < day}
    rows = latest_origins(panel, today, lookback=bundle.card.lookback)
    bundle.check_features(panel, features)
    require_out_of_sample(day, serving_model, cutoff=bundle.card.cutoff)
    state = update_calibration(today, bundle, panel, folds=ensemble, nights=earlier, spec=calibration, renames=renames)
    forecast = bundle.forecast(panel, rows, state=state)
    made, raw = (
        forecast_table(
            date=pl.Series(panel.date[rows].numpy()).cast(pl.Date),
            ticker=pl.Series(panel.tickers).gather(panel.ticker[rows].numpy()),
            quantiles=quantiles,
            y=np.full(quantiles.shape[:2], np.nan),
            split="test",
            model="ensemble",
        )
        for quantiles in (forecast.quantiles, forecast.raw)
    )
    table = committed_first(made, earlier, renames=renames)
    return StageOutput(
        files={
            TABLE: table,
            RAW_FORECASTS: committed_first(raw, earlier, file=RAW_FORECASTS, renames=renames),
            CALIBRATION_STATE: state.to_json(),
            NIGHT_RECORD: {
                "day": day,
                "model_version": bundle.card.model_version,
                "serving_model": serving_model.id,
                "data_version": windowed_tensors.data_version,
                "calibrated": bundle.card.calibrated,
            },
        },
        columns=nightly_columns(),
        facts={
            "tickers": len(rows),
            "decided_today": int((table["date"] == today).sum()) // len(HORIZONS),
            "model_version": bundle.card.model_version,
        },
        checks=sound_quantiles(table)
        | live_tickers_forecast(
            table, panel, since=today - dt.timedelta(days=LIVE_DAYS), until=today, lookback=bundle.card.lookback
        ),
    )


def require_out_of_sample(day: str, champion: Version, *, cutoff: dt.date) -> None:
    """Raise BadInput where the champion was trained on labels after this night, or promoted after it."""
    advice = (
        "replay a later night, or in a store of its own with the walk-forward of an earlier panel; a night that is due here "
        f"is given up with: forecast-assets nightly --skip {day}"
    )
    if str(cutoff) >= day:
        raise BadInput(
            f"nightly_forecast {day}: the champion was trained on labels up to {cutoff}, so this night would be in sample; "
            + advice
        )
    promoted = max((label.partition("/")[2] for label in champion.manifest.parents if "/" in label), default="")
    if promoted > day:
        raise BadInput(
            f"nightly_forecast {day}: the champion was promoted on {promoted} by outcomes that came later; {advice}"
        )


def latest_origins(panel: "PanelTensors", today: dt.date, *, lookback: int) -> "Tensor":
    """Return the row of each live ticker's latest forecast origin up to a day, (B,). Raises BadInput where there is none.

    A ticker that has left the universe by then is not live.
    """
    import torch

    from forecast_assets.core.windows.days import to_day

    last = to_day(today)
    ends = panel.ends(lookback)
    ends = ends[(panel.date[ends] <= last) & (panel.date[ends] > last - LIVE_DAYS)]
    known = torch.nonzero(panel.date <= last).squeeze(1)
    latest = known[torch.cat([panel.ticker[known].diff() != 0, torch.ones(min(1, len(known)), dtype=torch.bool)])]
    ends = ends[torch.isin(panel.ticker[ends], panel.ticker[latest[panel.member[latest]]])]
    if not len(ends):
        raise BadInput(
            f"nightly_forecast {today}: no ticker has a complete window in the {LIVE_DAYS} days up to it; add newer prices"
        )
    code = panel.ticker[ends]
    return ends[torch.cat([code[1:] != code[:-1], torch.ones(1, dtype=torch.bool)])]


def committed_first(
    table: pl.DataFrame, nights: Mapping[str, Version], *, renames: Mapping[str, str], file: str = TABLE
) -> pl.DataFrame:
    """Return ``table`` with the rows of forecast origins that an earlier night forecast already as that night issued them:
    a ticker whose exchange was closed has the same latest origin as the night before. ``file``: as in ``issued_table``.
    """
    from forecast_assets.champion.issued import issued_table

    keys = ["date", "ticker", "horizon"]
    oldest = str(table["date"].min())
    issued = [issued_table(version, renames, file=file) for night, version in sorted(nights.items()) if night >= oldest]
    if not issued:
        return table
    before = pl.concat(issued).unique(keys, keep="first", maintain_order=True).join(table, on=keys, how="semi")
    return pl.concat([before, table.join(before, on=keys, how="anti")]).sort(keys)
