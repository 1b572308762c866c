"""What must hold after every step of a simulated deployment, judged from outside of it.

The observer remembers what was there after each step and compares; faults, damage and the clock are known to it, and the
files that the vendor sent. It reads the store's folders itself where it judges the store.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from campaigns.simulation.deployment import Deployment
from forecast_assets.automation.alerts import deadline_observation
from forecast_assets.automation.nights import SKIPPED, Nights, due_nights
from forecast_assets.champion.promotion import REVOKED, current_champion, revocation
from forecast_assets.core.specs import AlertSpec
from forecast_assets.resources.arrival_log import JOURNAL
from forecast_assets.store.artefact_files import CARD, NIGHT_RECORD
from forecast_assets.store.asset_keys import DRIFT_CHECKS, NIGHTLY_FORECAST, RAW_PANEL, SERVING_MODEL, TARGET_POSITIONS
from forecast_assets.store.names import CURRENT, MANIFEST, WHOLE
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

NIGHT = (NIGHTLY_FORECAST, TARGET_POSITIONS, DRIFT_CHECKS)
DAY_BEGINS = dt.timedelta(hours=14)  # before UTC, where on earth a day begins first
ALERTS = AlertSpec()
TOO_LATE = ("would be in sample", "was promoted on")  # why a night can't be made any more


class Broken(NamedTuple):
    """An invariant that does not hold."""

    invariant: str
    what: str


class Champion(NamedTuple):
    """A bundle that was published."""

    id: str
    revocation: str
    place: int  # in the order in which they were published


@dataclass
class Observer:
    """What was seen of a deployment, step by step."""

    deployment: Deployment
    done: dict[str, dict[str, str]] = field(default_factory=lambda: {asset: {} for asset in NIGHT})
    """Asset of a night -> day -> current version."""
    first: dict[str, str] = field(default_factory=dict)  # night -> the version that was committed first
    champions: dict[str, Champion] = field(default_factory=dict)
    sessions: dict[str, list[str]] = field(default_factory=dict)  # version of the panel -> the sessions of its files
    lines: dict[str, bytes] = field(default_factory=dict)  # journal -> its bytes
    revoked: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    judged_nights: set[str] = field(default_factory=set)
    places: Iterator[int] = field(default_factory=count)
    judged_damage: int = 0  # how many versions were damaged at the last step

    @property
    def root(self) -> Path:
        return self.deployment.root

    def after(self, touched: Iterable[str]) -> Iterator[Broken]:
        """Yield what does not hold after a step that changed the files ``touched``."""
        self.store = Store(self.root / "store")
        damage, self.judged_damage = len(self.deployment.damaged) > self.judged_damage, len(self.deployment.damaged)
        slots = {slot for path in touched if (slot := self._slot(path)) is not None}
        for asset, partition in sorted(slots):
            yield from self._pointer(asset, partition)
        journals = sorted(path for path in touched if path.endswith(".jsonl") and path.startswith(str(self.root)))
        for path in journals:
            yield from self._journal(Path(path))
        changed = {asset for asset, _ in slots}
        # Where nothing that is read has changed since the last step, it still holds.
        if damage or journals or changed & {*NIGHT, RAW_PANEL}:
            yield from self._gaps()
        if damage or journals or SERVING_MODEL in changed:
            yield from self._serving()

    def _slot(self, path: str) -> tuple[str, str] | None:
        """Return asset and partition of a path in the store; None for any other."""
        parts = Path(path).parts[len(self.root.parts) :]
        inside = path.startswith(f"{self.root}/store/") and len(parts) > 2 and not parts[1].startswith(".")
        return (parts[1], parts[2]) if inside else None

    def _pointer(self, asset: str, partition: str) -> Iterator[Broken]:
        """Look at a folder of versions that a step has changed."""
        folder, label = self.root / "store" / asset / partition, f"{asset}/{partition}"
        damaged, removed = self.deployment.damaged, self.deployment.removed
        if not (folder / CURRENT).exists():
            if self.done.get(asset, {}).pop(partition, None):
                yield Broken("a current version stays", f"{label} has no current version any more")
            return
        current = (folder / CURRENT).read_text().strip()
        if current not in damaged:
            flaws = _flaws(folder / current)
            if flaws:
                yield Broken("CURRENT names an intact version", f"{label}: {current}: {flaws}")
                return
        if asset in self.done:
            self.done[asset][partition] = current
            if dt.date.fromisoformat(partition) > (self.deployment.clock.latest + DAY_BEGINS).date():
                yield Broken("nothing dated after the clock is committed", f"{label} is committed")
        if asset == NIGHTLY_FORECAST:
            first = self.first.setdefault(partition, self.deployment.seen_elsewhere.get(partition, current))
            if first != current and first not in damaged:
                yield Broken("the first commit of a night stands", f"{label}: {first} is replaced by {current}")
            self.first[partition] = current
            if first != current or current not in self.judged_nights:
                self.judged_nights.add(current)
                yield from self._out_of_sample(partition, folder / current)
        if asset == RAW_PANEL and current not in self.sessions and current not in damaged:
            self.sessions[current] = self._expected_sessions()
        if asset == SERVING_MODEL:
            for version in self.store.versions(SERVING_MODEL):
                own = revocation(version.manifest.parents)
                self.champions.setdefault(version.id, Champion(version.id, own, next(self.places)))
            if current in self.champions and self.champions[current].revocation in self.revoked:
                yield Broken("nothing revoked serves", f"{current} is current and revoked")
            for gone in [each for each in self.champions if not (folder / each / MANIFEST).exists()]:
                if gone not in damaged and gone not in removed:
                    yield Broken("no sound champion is lost", f"{gone} is gone")
                del self.champions[gone]

    def _out_of_sample(self, day: str, night: Path) -> Iterator[Broken]:
        """Judge the champion of a night: it knows no outcome of the night's forecasts."""
        champion = json.loads((night / NIGHT_RECORD).read_bytes())["serving_model"]
        bundle = self.root / "store" / SERVING_MODEL / WHOLE / champion
        if bundle.name in self.deployment.damaged or not bundle.exists():
            return
        cutoff = json.loads((bundle / CARD).read_bytes())["cutoff"]
        parents = json.loads((bundle / MANIFEST).read_bytes())["parents"]
        promoted = max((label.partition("/")[2] for label in parents if "/" in label), default="")
        if cutoff >= day or promoted > day:
            yield Broken(
                "a night's champion knows no outcome of it",
                f"{day}: trained to {cutoff}, promoted {promoted or 'never'}",
            )

    def _expected_sessions(self) -> list[str]:
        """Return the sessions of the vendor's files: days that had begun when their file was first read."""
        log = [json.loads(line) for line in (self.root / f"{JOURNAL}.jsonl").read_text().splitlines() if _is_json(line)]
        seen: dict[str, dt.datetime] = {}
        for entry in log:
            seen.setdefault(entry["name"], dt.datetime.fromisoformat(entry["first_seen"]))
        days = {
            str(day)
            for name, dates in self.deployment.vendor.files.items()
            if name in seen
            for day in dates
            if day <= (seen[name] + DAY_BEGINS).date()
        }
        return sorted(days)

    def missing(self) -> set[str]:
        """Return the sessions of the current panel since the first night that are neither done nor given up."""
        return {
            day
            for day in self._panel() or []
            for days in self.done.values()
            if days and min(days) < day and day not in days and day not in self.skipped
        }

    def _journal(self, path: Path) -> Iterator[Broken]:
        """Look at a journal that a step has appended to."""
        before, now = self.lines.get(str(path), b""), path.read_bytes() if path.exists() else b""
        if not now.startswith(before):
            yield Broken("no journal loses a line", f"{path.name} lost what it had")
        self.lines[str(path)] = now
        whole = [json.loads(line) for line in now.splitlines() if _is_json(line)]
        if (
            before
            and not before.endswith(b"\n")
            and len(now) > len(before)
            and now[len(before) : len(before) + 1] != b"\n"
        ):
            yield Broken(
                "no journal loses a line", f"{path.name}: a record was written into a torn line, and is lost with it"
            )
        if path.stem == Path(REVOKED).name:
            self.revoked = {record["id"] for record in whole}
            yield from self._promoted_first()
        if path.stem == Path(SKIPPED).name:
            self.skipped = {record["id"] for record in whole}

    def _promoted_first(self) -> Iterator[Broken]:
        """What is revoked is not current any more when the journal says so."""
        pointer = self.root / "store" / SERVING_MODEL / WHOLE / CURRENT
        current = pointer.read_text().strip() if pointer.exists() else ""
        if current in self.champions and self.champions[current].revocation in self.revoked:
            yield Broken("nothing revoked serves", f"{current} is revoked before another is current")

    def _gaps(self) -> Iterator[Broken]:
        """Each session since the first night is done, due or given up, and the deadline alert names what is not done."""
        sessions = self._panel()
        if not sessions or not self.done[NIGHTLY_FORECAST]:
            return
        due, missing = {*due_nights(self.store, str(self.root))}, self.missing()
        for day in sorted(missing - due):
            yield Broken("no silent gap", f"the night of {day} is neither done nor due nor given up")
        for day in sorted(due - missing):
            yield Broken("what is done or given up is not due", f"the night of {day} is due")
        nights = Nights.of(self.store, str(self.root))
        last = dt.date.fromisoformat(sessions[-1])
        alert = deadline_observation(due=last, nights=nights, sessions=sessions, alerts=ALERTS)
        named = alert.sentence if alert is not None and alert.on else ""
        for day in sorted(missing):
            if day not in named:
                yield Broken("the deadline alert names each hole", f"the night of {day} is not in {named!r}")

    def _panel(self) -> list[str] | None:
        """Return the sessions of the current panel; None where there is none, or it is damaged."""
        pointer = self.root / "store" / RAW_PANEL / WHOLE / CURRENT
        current = pointer.read_text().strip() if pointer.exists() else ""
        return None if current in self.deployment.damaged else self.sessions.get(current)

    def _serving(self) -> Iterator[Broken]:
        """What serves is sound and not revoked; where nothing serves, nothing sound is left."""
        serving = current_champion(self.store, str(self.root))
        sound = [champion for champion in self._sound() if champion.revocation not in self.revoked]
        if serving is None:
            if sound:
                yield Broken("a sound champion serves", f"nothing serves, and {sound[-1].id} is sound")
        elif serving.id in self.deployment.damaged:
            yield Broken("a sound champion serves", f"{serving.id} serves and is damaged")
        elif revocation(serving.manifest.parents) in self.revoked:
            yield Broken("nothing revoked serves", f"{serving.id} serves and is revoked")

    def _sound(self) -> list[Champion]:
        """Return the champions whose bytes are as published, oldest first."""
        sound = (each for each in self.champions.values() if each.id not in self.deployment.damaged)
        return sorted(sound, key=lambda champion: champion.place)

    def expected_rollback(self) -> str | None:
        """Return which version a rollback has to promote now; None where there is none, or the current one is unreadable."""
        current = (self.root / "store" / SERVING_MODEL / WHOLE / CURRENT).read_text().strip()
        own = self.champions[current]
        before = [
            each.id
            for each in self._sound()
            if each.place < own.place and each.revocation not in {*self.revoked, own.revocation}
        ]
        return before[-1] if before else None

    def unmade(self) -> Iterator[Broken]:
        """Yield the nights that are due after some days without a fault, but for those that can't be made any more."""
        for day in due_nights(Store(self.root / "store"), str(self.root)):
            why = self.deployment.daemon.rejected.get(day, "nothing was said")
            if not any(reason in why for reason in (*TOO_LATE, *self.deployment.damaged)):
                yield Broken("what is due is made when all goes well", f"the night of {day} is not: {why}")

    def after_all(self) -> Iterator[Broken]:
        """Yield what does not hold of the whole store: each file of each version that nobody damaged is as published."""
        for problem in Store(self.root / "store").verify():
            if problem.version is not None and problem.version not in self.deployment.damaged:
                yield Broken("CURRENT names an intact version", str(problem))


def given_up(observer: Observer, missing: set[str], days: Iterable[str]) -> list[Broken]:
    """Judge what was given up: nights of those ``missing`` before, and recorded."""
    found = [
        Broken("only a missing night is given up", f"{day} was given up, missing were {sorted(missing)}")
        for day in days
        if day not in missing
    ]
    lost = [day for day in days if day not in observer.skipped]
    return [*found, *(Broken("no journal loses a line", f"{day} was given up, and no line says so") for day in lost)]


def rolled_back(
    observer: Observer, expected: str | None, result: tuple[Version | None, Version] | None
) -> list[Broken]:
    """Judge a rollback that has ended: ``result`` is what it returned, None where it was refused."""
    if result is None:
        return [Broken("rollback is total", f"{expected} is sound, and the rollback was refused")] if expected else []
    serving = result[1].id
    if serving != expected:
        return [Broken("rollback is total", f"{serving} serves after the rollback, and not {expected}")]
    if result[0] is not None and revocation(result[0].manifest.parents) not in observer.revoked:
        return [Broken("no journal loses a line", f"{result[0].id} was revoked, and no line says so")]
    return []


def _flaws(folder: Path) -> str:
    """Return what is wrong with a version's folder, read without the store; empty where nothing is."""
    if not (folder / MANIFEST).exists():
        return "it has no manifest"
    manifest = json.loads((folder / MANIFEST).read_bytes())
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST}
    said = {name: entry["bytes"] for name, entry in manifest["files"].items()}
    return "" if sizes == said else f"files {sizes}, and the manifest says {said}"


def _is_json(line: str | bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
