"""The trial log: every fit and test-set evaluation ever published, kept when their versions are gone."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.core.evaluation.trials import Kind, Trial, TrialLog
from forecast_assets.store.artefact_files import CHALLENGER_VERDICT, TRAINING
from forecast_assets.store.asset_keys import BACKTEST, CHALLENGER
from forecast_assets.store.journal import Journal
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.manifest import Manifest
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)

JOURNAL = "ledger/trials"
"""Below the data root."""


def trial_journal(data_root: str) -> Journal:
    """Return the journal of a data root. A search adds its pruned trials itself, since they publish no version."""
    return Journal(data_root, JOURNAL)


def collect_trials(store: Store, data_root: str) -> TrialLog:
    """Return all trials so far, after adding to the journal those in the store that it lacks."""
    journal = trial_journal(data_root)
    journal.append(trial.as_record() for trial in published_trials(store))
    return TrialLog.of(Trial.from_record(record) for record in journal.read())


def published_trials(store: Store) -> Iterator[Trial]:
    """Yield each fit of each version with fits, current or not, and each simulated test year."""
    for asset in store.assets():
        for partition in store.slots(asset):
            for version in store.versions(asset, partition):
                if asset == BACKTEST:
                    yield _trial(version.manifest, None, kind="look", model=asset, seed=None, score=None)
                elif asset == CHALLENGER:
                    yield from _challenger_fits(version)
                elif version.manifest.seeds and TRAINING in version.manifest.files:
                    manifest, scores = version.manifest, _scores(version)
                    for seed in manifest.seeds:
                        yield fit_trial(
                            asset,
                            partition,
                            input_key=manifest.input_key,
                            config=manifest.config,
                            fit={"seed": seed, "validation_pinball": scores.get(seed)},
                            when=manifest.created,
                        )


def fit_trial(
    asset: str, partition: str | None, *, input_key: str, config: Mapping[str, Any], fit: Mapping[str, Any], when: str
) -> Trial:
    """Return the trial of one fit of an asset's training record (``seed``, ``validation_pinball``)."""
    seed, score = int(fit["seed"]), fit.get("validation_pinball")
    return Trial(
        id=_id(asset, partition, input_key, seed),
        kind="fit",
        model=asset,
        spec=_spec(config),
        seed=seed,
        fold=partition,
        score=None if score is None else float(score),
        pruned=False,
        when=when,
    )


def _challenger_fits(night: Version) -> Iterator[Trial]:
    """Yield each member that a night retrained, promoted or not; without scores where the file is damaged."""
    try:
        members = night.json(CHALLENGER_VERDICT).get("members", [])
    except CorruptArtefact as error:
        log.warning("counted without a score: %s", error)
        members = [{"fit": f"{k}", "seed": seed} for k, seed in enumerate(night.manifest.seeds)]
    for member in members:
        score, model = member.get("validation_pinball"), f"{CHALLENGER}/{member['fit'].partition('/')[0]}"
        yield _trial(
            night.manifest,
            member["fit"],
            kind="fit",
            model=model,
            seed=int(member["seed"]),
            score=None if score is None else float(score),
        )


def _trial(
    manifest: Manifest, fit: str | None, *, kind: Kind, model: str, seed: int | None, score: float | None
) -> Trial:
    return Trial(
        id=_id(manifest.asset, manifest.partition, manifest.input_key, fit),
        kind=kind,
        model=model,
        spec=_spec(manifest.config),
        seed=seed,
        fold=manifest.partition,
        score=score,
        pruned=False,
        when=manifest.created,
    )


def _id(asset: str, partition: str | None, input_key: str, fit: int | str | None) -> str:
    return sha256_text(canonical_json([asset, partition, input_key, fit]))[:32]


def _spec(config: Mapping[str, Any]) -> str:
    return sha256_text(canonical_json(dict(config)))[:16]


def _scores(version: Version) -> dict[int, float]:
    """Return validation pinball by seed; none where the file is damaged: those fits count without a score."""
    try:
        return {int(fit["seed"]): float(fit["validation_pinball"]) for fit in version.json(TRAINING)["fits"]}
    except CorruptArtefact as error:
        log.warning("counted without a score: %s", error)
        return {}
