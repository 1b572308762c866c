"""A simulated deployment: a vendor of prices, a daemon that runs nights, users, and a machine that fails."""

import datetime as dt
import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from campaigns.simulation.clock import Clock
from campaigns.simulation.disk import Disk
from campaigns.simulation.stages import BY_DAY, NIGHT, PANEL, materialise, publish, stages
from forecast_assets.automation.nights import due_nights, skip_nights
from forecast_assets.champion.promotion import roll_back
from forecast_assets.cli.prune import prune
from forecast_assets.core.errors import UserError
from forecast_assets.core.panel.adapters.folders import FoundFiles
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import PanelSpec
from forecast_assets.resources.source import InputFiles, as_arrived
from forecast_assets.resources.store_io import StoreIOManager, StoreResource
from forecast_assets.store.artefact_files import MEMBERS, NIGHT_RECORD, weights_file
from forecast_assets.store.asset_keys import ENSEMBLE
from forecast_assets.store.fork import fork
from forecast_assets.store.names import CURRENT, MANIFEST
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

BEGIN = dt.datetime(2025, 1, 2, 22, tzinfo=dt.UTC)
HISTORY_SESSIONS = 4
MODEL, YEAR = "mlp", "2025"
REFUSED = (UserError, OSError)
"""What a command may end with; anything else is a bug."""


def evening_after(moment: dt.datetime) -> dt.datetime:
    """Return the evening of the next session: a weekday."""
    later = moment.replace(hour=BEGIN.hour, minute=0, second=0, microsecond=0)
    while later <= moment or later.weekday() > 4:
        later += dt.timedelta(days=1)
    return later


@dataclass
class Vendor:
    """Delivers a file of dates per delivery; a session is delivered once, perhaps late."""

    folder: Path
    owed: list[dt.date] = field(default_factory=list)
    files: dict[str, list[dt.date]] = field(default_factory=dict)
    written: int = 0

    def deliver(self, days: list[dt.date]) -> None:
        """Write days into a new file."""
        self.written += 1
        name = f"prices-{self.written:04d}.csv"
        (self.folder / name).write_text("".join(f"{day}\n" for day in days))
        self.files[name] = days

    def deliver_owed(self, count: int) -> None:
        """Deliver up to ``count`` of the sessions that are owed, in one file."""
        due, self.owed = self.owed[:count], self.owed[count:]
        if due:
            self.deliver(due)

    def rename(self, name: str) -> None:
        """Give a file another name, as an archive does."""
        self.written += 1
        new = f"archive-{self.written:04d}.csv"
        os.rename(self.folder / name, self.folder / new)
        self.files[new] = self.files.pop(name)


@dataclass
class Run:
    """A run of the daemon: the assets that are left to be made."""

    day: str | None
    left: list[str]


@dataclass
class Daemon:
    """What survives a killed process outside of the store: the scheduler's own record of its runs."""

    run: Run | None = None
    tried: set[str] = field(default_factory=set)  # nights of this tick
    rejected: dict[str, str] = field(default_factory=dict)  # night -> why its last run failed


class Deployment:
    """One data root, and all that happens to it."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self.folder, self.root = root, root / "data"
        self.clock = clock
        self.disk = Disk(self.root)
        self.vendor = Vendor(root / "incoming")
        self.daemon = Daemon()
        self.renames: dict[str, str] = {}
        self.damaged: set[str] = set()  # versions whose bytes are not as published
        self.removed: set[str] = set()  # versions that were pruned
        self.seen_elsewhere: dict[str, str] = {}  # night -> the version that another machine saw as the one that stands
        self.trained = 0
        self.pending: Any = None  # what happens while the next stage works
        self.vendor.folder.mkdir(parents=True)
        self.root.mkdir()
        self._boot()
        days, day = [], BEGIN
        for _ in range(HISTORY_SESSIONS):
            day = evening_after(day)
            days.append(day.date())
        self.clock.move_to(day)
        self.vendor.deliver(days)
        self.retrain(random.Random(0))

    def _boot(self) -> None:
        """Start the processes: nothing of the ones before is left."""
        self.store = Store(self.root / "store")
        self._stages = stages(self._meanwhile)
        self._resources = self._resources_of(self.root)

    def _resources_of(self, root: Path) -> SimpleNamespace:
        store = StoreResource(data_dir=str(root))
        return SimpleNamespace(
            store=store,
            io_manager=StoreIOManager(store=store),
            settings=SimpleNamespace(settings=lambda *_: self._settings()),
            compute=SimpleNamespace(threads=0),
            source=SimpleNamespace(input_files=self._input_files),
        )

    def _settings(self) -> SimpleNamespace:
        panel = PanelSpec(columns={}, exchanges={}, regions={}, renames=self.renames)
        return SimpleNamespace(panel=panel, demo=None, arrival=SimpleNamespace(quiet_seconds=0.0))

    def _input_files(self, *_: object, data_root: str, **__: object) -> InputFiles:
        files = tuple(InputFile(self.vendor.folder / name, name) for name in sorted(self.vendor.files))
        return as_arrived(FoundFiles(files), declared="", data_root=data_root)

    def _meanwhile(self) -> None:
        """Let somebody else act, once, while a stage works."""
        action, self.pending = self.pending, None
        if action is not None:
            with suppress(*REFUSED):
                action()
            self.disk.count_again()

    def reboot(self) -> None:
        """Start again after the process was killed; the scheduler notices, and goes on with the next night."""
        self._boot()
        if self.daemon.run is not None:
            self._next_run(failed=self.daemon.run, why="its process was killed")

    # The daemon

    def work(self, rng: random.Random) -> None:
        """Make the next asset of the run; where there is none, it is evening, and the panel is read."""
        if self.daemon.run is None:
            self.clock.move_to(evening_after(self.clock.now))
            self.vendor.owed.append(self.clock.now.date())
            if rng.random() < 0.85:
                self.vendor.deliver_owed(rng.choice((1, 1, 1, 9)))
            self.daemon.run, self.daemon.tried = Run(None, [*PANEL]), set()
        self.make_next()

    def make_next(self) -> None:
        """Make the next asset of the run. Raises what the asset raises, when the next run has been chosen."""
        run = self.daemon.run
        assert run is not None
        self.clock.move_to(self.clock.now + dt.timedelta(minutes=1))
        try:
            self._make(run.left[0], run.day)
        except REFUSED as error:
            self._next_run(failed=run, why=str(error))
            raise
        run.left.pop(0)
        if not run.left:
            self._next_run()

    def _make(self, asset: str, day: str | None) -> None:
        materialise(self._stages[asset], day, resources=self._resources)

    def _next_run(self, *, failed: Run | None = None, why: str = "") -> None:
        """Start the first night due that this tick has not tried; after a panel that could not be read, none."""
        self.daemon.run = None
        if failed is not None and failed.day is None:
            return
        if failed is not None and failed.day is not None:
            self.daemon.rejected[failed.day] = why
        with self.disk.unwatched():
            try:
                due = due_nights(self.store, str(self.root))
            except REFUSED:
                return
        left = [day for day in due if day not in self.daemon.tried]
        if left:
            self.daemon.tried.add(left[0])
            self.daemon.run = Run(left[0], [*NIGHT])

    # Users

    def retrain(self, rng: random.Random) -> None:
        """Run the walk-forward again: other fits, and an ensemble of them, trained up to one of the last sessions."""
        self.trained += 1
        cutoff = str(self.clock.now.date() - dt.timedelta(days=rng.randint(2, 6)))
        fit = publish(self.store, MODEL, YEAR, {weights_file(0): f"{self.trained}"}, parents={})
        members = f'{{"members": [{{"fit": "{MODEL}/0"}}], "cutoff": "{cutoff}"}}'
        publish(self.store, ENSEMBLE, YEAR, {MEMBERS: members}, parents={fit.label: fit.data_version})

    def rollback(self, _: random.Random) -> tuple[Version | None, Version]:
        """Roll the champion back."""
        return roll_back(self.store, str(self.root))

    def skip(self, rng: random.Random) -> list[str]:
        """Give up a missing night, or one that is not missing, which is refused."""
        due = due_nights(self.store, str(self.root))
        days = self.store.partitions("nightly_forecast")
        chosen = [rng.choice(due if due and rng.random() < 0.7 else [*days, "2031-01-01"])]
        skip_nights(self.store, str(self.root), chosen)
        return chosen

    def click(self, rng: random.Random) -> None:
        """Materialise one asset in the UI, a night's for a day of the panel."""
        asset = rng.choice([*PANEL, *NIGHT])
        days = self.store.partitions("nightly_forecast")
        day = rng.choice(days) if asset in BY_DAY and days else None
        if asset not in BY_DAY or day is not None:
            self._make(asset, day)

    def commit_too(self, rng: random.Random) -> None:
        """Another machine, which this one's locks don't bind, commits the asset that is being made."""
        run = self.daemon.run
        if run is not None and run.day is not None and run.left[0] == "nightly_forecast":
            serving = self.store.current("serving_model").id
            files = {"forecasts.txt": f"{rng.random()}", NIGHT_RECORD: json.dumps({"serving_model": serving})}
            stands = publish(self.store, run.left[0], run.day, files, parents={}, first=True)
            self.seen_elsewhere.setdefault(run.day, stands.id)

    def repair(self, _: random.Random) -> None:
        """Materialise again what is damaged, as the message about it says; what can't be made any more stays damaged."""
        for day in self.store.partitions("nightly_forecast"):
            for asset in NIGHT:
                pointer = self.root / "store" / asset / day / CURRENT
                if asset in BY_DAY and pointer.exists() and pointer.read_text().strip() in self.damaged:
                    with suppress(*REFUSED):
                        self._make(asset, day)

    def sweep(self, _: random.Random) -> None:
        """Remove what killed writers left."""
        self.store.sweep(older_than_seconds=-3600)

    def prune(self, rng: random.Random) -> None:
        """Remove old versions."""
        before = self._prunable()
        try:
            prune(self.store, str(self.root), keep=rng.randint(1, 3))
        finally:
            with self.disk.unwatched():
                self.removed |= before - self._prunable()

    def _prunable(self) -> set[str]:
        """Return the versions that may ever be removed: all but champions."""
        assets = [asset for asset in self.store.assets() if asset != "serving_model"]
        slots = [(asset, slot) for asset in assets for slot in self.store.slots(asset)]
        return {version.id for asset, slot in slots for version in self.store.versions(asset, slot)}

    # The world

    def deliver(self, rng: random.Random) -> None:
        """The vendor sends what it owes, moves a file, or sends one again."""
        with self.disk.unwatched():
            choice = rng.random()
            if choice < 0.6:
                self.vendor.deliver_owed(rng.randint(1, 9))
            elif choice < 0.8:
                self.vendor.rename(rng.choice(sorted(self.vendor.files)))
            else:
                self.vendor.deliver(self.vendor.files[rng.choice(sorted(self.vendor.files))])

    def odd_date(self, rng: random.Random) -> None:
        """The vendor sends a row that is dated ahead."""
        with self.disk.unwatched():
            ahead = dt.timedelta(days=rng.choice((3, 8, 40, 13_500)))
            self.vendor.deliver([self.clock.latest.date() + ahead])

    def move_clock(self, rng: random.Random) -> None:
        """The machine's clock is set back, or the machine is off for some days."""
        if rng.random() < 0.5:
            self.clock.move_to(self.clock.now - dt.timedelta(hours=rng.randint(1, 60)))
            return
        for _ in range(rng.randint(1, 4)):
            self.clock.move_to(evening_after(self.clock.now))
            self.vendor.owed.append(self.clock.now.date())

    def rename_ticker(self, rng: random.Random) -> None:
        """A ticker is renamed in the settings."""
        self.renames = {**self.renames, f"T{rng.randint(0, 99)}": f"N{rng.randint(0, 99)}"}

    def damage(self, rng: random.Random) -> None:
        """Bytes of a version change on the disk, of the champion most often."""
        with self.disk.unwatched():
            asset = "serving_model" if rng.random() < 0.5 else rng.choice([*PANEL, *NIGHT])
            folders = sorted(path.parent for path in self.root.glob(f"store/{asset}/*/[0-9a-f]*/{MANIFEST}"))
            if not folders:
                return
            folder = rng.choice(folders[-3:])
            victim = rng.choice(sorted(path for path in folder.iterdir() if path.is_file()))
            same = victim.stat().st_ino
            for path in folder.parent.glob(f"*/{victim.name}"):
                if path.stat().st_ino == same:  # versions share files
                    self.damaged.add(path.parent.name)
            data = bytearray(victim.read_bytes())
            how = rng.choice(("flip", "cut", "gone"))
            if how == "gone":
                victim.unlink()
                self.damaged.add(folder.name)
                return
            if how == "flip" and data:
                data[rng.randrange(len(data))] ^= 1
            else:
                data = data[: len(data) // 2]
            victim.write_bytes(data)

    def replay(self, rng: random.Random) -> list[str]:
        """Replay a day on the root itself, which is refused, and in a fork. Return what changed here."""
        days = self.store.partitions("nightly_forecast")
        if not days or not self.store.has("raw_panel"):
            return []
        day, before = rng.choice(days), self.contents()
        own = self.folder / "replay"
        with replayed(day):
            try:
                self._make("raw_panel", None)
                refused = False
            except REFUSED:
                refused = True
            live, self._resources = self._resources, self._resources_of(own)
            try:
                fork(str(self.root), own, before=day)
                for asset in (*PANEL, *NIGHT):
                    self._make(asset, day)
            finally:
                self._resources = live
                with self.disk.unwatched():
                    shutil.rmtree(own, ignore_errors=True)
        changed = [name for name, content in self.contents().items() if before.get(name) != content]
        return [*changed, *(before.keys() - self.contents().keys()), *([] if refused else ["a replay was not refused"])]

    def contents(self) -> dict[str, bytes]:
        """Return the files of the data root, without locks."""
        files = (
            path for path in self.root.rglob("*") if path.is_file() and "/." not in str(path.relative_to(self.root))
        )
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files if path.name != CURRENT + ".lock"}


@contextmanager
def replayed(day: str) -> Iterator[None]:
    """Set the clock of a replay for the length of a block."""
    os.environ["FORECAST_AS_OF"] = day
    try:
        yield
    finally:
        del os.environ["FORECAST_AS_OF"]
