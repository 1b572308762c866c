"""What was tried, however it came out: the count that an honest verdict is deflated by.

A trial is a *fit* (one model, its settings, one fold, one seed; pruned ones too), a *look* (one simulated test year
under one set of rules) or *declared* (a strategy that was tried outside the project's own store). Trials are counted
once, however often the same inputs were computed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.core.specs import DeclaredTrial

Kind = Literal["fit", "look"]


@dataclass(frozen=True)
class Trial:
    """One line of the trial ledger."""

    id: str
    """Digest of what was tried: the same inputs and seed give the same id."""
    kind: Kind
    model: str
    spec: str
    """Digest of the settings."""
    seed: int | None
    fold: str | None
    score: float | None
    """Validation pinball of a fit; None for a look, and for a fit that never got as far."""
    pruned: bool
    when: str
    """UTC, ISO 8601."""

    def as_record(self) -> dict[str, Any]:
        """The trial in JSON's types."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Trial":
        """The trial of a record. Raises CorruptArtefact where fields are unknown or missing."""
        try:
            return cls(**record)
        except TypeError as error:
            raise CorruptArtefact(f"trial ledger: a record has unknown or missing fields ({sorted(record)})") from error


@dataclass(frozen=True)
class TrialLog:
    """Every trial that is known, by id."""

    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> "TrialLog":
        """Sorted, each id once: the first record of it counts."""
        first: dict[str, Trial] = {}
        for trial in trials:
            first.setdefault(trial.id, trial)
        return cls(tuple(first[key] for key in sorted(first)))

    def count(self, kind: Kind) -> int:
        """How many of a kind."""
        return sum(trial.kind == kind for trial in self.trials)


@dataclass(frozen=True)
class TrialCount:
    """How many trials a result is the best of, and how far their Sharpe ratios lie apart."""

    fits: int
    looks: int
    declared: int
    sharpe_variance: float
    """Variance over the trials whose returns are known, of the Sharpe ratio per session."""
    sharpes: int
    """How many those are."""

    @property
    def total(self) -> int:
        """All of them, taken for independent: that overstates selection, never understates it."""
        return self.fits + self.looks + self.declared


def count_trials(
    ledger: TrialLog,
    declared: Iterable[DeclaredTrial],
    *,
    candidate_sharpes: Iterable[float],
    sessions_per_year: float,
) -> TrialCount:
    """The count behind a report.

    ``candidate_sharpes``: annualised net Sharpe ratios of the candidates that were simulated (NaN, a zero position, is
    left out); those of declared trials join them. The variance is 0 where fewer than two are known.
    """
    outside = list(declared)
    known = [*candidate_sharpes, *(trial.sharpe for trial in outside if trial.sharpe is not None)]
    finite = np.array([value for value in known if np.isfinite(value)])
    variance = float(finite.var(ddof=1) / sessions_per_year) if len(finite) > 1 else 0.0
    return TrialCount(
        fits=ledger.count("fit"),
        looks=ledger.count("look"),
        declared=len(outside),
        sharpe_variance=variance,
        sharpes=len(finite),
    )
