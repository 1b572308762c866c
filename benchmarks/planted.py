"""Share of a planted non-linear signal that each network can recover: its rank IC over that of the oracle.

    python -m benchmarks.planted                        all networks, about half an hour on one core
    python -m benchmarks.planted --models b2_tft_ticker --samples 20000      a trial, printed and not recorded

It proves what the networks are able to learn, not what the shipped profiles learn. No profile has these settings: tensors
that are made directly rather than by the graph, windows of 20 sessions, four planted variables, one fit of 8 epochs of
60,000 samples in batches of 256, and, for the networks that have them, a learning rate of 0.003 and the default sizes
instead of the profile's. The shipped profiles are measured from raw prices by ``benchmarks.planted_shipped``, and held to it
by ``forecast_assets_tests.test_planted_signal``.

The next session's drift is ``tanh(2 slow)`` of three sessions ago while ``gate`` is above zero today, else zero. Without the
gate a model reaches at most 71 % of the oracle; the lagged returns that the MLP baseline reads hold almost no signal.
"""

import argparse
import json
from typing import Any

import numpy as np
import torch

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.catalogue import MODELS, FitSpec
from forecast_assets.core.scores.rank import rank_ic
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.tensors import VOLATILITY, autoregressive, panel_of, weekdays
from tools.results import record

TICKERS, SESSIONS, LOOKBACK, TEST_YEAR = 40, 2_000, 20, 2024
NOISE, DRIFT, LAG = VOLATILITY, 0.005, 3
FEATURES = ("log_return", "slow", "gate", "noise", "calendar")
SAMPLES, EPOCHS = 60_000, 8


def planted_panel(seed: int = 0) -> tuple[PanelTensors, torch.Tensor]:
    """Return a panel whose returns carry the signal, and the oracle's forecast, the drift of the next session, (N,)."""
    rng = np.random.default_rng(seed)
    days = weekdays(SESSIONS)
    returns, columns, drifts = [], [], []
    for _ in range(TICKERS):
        slow, gate, noise = (autoregressive(rng, decay, SESSIONS) for decay in (0.7, 0.8, 0.0))
        drift = np.zeros(SESSIONS)  # of the session after each
        drift[LAG:] = DRIFT * np.tanh(2 * slow[:-LAG]) * (gate[LAG:] > 0)
        returns.append(rng.normal(0, NOISE, SESSIONS))
        returns[-1][1:] += drift[:-1]
        columns.append(np.column_stack([returns[-1], slow, gate, noise, days % 7]))
        drifts.append(drift)
    panel = panel_of(days, returns, columns, names=FEATURES)
    return panel, torch.from_numpy(np.concatenate(drifts)).float()


def spec_of(name: str, samples: int) -> FitSpec:
    """Return the model's own settings, on the planted variables."""
    spec: FitSpec = getattr(compose_settings("full", []), name)
    update: dict[str, Any] = {"fits": 1, "epochs": EPOCHS, "samples_per_epoch": samples, "batch_size": 256}
    fields = type(spec).model_fields
    if "observed" in fields:
        update |= {"observed": FEATURES[:-1], "known": FEATURES[-1:], "learning_rate": 3e-3, "patience": EPOCHS}
    if "regime" in fields:
        update |= {"regime": ("gate",)}
    # A profile chooses sizes for its budget; here it is not asked what it finds.
    own = ("hidden", "hidden_continuous")
    update |= {name: fields[name].default for name in own if name in fields}
    return spec.model_copy(update=update)


def share_of_oracle(name: str, samples: int) -> dict[str, float]:
    """Return the mean daily rank IC of the one-session median over the test year, the oracle's, and their ratio."""
    panel, drift = planted_panel()
    fold = make_fold(panel, year=TEST_YEAR, spec=FoldSpec(validation_sessions=126), lookback=LOOKBACK)
    stats = fit_stats(panel, fold)
    spec, hardware = spec_of(name, samples), Hardware(accelerator="cpu", precision="32-true")
    done = FoldTrainer(name, spec, panel, fold, stats, LOOKBACK, hardware).fit(0)
    quantiles = predict(
        name, spec, done.weights, panel=panel, ends=fold.test, stats=stats, lookback=LOOKBACK, device="cpu"
    )
    day, outcome = panel.date[fold.test].numpy(), panel.targets[fold.test, 0].numpy()
    ours = float(np.nanmean(rank_ic(quantiles[:, 0, QUANTILES.index(0.5)].numpy(), outcome, day=day)))
    oracle = float(np.nanmean(rank_ic(drift[fold.test].numpy(), outcome, day=day)))
    return {"ic": round(ours, 4), "oracle_ic": round(oracle, 4), "share": round(ours / oracle, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=sorted(MODELS), choices=sorted(MODELS))
    parser.add_argument("--samples", type=int, default=SAMPLES, help="window samples an epoch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in given.models:
        found[name] = share_of_oracle(name, given.samples)
        print(json.dumps({name: found[name]}), flush=True)
    if set(given.models) == set(MODELS) and given.samples == SAMPLES:
        weakest = min(found[name]["share"] for name in found if "tft" in name)
        figure = {"value": weakest, "models": found, "samples": SAMPLES * EPOCHS, "lookback": LOOKBACK}
        print(record("planted", {"planted_ic_share_of_oracle": figure}, command="python -m benchmarks.planted"))


if __name__ == "__main__":
    main()
