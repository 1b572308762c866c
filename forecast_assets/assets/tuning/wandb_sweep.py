"""The search of the networks as a W&B sweep."""

from typing import Any

import yaml

from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.specs import SweepSpec


def wandb_sweep(spec: SweepSpec, *, profile: str, year: int) -> str:
    """The YAML of ``wandb sweep``, for a team whose agents take their trials from W&B rather than from Optuna's storage.

    A run is one fit of the fold of ``year``, an inner year. The search space is that of ``spec``; the objective is the
    validation pinball, since a single run has one.
    """
    fixed = [f"profile={profile}", f"year={year}", "fit.fits=1"]
    fixed += [f"fit.epochs={spec.epochs}", f"fit.samples_per_epoch={spec.samples_per_epoch}"]
    content: dict[str, Any] = {
        "name": "forecast_assets",
        "method": "bayes",
        "metric": {"name": "validation_pinball", "goal": "minimize"},
        "run_cap": max(1, spec.trials),
        "command": ["${env}", "${interpreter}", "-m", "forecast_assets.train", *fixed, "${args_no_hyphens}"],
        "parameters": {
            "exp_id": {"values": [MODELS[key].experiment for key in spec.models]},
            "fit.hidden": {"values": list(spec.hidden)},
            "fit.learning_rate": {"values": list(spec.learning_rate)},
            "windows.lookback": {"values": list(spec.lookback)},
        },
    }
    return yaml.safe_dump(content, sort_keys=False)
