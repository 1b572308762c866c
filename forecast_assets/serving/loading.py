"""From the store to a snapshot: what is new is checked and read, what is damaged is refused, the rest is shared."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.errors import CorruptArtefact, MissingArtefact, UserError
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.history import Closes, History
from forecast_assets.serving.issued import Issued
from forecast_assets.serving.snapshot import Model, Snapshot
from forecast_assets.store.artefact_files import CALIBRATION_EFFECT, CALIBRATION_STATE, NIGHT_RECORD, TABLE, TENSORS
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)

NIGHTLY = "nightly_forecast"

WATCHED_NIGHTS = 5
"""A night never changes once it is committed; so many of the newest ones are looked at again all the same."""

Slot = tuple[str, str | None]
DATA: Slot = ("windowed_tensors", None)
MODEL: Slot = ("serving_model", None)
PAIR = (DATA, MODEL)


@dataclass(frozen=True)
class Part:
    """A version that passed its checks, and what was read from it."""

    version: Version
    content: Any


@dataclass
class Loader:
    """Keeps what it read, by version: a new night costs its own table and nothing else. Not for several threads."""

    store: Store
    open_model: Callable[[Version], Model]
    refused: dict[Slot, tuple[str, str]] = field(default_factory=dict)  # slot -> (version id, sentence)
    misfit: str = ""  # why the current model and data can't be served together; empty where they can
    _parts: dict[Slot, Part] = field(default_factory=dict)
    _pair: dict[Slot, Part] = field(default_factory=dict)  # the last model and data that went together
    _judged: tuple[str, str] = ("", "")  # the pair that ``misfit`` is about
    _identity: str = ""

    def refresh(self) -> Snapshot | None:
        """The snapshot of what is in the store now, or None where it would be the one of the last call."""
        slots = self._slots()
        watched = {*slots[-WATCHED_NIGHTS:], *(slot for slot in slots if slot[0] != NIGHTLY)}
        for slot in slots:
            if slot in watched or slot not in self._parts:
                self._look(slot)
        self._parts = {slot: part for slot, part in self._parts.items() if slot in slots}
        self.refused = {slot: why for slot, why in self.refused.items() if slot in slots}
        parts = self._fitting()
        identity = _identity(parts)
        if identity == self._identity or not parts:
            return None
        snapshot = self._snapshot(identity, parts)
        self._identity = identity
        return snapshot

    @property
    def problems(self) -> list[str]:
        """One sentence for each current version that is not served."""
        return [sentence for _, sentence in list(self.refused.values())] + [self.misfit] * bool(self.misfit)

    def _slots(self) -> list[Slot]:
        """All there is to serve; nights last, in order."""
        return [
            *((asset, None) for asset in ("windowed_tensors", "calendar_panel", "serving_model")),
            *(("ensemble", year) for year in self.store.partitions("ensemble")),
            *((NIGHTLY, day) for day in self.store.partitions(NIGHTLY)),
        ]

    def _look(self, slot: Slot) -> None:
        """Read the slot's current version if it is a new one; a damaged one leaves the last good one in place."""
        found = "CURRENT"
        try:
            version = self.store.current(*slot)
            found = version.id
            have = self._parts.get(slot)
            if have is not None and have.version.id == version.id:
                self.refused.pop(slot, None)
                return
            if self.refused.get(slot, ("", ""))[0] == version.id:
                return  # it was hashed and found damaged; only another version is worth a look
            version.check()
            self._parts[slot] = Part(version, self._read(version))
            self.refused.pop(slot, None)
        except MissingArtefact:
            return
        except (UserError, KeyError, ValueError, OSError, pl.exceptions.PolarsError) as error:
            # Every one of them is a version that can't be served. It is told, and the last good one stays.
            if self.refused.get(slot) != (found, str(error)):
                log.error("refused: %s", error)
            self.refused[slot] = (found, str(error))

    def _read(self, version: Version) -> Any:
        match version.asset:
            case "windowed_tensors":
                return History.of(PanelTensors.load(version.path(TENSORS)), data_version=version.data_version)
            case "calendar_panel":
                return Closes.read(pl.scan_parquet(version.path(TABLE)))
            case "serving_model":
                return self.open_model(version)
            case "ensemble":
                return _fold(version)
            case "nightly_forecast":
                return _night(version)
        raise ValueError(f"{version.label}: the service reads no such asset")

    def _fitting(self) -> dict[Slot, Part]:
        """The parts that go together. Where the current model fails on the current data, the last good pair stays."""
        parts = dict(self._parts)
        pair = {slot: parts[slot] for slot in PAIR if slot in parts}
        if len(pair) == len(PAIR):
            data, model = (pair[slot] for slot in PAIR)
            if self._judged != (judged := (data.version.id, model.version.id)):
                self.misfit, self._judged = _misfit(data.content, model.content), judged
                if self.misfit:
                    log.error("refused: %s", self.misfit)
            if self.misfit:
                del parts[MODEL]
                return parts | self._pair
            self._pair = pair
        return parts

    def _snapshot(self, identity: str, parts: dict[Slot, Part]) -> Snapshot:
        def whole(asset: str) -> Any:
            part = parts.get((asset, None))
            return part.content if part is not None else None

        nights = sorted(
            ((slot[1], part) for slot, part in parts.items() if slot[0] == NIGHTLY and slot[1]),
            key=lambda night: (night[1].version.manifest.created, night[0]),
        )
        return Snapshot.of(
            identity,
            nights={day: part.content[0] for day, part in nights},
            states={day: (part.content[0].model_version, part.content[1]) for day, part in nights},
            folds={slot[1]: part.content for slot, part in parts.items() if slot[0] == "ensemble" and slot[1]},
            history=whole("windowed_tensors"),
            model=whole("serving_model"),
            closes=whole("calendar_panel") or Closes({}),
        )


def _misfit(history: History, model: Model) -> str:
    """Why ``model`` can't forecast from ``history``; empty where it does.

    It forecasts the panel's last decision a few times: a traced network is compiled in its first runs, and no caller
    should wait for that.
    """
    if set(model.card.features) - set(names := history.panel.feature_names):
        changed = sorted(set(model.card.features) ^ set(names))
        return f"serving_model: its features are not those of windowed_tensors ({changed}); export it again."
    rows = history.panel.ends(model.card.lookback)[-1:]
    try:
        for count in (1, 1, 2, 2) if len(rows) else ():
            made = model.forecast(history.panel, rows.repeat(count), state=CalibrationState.initial())
            if not np.isfinite(made.raw).all():
                return "serving_model: its forecast of the panel's last decision is not finite; export it again."
    except Exception as error:
        # A boundary: whatever a model raises on live data, the one before it goes on being served.
        log.exception("serving_model failed")
        return f"serving_model: it fails on the current windowed_tensors ({type(error).__name__}); export it again."
    return ""


def _night(version: Version) -> tuple[Issued, CalibrationState]:
    night = version.json(NIGHT_RECORD)
    issued = Issued.of(
        pl.read_parquet(version.path(TABLE)),
        source="ledger",
        model_version=night["model_version"],
        data_version=night["data_version"],
        calibrated=night["calibrated"],
    )
    return issued, CalibrationState.from_json(version.json(CALIBRATION_STATE))


def _fold(version: Version) -> Issued:
    data = version.manifest.parents.get("windowed_tensors")
    if data is None:
        raise CorruptArtefact(f"{version.label}: its manifest names no windowed_tensors; run the graph again.")
    return Issued.of(
        pl.read_parquet(version.path(TABLE)),
        source="walk_forward",
        model_version=f"{version.label}/{version.id}",
        data_version=data,
        calibrated=CALIBRATION_EFFECT in version.manifest.files,
    )


def _identity(parts: dict[Slot, Part]) -> str:
    names = sorted(f"{part.version.label}/{part.version.id}" for part in parts.values())
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
