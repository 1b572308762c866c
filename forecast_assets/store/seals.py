"""Seals of the nights: one short digest after each night, which fixes that night, all before it and the ledger.

Whoever has the seal of a night can tell later whether what was forecast up to it is still what was forecast then. A seal
proves nothing where it is kept beside what it seals, so it is made to be copied: ``resources.seal_places`` does that.

A seal is a record of the journal ``ledger/seals`` below the data root: of one version of a night, when it was sealed, the
digest of its manifest (which has the time of issue and the digests of the forecasts), the digests of the ledger's records
that came since the seal before, and that seal's head. Its own head is the digest of all that.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST
from forecast_assets.store.journal import Journal
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.locks import exclusive
from forecast_assets.store.names import MANIFEST, folder, label
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

LEDGER, OWN = "ledger", "seals"
JOURNAL = f"{LEDGER}/{OWN}"  # below the data root
HEAD_DIGITS = 40
"""160 bits: too many for two histories with one head, made beforehand by whoever writes the store."""

_LINE = re.compile(rf"(\d{{4}}-\d\d-\d\d) ([0-9a-f]{{{HEAD_DIGITS}}}) (\S+)")


@dataclass(frozen=True)
class SealLine:
    """What is kept elsewhere of a seal: a line of a file, or the message of a tag."""

    day: str  # of the night
    head: str
    at: str  # when it was sealed, UTC

    def __str__(self) -> str:
        return f"{self.day} {self.head} {self.at}"

    @classmethod
    def parse(cls, text: str) -> "SealLine | None":
        """Return the seal that a line holds; None where it holds none."""
        found = _LINE.fullmatch(text.strip())
        return cls(*found.groups()) if found else None


@dataclass(frozen=True)
class Seal:
    """One seal, as the journal has it."""

    order: int  # from 0 on
    day: str
    at: str
    version: str  # id of the night's version
    manifest: str  # sha256 of its manifest
    ledger: dict[str, list[str]]  # journal -> digests of its records that came since the seal before
    before: str  # head of the seal before, "" for the first
    head: str

    @property
    def line(self) -> SealLine:
        """What is kept elsewhere."""
        return SealLine(self.day, self.head, self.at)

    def content(self) -> dict[str, Any]:
        """Return all but the head."""
        return {name: value for name, value in vars(self).items() if name != "head"}


def head_of(content: dict[str, Any]) -> str:
    """Return the head of a seal's content."""
    return sha256_text(canonical_json(content))[:HEAD_DIGITS]


def read_seals(root: str) -> list[Seal]:
    """Return the seals below a data root, oldest first. Raises CorruptArtefact for an altered or malformed record."""
    try:
        found = [Seal(head=record.pop("id"), **record) for record in Journal(root, JOURNAL).read()]
    except TypeError as error:
        raise CorruptArtefact(f"{root}/{JOURNAL} holds a record that is no seal; restore it from a copy.") from error
    return sorted(found, key=lambda seal: seal.order)


def seal_nights(store: Store, root: str, *, now: dt.datetime) -> list[Seal]:
    """Seal each version of a night that is not sealed yet, oldest first, and return the new seals; durable on return."""
    with _alone(root):
        seals = read_seals(root)
        sealed, have = {seal.version for seal in seals}, _counted(seals)
        new = [version for version in night_versions(store) if version.id not in sealed]
        came = (
            {name: _missing(found, have.get(name, Counter())) for name, found in _ledger(root).items()} if new else {}
        )
        made: list[Seal] = []
        for version in sorted(new, key=lambda version: (version.manifest.created, version.label, version.id)):
            last = [*seals, *made][-1:]
            content: dict[str, Any] = {
                "order": len(seals) + len(made),
                "day": str(version.partition),
                "at": now.astimezone(dt.UTC).isoformat(timespec="seconds"),
                "version": version.id,
                "manifest": manifest_digest(version),
                "ledger": {} if made else {name: each for name, each in came.items() if each},
                "before": last[0].head if last else "",
            }
            made.append(Seal(**content, head=head_of(content)))
        Journal(root, JOURNAL).append({"id": seal.head, **seal.content()} for seal in made)
        return made


def seal_problems(store: Store, root: str) -> list[str]:
    """Return a sentence for each sealed night, seal or record of the ledger that is not what it was when it was sealed.

    Raises CorruptArtefact as ``read_seals``.
    """
    seals, found, before = read_seals(root), [], ""
    versions = {version.id: version for version in night_versions(store)}
    for order, seal in enumerate(seals):
        if head_of(seal.content()) != seal.head:
            found.append(f"the seal of {seal.day}, {seal.head}, differs from its own digest")
        elif (seal.order, seal.before) != (order, before):
            found.append(f"the seal of {seal.day}, {seal.head}, does not follow the one before it")
        before = seal.head
        what = f"{label(NIGHTLY_FORECAST, seal.day)}: version {seal.version}, sealed at {seal.at},"
        if seal.version not in versions or versions[seal.version].partition != seal.day:
            found.append(f"{what} is gone")
        elif manifest_digest(versions[seal.version]) != seal.manifest:
            found.append(f"{what} is another one than it was")
    ledger = _ledger(root)
    for name, digests in _counted(seals).items():
        if lost := _missing(digests, Counter(ledger.get(name, []))):
            found.append(
                f"{LEDGER}/{name} lacks {len(lost)} of its {digests.total()} sealed records, or has others instead"
            )
    return found + _unsealed_between(seals, versions, store)


def compare_seals(seals: Sequence[Seal], lines: Sequence[str], *, where: str, ordered: bool = True) -> list[str]:
    """Return a sentence for each difference between the store's ``seals`` and the ``lines`` that were kept at ``where``.

    ``ordered``: whether the place keeps them in the order in which they were made.
    """
    by_head, found, kept = {seal.head: seal for seal in seals}, [], []
    for number, text in enumerate(lines, start=1):
        line = SealLine.parse(text)
        if line is None:
            found.append(f"{where}: line {number} is no seal: {text[:80]!r}")
        elif (seal := by_head.get(line.head)) is None:
            found.append(
                f"{where}: the seal of {line.day}, {line.head}, is not one of this store: what was sealed then is gone or "
                "altered, or the line is"
            )
        elif seal.line != line:
            found.append(
                f"{where}: the seal {line.head} is of {line.day} at {line.at}, in the store {seal.day} at {seal.at}"
            )
        else:
            kept.append(seal)
    have = [seal.head for seal in kept]
    found += [f"{where} lacks the seal of {seal.day}, {seal.head}" for seal in seals if seal.head not in have]
    if len(set(have)) < len(have):
        found.append(f"{where} has a seal twice")
    elif ordered and [seal.order for seal in kept] != sorted(seal.order for seal in kept):
        found.append(f"{where}: the seals are not in the order in which they were made")
    return found


def night_versions(store: Store) -> Iterator[Version]:
    """Yield each version of each night that has an intact manifest, current or not."""
    for day in store.partition_folders(NIGHTLY_FORECAST):
        yield from store.versions(NIGHTLY_FORECAST, day)


def manifest_digest(version: Version) -> str:
    """Return the sha256 of a version's manifest as it is stored."""
    return version.place.sha256(f"{folder(version.asset, version.partition)}/{version.id}/{MANIFEST}")


def _unsealed_between(seals: Sequence[Seal], versions: dict[str, Version], store: Store) -> list[str]:
    """Return a sentence for each night that serves something else than was sealed last of it.

    A version that came since the last sealed one is about to be sealed.
    """
    last = {seal.day: seal.version for seal in seals}
    newest = max((versions[each].manifest.created for each in last.values() if each in versions), default="")
    found = []
    for day in store.partitions(NIGHTLY_FORECAST):
        serving = store.current_id(NIGHTLY_FORECAST, day)
        if serving not in versions or serving == last.get(day):
            continue
        if versions[serving].manifest.created <= newest or serving in {seal.version for seal in seals}:
            kept = f"the last one sealed is {last[day]}" if day in last else "none of it was ever sealed"
            found.append(f"{label(NIGHTLY_FORECAST, day)} is version {serving}; {kept}")
    return found


def _ledger(root: str) -> dict[str, list[str]]:
    """Return journal -> digests of its records, of every journal of the ledger but the seals' own."""
    place = UPath(root) / LEDGER
    if not place.exists():
        return {}
    named = {
        item.name.removesuffix(".jsonl") for item in place.iterdir() if item.name.endswith(".jsonl") or item.is_dir()
    }
    return {
        name: [sha256_text(canonical_json(record))[:HEAD_DIGITS] for record in Journal(root, f"{LEDGER}/{name}").read()]
        for name in sorted(named - {OWN})
    }


def _counted(seals: Sequence[Seal]) -> dict[str, Counter[str]]:
    """Return journal -> how often each digest was sealed."""
    found: dict[str, Counter[str]] = {}
    for seal in seals:
        for name, digests in seal.ledger.items():
            found.setdefault(name, Counter()).update(digests)
    return found


def _missing(digests: "Counter[str] | list[str]", have: Counter[str]) -> list[str]:
    """Return the digests, in order, that are not among ``have``."""
    return list((Counter(digests) - have).elements())


@contextmanager
def _alone(root: str) -> Iterator[None]:
    """Keep other processes of this machine from sealing meanwhile; on an object store one is assumed."""
    with nullcontext() if "://" in root else exclusive(Path(root) / f"{OWN}.lock", what="the seals"):
        yield
