"""What a trained network lets be seen: files, facts and plots that a fold publishes beside its forecasts."""

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


EXPLAINED = 256
"""Test decisions, evenly spaced, whose explanations are averaged."""


@dataclass(frozen=True)
class Diagnostics:
    """Parts of a ``StageOutput``."""

    files: dict[str, Content] = field(default_factory=dict)
    facts: dict[str, int | float | str] = field(default_factory=dict)
    plots: "dict[str, Figure]" = field(default_factory=dict)


def diagnostics(
    model: "ForecastModel", *, title: str, panel: "PanelTensors", fold: "Fold", stats: "FoldStats"
) -> Diagnostics:
    """Those of a trained ``model`` on the test decisions of its ``fold``."""
    from forecast_assets.core.models.moe import Moe

    seen = looked_at(model, panel=panel, fold=fold, stats=stats)
    shown = Diagnostics(
        files={IMPORTANCE: seen},
        plots={"importance": importance_plot(f"{title}: what it looks at", seen)} if seen else {},
    )
    if model.messages:
        neighbours(model, shown, title=title, panel=panel, fold=fold, stats=stats)
    if isinstance(model, Moe):
        shown.facts.update(experts(model, shown, title=title, panel=panel, fold=fold, stats=stats))
    return shown


def looked_at(model: "ForecastModel", *, panel: "PanelTensors", fold: "Fold", stats: "FoldStats") -> dict[str, Any]:
    """The variables a model selected and the sessions it attended to in the test year; empty if it can't tell.

    ``variables``, ``ahead`` and ``static`` by name, ``attention`` by session of the window, oldest first: each adds up to
    1 (or is empty). ``decisions`` is how many are averaged.
    """
    from forecast_assets.core.training.fit import explain_forecasts

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


def importance_plot(title: str, seen: Mapping[str, Any]) -> "Figure":
    """``looked_at``, drawn."""
    from forecast_assets.core.report.explanation_figure import explanation_figure, ranked

    variables = seen["variables"]
    return explanation_figure(
        title, variables=ranked(list(variables.values()), list(variables)), attention=seen["attention"]
    )


def experts(
    model: "Moe", shown: Diagnostics, *, title: str, panel: "PanelTensors", fold: "Fold", stats: "FoldStats"
) -> dict[str, int | float | str]:
    """Puts the use of a mixture's experts into ``shown``; returns its figures: the share of each, and their balance."""
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
    """Puts who moved the forecasts of the fold's last day into ``shown``."""
    import polars as pl

    from forecast_assets.core.evaluation.neighbours import neighbour_table
    from forecast_assets.core.models.attribution import attributions
    from forecast_assets.core.report.diagnostic_figures import neighbours_figure
    from forecast_assets.core.training.fit import neighbours_of

    ends = fold.test[panel.date[fold.test] == panel.date[fold.test].max()]
    found = neighbours_of(model, ends, panel=panel, stats=stats)
    if found is None:
        return
    heard = attributions(found, ticker=panel.ticker, names=panel.tickers)
    table = neighbour_table(
        date=pl.Series(panel.date[ends[:1]].numpy()).cast(pl.Date)[0],
        attributions=dict(zip([panel.tickers[code] for code in panel.ticker[ends].tolist()], heard, strict=True)),
    )
    shown.files[NEIGHBOURS] = table
    shown.plots["neighbours"] = neighbours_figure(f"{title}: who moved whose forecast", table)
