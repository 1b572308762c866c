"""The trial log: every fit and test-set evaluation ever published, kept when their versions are gone."""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.core.evaluation.trials import Kind, Trial, TrialLog
from forecast_assets.store.artefact_files import CHALLENGER_VERDICT, TRAINING, TRIALS
from forecast_assets.store.asset_keys import BACKTEST, BACKTEST_REPORT, CHALLENGER
from forecast_assets.store.journal import Journal
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)

JOURNAL = "ledger/trials"  # below the data root


def trial_journal(data_root: str) -> Journal:
    """Return the journal of a data root. A search adds its pruned trials itself, since they publish no version."""
    return Journal(data_root, JOURNAL)


def collect_trials(store: Store, data_root: str) -> TrialLog:
    """Return all trials so far, after adding to the journal those in the store that it lacks."""
    journal = trial_journal(data_root)
    journal.append(trial.as_record() for trial in published_trials(store))
    return TrialLog.of(Trial.from_record(record) for record in journal.read())


def declare_claims(data_root: str, claims: Iterable[str], *, now: dt.datetime) -> None:
    """Add sentences that test years are to decide; those that the log has already keep their time."""
    journal = trial_journal(data_root)
    journal.append(
        Trial(
            id=sha256_text(canonical_json(["claim", text]))[:32],
            kind="claim",
            model="",
            spec="",
            seed=None,
            fold=None,
            score=None,
            pruned=False,
            when=now.isoformat(timespec="microseconds"),
            text=text,
        ).as_record()
        for text in claims
    )


def lost_trials(store: Store, data_root: str) -> list[str]:
    """Return a sentence where the current report read trials that the log lacks now; the log only ever grows."""
    read = {trial["id"] for trial in store.current(BACKTEST_REPORT).json(TRIALS)["trials"]}
    lost = len(read - {record["id"] for record in trial_journal(data_root).read()})
    return [f"the trial log lacks {lost} of the {len(read)} trials that the report counted"] if lost else []


def published_trials(store: Store) -> Iterator[Trial]:
    """Yield each fit of each version with fits, current or not, and each simulated test year."""
    for asset in store.assets():
        for partition in store.slots(asset):
            for version in store.versions(asset, partition):
                found = version.manifest
                trial = partial(
                    as_trial, asset, partition, input_key=found.input_key, config=found.config, when=found.created
                )
                if asset == BACKTEST:
                    yield trial(fit={}, kind="look")
                elif asset == CHALLENGER:
                    for fit in _challenger_fits(version):
                        model = f"{CHALLENGER}/{fit['fit'].partition('/')[0]}"
                        yield trial(fit=fit, name=fit["fit"], model=model)
                elif found.seeds and TRAINING in found.files:
                    fits = _fits(version)
                    for seed in found.seeds:
                        yield trial(fit=fits.get(seed, {"seed": seed}))


def as_trial(
    asset: str,
    partition: str | None,
    *,
    input_key: str,
    config: Mapping[str, Any],
    fit: Mapping[str, Any],
    when: str,
    kind: Kind = "fit",
    name: str | None = None,
    model: str | None = None,
) -> Trial:
    """Return the trial of one fit of an asset's training record (``seed``, ``validation_pinball``; {} for a test year).

    By default its ``name`` in the asset is its seed, and its ``model`` the asset.
    """
    seed = None if fit.get("seed") is None else int(fit["seed"])
    score = fit.get("validation_pinball")
    return Trial(
        id=sha256_text(canonical_json([asset, partition, input_key, name or seed]))[:32],
        kind=kind,
        model=model or asset,
        spec=sha256_text(canonical_json(dict(config)))[:16],
        seed=seed,
        fold=partition,
        score=None if score is None else float(score),
        pruned=False,
        when=when,
        location_slope=fit.get("location_slope"),
    )


def _challenger_fits(night: Version) -> list[dict[str, Any]]:
    """Return each member that a night retrained, promoted or not; without scores where the file is damaged."""
    try:
        fits: list[dict[str, Any]] = night.json(CHALLENGER_VERDICT).get("members", [])
        return fits
    except CorruptArtefact as error:
        log.warning("counted without a score: %s", error)
        return [{"fit": f"{k}", "seed": seed} for k, seed in enumerate(night.manifest.seeds)]


def _fits(version: Version) -> dict[int, dict[str, Any]]:
    """Return the fits of a training record by seed; none where the file is damaged: those fits count without a score."""
    try:
        return {int(fit["seed"]): fit for fit in version.json(TRAINING)["fits"]}
    except CorruptArtefact as error:
        log.warning("counted without a score: %s", error)
        return {}
