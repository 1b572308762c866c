"""Immutable versions behind one atomic pointer per asset and partition.

    <root>/<asset>/<partition or all>/<version>/files + manifest.json
    <root>/<asset>/<partition or all>/CURRENT

A version exists from the moment its manifest does, which is written last; it is what readers get from the moment
``CURRENT`` names it. Whatever a dying writer leaves behind is therefore invisible, and `Store.sweep` removes it.
Nothing here rewrites a file of a version.
"""

import datetime as dt
import logging
import re
import secrets
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.store.disk import LocalDisk
from forecast_assets.store.keys import plain
from forecast_assets.store.locks import Turn
from forecast_assets.store.manifest import Manifest, ManifestFields, content_digest
from forecast_assets.store.names import CURRENT, MANIFEST, VERSION_ID, WHOLE, folder, label
from forecast_assets.store.objects import ObjectStore, default_cache
from forecast_assets.store.place import Place
from forecast_assets.store.staging import Staging
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Problem:
    """Something `Store.verify` found; as text, one sentence."""

    asset: str
    partition: str | None
    version: str | None
    file: str
    what: str

    def __str__(self) -> str:
        of = f" of version {self.version}" if self.version else ""
        return f"{label(self.asset, self.partition)}: {self.file}{of} {self.what}."


class Store:
    """The store at `root`: a local path or any URL that fsspec knows. Nothing is created before the first `stage`.

    `cache` is where copies of remote files go (default: the user's cache folder); a local store needs none. Asset,
    partition and file names are those of `names`; another one raises BadInput wherever it appears.
    """

    def __init__(self, root: "str | Path | UPath", *, cache: Path | None = None) -> None:
        self._place = _place(root, cache=cache)

    def __repr__(self) -> str:
        return f"Store({str(self._place)!r})"

    def __str__(self) -> str:
        return str(self._place)

    # Reading

    def current(self, asset: str, partition: str | None = None) -> Version:
        """The version that readers get.

        Raises MissingArtefact where nothing was ever published, CorruptArtefact where ``CURRENT`` is damaged or names a
        version that is gone or has no sound manifest.
        """
        pointer = self._pointer(asset, partition)
        if pointer is None:
            raise MissingArtefact(
                f"{label(asset, partition)}: nothing published in {self._place} yet; materialise it first."
            )
        while True:
            try:
                return self._load(asset, partition, pointer)
            except CorruptArtefact:
                moved = self._pointer(asset, partition)
                if moved is None or moved == pointer:
                    raise
                pointer = moved  # a writer published, and pruned the version that was read, in between

    def has(self, asset: str, partition: str | None = None) -> bool:
        """Whether anything was published, sound or not."""
        return CURRENT in self._place.sizes(folder(asset, partition))

    def assets(self) -> list[str]:
        """Assets with anything published, sorted."""
        return [asset for asset in self._place.folders("") if self.has(asset) or self.partitions(asset)]

    def partitions(self, asset: str) -> list[str]:
        """Published partitions of an asset, sorted; none for an asset without partitions."""
        return [
            name for name in self._place.folders(folder(asset).split("/")[0]) if name != WHOLE and self.has(asset, name)
        ]

    def slots(self, asset: str) -> list[str | None]:
        """What can be asked for of an asset: its published partitions, or None alone for an asset without any."""
        return [*self.partitions(asset)] or [None]

    def versions(self, asset: str, partition: str | None = None) -> list[Version]:
        """Every version with a sound manifest, by time of creation, oldest first. The others are for `verify`."""
        sound = []
        for version in self._ids(asset, partition):
            try:
                sound.append(self._load(asset, partition, version))
            except CorruptArtefact as error:
                log.debug("left out: %s", error)
        return sorted(sound, key=lambda version: (version.manifest.created, version.id))

    def find(self, asset: str, partition: str | None, input_key: str) -> Version | None:
        """A whole version made from exactly these inputs: the current one if it is, else the latest, else None.

        A damaged one (unsound manifest, file gone or of another size) is passed over with a warning: making it again is
        the repair.
        """
        _checked_key(input_key)
        found = []
        for name in self._ids(asset, partition):
            if not name.startswith(input_key[:16]):
                continue
            try:
                version = self._load(asset, partition, name)
            except CorruptArtefact as error:
                log.warning("passed over: %s", error)
                continue
            if version.input_key != input_key:
                continue
            if version.is_whole():
                found.append(version)
            else:
                log.warning("passed over: version %s of %s has lost or cut files", name, version.label)
        pointer = self._pointer(asset, partition)
        return max(found, key=lambda version: (version.id == pointer, version.manifest.created), default=None)

    # Taking turns

    def turn(self, asset: str, partition: str | None = None, *, told: Callable[[str], object]) -> Turn:
        """The right to make this asset and partition, held by one process until it releases it or is gone.

        Readers and `promote` need none. What earlier holders left unfinished here is removed on the way. Who waits is
        told so. On an object store this binds the processes of one machine.
        """
        key = folder(asset, partition)
        turn = Turn(self._place.lock_file(key), what=label(asset, partition), told=told)
        for litter in self._place.tidy(key):
            log.info("removed what a dead writer left: %s", litter)
        return turn

    def run_turn(self, *, told: Callable[[str], object]) -> Turn:
        """The right to run the graph from the command line: one run at a time on a store."""
        return Turn(self._place.lock_file("run"), what=f"{self._place}", told=told)

    # Writing

    def stage(self, asset: str, partition: str | None = None, *, input_key: str) -> Staging:
        """A new version to write: a local folder, on a local store the version's own. `input_key` is that of `keys`."""
        key = folder(asset, partition)
        # Not a result but a name that no other writer may have, hence no seed.
        version = f"{_checked_key(input_key)[:16]}-{secrets.token_hex(4)}"
        with self._place.exclusive(key, what=label(asset, partition)):  # a sweep sees no folder that isn't held yet
            path = self._place.workspace(f"{key}/{version}")
            return Staging(path, asset=asset, partition=partition, input_key=input_key, version=version)

    def commit(self, staging: Staging, manifest_fields: ManifestFields, *, first: bool = False) -> Version:
        """Publish what was staged: hash, make durable, write the manifest, move ``CURRENT``, in this order.

        On any exception readers see a whole version, the old one unless the very last flush failed; the caller tries
        again, discards the staging or leaves it to `sweep`. A second writer of the same partition waits (on an object
        store the last one wins). With ``first``, what was soundly published before stands: it is returned, and the
        staging discarded. Damaged versions that this one replaces are set aside. Raises as `Staging.seal`, and ValueError
        for fields that a manifest can't hold and for a staging that was published already.
        """
        asset, partition = staging.asset, staging.partition
        key = folder(asset, partition)
        if MANIFEST in self._place.sizes(f"{key}/{staging.version}"):
            raise ValueError(f"{label(asset, partition)}: version {staging.version} was published already; promote it.")
        own = {
            "asset": asset,
            "partition": partition,
            "version": staging.version,
            "input_key": staging.input_key,
            "data_version": staging.seal(),
            "files": staging.files,
        }
        fields = plain(manifest_fields, where=f"manifest of {label(asset, partition)}")
        Manifest(**own, **fields, created=_now())  # refuse unknown fields before anything is made durable
        self._place.settle(
            staging.path, f"{key}/{staging.version}", files=staging.files, twins=self._twins(asset, partition)
        )
        with self._place.exclusive(key, what=label(asset, partition)):
            before = self._sound_current(asset, partition) if first else None
            if before is not None:
                staging.discard()
                return before
            pointed = self._pointer(asset, partition)
            manifest = Manifest(**own, **fields, created=self._after(asset, partition, pointed))
            self._place.replace(f"{key}/{staging.version}/{MANIFEST}", manifest.to_bytes())
            self._point(asset, partition, staging.version)
            self._set_aside_damaged(asset, partition, manifest, before=pointed, thorough=first)
        staging.discard()  # the manifest protects a version in place; elsewhere this removes the local originals
        return Version(manifest, self._place)

    def promote(self, version: Version) -> None:
        """Make an existing version the current one again. Raises CorruptArtefact where it is no longer sound."""
        with self._place.exclusive(folder(version.asset, version.partition), what=version.label):
            if self._pointer(version.asset, version.partition) == version.id:
                return
            self._load(version.asset, version.partition, version.id).check()
            self._point(version.asset, version.partition, version.id)

    # Looking after

    def remove(self, version: Version) -> None:
        """Destroy a version, but for files that it shares with others; ValueError for the current one."""
        key = folder(version.asset, version.partition)
        with self._place.exclusive(key, what=version.label):
            if self._pointer(version.asset, version.partition) == version.id:
                raise ValueError(f"{version.label}: version {version.id} is the current one; it can't be removed")
            self._place.remove(f"{key}/{version.id}")

    def verify(self) -> list[Problem]:
        """Hash every file of every version again, and follow every ``CURRENT``. An empty list means a sound store."""
        return [problem for asset in self._place.folders("") for problem in self._verify_asset(asset)]

    def sweep(self, *, older_than_seconds: float) -> list[str]:
        """Remove what crashed writers left: versions without manifest and temporary files, untouched for that long.

        A staging whose process lives is never removed on a local store, however old. Returns what was removed.
        """
        return self._place.sweep(older_than_seconds=older_than_seconds)

    def _verify_asset(self, asset: str) -> Iterator[Problem]:
        digests: dict[Hashable, str] = {}
        for name in self._place.folders(asset):
            partition = None if name == WHOLE else name
            for version in self._ids(asset, partition):
                try:
                    sound = self._load(asset, partition, version)
                except CorruptArtefact as error:
                    yield Problem(asset, partition, version, MANIFEST, str(error.__cause__))
                    continue
                for file, what in sound.flaws(known=digests):
                    yield Problem(asset, partition, version, file, what)
            if self.has(asset, partition):
                try:
                    self.current(asset, partition)
                except CorruptArtefact as error:
                    yield Problem(asset, partition, None, CURRENT, f"leads nowhere ({error})")

    def _ids(self, asset: str, partition: str | None) -> list[str]:
        """Ids of the versions that have a manifest."""
        key = folder(asset, partition)
        names = [name for name in self._place.folders(key) if VERSION_ID.fullmatch(name)]
        return [name for name in names if MANIFEST in self._place.sizes(f"{key}/{name}")]

    def _pointer(self, asset: str, partition: str | None) -> str | None:
        """What ``CURRENT`` says; None where there is none."""
        try:
            data = self._place.read(f"{folder(asset, partition)}/{CURRENT}")
        except FileNotFoundError:
            return None
        return data.decode(errors="replace").removesuffix("\n")

    def _point(self, asset: str, partition: str | None, version: str) -> None:
        self._place.replace(f"{folder(asset, partition)}/{CURRENT}", f"{version}\n".encode())

    def _load(self, asset: str, partition: str | None, version: str) -> Version:
        advice = "run verify, then materialise it again or promote another version."
        where = f"{label(asset, partition)} in {self._place}"
        if VERSION_ID.fullmatch(version) is None:
            raise CorruptArtefact(f"{where}: {CURRENT} holds {version[:60]!r}, which is no version; {advice}")
        try:
            manifest = Manifest.from_bytes(self._place.read(f"{folder(asset, partition)}/{version}/{MANIFEST}"))
            _match(manifest, asset=asset, partition=partition, version=version)
        except FileNotFoundError as error:
            raise CorruptArtefact(f"{where}: version {version} is gone; {advice}") from error
        except ValueError as error:
            raise CorruptArtefact(f"{where}: the manifest of version {version} {error}; {advice}") from error
        return Version(manifest, self._place)

    def _sound_current(self, asset: str, partition: str | None) -> Version | None:
        try:
            current = self.current(asset, partition)
            current.check()
        except (MissingArtefact, CorruptArtefact):
            return None
        return current

    def _after(self, asset: str, partition: str | None, pointed: str | None) -> str:
        """Now, or right after the version that is replaced: a clock that was set back does not change which is newer."""
        try:
            before = self._load(asset, partition, pointed).manifest.created if pointed else ""
        except CorruptArtefact:
            return _now()
        now = _now()
        return now if now > before else _stamp(dt.datetime.fromisoformat(before) + dt.timedelta(microseconds=1))

    def _set_aside_damaged(
        self, asset: str, partition: str | None, manifest: Manifest, *, before: str | None, thorough: bool
    ) -> None:
        """Move damaged versions out of sight that were made from the same inputs as the new one, or were current until
        now; of the latter only the manifest is looked at unless ``thorough``.
        """
        for name in self._ids(asset, partition):
            if name == manifest.version or not (name == before or name.startswith(manifest.input_key[:16])):
                continue
            try:
                version = self._load(asset, partition, name)
                if thorough or version.input_key == manifest.input_key:
                    version.check()
            except CorruptArtefact as error:
                log.warning("set aside: %s", error)
                self._place.set_aside(folder(asset, partition), name)

    def _twins(self, asset: str, partition: str | None) -> dict[str, str]:
        """Where the current version keeps each sha256; empty where there is no sound one to share with."""
        try:
            current = self.current(asset, partition)
        except (MissingArtefact, CorruptArtefact):
            return {}
        prefix = f"{folder(asset, partition)}/{current.id}"
        return {entry.sha256: f"{prefix}/{name}" for name, entry in current.manifest.files.items()}


def _place(root: "str | Path | UPath", *, cache: Path | None) -> Place:
    if isinstance(root, Path) or (isinstance(root, str) and "://" not in root):
        return LocalDisk(Path(root))
    from upath import UPath  # only a URL needs it, and its fsspec back end

    url = UPath(root)
    if url.protocol in ("", "file", "local"):
        return LocalDisk(Path(url.path))
    return ObjectStore(url, cache=cache or default_cache())


def _match(manifest: Manifest, *, asset: str, partition: str | None, version: str) -> None:
    """A sound manifest in the wrong folder is as bad as an unsound one."""
    if (manifest.asset, manifest.partition, manifest.version) != (asset, partition, version):
        raise ValueError("belongs to another version")
    if content_digest(manifest.files) != manifest.data_version or not version.startswith(manifest.input_key[:16]):
        raise ValueError("contradicts itself")


def _checked_key(input_key: str) -> str:
    if _DIGEST.fullmatch(input_key) is None:
        raise ValueError(f"{input_key!r} is not an input key; make one with forecast_assets.store.keys.input_key.")
    return input_key


def _now() -> str:
    """The real time, never the replayed one: it says when the bytes were made."""
    return _stamp(dt.datetime.now(dt.UTC))


def _stamp(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="microseconds")
