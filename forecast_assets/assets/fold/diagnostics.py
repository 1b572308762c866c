"""Diagnostics of a trained network that a fold publishes with its forecasts: files, facts and plots."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forecast_assets.assets.framework.output import Content
from forecast_assets.store.artefact_files import EXPERTS, IMPORTANCE, NEIGHBOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from forecast_assets.core.models.base import ForecastModel
    from forecast_assets.core.models.moe import Moe
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors


EXPLAINED = 256  # test forecasts, evenly spaced, whose selection weights are averaged


@dataclass(frozen=True)
class Diagnostics:
    """Parts of a ``StageOutput``."""

    files: dict[str, Content] = field(default_factory=dict)
    facts: dict[str, int | float | str] = field(default_factory=dict)
    plots: "dict[str, Figure]" = field(default_factory=dict)


def diagnostics(
    model: "ForecastModel", *, title: str, panel: "PanelTensors", fold: "Fold", stats: "FoldStats"
) -> Diagnostics:
    """Return the diagnostics of a trained ``model`` on the test forecasts of its ``fold``."""
    from forecast_assets.core.models.moe import Moe

    weights = selection_weights(model, panel=panel, fold=fold, stats=stats)
    shown = Diagnostics(
        files={IMPORTANCE: weights},
        plots={"importance": importance_plot(f"{title}: selection weights", weights)} if weights else {},
    )
    if model.reads.messages:
        neighbours(model, shown, title=title, panel=panel, fold=fold, stats=stats)
    if isinstance(model, Moe):
        shown.facts.update(experts(model, shown, title=title, panel=panel, fold=fold, stats=stats))
    return shown


def selection_weights(
    model: "ForecastModel", *, panel: "PanelTensors", fold: "Fold", stats: "FoldStats"
) -> dict[str, Any]:
    """Return the selection weights of variables and the attention to sessions in the test year; empty for a model without.

    ``variables``, ``ahead`` and ``static`` by name, ``attention`` by session of the window, oldest first: each adds up to
    1 (or is empty). ``decisions`` is the number of forecasts averaged.
    """
    from forecast_assets.core.training.explain import explain_forecasts

    ends = fold.test[:: max(1, len(fold.test) // EXPLAINED)]
    found = explain_forecasts(model, ends, panel=panel, stats=stats)
    if found is None:
        return {}
    means = {
        "variables": (found.encoder_names, found.encoder),
        "ahead": (found.decoder_names, found.decoder),
        "static": (found.static_names, found.static),
    }
    return {
        "decisions": len(ends),
        "attention": found.attention.mean(dim=0).tolist(),
        **{key: dict(zip(names, w.mean(dim=0).tolist(), strict=True)) for key, (names, w) in means.items()},
    }


def importance_plot(title: str, weights: Mapping[str, Any]) -> "Figure":
    """Draw the ``selection_weights``."""
    from forecast_assets.core.report.diagnostic_figures import explanation_figure, ranked

    variables = weights["variables"]
    return explanation_figure(
        title, variables=ranked(list(variables.values()), list(variables)), attention=weights["attention"]
    )


def experts(
    model: "Moe", shown: Diagnostics, *, title: str, panel: "PanelTensors", fold: "Fold", stats: "FoldStats"
) -> dict[str, int | float | str]:
    """Add the use of a mixture's experts to ``shown``; return its facts: the share of each expert, and their balance."""
    from forecast_assets.core.evaluation.experts import expert_balance, expert_shares
    from forecast_assets.core.models.moe import gate_shares
    from forecast_assets.core.panel.macro import MACRO_NAMES
    from forecast_assets.core.report.diagnostic_figures import experts_figure

    ends = fold.origins
    vix = panel.column(MACRO_NAMES[0])[ends].numpy() if MACRO_NAMES[0] in panel.feature_names else None
    shares = expert_shares(
        panel.date[ends].numpy(), gate_shares(model, ends, panel=panel, stats=stats).numpy(), vix=vix
    )
    shown.files[EXPERTS] = shares
    shown.plots["experts"] = experts_figure(f"{title}: experts over time", shares)
    return expert_balance(shares)


def neighbours(
    model: "ForecastModel", shown: Diagnostics, *, title: str, panel: "PanelTensors", fold: "Fold", stats: "FoldStats"
) -> None:
    """Add the attribution of the last day's forecasts to neighbours to ``shown``."""
    import polars as pl

    from forecast_assets.core.evaluation.neighbours import neighbour_table
    from forecast_assets.core.models.attribution import attributions
    from forecast_assets.core.report.diagnostic_figures import neighbours_figure
    from forecast_assets.core.training.explain import neighbours_of

    ends = fold.test[panel.date[fold.test] == panel.date[fold.test].max()]
    found = neighbours_of(model, ends, panel=panel, stats=stats)
    if found is None:
        return
    by_origin = attributions(found, ticker=panel.ticker, tickers=panel.tickers)
    table = neighbour_table(
        date=pl.Series(panel.date[ends[:1]].numpy()).cast(pl.Date)[0],
        attributions=dict(zip([panel.tickers[code] for code in panel.ticker[ends].tolist()], by_origin, strict=True)),
    )
    shown.files[NEIGHBOURS] = table
    shown.plots["neighbours"] = neighbours_figure(f"{title}: attribution to neighbours", table)
