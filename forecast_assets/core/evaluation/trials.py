"""The trial log: every fit and test-set evaluation, successful or not, which the deflated Sharpe ratio counts.

A trial is a *fit* (one model, its settings, one fold, one seed; pruned ones too), a *look* (one year evaluated under one set
of rules) or *declared* (a strategy or forecast that was tested outside the store). ``fold`` is the year: an inner one in the
search for settings, else a test year. Trials are counted once, however often the same inputs were computed.

Beside trials the log holds *claims*: sentences that test years are to decide, written down before these are evaluated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.core.specs import DeclaredTrial

Kind = Literal["fit", "look", "claim"]


@dataclass(frozen=True)
class Trial:
    """One line of the trial log."""

    id: str  # digest of inputs and seed
    kind: Kind
    model: str
    spec: str  # digest of the settings
    seed: int | None
    fold: str | None
    score: (
        float | None
    )  # validation pinball of a fit; None for a test-set evaluation, and for a fit that ended before it
    pruned: bool
    when: str  # UTC, ISO 8601
    location_slope: Sequence[float] | None = None  # (3,) factors on the learned location of a fit that has to earn it
    text: str | None = None  # of a claim

    def as_record(self) -> dict[str, Any]:
        """Return the trial in JSON's types."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Trial":
        """Return the trial of a record; raises CorruptArtefact where fields are unknown or missing."""
        try:
            return cls(**record)
        except TypeError as error:
            raise CorruptArtefact(f"trial log: a record has unknown or missing fields ({sorted(record)})") from error


@dataclass(frozen=True)
class TrialLog:
    """All trials by id."""

    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> "TrialLog":
        """Return the trials sorted, each id once: its first record counts."""
        first: dict[str, Trial] = {}
        for trial in trials:
            first.setdefault(trial.id, trial)
        return cls(tuple(first[key] for key in sorted(first)))

    def count(self, kind: Kind) -> int:
        """Return the number of a kind."""
        return sum(trial.kind == kind for trial in self.trials)

    def claims(self) -> list[dict[str, Any]]:
        """Return what was claimed, in the order of time: ``text``, ``when``, and whether no look is older (``before``)."""
        first_look = min((trial.when for trial in self.trials if trial.kind == "look"), default=None)
        found = sorted(
            (trial for trial in self.trials if trial.kind == "claim"), key=lambda trial: (trial.when, trial.id)
        )
        return [
            {"text": each.text, "when": each.when, "before": first_look is None or each.when < first_look}
            for each in found
        ]


@dataclass(frozen=True)
class TrialCount:
    """The number of trials behind a result."""

    fits: int
    looks: int
    declared: int

    @property
    def total(self) -> int:
        """All of them; counting them as independent overstates selection, never understates it."""
        return self.fits + self.looks + self.declared


def count_trials(trial_log: TrialLog, declared: Sequence[DeclaredTrial]) -> TrialCount:
    """Return the count behind a report."""
    outside = sum(entry.trials for entry in declared)
    return TrialCount(fits=trial_log.count("fit"), looks=trial_log.count("look"), declared=outside)
