"""How much of an oracle's gain over B3 a power-up makes, on a panel where its very assumption holds.

    python -m benchmarks.powerups                   three seeds of B3 and B5, recorded
    python -m benchmarks.powerups --seeds 1         a trial, printed and not recorded

B5: momentum turns into reversal where VIX is high (``forecast_assets_tests.regime``). B3 sees all that B5 sees, the macro
columns among its observed variables included, and has the same knobs, budget and learning rate; what B5 has more is the
gate and the experts. A panel and an initialisation belong to a seed. Pinball is that of the one-session forecast in the
test year, in units of volatility; the oracle knows the drift and forecasts its normal distribution. ``base``: that of
what both start from. ``learning``: the validation pinball of the last three epochs, for whether a network could still
have gained by going on.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from scipy import stats as distributions

from benchmarks._result import record
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.panel.macro import MACRO_NAMES
from forecast_assets.core.scores.quantile import mean_pinball
from forecast_assets.core.specs import FoldSpec, MoeSpec, TftSpec
from forecast_assets.core.training.fit import Hardware, fit, predict
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets_tests.regime import CALENDAR, OWN, regime_panel
from forecast_assets_tests.tensors import VOLATILITY

TICKERS, SESSIONS, LOOKBACK, TEST_YEAR = 40, 2_000, 10, 2024
SEEDS, EPOCHS, VISITS = 3, 8, 20_000
B3 = TftSpec(
    epochs=EPOCHS,
    visits_per_epoch=VISITS,
    patience=EPOCHS,
    learning_rate=3e-3,
    hidden=16,
    hidden_continuous=8,
    observed=(*OWN, *MACRO_NAMES),
    known=(CALENDAR,),
)
SPECS = {"b3_tft_sector": B3, "b5_moe": MoeSpec(**B3.model_dump())}


def measure(seed: int, *, visits: int, epochs: int) -> dict[str, Any]:
    """One-session pinball of B3, B5 and the oracle in the test year, and training windows a second."""
    panel, drift = regime_panel(tickers=TICKERS, sessions=SESSIONS, seed=seed)
    fold = make_fold(panel, year=TEST_YEAR, spec=FoldSpec(validation_sessions=126), lookback=LOOKBACK)
    stats = fit_stats(panel, fold)
    test = fold.test[torch.isfinite(panel.targets[fold.test, 0])]
    outcome = panel.targets[test, 0].double().numpy()

    def loss(quantiles: np.ndarray) -> float:
        return mean_pinball(outcome, quantiles, levels=QUANTILES) / VOLATILITY

    normal = VOLATILITY * distributions.norm.ppf(QUANTILES)
    found: dict[str, Any] = {
        "oracle": loss(drift[test].double().numpy()[:, None] + normal),
        "base": loss((stats.base_quantiles[0] * stats.volatility(panel, test)[:, :1]).double().numpy()),
    }
    for name, spec in SPECS.items():
        asked = spec.model_copy(update={"visits_per_epoch": visits, "epochs": epochs})
        started = time.perf_counter()
        done = fit(
            name,
            asked,
            panel=panel,
            fold=fold,
            stats=stats,
            lookback=LOOKBACK,
            seed=seed,
            hardware=Hardware(accelerator="cpu", precision="32-true"),
        )
        seconds = time.perf_counter() - started
        quantiles = predict(
            name, asked, done.weights, panel=panel, ends=test, stats=stats, lookback=LOOKBACK, device="cpu"
        )
        found[name] = {
            "pinball": loss(quantiles[:, 0].double().numpy()),
            "learning": [round(epoch["validation_pinball"], 5) for epoch in done.curve[-3:]],
            "best_epoch": done.best_epoch,
            "windows_per_second": round(visits * epochs / seconds, 1),
        }
    gap = found["b3_tft_sector"]["pinball"] - found["oracle"]
    return found | {"share": (found["b3_tft_sector"]["pinball"] - found["b5_moe"]["pinball"]) / gap}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--visits", type=int, default=VISITS, help="window visits an epoch")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    for seed in range(given.seeds):
        runs.append(measure(seed, visits=given.visits, epochs=given.epochs))
        print(json.dumps({"seed": seed, **runs[-1]}), flush=True)
    if (given.seeds, given.visits, given.epochs) == (SEEDS, VISITS, EPOCHS):
        print(record("powerups", figures(runs), command="python -m benchmarks.powerups"))


def figures(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is recorded: the mean share over seeds with its Student-t interval, and B5's speed against B3's."""
    shares = np.array([run["share"] for run in runs])
    half = distributions.t.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares))
    speed = [run["b5_moe"]["windows_per_second"] / run["b3_tft_sector"]["windows_per_second"] for run in runs]
    interval = [round(float(shares.mean() + side * half), 4) for side in (-1, 1)]
    return {
        "moe_share_of_oracle_gain": {"value": round(float(shares.mean()), 4), "interval_95": interval, "runs": runs},
        "moe_cost_vs_b3": {"value": round(float(np.mean(speed)), 3), "unit": "training windows a second, B5 / B3"},
    }


if __name__ == "__main__":
    main()
