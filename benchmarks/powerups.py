"""Share of an oracle's gain over B3 that B5, B6 and B7 reach, each on a planted panel where its assumption holds.

    python -m benchmarks.powerups                   three seeds of B3 and each extension, recorded
    python -m benchmarks.powerups --only maml       those of one extension
    python -m benchmarks.powerups --seeds 1         a trial, printed and not recorded

``moe``: momentum turns into reversal where VIX is high (``forecast_assets_tests.helpers.regime``). B3 reads the ticker's own
columns, as in the graph of assets; B5 adds the gate, which reads the macro columns, and the experts. ``informed`` is a B3
with the macro columns among its observed variables: what the mixture adds to their information. ``graph``: a ticker follows
its neighbours' last returns (``helpers.contagion``). B3 reads the ticker's own; B6 adds the graph, found from the returns,
and the messages along it. ``maml``: each ticker responds to a signal with its own coefficient (``helpers.coefficients``). B7
adds the head that adapts; both forecast new listings from their 20th session on, and a few sessions around the 5th, 20th and
60th (``at_session``). There ``knowable`` is the share of the Bayesian forecast from the coefficients' distribution and the
ticker's history, the best possible one.

An extension has the settings, budget and learning rate of its B3. Each seed has its panel and initialisation. Pinball is
that of the one-session forecast in the test year, in units of volatility; the oracle forecasts the normal distribution
around the true drift. ``base``: the pinball of the base distribution. ``learning``: the validation pinball of the last three
epochs, which shows whether longer training could still gain. Windows a second are of the process's own time on one
thread, which other load on the machine hardly changes.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats as distributions
from torch import Tensor

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.catalogue import GraphSpec, MamlSpec, MoeSpec, TftSpec
from forecast_assets.core.panel.macro import MACRO_NAMES
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.graph import with_graph
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers import coefficients, contagion, regime
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.scores import mean_pinball
from forecast_assets_tests.helpers.tensors import VOLATILITY
from tools.results import record

TICKERS, SESSIONS, LOOKBACK, TEST_YEAR = 40, 2_000, 10, 2024
SEEDS, EPOCHS, SAMPLES = 3, 8, 20_000
B3 = "b3_tft_sector"


def b3_spec(*, observed: tuple[str, ...], known: str, **others: float) -> TftSpec:
    """Return the settings that B3 and an extension share."""
    return TftSpec(
        epochs=EPOCHS,
        samples_per_epoch=SAMPLES,
        patience=EPOCHS,
        learning_rate=3e-3,
        hidden=16,
        hidden_continuous=8,
        observed=observed,
        known=(known,),
        **others,
    )


class Truth(NamedTuple):
    """A planted panel of N rows; drifts are those of each row's next session."""

    panel: PanelTensors
    drift: Tensor  # (N,) the true one, the oracle's forecast
    knowable: Tensor | None = None  # (N,) its Bayesian forecast from the panel's distribution and the ticker's history


MOE = MoeSpec(**b3_spec(observed=regime.OWN, known=regime.CALENDAR).model_dump())
INFORMED = b3_spec(observed=(*regime.OWN, *MACRO_NAMES), known=regime.CALENDAR)
GRAPH = GraphSpec(
    **b3_spec(observed=contagion.OWN, known=contagion.CALENDAR).model_dump(), messages=("log_return",), neighbours=4
)
MAML = MamlSpec(  # only the location is to be learned, so it is not shrunk, in B3 neither
    **b3_spec(observed=coefficients.OWN, known=coefficients.CALENDAR).model_dump()
)


def switching(seed: int) -> Truth:
    """Return the panel whose dynamics switch with VIX."""
    return Truth(*regime.regime_panel(tickers=TICKERS, sessions=SESSIONS, seed=seed))


def contagious(seed: int) -> Truth:
    """Return the panel of contagion with its graph, which B3 does not read."""
    panel, drift, _ = contagion.contagion_panel(tickers=TICKERS, sessions=SESSIONS, seed=seed)
    return Truth(with_graph(panel, GRAPH.graph), drift)


def own_coefficients(seed: int) -> Truth:
    """Return the panel of coefficients: 40 tickers to train on, 150 that list in the test year."""
    made = coefficients.coefficient_panel(tickers=TICKERS, new=150, sessions=SESSIONS, listing=120, seed=seed)
    return Truth(made.panel, made.drift, made.bayes)


Rows = Callable[[PanelTensors], Tensor]
"""Which rows of a panel count, (N,) bool."""


def every(panel: PanelTensors) -> Tensor:
    """Return True for all rows."""
    return torch.ones(panel.rows, dtype=torch.bool)


def new_listings(first: int, last: int) -> Rows:
    """Select new listings between two sessions after listing, both included."""
    return lambda panel: (panel.ticker >= TICKERS) & (panel.run_length >= first) & (panel.run_length <= last)


@dataclass(frozen=True)
class Extension:
    """A model and the panel planted for it, by seed. ``asked``: the rows it forecasts; ``at_session``: other groups of rows.

    ``informed``: settings of a B3 that reads the model's further columns, where there are any.
    """

    model: str
    spec: TftSpec
    planted: Callable[[int], Truth]
    lookback: int = LOOKBACK
    asked: Rows = every
    at_session: dict[str, Rows] = field(default_factory=dict)
    informed: TftSpec | None = None


EXTENSIONS = {
    "moe": Extension("b5_moe", MOE, switching, informed=INFORMED),
    "graph": Extension("b6_graph", GRAPH, contagious),
    "maml": Extension(
        "b7_maml",
        MAML,
        own_coefficients,
        lookback=5,
        asked=new_listings(20, SESSIONS),
        at_session={"5": new_listings(5, 7), "20": new_listings(18, 22), "60": new_listings(58, 62)},
    ),
}


def measure(extension: Extension, seed: int, *, samples: int, epochs: int) -> dict[str, Any]:
    """Measure the one-session pinball of B3, the extension and the oracle in the test year, and the training speed."""
    panel, drift, knowable = extension.planted(seed)
    fold = make_fold(panel, year=TEST_YEAR, spec=FoldSpec(validation_sessions=126), lookback=extension.lookback)
    stats = fit_stats(panel, fold)
    test = fold.test[torch.isfinite(panel.targets[fold.test, 0])]
    normal = torch.from_numpy(VOLATILITY * distributions.norm.ppf(QUANTILES))
    forecasts = {
        "oracle": drift[test].double()[:, None] + normal,
        "base": stats.harx(panel, test)[:, 0].double(),
    }
    if knowable is not None:
        forecasts["knowable"] = knowable[test].double()[:, None] + normal
    found: dict[str, Any] = {}
    b3 = TftSpec(**{name: getattr(extension.spec, name) for name in TftSpec.model_fields})
    networks = {B3: (B3, b3), extension.model: (extension.model, extension.spec)}
    if extension.informed is not None:
        networks["informed"] = (B3, extension.informed)
    for label, (name, spec) in networks.items():
        asked = spec.model_copy(update={"samples_per_epoch": samples, "epochs": epochs})
        started = time.process_time()
        hardware = Hardware(accelerator="cpu", precision="32-true")
        done = FoldTrainer(name, asked, panel, fold, stats, extension.lookback, hardware).fit(seed)
        seconds = time.process_time() - started
        quantiles = predict(
            name, asked, done.weights, panel=panel, ends=test, stats=stats, lookback=extension.lookback, device="cpu"
        )
        forecasts[label] = quantiles[:, 0].double()
        found[label] = {
            "learning": [round(epoch["validation_pinball"], 5) for epoch in done.curve[-3:]],
            "best_epoch": done.best_epoch,
            "windows_per_cpu_second": round(samples * epochs / seconds, 1),
        }
    outcome = panel.targets[test, 0].double().numpy()

    def losses(rows: Rows) -> dict[str, float]:
        kept = rows(panel)[test].numpy()
        return {
            name: mean_pinball(outcome[kept], of.numpy()[kept], levels=QUANTILES) / VOLATILITY
            for name, of in forecasts.items()
        }

    def share(of: dict[str, float], name: str, *, over: str = B3) -> float:
        return (of[over] - of[name]) / (of[over] - of["oracle"])

    for name, value in (loss := losses(extension.asked)).items():
        found[name] = {"pinball": value, **found[name]} if name in found else value
    found["share"] = share(loss, extension.model)
    if extension.informed is not None:
        found["share_over_informed"] = share(loss, extension.model, over="informed")
    if knowable is not None:
        found["knowable_share"] = share(loss, "knowable")
    for session, rows in extension.at_session.items():
        of = losses(rows)
        shares = {name: share(of, name) for name in (extension.model, "knowable") if name in of}
        found.setdefault("at_session", {})[session] = shares
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=EXTENSIONS, help="one extension")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="window samples an epoch")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, extension in EXTENSIONS.items():
        if given.only not in (None, name):
            continue
        runs = []
        for seed in range(given.seeds):
            runs.append(measure(extension, seed, samples=given.samples, epochs=given.epochs))
            print(json.dumps({"power_up": name, "seed": seed, **runs[-1]}), flush=True)
        if (given.seeds, given.samples, given.epochs) == (SEEDS, SAMPLES, EPOCHS):
            figures = figures_of(name, runs, model=extension.model)
            print(record("powerups", figures, command=f"python -m benchmarks.powerups --only {name}"))


def figures_of(name: str, runs: list[dict[str, Any]], *, model: str) -> dict[str, dict[str, Any]]:
    """Return the mean share over seeds with its Student-t interval, and the extension's speed against B3's."""
    shares = np.array([run["share"] for run in runs])
    half = distributions.t.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares))
    speed = [run[model]["windows_per_cpu_second"] / run[B3]["windows_per_cpu_second"] for run in runs]
    interval = [round(float(shares.mean() + side * half), 4) for side in (-1, 1)]
    unit = f"training windows a CPU-second, {model.partition('_')[0].upper()} / B3"
    informed = [run["share_over_informed"] for run in runs if "share_over_informed" in run]
    return {
        f"{name}_share_of_oracle_gain": {
            "value": round(float(shares.mean()), 4),
            "interval_95": interval,
            **({"over_informed_b3": [round(share, 4) for share in informed]} if informed else {}),
            "runs": runs,
        },
        f"{name}_cost_vs_b3": {"value": round(float(np.mean(speed)), 3), "unit": unit},
    }


if __name__ == "__main__":
    main()
