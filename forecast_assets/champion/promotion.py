"""Promotion and rollback: which champion serves now, and what the next one is made from.

The champion is the ensemble of the newest fold until a challenger that was warm-started from it does not score worse; then
that challenger, and so on. A new walk-forward starts again from its own ensemble. A bundle's manifest records what it was
made from; a rollback revokes exactly that, so that no later night promotes it again.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from forecast_assets.core.errors import BadInput, ChangedMeanwhile, CorruptArtefact, MissingArtefact
from forecast_assets.store.artefact_files import CARD, CHALLENGER_VERDICT, MEMBERS, weights_file
from forecast_assets.store.asset_keys import CHALLENGER, ENSEMBLE, SERVING_MODEL, WINDOWED_TENSORS
from forecast_assets.store.journal import Journal
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.panel_in_use import days_in_panel
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)

BASE = "base"  # key, in the `parents` of a bundle's manifest, of the fold's fits that it descends from
REVOKED = "ledger/withdrawn"  # journal of the revoked champions, by the name that earlier releases gave it


@dataclass(frozen=True)
class NextChampion:
    """What the next bundle is made from."""

    store: Store
    data_root: str
    base: Version  # ``ensemble`` of the newest fold
    challenger: Version | None  # whose weights serve; None: the fold's own
    champion: Version | None  # the bundle that serves now and is replaced
    seen: Mapping[str, str]  # the same as the `parents` of a manifest

    @property
    def fits(self) -> dict[str, Version]:
        """The fold of each model that has a member. Raises MissingArtefact where one was made again since."""
        return _fits(self.store, self.base)

    @property
    def tensors(self) -> Version:
        """The current panel."""
        return self.store.current(WINDOWED_TENSORS)

    def require_unrevoked(self) -> None:
        """Raise ChangedMeanwhile where a rollback has revoked it since it was chosen."""
        if revocation(self.seen) in _revoked(self.data_root):
            raise ChangedMeanwhile(
                f"{SERVING_MODEL}: a rollback revoked this champion while it was made, so it is not published; run it again"
            )


def current_champion(store: Store, data_root: str) -> Version | None:
    """Return the bundle that serves now; where it is damaged or revoked, the newest sound one that is not.

    None where there is none: the walk-forward's own ensemble is next.
    """
    if not store.has(SERVING_MODEL):
        return None
    try:
        champion = store.current(SERVING_MODEL)
        champion.check()
        if revocation(champion.manifest.parents) not in _revoked(data_root):
            return champion
        log.warning("the champion is revoked, the newest sound one that is not continues to serve: %s", champion.id)
    except CorruptArtefact as error:
        log.warning("the champion is damaged, the last intact one continues to serve: %s", error)
    return _newest_sound(store, without=_revoked(data_root))


def _newest_sound(store: Store, *, without: set[str], before: str | None = None) -> Version | None:
    """Return the newest bundle whose every byte is as published, of those not revoked and created ``before`` a time."""
    bundles = [
        version
        for version in store.versions(SERVING_MODEL)
        if revocation(version.manifest.parents) not in without and (before is None or version.manifest.created < before)
    ]
    return next((version for version in reversed(bundles) if not any(version.flaws(digests={}))), None)


def _revoked(data_root: str) -> set[str]:
    return {record["id"] for record in Journal(data_root, REVOKED).read()}


def find_next_champion(store: Store, data_root: str) -> NextChampion:
    """Decide who serves next.

    Raises MissingArtefact where nobody serves yet, and no fold has an ensemble, its fits have been made again since, or it
    is revoked and no other champion is sound.
    """
    years = store.partitions(ENSEMBLE)
    if not years:
        raise MissingArtefact("ensemble: no year is materialised yet; run the walk-forward for at least the last year")
    base, champion = store.current(ENSEMBLE, years[-1]), current_champion(store, data_root)
    seen = _next_parents(store, base, champion)
    if revocation(seen) in _revoked(data_root):
        if champion is None:
            raise MissingArtefact(
                f"serving_model: what {base.label} makes is revoked, and no other one is sound; run the walk-forward again"
            )
        seen = champion.manifest.parents
    return NextChampion(store, data_root, base, _challenger(store, seen), champion, seen)


def _next_parents(store: Store, base: Version, champion: Version | None) -> Mapping[str, str]:
    """Return what the next bundle would be made from if nothing were revoked."""
    try:
        own = {BASE: sha256_text(canonical_json(_weights(base, _fits(store, base))))}
    except MissingArtefact:
        if champion is None:
            raise
        return champion.manifest.parents  # a walk-forward is running: the champion stays until it is complete
    if champion is None or champion.manifest.parents.get(BASE) != own[BASE]:
        return own
    newest = _promoted(store, champion)
    return champion.manifest.parents if newest is None else {**own, newest.label: newest.data_version}


def revocation(seen: Mapping[str, str]) -> str:
    """Return the id under which a bundle with these parents is revoked."""
    return sha256_text(canonical_json(dict(seen)))


def _fits(store: Store, base: Version) -> dict[str, Version]:
    models = {member["fit"].partition("/")[0] for member in base.json(MEMBERS)["members"]}
    found = {model: store.current(model, base.partition) for model in sorted(models)}
    for version in found.values():
        seen = base.manifest.parents[version.label]
        if seen not in (version.data_version, version.seen_by(int(base.partition or 0))):
            raise MissingArtefact(
                f"{base.label} was made from other fits than the current {version.label}; run it again"
            )
    return found


def _weights(base: Version, fits: Mapping[str, Version]) -> list[list[str]]:
    """Return each member and the digest of its weights, best first."""
    return [
        [member["fit"], fits[model].manifest.files[weights_file(seed)].sha256]
        for member in base.json(MEMBERS)["members"]
        for model, _, seed in [member["fit"].partition("/")]
    ]


def _promoted(store: Store, champion: Version) -> Version | None:
    """Return the last night's challenger where it was warm-started from this champion and is promoted."""
    days = days_in_panel(store, CHALLENGER)
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


def roll_back(store: Store, data_root: str) -> tuple[Version | None, Version]:
    """Make the newest sound champion before the current one serve again, and revoke the current one.

    A revoked or damaged one is passed over. Returns the revoked one, None where its manifest can't be read, and the one
    that serves. Raises BadInput where none is left; then nothing has changed.
    """
    try:
        current = store.current(SERVING_MODEL)
    except CorruptArtefact as error:
        log.warning("the champion is damaged: %s", error)
        return None, _replace_unreadable(store, data_root)
    own, created = revocation(current.manifest.parents), current.manifest.created
    before = _newest_sound(store, without={*_revoked(data_root), own}, before=created)
    if before is None:
        others = sum(version.manifest.created < created for version in store.versions(SERVING_MODEL))
        if others:
            raise BadInput(
                f"rollback: each of the {others} champions before {current.id} is revoked, damaged or the same"
            )
        raise BadInput(f"rollback: {current.id} is the first champion, there is none before it")
    # Promoted before it is recorded: a rollback that ends in between never revokes what goes on serving.
    store.promote(before)
    Journal(data_root, REVOKED).append([{"id": own, "version": current.id}])
    return current, before


def _replace_unreadable(store: Store, data_root: str) -> Version:
    """Promote the newest sound champion, and revoke what the next night would put in its place: nothing else says what the
    unreadable one was made from. Raises BadInput where none is sound.
    """
    sound = _newest_sound(store, without=_revoked(data_root))
    if sound is None:
        raise BadInput("rollback: the champion is damaged, and no other one is sound; run the walk-forward again")
    store.promote(sound)
    years = store.partitions(ENSEMBLE)
    seen = _next_parents(store, store.current(ENSEMBLE, years[-1]), sound) if years else sound.manifest.parents
    if seen != sound.manifest.parents:
        Journal(data_root, REVOKED).append([{"id": revocation(seen), "version": "unreadable"}])
    return sound
