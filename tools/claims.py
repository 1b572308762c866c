"""What the run of record claims before it looks at a test year, and what came of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

OVER_EWMA, WORST_HORIZON, YEARS_BETTER, LEVEL = 0.970, 0.972, 6, 0.05
CLAIMS = (
    f"over all test years the ensemble's pinball loss is at most {OVER_EWMA:.3f} of EWMA's on average over the horizons, "
    f"and at most {WORST_HORIZON:.3f} at each",
    f"in at least {YEARS_BETTER} of seven test years the ensemble's loss is below calibrated HAR-X's",
    "value at risk at 95 % and 99 %, of the book and of equal weights, passes Kupiec's and Christoffersen's tests at .05 "
    "(Holm)",
)
"""What the test years are to decide: sentences of the trial log, decided by ``outcomes``."""


class Outcome(NamedTuple):
    """What came of a claim; ``held`` is None while it is not tested."""

    claim: str
    found: str
    held: bool | None


def outcomes(record: Mapping[str, Any], joint: Mapping[str, Any]) -> list[Outcome]:
    """Return what came of each claim, from the recorded figures of the run and of its value at risk."""
    over, worst, better = (
        record[name] for name in ("ensemble_vs_ewma_test", "ensemble_worst_horizon_test", "years_better_than_harx")
    )
    risk = joint["var_tests_min_p"]
    tested = risk["panel"].endswith(f" {over['tickers']} real tickers")
    return [
        Outcome(
            CLAIMS[0],
            f"{over['value']:.4f} on average, {worst['value']:.4f} at worst",
            over["value"] <= OVER_EWMA and worst["value"] <= WORST_HORIZON,
        ),
        Outcome(CLAIMS[1], f"{better['value']} of {len(better['years'])} years", better["value"] >= YEARS_BETTER),
        Outcome(CLAIMS[2], _smallest(risk["value"]) if tested else "", risk["value"] >= LEVEL if tested else None),
    ]


def _smallest(p: float) -> str:
    return f"smallest p {p:.4f}" if p >= 1e-4 else "smallest p below 0.0001"
