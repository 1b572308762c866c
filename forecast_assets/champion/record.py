"""The record: every forecast that nights have issued, when it was sealed, what came of it, and HAR-X's beside it.

A forecast counts as made before its outcome where its night was sealed before its exchange closed on the last session of
its label. A seal that nobody kept elsewhere shows no more than the clock of the machine that wrote the store.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.champion.issued import KEYS, issued_table
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.monitoring.record import REFERENCE_COLUMNS, HorizonScores, record_scores
from forecast_assets.core.panel.sessions import closes
from forecast_assets.core.specs import CalibrationSpec
from forecast_assets.store.artefact_files import NIGHT_RECORD, TENSORS
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST, SERVING_MODEL, WINDOWED_TENSORS
from forecast_assets.store.panel_in_use import declared_renames
from forecast_assets.store.seals import Seal, night_versions, read_seals
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.core.windows.tensors import PanelTensors

Floats = NDArray[np.float64]

WARM_UP_DAYS = 183
"""Calendar days before the first night on whose outcomes HAR-X's calibration begins, as a fold's does on its validation."""


class Outcomes(NamedTuple):
    """What became of forecasts, by row of their table."""

    exchange: pl.Series  # "" for a ticker that has left the panel
    label_end: pl.Series  # day of the label's last session, null where it has not come
    y: pl.Series  # log return, null likewise


@dataclass(frozen=True)
class IssuedRecord:
    """What nights have issued and what matured of it. ``scores``: of the forecasts that count."""

    nights: int
    sealed_nights: int
    newest_seal: Seal | None
    forecasts: int  # rows: a ticker, a day, a horizon
    matured: int
    sealed_in_time: int  # of the matured
    scores: list[HorizonScores]
    no_reference: str  # why nothing is compared with HAR-X, "" where it is


def issued_record(store: Store, root: str, *, replays: bool = False) -> IssuedRecord:
    """Score what has matured of all issued forecasts; of those sealed before their outcome, with ``replays`` of all.

    Raises MissingArtefact where there is no night, CorruptArtefact for a damaged night or seal.
    """
    from forecast_assets.core.windows.tensors import PanelTensors

    seals = read_seals(root)
    issued = issued_forecasts(store, seals)
    panel = PanelTensors.load(store.current(WINDOWED_TENSORS).path(TENSORS))
    found = outcomes(panel, issued)
    issued = issued.with_columns(exchange=found.exchange, label_end=found.label_end, y=found.y)
    issued = issued.with_columns(in_time=sealed_in_time(issued))
    matured = issued.filter(pl.col("y").is_not_null())
    # A replay is not known to be one before its outcome is there, so what is open counts where it is sealed.
    counted = issued if replays else issued.filter(pl.col("in_time"))
    try:
        counted, why = with_harx(store, panel, counted), ""
    except (BadInput, MissingArtefact) as error:
        counted, why = (
            counted.with_columns(pl.lit(None, pl.Float64).alias(name) for name in REFERENCE_COLUMNS),
            str(error),
        )
    sessions = panel.sessions().numpy().astype("datetime64[D]")
    nights, days = set(store.partitions(NIGHTLY_FORECAST)), {seal.day for seal in seals}
    return IssuedRecord(
        nights=len(nights),
        sealed_nights=len(nights & days),
        newest_seal=seals[-1] if seals else None,
        forecasts=issued.height,
        matured=matured.height,
        sealed_in_time=int(matured["in_time"].sum()),
        scores=record_scores(counted, sessions=sessions, one_close=counted["exchange"].n_unique() <= 1),
        no_reference=why,
    )


def issued_forecasts(store: Store, seals: list[Seal]) -> pl.DataFrame:
    """Return KEYS, quantiles, ``sealed`` (when, UTC, null where not) and ``model`` (id of the champion) of each forecast
    ever issued, once: as its night was committed first.

    Raises MissingArtefact where there is none.
    """
    renames, at = declared_renames(store), {seal.version: seal.at for seal in seals}
    order = {seal.version: seal.order for seal in seals}
    versions = sorted(
        night_versions(store), key=lambda each: (order.get(each.id, len(order)), each.manifest.created, each.id)
    )
    if not versions:
        raise MissingArtefact(f"{store}: no night has issued a forecast yet; make one with: forecast-assets nightly")
    tables = [_of_version(each, renames, sealed=at.get(each.id)) for each in versions]
    return pl.concat(tables).unique(KEYS, keep="first", maintain_order=True).sort(KEYS)


def _of_version(version: Version, renames: Mapping[str, str], *, sealed: str | None) -> pl.DataFrame:
    version.check()
    when = None if sealed is None else dt.datetime.fromisoformat(sealed).astimezone(dt.UTC).replace(tzinfo=None)
    return (
        issued_table(version, renames)
        .filter(pl.col("split") == "test")
        .select(
            *KEYS,
            *QUANTILE_COLUMNS,
            sealed=pl.lit(when, pl.Datetime("us")),
            model=pl.lit(version.json(NIGHT_RECORD)["serving_model"]),
            night=pl.lit(version.id),
        )
    )


def outcomes(panel: "PanelTensors", issued: pl.DataFrame) -> Outcomes:
    """Look up what became of issued forecasts in the panel."""
    from forecast_assets.core.training.calibrate import label_dates
    from forecast_assets.core.windows.tensors import NO_DATE

    row = panel.find(issued["ticker"].to_list(), issued["date"].to_numpy()).numpy()
    column = np.searchsorted(HORIZONS, issued["horizon"].to_numpy())
    listed = row >= 0
    at = np.maximum(row, 0)
    ends = np.where(listed, label_dates(panel)[at, column], NO_DATE)
    y = np.where(ends != NO_DATE, panel.targets.double().numpy()[at, column], np.nan)
    exchange = np.where(listed, np.array(panel.exchanges)[panel.exchange.numpy()[at]], "")
    known = pl.Series(ends).replace(NO_DATE, None)
    return Outcomes(
        pl.Series(exchange, dtype=pl.String), known.cast(pl.Int32).cast(pl.Date), pl.Series(y).fill_nan(None)
    )


def sealed_in_time(issued: pl.DataFrame) -> pl.Series:
    """Return which forecasts were sealed before their exchange closed on the last session of their label.

    Of an outcome that is not known yet that is not known either: those that are sealed count. A day that the calendar has
    no session for counts as closed from its beginning on.
    """
    ends = issued.select("exchange", "label_end").unique().drop_nulls()
    parts = [pl.DataFrame(schema={"exchange": pl.String, "label_end": pl.Date, "close": pl.Datetime("us")})]
    for (exchange,), days in ends.group_by("exchange"):
        first, last = days["label_end"].min(), days["label_end"].max()
        assert isinstance(first, dt.date)
        assert isinstance(last, dt.date)
        table = closes(str(exchange), first, last).select(
            label_end="date", close=pl.col("close").cast(pl.Datetime("us"))
        )
        parts.append(table.select(pl.lit(exchange).alias("exchange"), "label_end", "close"))
    timed = issued.join(pl.concat(parts), on=["exchange", "label_end"], how="left", maintain_order="left")
    close = pl.coalesce("close", pl.col("label_end").cast(pl.Datetime("us")))
    return timed.select(
        in_time=(pl.col("sealed") < close).fill_null(pl.col("sealed").is_not_null() & pl.col("label_end").is_null())
    ).to_series()


def with_harx(store: Store, panel: "PanelTensors", issued: pl.DataFrame) -> pl.DataFrame:
    """Add HAR-X's quantiles at the same forecast origins, as fitted when each night's champion was, calibrated likewise.

    Its rows are today's: a price that was revised since moves them, not the issued forecasts. Null for a ticker that has
    left the panel. Raises MissingArtefact where a champion is gone, BadInput where the panel's features are others by now.
    """
    decisions = issued.select("date", "ticker", "model", "night").unique(["date", "ticker"], maintain_order=True)
    rows = panel.find(decisions["ticker"].to_list(), decisions["date"].to_numpy()).numpy()
    complete = (rows >= 0) & (panel.run_length.numpy()[np.maximum(rows, 0)] > 0)
    decisions = decisions.filter(pl.Series(complete, dtype=pl.Boolean))
    empty = pl.DataFrame(
        schema={"date": pl.Date, "ticker": pl.String, "horizon": pl.Int32}
        | dict.fromkeys(REFERENCE_COLUMNS, pl.Float64)
    )
    found = [empty]
    if decisions.height:
        quantiles = _harx(store, panel, decisions, rows[complete])
        for column, horizon in enumerate(HORIZONS):
            values = pl.DataFrame(quantiles[:, column], schema=list(REFERENCE_COLUMNS))
            found.append(decisions.select("date", "ticker", horizon=pl.lit(horizon, pl.Int32)).hstack(values))
    return issued.join(pl.concat(found), on=list(KEYS), how="left", maintain_order="left")


def _harx(store: Store, panel: "PanelTensors", decisions: pl.DataFrame, rows: NDArray[np.int64]) -> Floats:
    """Return HAR-X's quantiles at rows (M,) of the panel, (M, 3, 7), as calibrated online up to each date."""
    import torch

    from forecast_assets.core.training.calibrate import calibrate_online, label_dates

    made_by = decisions["model"].to_list()
    bundles = dict(_bundles(store, set(made_by)))
    first = int(np.argmin(panel.date.numpy()[rows]))
    oldest = bundles[made_by[first]]
    begin = int(panel.date[rows[first]])
    ends = panel.ends(oldest.card.lookback)
    warm = ends[(panel.date[ends] >= begin - WARM_UP_DAYS) & (panel.date[ends] < begin)]
    at = torch.from_numpy(rows)
    raw = torch.empty(len(at), len(HORIZONS), len(QUANTILE_COLUMNS), dtype=torch.float64)
    for name, bundle in bundles.items():
        own = torch.tensor([each == name for each in made_by])
        raw[own] = bundle.stats_for(panel).harx(panel, at[own]).double()
    if not oldest.card.calibrated:
        return raw.numpy()
    every = torch.cat([warm, at])
    online = calibrate_online(
        torch.cat([oldest.stats_for(panel).harx(panel, warm).double(), raw]).numpy(),
        y=panel.targets[every].double().numpy(),
        date=panel.date[every].numpy().astype(np.int64),
        label_date=label_dates(panel)[every.numpy()],
        groups=oldest.groups(panel, every),
        spec=_calibration(store, decisions["night"][first]),
    )
    return online.quantiles[len(warm) :]


def _bundles(store: Store, wanted: set[str]) -> Iterator[tuple[str, "Bundle"]]:
    """Yield the champions with the ids ``wanted``. Raises MissingArtefact where one is gone."""
    from forecast_assets.champion.bundle import Bundle

    have = {version.id: version for version in store.versions(SERVING_MODEL)}
    if gone := sorted(wanted - set(have)):
        raise MissingArtefact(f"version {gone[0]} of {SERVING_MODEL}, by which nights were made, is gone")
    for name in sorted(wanted):
        bundle = Bundle.open(have[name])
        bundle.rename(declared_renames(store))
        yield name, bundle


def _calibration(store: Store, night: str) -> CalibrationSpec:
    """Return the calibration's settings of the night with a version id."""
    (version,) = (each for each in night_versions(store) if each.id == night)
    return CalibrationSpec.model_validate(version.manifest.config["calibration"])
