"""What came of the claims of the run of record."""

from typing import Any

from tools.claims import CLAIMS, FIRST_LOOK, outcomes


def test_a_claim_holds_up_to_its_bound_and_no_further() -> None:
    record: dict[str, dict[str, Any]] = {
        "ensemble_vs_ewma_test": {"value": 0.97, "tickers": 557},
        "ensemble_worst_horizon_test": {"value": 0.972},
        "years_better_than_harx": {"value": 6, "years": list(range(2019, 2026))},
    }

    def joint(value: float, panel: str = "ensemble, 2019, 557 real tickers") -> dict[str, Any]:
        worse = {"portfolio": "equal weights", "kupiec_holm": 0.0, "christoffersen_holm": 1.0}
        tests = [{"portfolio": "book", "kupiec_holm": 1.0, "christoffersen_holm": value}, worse]
        first = {"value": value, "panel": panel}
        return {"var_tests_min_p": {"value": 0.0, "panel": panel, "tests": tests}, FIRST_LOOK: first}

    assert [(each.claim, each.held) for each in outcomes(record, joint(0.05))] == [(claim, True) for claim in CLAIMS]
    assert outcomes(record, joint(0.05))[1].found == "6 of 7 years"

    def held(name: str, value: float, risk: float = 0.05) -> list[bool | None]:
        changed = record | {name: record[name] | {"value": value}}
        return [each.held for each in outcomes(changed, joint(risk))]

    assert held("ensemble_vs_ewma_test", 0.9701) == [False, True, True, True]
    assert held("ensemble_worst_horizon_test", 0.9721) == [False, True, True, True]
    assert held("years_better_than_harx", 5) == [True, False, True, True]
    assert held("years_better_than_harx", 7, risk=0.0499) == [True, True, False, False]
    elsewhere = joint(0.05, "ensemble, 2019, 24 synthetic tickers")
    assert [each.held for each in outcomes(record, elsewhere)[2:]] == [None, None]
    assert outcomes(record, joint(0.05) | {FIRST_LOOK: elsewhere["var_tests_min_p"] | {"value": 0.01}})[3].held
