"""The results of a search as tables, settings and plots."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial

    from forecast_assets.assets.tuning.search import Search
    from forecast_assets.resources.study import Study


def trial_table(study: "Study", search: "Search") -> pl.DataFrame:
    """Return one row per trial that ended."""
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            **trial.params,
            "loss": trial.value if trial.state.name == "COMPLETE" else None,
            "feasible": trial.state.name == "COMPLETE" and all(v <= 0 for v in trial.constraints.values()),
            "steps": len(trial.intermediate_values),
            "all_steps": search.steps,
            **{k: v for k, v in trial.user_attrs.items() if k.startswith(("pinball", "coverage"))},
            "seconds": trial.user_attrs.get("seconds"),
            "error": trial.user_attrs.get("error"),
        }
        for trial in study.finished()
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def effort(trials: pl.DataFrame) -> dict[str, Any]:
    """Return how many trials were run, and the share of their epochs that pruning saved."""
    run, whole = int(trials["steps"].sum()), int(trials["all_steps"].sum())
    return {
        "trials": trials.height,
        "finished": int((trials["state"] == "complete").sum()),
        "pruned": int((trials["state"] == "pruned").sum()),
        "share_of_epochs_pruned": round(1 - run / whole, 4),
        "trial_seconds": round(float(trials["seconds"].sum()), 1),
    }


def cheapest(trials: Sequence["FrozenTrial"], *, tolerance: float) -> "FrozenTrial":
    """Return the trial of the shortest lookback, then the narrowest network, of those whose loss is near the smallest.

    Near: within ``tolerance``, a share of it. A few inner years don't tell these apart, and what they cost differs.
    ``trials``: at least one.
    """
    losses = {trial.number: trial.values[0] for trial in trials}
    bound = min(losses.values()) * (1 + tolerance)
    near = [trial for trial in trials if losses[trial.number] <= bound]
    return min(
        near, key=lambda trial: (trial.params["lookback"], trial.params["hidden"], losses[trial.number], trial.number)
    )


def network_settings(feasible: Sequence["FrozenTrial"], *, tolerance: float) -> dict[str, Any]:
    """Return setting -> value: the lookback of the ``cheapest`` trial, and each network's own settings from its cheapest."""
    by_network: dict[str, list[FrozenTrial]] = {}
    for trial in feasible:
        by_network.setdefault(trial.params["model"], []).append(trial)
    found = {"windows.lookback": cheapest(feasible, tolerance=tolerance).params["lookback"]}
    for network, own in sorted(by_network.items()):
        winner = cheapest(own, tolerance=tolerance)
        found |= {f"{network}.{setting}": winner.params[setting] for setting in ("hidden", "learning_rate")}
    return found


def study_plots(study: "Study") -> "dict[str, Figure]":
    """Return Optuna's plots: best value so far, importance of each setting, parallel coordinates."""
    import warnings

    import matplotlib.pyplot as plt
    from optuna import visualization
    from optuna.exceptions import ExperimentalWarning

    complete = [trial for trial in study.finished() if trial.state.name == "COMPLETE"]
    if not complete:
        return {}
    draw: dict[str, Any] = {"history": visualization.matplotlib.plot_optimization_history}
    if len({trial.value for trial in complete}) > 1:  # importance of what made no difference is not defined
        draw["importance"] = visualization.matplotlib.plot_param_importances
        draw["parallel"] = visualization.matplotlib.plot_parallel_coordinate
    figures = {}
    with warnings.catch_warnings(), plt.rc_context():  # Optuna sets a style for the whole process
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Attempting to set identical")  # the axis of a setting with one value
        for name, plot in draw.items():
            figure = plot(study.optuna).figure
            figure.set_size_inches(9, 5)
            figure.tight_layout()
            plt.close(figure)
            figures[name] = figure
    return figures
