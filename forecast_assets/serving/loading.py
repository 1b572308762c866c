"""Loading a snapshot from the store: new versions are checked and read, damaged ones rejected, the rest reused."""

import datetime as dt
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.champion.forecast_change import ForecastChange, forecast_change
from forecast_assets.champion.issued import issued_table
from forecast_assets.champion.promotion import current_champion
from forecast_assets.champion.record import IssuedRecord, issued_record
from forecast_assets.champion.risk import read_forecasts, risk_record, stated_risk
from forecast_assets.core.errors import CorruptArtefact, MissingArtefact, Unreachable, UserError
from forecast_assets.core.joint.night import NightScenarios
from forecast_assets.core.panel.lineage import rename
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.history import Closes, History
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.issued import ForecastTable, Provenance
from forecast_assets.serving.portfolio import stated_answer
from forecast_assets.serving.schemas import Book, Position
from forecast_assets.serving.snapshot import Model, Snapshot
from forecast_assets.store.artefact_files import (
    BACKTEST_PAGE,
    CALIBRATION_EFFECT,
    CALIBRATION_STATE,
    NIGHT_RECORD,
    TABLE,
    TENSORS,
)
from forecast_assets.store.asset_keys import (
    BACKTEST_REPORT,
    CALENDAR_PANEL,
    ENSEMBLE,
    NIGHTLY_FORECAST,
    RAW_PANEL,
    SERVING_MODEL,
    TARGET_POSITIONS,
    WINDOWED_TENSORS,
)
from forecast_assets.store.names import CURRENT
from forecast_assets.store.panel_in_use import declared_renames, panel_sessions
from forecast_assets.store.seals import read_seals
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)

WATCHED_NIGHTS = 5  # so many of the newest are looked at again in a full check; a committed night should never change
FULL_CHECK_SECONDS = 60.0
"""Between looks at every pointer where the store's mark of changes stays the same: a writer may die before it moves that."""

SHOWN_BOOKS = 2  # the newest one is shown, and where it is damaged the one before

Slot = tuple[str, str | None]  # asset and partition
DATA: Slot = (WINDOWED_TENSORS, None)
MODEL: Slot = (SERVING_MODEL, None)
PAIR = (DATA, MODEL)
NO_FORECASTS = (BACKTEST_REPORT, TARGET_POSITIONS)  # shown beside them: a new report changes no answer's snapshot


def open_model(version: Version) -> Model:
    """Open the bundle of a ``serving_model`` version. Raises CorruptArtefact as ``Bundle.open``."""
    import torch

    from forecast_assets.champion.bundle import Bundle

    # A batch's tensors are small: a second thread gains little and takes the core that answers requests.
    torch.set_num_threads(1)
    return Bundle.open(version)


@dataclass(frozen=True)
class Part:
    """A version that passed its checks, and its content as read."""

    version: Version
    content: Any


@dataclass
class Loader:
    """Loads snapshots, and caches what it read by version: a new night costs one table. For one thread only."""

    store: Store
    open_model: Callable[[Version], Model]
    data_root: str | None = None  # with the journal of revoked champions; None: a damaged champion has no substitute
    scenarios: ScenarioSpec = field(default_factory=ScenarioSpec)
    rejected: dict[Slot, tuple[str, str]] = field(default_factory=dict)  # slot -> (version id, sentence)
    mismatch: str = ""  # why the current model and data can't be served together; empty where they can
    _parts: dict[Slot, Part] = field(default_factory=dict)
    _drawn: tuple[str, NightScenarios] | None = None  # snapshot and scenarios of its night
    _record: tuple[object, IssuedRecord] | None = None  # snapshot with the number of seals, and the record
    _pair: dict[Slot, Part] = field(default_factory=dict)  # the last model and data that could be served together
    _checked_pair: tuple[str, str] = ("", "")  # versions that ``mismatch`` is about
    panel_end: dt.date | None = None  # last session of the current raw panel
    _identity: str = ""
    _mark: str | None = None  # the store's, as of the last full check
    _full_check_due: float = 0.0  # on the monotonic clock
    _panel_version: str = ""  # that ``panel_end`` is of
    _renames: dict[str, str] = field(default_factory=dict)  # old ticker -> new one

    def refresh(self) -> Snapshot | None:
        """Return the snapshot of what the store holds now, or None where nothing has changed since the last call.

        Where nothing was published since, that costs one small read, however many nights there are.
        """
        mark = self.store.change_mark()  # before all else: what is published from here on moves it again
        unread = any(version == CURRENT for version, _ in self.rejected.values())
        if mark is not None and mark == self._mark and not unread and time.monotonic() < self._full_check_due:
            return None
        snapshot = self._full_check()
        self._mark, self._full_check_due = mark, time.monotonic() + FULL_CHECK_SECONDS
        return snapshot

    def _full_check(self) -> Snapshot | None:
        """Follow every pointer that may have moved; return the snapshot of what is new, None where nothing is."""
        if (renames := self._current_renames()) != self._renames:
            self._parts, self._pair, self._renames = {}, {}, renames  # all of it is read again under the new names
        slots = self._slots()
        watched = {*slots[-WATCHED_NIGHTS:], *(slot for slot in slots if slot[0] != NIGHTLY_FORECAST)}
        for slot in slots:
            if slot in watched or slot not in self._parts:
                self._load(slot)
        self._parts = {slot: part for slot, part in self._parts.items() if slot in slots}
        self.rejected = {slot: why for slot, why in self.rejected.items() if slot in slots}
        self._read_panel_end()
        parts = self._compatible_parts()
        forecasts = {slot: part for slot, part in parts.items() if slot[0] not in NO_FORECASTS}
        identity = _identity(parts)
        if identity == self._identity or not forecasts:
            return None
        snapshot = self._snapshot(_identity(forecasts), parts)
        self._identity = identity
        return snapshot

    def change(self, snapshot: Snapshot, ticker: str, day: dt.date) -> ForecastChange:
        """Return why the forecast of ``ticker`` changed between the last two nights up to ``day``; from any thread.

        Raises HttpError where it can't be known.
        """
        snapshot.check_known(ticker)
        if snapshot.history is None:
            raise HttpError(404, "no_change", "There is no feature data to compute the earlier forecast from again.")
        try:
            return forecast_change(
                self.store, ticker=ticker, day=day, panel=snapshot.history.panel, open_model=self.open_model
            )
        except UserError as error:
            raise HttpError(404, "no_change", str(error)) from error

    def night_scenarios(self, snapshot: Snapshot) -> NightScenarios:
        """Return the scenarios of the snapshot's night, drawn once; from the model's thread alone.

        Raises HttpError where there is no night, or too little has matured before it.
        """
        if snapshot.night is None:
            raise HttpError(404, "no_night", "There is no night yet whose forecasts scenarios could be drawn of.")
        if self._drawn is None or self._drawn[0] != snapshot.id:
            self._drawn = None  # the memory of the last one first
            try:
                forecasts = read_forecasts(self.store, snapshot.night, spec=self.scenarios)
                self._drawn = snapshot.id, NightScenarios.of(forecasts, self.scenarios)
            except UserError as error:
                raise HttpError(404, "no_scenarios", str(error)) from error
        return self._drawn[1]

    def sealed_record(self, snapshot: Snapshot) -> IssuedRecord:
        """Return the record of the issued forecasts, scored once for a snapshot and its seals; from the model's thread
        alone. Raises HttpError where there is none.
        """
        if self.data_root is None:
            raise HttpError(404, "no_record", "The service was started without a data root, where seals are kept.")
        try:
            key = (snapshot.id, len(read_seals(self.data_root)))
            if self._record is None or self._record[0] != key:
                self._record = key, issued_record(self.store, self.data_root)
        except UserError as error:
            raise HttpError(404, "no_record", str(error)) from error
        return self._record[1]

    @property
    def problems(self) -> list[str]:
        """One sentence for each current version that is not served."""
        return [sentence for _, sentence in list(self.rejected.values())] + [self.mismatch] * bool(self.mismatch)

    def _slots(self) -> list[Slot]:
        """Return everything to serve; nights last, in order."""
        return [
            *((asset, None) for asset in (WINDOWED_TENSORS, CALENDAR_PANEL, SERVING_MODEL, BACKTEST_REPORT)),
            *((ENSEMBLE, year) for year in self._published(ENSEMBLE)),
            *((TARGET_POSITIONS, day) for day in self._published(TARGET_POSITIONS, newest=SHOWN_BOOKS)),
            *((NIGHTLY_FORECAST, day) for day in self._published(NIGHTLY_FORECAST)),
        ]

    def _published(self, asset: str, *, newest: int | None = None) -> list[str]:
        """Return the published partitions, or the last so many; those that were read before are not asked for again."""
        names = reversed(self.store.partition_folders(asset))
        return [*islice((name for name in names if self._is_published((asset, name))), newest)][::-1]

    def _is_published(self, slot: Slot) -> bool:
        return slot in self._parts or self.store.has(*slot)

    def _load(self, slot: Slot) -> None:
        """Read the slot's current version if it is new; where it is damaged, keep the last good one."""
        found = CURRENT
        try:
            have = self._parts.get(slot)
            if have is not None and have.version.id == self.store.current_id(*slot):
                self.rejected.pop(slot, None)
                return
            version = self.store.current(*slot)
            found = version.id
            if self.rejected.get(slot, ("", ""))[0] == version.id:
                return  # it was hashed and found damaged before
            version.check()
            self._parts[slot] = Part(version, self._read(version))
            self.rejected.pop(slot, None)
        except MissingArtefact:
            return
        except (UserError, KeyError, ValueError, OSError, pl.exceptions.PolarsError) as error:
            # Each of them means a version that can't be served: it is reported, and the last good one stays.
            if isinstance(error, Unreachable):
                found = CURRENT  # nothing is known of the version: it is read again
            if self.rejected.get(slot) != (found, str(error)):
                log.error("not served: %s", error)
            self.rejected[slot] = (found, str(error))
            if slot == MODEL and slot not in self._parts and self.data_root is not None:
                self._load_last_champion(self.data_root)

    def _load_last_champion(self, data_root: str) -> None:
        """Read the newest sound champion that is not revoked, where a service begins with a damaged one."""
        try:
            champion = current_champion(self.store, data_root)
            if champion is not None:
                self._parts[MODEL] = Part(champion, self._read(champion))
                log.warning("served in place of the damaged champion: version %s", champion.id)
        except (UserError, KeyError, ValueError, OSError) as error:
            log.error("not served: %s", error)

    def _read(self, version: Version) -> Any:
        readers: dict[str, Callable[[Version], Any]] = {
            WINDOWED_TENSORS: lambda v: History.of(PanelTensors.load(v.path(TENSORS)), data_version=v.data_version),
            CALENDAR_PANEL: lambda v: Closes.read(pl.scan_parquet(v.path(TABLE))),
            SERVING_MODEL: self._open_model,
            ENSEMBLE: lambda v: _fold(v, self._renames),
            NIGHTLY_FORECAST: lambda v: _night(v, self._renames),
            TARGET_POSITIONS: lambda v: _book(v, self._renames),
            BACKTEST_REPORT: lambda v: v.path(BACKTEST_PAGE).read_bytes(),
        }
        return readers[version.asset](version)

    def _open_model(self, version: Version) -> Model:
        model = self.open_model(version)
        if self._renames:
            model.rename(self._renames)
        return model

    def _current_renames(self) -> dict[str, str]:
        """Return the renames of the current panel; the last known ones where its manifest is damaged."""
        try:
            return declared_renames(self.store)
        except CorruptArtefact as error:
            log.error("renames are those of the last panel: %s", error)
            return self._renames

    def _read_panel_end(self) -> None:
        """Note the last session of the current raw panel; it stays that of the last one where its manifest is damaged."""
        try:
            version = self.store.current(RAW_PANEL)
            if version.id != self._panel_version:
                self.panel_end = dt.date.fromisoformat(panel_sessions(self.store)[-1])
                self._panel_version = version.id
        except MissingArtefact:
            self.panel_end, self._panel_version = None, ""
        except CorruptArtefact as error:
            log.error("the last session is that of the last panel: %s", error)

    def _compatible_parts(self) -> dict[Slot, Part]:
        """Return the parts to serve. Where the current model fails on the current data, the last good pair stays."""
        parts = dict(self._parts)
        pair = {slot: parts[slot] for slot in PAIR if slot in parts}
        if len(pair) == len(PAIR):
            data, model = (pair[slot] for slot in PAIR)
            if self._checked_pair != (versions := (data.version.id, model.version.id)):
                self.mismatch, self._checked_pair = _mismatch(data.content, model.content), versions
                if self.mismatch:
                    log.error("not served: %s", self.mismatch)
            if self.mismatch:
                del parts[MODEL]
                return parts | self._pair
            self._pair = pair
        return parts

    def _snapshot(self, identity: str, parts: dict[Slot, Part]) -> Snapshot:
        def content(asset: str) -> Any:
            part = parts.get((asset, None))
            return part.content if part is not None else None

        nights = sorted(
            ((slot[1], part) for slot, part in parts.items() if slot[0] == NIGHTLY_FORECAST and slot[1]),
            key=lambda night: (night[1].version.manifest.created, night[0]),
        )
        books = [part.content for slot, part in parts.items() if slot[0] == TARGET_POSITIONS]
        return Snapshot.of(
            identity,
            nights={day: part.content[0] for day, part in nights},
            states={day: (part.content[0].provenance.model_version, part.content[1]) for day, part in nights},
            folds={slot[1]: part.content for slot, part in parts.items() if slot[0] == ENSEMBLE and slot[1]},
            history=content(WINDOWED_TENSORS),
            model=content(SERVING_MODEL),
            closes=content(CALENDAR_PANEL) or Closes.none(),
            book=max(books, key=lambda book: book.night, default=None),
            report=content(BACKTEST_REPORT),
        )


def _mismatch(history: History, model: Model) -> str:
    """Return why ``model`` can't forecast from ``history``; empty where it can.

    It forecasts the panel's last row a few times: a traced network is compiled in its first runs, and no request should
    wait for that.
    """
    if set(model.card.features) - set(names := history.panel.feature_names):
        changed = sorted(set(model.card.features) ^ set(names))
        return f"serving_model: its features are not those of windowed_tensors ({changed}); export it again."
    rows = history.panel.ends(model.card.lookback)[-1:]
    try:
        for count in (1, 1, 2, 2) if len(rows) else ():
            made = model.forecast(history.panel, rows.repeat(count), state=CalibrationState.initial())
            if not np.isfinite(made.raw).all():
                return "serving_model: its forecast from the panel's last row is not finite; export it again."
    except Exception as error:
        # A boundary: whatever a model raises on live data, the last good one is served.
        log.exception("serving_model failed")
        return f"serving_model: it fails on the current windowed_tensors ({type(error).__name__}); export it again."
    return ""


def _night(version: Version, renames: Mapping[str, str]) -> tuple[ForecastTable, CalibrationState]:
    night = version.json(NIGHT_RECORD)
    made_by = Provenance("ledger", night["calibrated"], night["model_version"], night["data_version"])
    table = ForecastTable.of(issued_table(version, renames), made_by)
    return table, CalibrationState.from_json(version.json(CALIBRATION_STATE))


def _book(version: Version, renames: Mapping[str, str]) -> Book:
    table = rename(pl.read_parquet(version.path(TABLE)), renames).sort("ticker")
    return Book(
        night=str(version.partition),
        gross=float(table["weight_target"].abs().sum()),
        net=float(table["weight_target"].sum()),
        turnover=float(table["trade"].abs().sum()),
        expected_cost=float(table["expected_cost"].sum()),
        risk=None if (stated := stated_risk(version)) is None else stated_answer(stated.risk, risk_record([version])),
        positions=[Position(**row) for row in table.iter_rows(named=True)],
    )


def _fold(version: Version, renames: Mapping[str, str]) -> ForecastTable:
    data = version.manifest.parents.get(WINDOWED_TENSORS)
    if data is None:
        raise CorruptArtefact(f"{version.label}: its manifest names no windowed_tensors; run the graph again.")
    calibrated = CALIBRATION_EFFECT in version.manifest.files
    made_by = Provenance("walk_forward", calibrated, f"{version.label}/{version.id}", data)
    return ForecastTable.of(issued_table(version, renames), made_by)


def _identity(parts: dict[Slot, Part]) -> str:
    names = sorted(f"{part.version.label}/{part.version.id}" for part in parts.values())
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
