"""Reading one published version of an asset: its files, its manifest, and whether they are intact."""

import hashlib
import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast_assets.core.errors import CorruptArtefact, Unreachable
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.manifest import Entry, Manifest
from forecast_assets.store.names import MANIFEST, folder, label
from forecast_assets.store.place import Place


@dataclass(frozen=True)
class Version:
    """A handle: it holds the manifest, and reads data only when a file is asked for."""

    manifest: Manifest
    place: Place

    @property
    def asset(self) -> str:
        return self.manifest.asset

    @property
    def partition(self) -> str | None:
        return self.manifest.partition

    @property
    def id(self) -> str:
        return self.manifest.version

    @property
    def input_key(self) -> str:
        return self.manifest.input_key

    @property
    def data_version(self) -> str:
        return self.manifest.data_version

    @property
    def label(self) -> str:
        """``asset`` or ``asset/partition``: its key in the `parents` of a manifest."""
        return label(self.asset, self.partition)

    def path(self, name: str) -> Path:
        """Return a local path of one file: the file itself on a disk, else a cached copy.

        The size is always compared with the manifest, the sha256 when a copy is made (and by `check`). Raises KeyError
        for a file the version doesn't hold, CorruptArtefact where it is gone or differs.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise KeyError(f"{self.label} has no file {name!r}; it has {sorted(self.manifest.files)}")
        try:
            size = self.place.size(self._key(name))
            if size != entry.bytes:
                raise self._corrupt(name, f"has {size} bytes where its manifest says {entry.bytes}")
            return self.place.local(self._key(name), entry=entry)
        except FileNotFoundError as error:
            raise self._corrupt(name, "is gone") from error

    def json(self, name: str) -> Any:
        """Parse one JSON file after comparing its bytes with the manifest. Raises as `path`."""
        data = self.path(name).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.manifest.files[name].sha256:
            raise self._corrupt(name, "differs from its manifest")
        return json.loads(data)

    def seen_by(self, year: int | None) -> str:
        """Return the digest of the rows up to the end of `year`, all that the fold of that year reads: rows of a new night
        thus leave earlier folds unchanged. The data version for None, and for a version without slices.
        """
        slices = self.manifest.slices
        if year is None or not slices:
            return self.data_version
        read = [[int(key), slices[key]] for key in sorted(slices, key=int) if int(key) <= year]
        return sha256_text(canonical_json(read))

    def check(self) -> None:
        """Hash every file that is not as it was a moment ago.

        Raises CorruptArtefact naming the first that is gone, altered or not in the manifest.
        """
        for name, what in self.flaws(digests=self.place.digests()):
            raise self._corrupt(name, what)

    def is_whole(self) -> bool:
        """Whether every file is there with its size: the cheap part of `check`, one listing."""
        sizes = self.place.sizes(self._key())
        return all(sizes.get(name) == entry.bytes for name, entry in self.manifest.files.items())

    def flaws(self, *, digests: dict[Hashable, str]) -> Iterator[tuple[str, str]]:
        """Yield each file that doesn't match the manifest, and how. `digests` caches hashes of files that versions share."""
        sizes = self.place.sizes(self._key())
        for name, entry in sorted(self.manifest.files.items()):
            key = self._key(name)
            if name not in sizes:
                yield name, "is gone"
            elif sizes[name] != entry.bytes:
                yield name, f"has {sizes[name]} bytes where its manifest says {entry.bytes}"
            else:
                try:
                    digest = self._digest(name, entry=entry, known=digests)
                except PermissionError:
                    yield name, "can't be read by this user"
                    continue
                if digest != entry.sha256:
                    yield name, "differs from its manifest"
            self.place.forget_stale_copy(key, entry=entry)
        for name in sorted(sizes.keys() - self.manifest.files.keys() - {MANIFEST}):
            yield name, "is not in the manifest"

    def _digest(self, name: str, *, entry: Entry, known: dict[Hashable, str]) -> str:
        """Return the sha256 of a file. One that is not the manifest's is read again: one bad read decides nothing.

        Raises Unreachable where it reads differently each time, PermissionError where this user may not read it.
        """
        key = self._key(name)
        identity = self.place.identity(key)
        if identity not in known:
            known[identity] = self.place.sha256(key)
        if (first := known[identity]) != entry.sha256:
            known[identity] = self.place.sha256(key)
            if known[identity] not in (first, entry.sha256):
                raise Unreachable(
                    f"{self.label}: file {name} of version {self.id} in {self.place} reads differently each time; "
                    "the storage or the line to it errs: run it again"
                )
        return known[identity]

    def _key(self, name: str = "") -> str:
        return f"{folder(self.asset, self.partition)}/{self.id}/{name}".rstrip("/")

    def _corrupt(self, name: str, what: str) -> CorruptArtefact:
        return CorruptArtefact(
            f"{self.label}: file {name} of version {self.id} in {self.place} {what}; "
            "materialise it again or promote another version."
        )
