"""The artefact store: immutable versions, and one atomic pointer per asset and partition to the current one.

    <root>/<asset>/<partition or all>/<version>/files + manifest.json
    <root>/<asset>/<partition or all>/CURRENT
    <root>/.changed

A version exists once its manifest does, which is written last; readers get it once ``CURRENT`` names it. What a killed
writer leaves is therefore invisible, and `Store.sweep` removes it. No file of a version is ever rewritten.

``.changed`` gets a new text once a ``CURRENT`` has moved: where it is the same as before, so is what the store serves, but
for a writer that was killed in between.
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
from forecast_assets.store.locks import Lock
from forecast_assets.store.manifest import Manifest, ManifestFields, content_digest
from forecast_assets.store.names import CHANGED, CURRENT, MANIFEST, VERSION_ID, WHOLE, checked_name, folder, label
from forecast_assets.store.objects import ObjectStore
from forecast_assets.store.place import Place, read_pointer
from forecast_assets.store.staging import Staging
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Problem:
    """A damaged file that `Store.verify` found; as text, one sentence."""

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

    `cache` is for copies of remote files (default: the user's cache folder); a local store needs none. Asset, partition
    and file names that `names` does not accept raise BadInput everywhere.
    """

    def __init__(self, root: "str | Path | UPath", *, cache: Path | None = None) -> None:
        self._place = _place(root, cache=cache)

    def __repr__(self) -> str:
        return f"Store({str(self._place)!r})"

    def __str__(self) -> str:
        return str(self._place)

    # Reading

    def current(self, asset: str, partition: str | None = None) -> Version:
        """Return the current version.

        Raises MissingArtefact where nothing was ever published, CorruptArtefact where ``CURRENT`` is damaged or names a
        version that is gone or has a damaged manifest.
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
                pointer = moved  # meanwhile a writer published, and the version that was read is pruned

    def has(self, asset: str, partition: str | None = None) -> bool:
        """Whether anything was published, intact or not."""
        return CURRENT in self._place.sizes(folder(asset, partition))

    def assets(self) -> list[str]:
        """Return the assets with a published version, sorted."""
        return [asset for asset in self._place.folders("") if self.has(asset) or self.partitions(asset)]

    def partitions(self, asset: str) -> list[str]:
        """Return the published partitions of an asset, sorted; none for an asset without partitions."""
        return [name for name in self.partition_folders(asset) if self.has(asset, name)]

    def partition_folders(self, asset: str) -> list[str]:
        """Return the partitions that anything was begun for, published or not, sorted, by one listing."""
        checked_name(asset, what="asset")
        return [name for name in self._place.folders(asset) if name != WHOLE]

    def current_id(self, asset: str, partition: str | None = None) -> str | None:
        """Return the id that ``CURRENT`` holds, whatever becomes of that version; None where nothing was published."""
        return self._pointer(asset, partition)

    def change_mark(self) -> str | None:
        """Return a text that is another one after each publication and promotion; None for a store of an earlier release."""
        try:
            return self._place.read(CHANGED).decode(errors="replace")
        except FileNotFoundError:
            return None

    def slots(self, asset: str) -> list[str | None]:
        """Return the published partitions of an asset, or None alone for an asset without partitions."""
        return [*self.partitions(asset)] or [None]

    def versions(self, asset: str, partition: str | None = None) -> list[Version]:
        """Return every version with an intact manifest, oldest first. The others are for `verify`."""
        intact = []
        for version in self._ids(asset, partition):
            try:
                intact.append(self._load(asset, partition, version))
            except CorruptArtefact as error:
                log.debug("left out: %s", error)
        return sorted(intact, key=lambda version: (version.manifest.created, version.id))

    def find(self, asset: str, partition: str | None, input_key: str) -> Version | None:
        """Return a complete version made from exactly these inputs: the current one if it is, else the latest, else None.

        A damaged one (manifest, file gone or of another size) is skipped with a warning: making it again repairs it.
        """
        _checked_key(input_key)
        found = []
        for name in self._ids(asset, partition):
            if not name.startswith(input_key[:16]):
                continue
            try:
                version = self._load(asset, partition, name)
            except CorruptArtefact as error:
                log.warning("skipped: %s", error)
                continue
            if version.input_key != input_key:
                continue
            if version.is_whole():
                found.append(version)
            else:
                log.warning("skipped: version %s of %s has lost or truncated files", name, version.label)
        pointer = self._pointer(asset, partition)
        return max(found, key=lambda version: (version.id == pointer, version.manifest.created), default=None)

    # Locking

    def lock(self, asset: str, partition: str | None = None, *, on_wait: Callable[[str], object]) -> Lock:
        """Lock one asset and partition for the process that makes it, and remove what killed processes left there.

        Readers and `promote` need no lock. Before it waits, `on_wait` gets a sentence. On an object store the lock binds
        the processes of this machine only.
        """
        key = folder(asset, partition)
        lock = Lock(self._place.lock_file(key), what=label(asset, partition), on_wait=on_wait)
        for abandoned in self._place.tidy(key):
            log.info("removed what a killed writer left: %s", abandoned)
        return lock

    def run_lock(self, *, on_wait: Callable[[str], object]) -> Lock:
        """Lock the store for one run of the graph from the command line."""
        return Lock(self._place.lock_file("run"), what=f"{self._place}", on_wait=on_wait)

    # Writing

    def stage(self, asset: str, partition: str | None = None, *, input_key: str) -> Staging:
        """Begin a new version: a local folder to write its files into. `input_key` is that of `keys`."""
        key = folder(asset, partition)
        # A name that no other writer may have, not a result: hence no seed.
        version = f"{_checked_key(input_key)[:16]}-{secrets.token_hex(4)}"
        with self._place.exclusive(key, what=label(asset, partition)):  # no sweep finds the folder before it is held
            path = self._place.workspace(f"{key}/{version}")
            return Staging(path, asset=asset, partition=partition, input_key=input_key, version=version)

    def commit(
        self, staging: Staging, manifest_fields: ManifestFields, *, first: bool = False, over: str | None = None
    ) -> Version:
        """Publish what was staged: hash, make durable, write the manifest, move ``CURRENT``, in this order.

        On any exception readers see a complete version, the old one unless the very last flush failed; the caller tries
        again, discards the staging or leaves it to `sweep`. A second writer of the same partition waits (on an object
        store the last one wins, and of first commits the first one). With ``first``, an intact version published before is
        returned, and the staging is discarded, unless it is the one with the id ``over``, to which this one adds. Damaged
        versions that this one replaces are set aside. Raises as `Staging.seal`, and ValueError for fields that a manifest
        can't hold and for a staging that was published already.
        """
        asset, partition = staging.asset, staging.partition
        key = folder(asset, partition)
        own_key = f"{key}/{staging.version}"
        if MANIFEST in self._place.sizes(own_key):
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
        Manifest(**own, **fields, created=_now())  # raises for unknown fields before anything is made durable
        self._place.settle(staging.path, own_key, files=staging.files, twins=self._twins(asset, partition))
        with self._place.exclusive(key, what=label(asset, partition)):
            # Before it is looked at: on an object store it may move meanwhile.
            pointed = self._pointer(asset, partition)
            before = self._intact_current(asset, partition) if first else None
            if before is not None and before.id != over:
                staging.discard()
                return before
            manifest = Manifest(**own, **fields, created=self._after(asset, partition))
            self._place.replace(f"{own_key}/{MANIFEST}", manifest.to_bytes())
            if not (first and pointed is None):
                self._point(asset, partition, staging.version)
            elif (winner := self._point_first(asset, partition, staging.version)) is not None:
                self._place.remove(own_key)
                staging.discard()
                return winner
            self._set_aside_damaged(asset, partition, manifest, before=pointed, thorough=first)
        staging.discard()  # keeps a version whose manifest is in this folder; behind a URL, removes the local originals
        return Version(manifest, self._place)

    def promote(self, version: Version) -> None:
        """Make an existing version the current one again. Raises CorruptArtefact where it is damaged."""
        with self._place.exclusive(folder(version.asset, version.partition), what=version.label):
            if self._pointer(version.asset, version.partition) == version.id:
                return
            self._load(version.asset, version.partition, version.id).check()
            self._point(version.asset, version.partition, version.id)

    # Maintenance

    def remove(self, version: Version) -> None:
        """Delete a version; files that it shares with others stay theirs. Raises ValueError for the current one."""
        key = folder(version.asset, version.partition)
        with self._place.exclusive(key, what=version.label):
            if self._pointer(version.asset, version.partition) == version.id:
                raise ValueError(f"{version.label}: version {version.id} is the current one; it can't be removed")
            self._place.remove(f"{key}/{version.id}")

    def verify(self, *, on_asset: Callable[[str], object] = lambda _: None) -> list[Problem]:
        """Hash every file of every version again, and follow every ``CURRENT``. An empty list means an intact store.

        ``on_asset`` is called with each asset's name before it is read.
        """
        problems: list[Problem] = []
        for asset in self._place.folders(""):
            on_asset(asset)
            problems += self._verify_asset(asset)
        return problems

    def sweep(self, *, older_than_seconds: float) -> list[str]:
        """Remove what crashed writers left: versions without manifest and temporary files, untouched for that long.

        On a local store a staging whose process lives is never removed. Returns what was removed.
        """
        return self._place.sweep(older_than_seconds=older_than_seconds)

    def _verify_asset(self, asset: str) -> Iterator[Problem]:
        digests: dict[Hashable, str] = {}
        for name in self._place.folders(asset):
            partition = None if name == WHOLE else name
            for version in self._ids(asset, partition):
                try:
                    loaded = self._load(asset, partition, version)
                except CorruptArtefact as error:
                    yield Problem(asset, partition, version, MANIFEST, str(error.__cause__))
                    continue
                for file, what in loaded.flaws(digests=digests):
                    yield Problem(asset, partition, version, file, what)
            if self.has(asset, partition):
                try:
                    self.current(asset, partition)
                except CorruptArtefact as error:
                    yield Problem(asset, partition, None, CURRENT, f"names no intact version ({error})")

    def _ids(self, asset: str, partition: str | None) -> list[str]:
        """Return the ids of the versions that have a manifest."""
        key = folder(asset, partition)
        names = [name for name in self._place.folders(key) if VERSION_ID.fullmatch(name)]
        return [name for name in names if MANIFEST in self._place.sizes(f"{key}/{name}")]

    def _pointer(self, asset: str, partition: str | None) -> str | None:
        return read_pointer(self._place, folder(asset, partition))

    def _point(self, asset: str, partition: str | None, version: str) -> None:
        self._place.replace(f"{folder(asset, partition)}/{CURRENT}", f"{version}\n".encode())
        self._mark_changed()

    def _mark_changed(self) -> None:
        self._place.note(CHANGED, secrets.token_hex(16).encode())

    def _point_first(self, asset: str, partition: str | None, version: str) -> Version | None:
        """Point to a version where nothing is pointed to yet; else return the intact one that came in between, and where it
        is damaged replace it.
        """
        if self._place.create(f"{folder(asset, partition)}/{CURRENT}", f"{version}\n".encode()):
            self._mark_changed()
            return None
        before = self._intact_current(asset, partition)
        if before is None:
            self._point(asset, partition, version)
        return before

    def _load(self, asset: str, partition: str | None, version: str) -> Version:
        advice = "run verify, then materialise it again or promote another version."
        where = f"{label(asset, partition)} in {self._place}"
        if VERSION_ID.fullmatch(version) is None:
            raise CorruptArtefact(f"{where}: {CURRENT} holds {version[:60]!r}, which is no version; {advice}")
        try:
            manifest = self._manifest(f"{folder(asset, partition)}/{version}/{MANIFEST}")
            if (manifest.asset, manifest.partition, manifest.version) != (asset, partition, version):
                raise ValueError("belongs to another version")
            if content_digest(manifest.files) != manifest.data_version or version[:16] != manifest.input_key[:16]:
                raise ValueError("contradicts itself")
        except FileNotFoundError as error:
            raise CorruptArtefact(f"{where}: version {version} is gone; {advice}") from error
        except ValueError as error:
            raise CorruptArtefact(f"{where}: the manifest of version {version} {error}; {advice}") from error
        return Version(manifest, self._place)

    def _manifest(self, key: str) -> Manifest:
        """Read a manifest, again where it can't be parsed: one bad read decides nothing. Raises ValueError."""
        data = self._place.read(key)
        try:
            return Manifest.from_bytes(data)
        except ValueError:
            again = self._place.read(key)
            if again == data:
                raise
            return Manifest.from_bytes(again)

    def _intact_current(self, asset: str, partition: str | None) -> Version | None:
        try:
            current = self.current(asset, partition)
            current.check()
        except (MissingArtefact, CorruptArtefact):
            return None
        return current

    def _after(self, asset: str, partition: str | None) -> str:
        """Return the time now, or just after the newest version's: a clock set back does not change which is newer.

        Of all versions, since the replaced one may be an old one that was promoted again.
        """
        now, newest = _now(), max((version.manifest.created for version in self.versions(asset, partition)), default="")
        return now if now > newest else _stamp(dt.datetime.fromisoformat(newest) + dt.timedelta(microseconds=1))

    def _set_aside_damaged(
        self, asset: str, partition: str | None, manifest: Manifest, *, before: str | None, thorough: bool
    ) -> None:
        """Set aside damaged versions that were made from the same inputs as the new one, or were current until now; of
        the latter only the manifest is checked unless ``thorough``. One that is found sound when it is read again stays.
        """
        for name in self._ids(asset, partition):
            if name == manifest.version or not (name == before or name.startswith(manifest.input_key[:16])):
                continue
            checked = thorough or manifest.input_key
            damage = self._damage(asset, partition, name, checked)
            if damage and self._damage(asset, partition, name, checked):
                log.warning("set aside: %s", damage)
                self._place.set_aside(folder(asset, partition), name)

    def _damage(self, asset: str, partition: str | None, name: str, checked: bool | str) -> str:
        """Return what is wrong with a version, empty where it is sound. ``checked``: whether its files are read, or the
        input key of those whose are.
        """
        try:
            version = self._load(asset, partition, name)
            if checked is True or version.input_key == checked:
                version.check()
        except CorruptArtefact as error:
            return str(error)
        return ""

    def _twins(self, asset: str, partition: str | None) -> dict[str, str]:
        """Return the key of the current version's file by sha256; empty where there is no intact version to share with."""
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
    return ObjectStore(url, cache=cache)


def _checked_key(input_key: str) -> str:
    if _DIGEST.fullmatch(input_key) is None:
        raise ValueError(f"{input_key!r} is not an input key; make one with forecast_assets.store.keys.input_key.")
    return input_key


def _now() -> str:
    """Return the real time, never a replay's: it says when the bytes were made."""
    return _stamp(dt.datetime.now(dt.UTC))


def _stamp(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="microseconds")
