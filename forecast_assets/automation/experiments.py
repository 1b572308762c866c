"""The networks by the names of the ablation, and their search as a W&B sweep."""

from dataclasses import dataclass
from typing import Any

import yaml

from forecast_assets.core.specs import SweepSpec


@dataclass(frozen=True)
class Experiment:
    """A network of the ablation."""

    asset: str
    family: str


EXPERIMENTS = {
    "B0": Experiment("b0_mlp", "mlp"),
    "B1": Experiment("b1_tft", "tft"),
    "B2": Experiment("b2_tft_ticker", "tft"),
    "B3": Experiment("b3_tft_sector", "tft"),
    "B4": Experiment("b4_patchtst", "patchtst"),
    "B5": Experiment("b5_moe", "tft"),
}


def wandb_sweep(spec: SweepSpec, *, profile: str, year: int) -> str:
    """The YAML of ``wandb sweep``, for a team whose agents take their trials from W&B rather than from Optuna's storage.

    A run is one fit of the fold of ``year``, an inner year. What is tried is what ``spec`` names; the objective is the
    validation pinball, which a single run has.
    """
    ids = {experiment.asset: name for name, experiment in EXPERIMENTS.items()}
    fixed = [f"profile={profile}", f"year={year}", "fit.fits=1"]
    fixed += [f"fit.epochs={spec.epochs}", f"fit.visits_per_epoch={spec.visits_per_epoch}"]
    content: dict[str, Any] = {
        "name": "forecast_assets",
        "method": "bayes",
        "metric": {"name": "validation_pinball", "goal": "minimize"},
        "run_cap": max(1, spec.trials),
        "command": [
            "${env}",
            "${interpreter}",
            "-m",
            "forecast_assets.train",
            *fixed,
            "${args_no_hyphens}",
        ],
        "parameters": {
            "exp_id": {"values": [ids[model] for model in spec.models]},
            "fit.hidden": {"values": list(spec.hidden)},
            "fit.learning_rate": {"values": list(spec.learning_rate)},
            "windows.lookback": {"values": list(spec.lookback)},
        },
    }
    return yaml.safe_dump(content, sort_keys=False)
