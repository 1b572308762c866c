"""Who serves: the champion of now, and the next one.

The champion is the ensemble of the newest fold until a challenger that was warm-started from it does not score worse;
then that one, and so on. A new walk-forward starts again from its own ensemble. Which of them a bundle was made from
is what its manifest says; a rollback withdraws that, so that no later night brings it back.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from forecast_assets.core.errors import BadInput, CorruptArtefact, MissingArtefact
from forecast_assets.store.artefact_files import CARD, CHALLENGER_VERDICT, MEMBERS, weights_file
from forecast_assets.store.journal import Journal
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)

SERVING, ENSEMBLE, CHALLENGER, NIGHT = "serving_model", "ensemble", "challenger", "nightly_forecast"
BASE = "base"
"""What a bundle's manifest calls the fold's fits that it descends from."""

REVOKED = "ledger/revoked"
"""Journal of what a rollback took back, below the data root."""


@dataclass(frozen=True)
class NextChampion:
    """What the next bundle is made from."""

    store: Store
    base: Version
    """``ensemble`` of the newest fold."""
    challenger: Version | None
    """Whose weights serve; None: the fold's own."""
    champion: Version | None
    """The bundle of now, whose place is taken."""
    seen: Mapping[str, str]
    """All of that as a manifest names it."""

    @property
    def fits(self) -> dict[str, Version]:
        """The fold of each model that has a member. Raises MissingArtefact where one was made again since."""
        return _fits(self.store, self.base)

    @property
    def tensors(self) -> Version:
        """The panel of now."""
        return self.store.current("windowed_tensors")


def current_champion(store: Store, data_root: str) -> Version | None:
    """The bundle that serves now. Where it is damaged, the newest sound one that no rollback took back; else None, and the
    walk-forward's own ensemble is next.
    """
    if not store.has(SERVING):
        return None
    try:
        champion = store.current(SERVING)
        champion.check()
        return champion
    except CorruptArtefact as error:
        log.warning("the champion is damaged, the last good one goes on: %s", error)
    revoked = _revoked(data_root)
    sound = [v for v in store.versions(SERVING) if revocation(v.manifest.parents) not in revoked and _is_sound(v)]
    return sound[-1] if sound else None


def _is_sound(version: Version) -> bool:
    try:
        version.check()
    except CorruptArtefact:
        return False
    return True


def _revoked(data_root: str) -> set[str]:
    return {record["id"] for record in Journal(data_root, REVOKED).read()}


def find_next_champion(store: Store, data_root: str) -> NextChampion:
    """Decide who serves next.

    Raises MissingArtefact where nobody serves yet, and no fold has an ensemble or its fits have been made again since.
    """
    years = store.partitions(ENSEMBLE)
    if not years:
        raise MissingArtefact("ensemble: no year is materialised yet; run the walk-forward for at least the last year")
    base, champion = store.current(ENSEMBLE, years[-1]), current_champion(store, data_root)
    revoked = _revoked(data_root)
    seen = _next(store, base, champion)
    if champion is not None and revocation(seen) in revoked:
        seen = champion.manifest.parents
    return NextChampion(store, base, _challenger(store, seen), champion, seen)


def _next(store: Store, base: Version, champion: Version | None) -> Mapping[str, str]:
    """What the next bundle would be made from, were nothing revoked."""
    try:
        own = {BASE: sha256_text(canonical_json(_weights(base, _fits(store, base))))}
    except MissingArtefact:
        if champion is None:
            raise
        return champion.manifest.parents  # a walk-forward is under way: who serves goes on until it is whole
    if champion is None or champion.manifest.parents.get(BASE) != own[BASE]:
        return own
    newest = _promoted(store, champion)
    return champion.manifest.parents if newest is None else {**own, newest.label: newest.data_version}


def revocation(seen: Mapping[str, str]) -> str:
    """The id under which what a bundle was made from is revoked."""
    return sha256_text(canonical_json(dict(seen)))


def _fits(store: Store, base: Version) -> dict[str, Version]:
    models = {member["fit"].partition("/")[0] for member in base.json(MEMBERS)["members"]}
    found = {model: store.current(model, base.partition) for model in sorted(models)}
    for version in found.values():
        if base.manifest.parents[version.label] not in (
            version.data_version,
            version.seen_by(int(base.partition or 0)),
        ):
            raise MissingArtefact(
                f"{base.label} was made from other fits than the current {version.label}; run it again"
            )
    return found


def _weights(base: Version, fits: Mapping[str, Version]) -> list[list[str]]:
    """Each member and the digest of its weights, best first."""
    return [
        [member["fit"], fits[model].manifest.files[weights_file(seed)].sha256]
        for member in base.json(MEMBERS)["members"]
        for model, _, seed in [member["fit"].partition("/")]
    ]


def _promoted(store: Store, champion: Version) -> Version | None:
    """The last night's challenger, where it was warm-started from this champion and may take its place."""
    days = store.partitions(CHALLENGER)
    if not days:
        return None
    last = store.current(CHALLENGER, days[-1])
    verdict = last.json(CHALLENGER_VERDICT)
    own = champion.json(CARD)["model_version"]
    return last if verdict["promoted"] and verdict["champion"] == own else None


def _challenger(store: Store, seen: Mapping[str, str]) -> Version | None:
    for label, data_version in seen.items():
        asset, _, day = label.partition("/")
        if asset == CHALLENGER:
            made = [v for v in store.versions(asset, day) if v.data_version == data_version and v.is_whole()]
            if not made:
                raise MissingArtefact(f"{label}: the version whose weights serve is gone; run the walk-forward again")
            return made[-1]
    return None


def roll_back(store: Store, data_root: str) -> tuple[Version, Version]:
    """Make the champion before the current one serve again, and keep the current one from coming back.

    Returns the one that was taken back and the one that serves. Raises BadInput where there is none before it.
    """
    current = store.current(SERVING)
    before = [v for v in store.versions(SERVING) if v.manifest.created < current.manifest.created and v.is_whole()]
    if not before:
        raise BadInput(f"rollback: {current.id} is the first champion, there is none before it")
    taken_back = revocation(current.manifest.parents)
    Journal(data_root, REVOKED).append([{"id": taken_back, "version": current.id}])
    store.promote(before[-1])
    return current, before[-1]
