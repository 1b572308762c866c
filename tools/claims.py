"""What the run of record claims before it looks at a test year, and what came of it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

OVER_EWMA, WORST_HORIZON, YEARS_BETTER, LEVEL = 0.970, 0.972, 6, 0.05
CLAIMS = (
    f"over all test years the ensemble's pinball loss is at most {OVER_EWMA:.3f} of EWMA's on average over the horizons, "
    f"and at most {WORST_HORIZON:.3f} at each",
    f"in at least {YEARS_BETTER} of seven test years the ensemble's loss is below calibrated HAR-X's",
    "value at risk at 95 % and 99 %, of the book and of equal weights, passes Kupiec's and Christoffersen's tests at .05 "
    "(Holm)",
    "of the book, value at risk passes the same tests once scenarios are stretched to the range of a portfolio's own past "
    "returns, as was chosen on 2014 to 2018 after the claim before had not held",
)
"""What the test years are to decide: sentences of the trial log, decided by ``outcomes``."""

LATER = CLAIMS[3:]
"""Claimed when the others had been decided, before a second look at the value at risk alone."""

FIRST_LOOK = "var_tests_min_p_first_look"
"""The figure of the value at risk at the first look, which decided the claim before the last."""


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
    first = joint.get(FIRST_LOOK, joint["var_tests_min_p"])
    book = min(_p_values(joint["var_tests_min_p"], "book"))
    return [
        Outcome(
            CLAIMS[0],
            f"{over['value']:.4f} on average, {worst['value']:.4f} at worst",
            over["value"] <= OVER_EWMA and worst["value"] <= WORST_HORIZON,
        ),
        Outcome(CLAIMS[1], f"{better['value']} of {len(better['years'])} years", better["value"] >= YEARS_BETTER),
        _of_risk(CLAIMS[2], first["value"], first["panel"], tickers=over["tickers"]),
        _of_risk(CLAIMS[3], book, joint["var_tests_min_p"]["panel"], tickers=over["tickers"]),
    ]


def _of_risk(claim: str, p: float, panel: str, *, tickers: int) -> Outcome:
    tested = panel.endswith(f" {tickers} real tickers")
    return Outcome(claim, _smallest(p) if tested else "", p >= LEVEL if tested else None)


def _p_values(figure: Mapping[str, Any], portfolio: str) -> Iterator[float]:
    """Yield a portfolio's adjusted p values."""
    for test in figure["tests"]:
        if test["portfolio"] == portfolio:
            yield from (test["kupiec_holm"], test["christoffersen_holm"])


def _smallest(p: float) -> str:
    return f"smallest p {p:.4f}" if p >= 1e-4 else "smallest p below 0.0001"
