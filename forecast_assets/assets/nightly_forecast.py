"""The nightly forecasts: one row per live ticker and horizon, committed once."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from forecast_assets.assets.fold.forecast_checks import LIVE, SOUND, live_tickers_forecast, sound_quantiles
from forecast_assets.assets.framework.column_lineage import nightly_columns
from forecast_assets.assets.framework.inputs import Committed, Day, IssuedNights, Renames, StageContext
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.partitions import days
from forecast_assets.assets.framework.stage import stage
from forecast_assets.champion.issued import issued_table
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import CalibrationSpec, FeatureSpec
from forecast_assets.store.artefact_files import CALIBRATION_STATE, CARD, NIGHT_RECORD, RAW_FORECASTS, TABLE, TENSORS
from forecast_assets.store.panel_in_use import declared_renames
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.core.training.calibrate import CalibrationState
    from forecast_assets.core.windows.tensors import PanelTensors


KEYS = ["date", "ticker", "horizon"]
LATE = "late"  # in a night's record: the issues of tickers whose prices came after it
LIVE_DAYS = 10  # calendar days without a forecast origin after which a ticker is not forecast any more


def has_late_tickers(committed: Version, parents: Mapping[str, Any], context: StageContext) -> bool:
    """Return whether there are tickers to add to a committed night: their prices came after it, and its champion serves."""
    from forecast_assets.champion.late_tickers import tickers_to_add

    night = committed.partition or ""
    late = tickers_to_add(context.store, spec=context.settings.arrival, now=dt.datetime.now(dt.UTC))
    if late is None or late.day != night:
        return False
    champion: Version = parents["serving_model"]
    if committed.json(NIGHT_RECORD)["serving_model"] != champion.id:
        context.dagster.log.warning(
            f"nightly_forecast {night}: {', '.join(late.tickers)} came late and are not forecast for it: another champion "
            "serves by now, and a night has one"
        )
        return False

    from forecast_assets.core.windows.tensors import PanelTensors  # torch, which a night without late tickers needs not

    panel = PanelTensors.load(parents["windowed_tensors"].path(TENSORS))
    table = issued_table(committed, declared_renames(context.store))
    lookback = champion.json(CARD)["lookback"]
    return len(late_origins(panel, table, dt.date.fromisoformat(night), lookback=lookback)) > 0


@stage(
    group="night",
    kinds={"torch"},
    partitions=days,
    mappings={"ensemble": dg.AllPartitionMapping()},
    checks=(SOUND, LIVE),
    once=True,
    adds=has_late_tickers,
)
def nightly_forecast(
    windowed_tensors: Version,
    serving_model: Version,
    ensemble: dict[str, Version],
    calibration: CalibrationSpec,
    features: FeatureSpec,
    issued: IssuedNights,
    renames: Renames,
    committed: Committed,
    day: Day,
) -> StageOutput:
    """Quantiles of the sessions ahead for every ticker, as of the night; the first commit of a ticker and day is final.

    A ticker whose prices come after the night is added to it, by the same champion and the same calibration.
    """
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.champion.calibration_state import update_calibration
    from forecast_assets.core.training.calibrate import CalibrationState
    from forecast_assets.core.windows.tensors import PanelTensors

    today = dt.date.fromisoformat(day)
    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    bundle = Bundle.open(serving_model)
    bundle.rename(renames)
    earlier = {night: version for night, version in issued.items() if night < day}
    lookback = bundle.card.lookback
    bundle.check_features(panel, features)
    require_out_of_sample(day, serving_model, cutoff=bundle.card.cutoff)
    if committed is None:
        rows = latest_origins(panel, today, lookback=lookback)
        state = update_calibration(
            today, bundle, panel, folds=ensemble, nights=earlier, spec=calibration, renames=renames
        )
        record: dict[str, Any] = {
            "day": day,
            "model_version": bundle.card.model_version,
            "serving_model": serving_model.id,
            "data_version": windowed_tensors.data_version,
            "calibrated": bundle.card.calibrated,
        }
        made, raw = forecast_tables(bundle, panel, rows, state=state)
        table = committed_first(made, earlier, renames=renames)
        raw = committed_first(raw, earlier, file=RAW_FORECASTS, renames=renames)
    else:
        before = {file: issued_table(committed, renames, file=file) for file in (TABLE, RAW_FORECASTS)}
        rows = late_origins(panel, before[TABLE], today, lookback=lookback)
        state = CalibrationState.from_json(committed.json(CALIBRATION_STATE))
        record = with_late_issue(committed, panel, rows, data_version=windowed_tensors.data_version)
        made, raw = forecast_tables(bundle, panel, rows, state=state)
        table, raw = (pl.concat(pair).sort(KEYS) for pair in ((before[TABLE], made), (before[RAW_FORECASTS], raw)))
    return StageOutput(
        files={TABLE: table, RAW_FORECASTS: raw, CALIBRATION_STATE: state.to_json(), NIGHT_RECORD: record},
        columns=nightly_columns(),
        facts={
            "tickers": table["ticker"].n_unique(),
            "decided_today": int((table["date"] == today).sum()) // len(HORIZONS),
            "came_late": sum(len(issue["tickers"]) for issue in record.get(LATE, [])),
            "model_version": bundle.card.model_version,
        },
        checks=sound_quantiles(table)
        | live_tickers_forecast(
            table, panel, since=today - dt.timedelta(days=LIVE_DAYS), until=today, lookback=lookback
        ),
    )


def forecast_tables(
    bundle: "Bundle", panel: "PanelTensors", rows: "Tensor", *, state: "CalibrationState"
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the forecasts at rows (B,) of the panel, calibrated and not."""
    from forecast_assets.core.evaluation.forecast_table import forecast_table

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
    return made, raw


def late_origins(panel: "PanelTensors", night: pl.DataFrame, today: dt.date, *, lookback: int) -> "Tensor":
    """Return the rows of the live tickers with a forecast origin on the day itself that its night's table lacks, (B,)."""
    import torch

    from forecast_assets.core.windows.days import to_day

    rows = latest_origins(panel, today, lookback=lookback)
    rows = rows[panel.date[rows] == to_day(today)]
    have = set(night.filter(pl.col("date") == today)["ticker"])
    return rows[
        torch.tensor([panel.tickers[code] not in have for code in panel.ticker[rows].tolist()], dtype=torch.bool)
    ]


def with_late_issue(committed: Version, panel: "PanelTensors", rows: "Tensor", *, data_version: str) -> dict[str, Any]:
    """Return a night's record with one more issue: when, of which tickers and from which data they were forecast."""
    record: dict[str, Any] = committed.json(NIGHT_RECORD)
    tickers = sorted(panel.tickers[code] for code in panel.ticker[rows].tolist())
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    issue = {"issued": now, "data_version": data_version, "tickers": tickers}
    return {**record, "issued": record.get("issued", committed.manifest.created), LATE: [*record.get(LATE, []), issue]}


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
    oldest = str(table["date"].min())
    issued = [issued_table(version, renames, file=file) for night, version in sorted(nights.items()) if night >= oldest]
    if not issued:
        return table
    before = pl.concat(issued).unique(KEYS, keep="first", maintain_order=True).join(table, on=KEYS, how="semi")
    return pl.concat([before, table.join(before, on=KEYS, how="anti")]).sort(KEYS)
