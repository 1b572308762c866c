"""How a network made one forecast: selected variables, attention and neighbours, from its published weights."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forecast_assets.core.errors import BadInput
from forecast_assets.core.nearest import nearest_names
from forecast_assets.forecaster.published_fit import best_fit
from forecast_assets.store.store import Store

if TYPE_CHECKING:
    from forecast_assets.core.models.attribution import Attribution


@dataclass(frozen=True)
class ForecastExplanation:
    """How the best fit made one forecast; the weights of each mapping sum to 1."""

    fit: str
    variables: dict[str, float]
    known_future: dict[str, float]
    attention: list[float]  # over the sessions of the window, oldest first
    neighbours: list["Attribution"]  # of a model that reads them: the largest contribution first
    announcement: float | None = None  # probability of one within a week; None for a panel without them


def explain_forecast(store: Store, *, model: str, ticker: str, day: dt.date) -> ForecastExplanation:
    """Explain the forecast of ``ticker`` at the close of ``day`` by the best fit of the fold that tests its year.

    Raises BadInput for an unknown ticker, a day without a forecast, a model without attention, and where the panel has
    changed since the model was trained.
    """
    import torch

    from forecast_assets.core.models.attribution import attributions
    from forecast_assets.core.training.explain import explain_forecasts, neighbours_of
    from forecast_assets.core.windows.announced import announcement_chance
    from forecast_assets.core.windows.days import to_day
    from forecast_assets.core.windows.graph import with_graph_if_read

    fit = best_fit(store, model, day.year)
    panel, network, lookback = fit.panel, fit.network, fit.lookback
    if ticker not in panel.tickers:
        near = nearest_names(ticker, panel.tickers)
        advice = f"; did you mean {', '.join(near)}?" if near else ""
        raise BadInput(f"{ticker}: no such ticker in the panel{advice}")
    ends = panel.ends(lookback)
    chosen = ends[(panel.ticker[ends] == panel.tickers.index(ticker)) & (panel.date[ends] == to_day(day))]
    if not len(chosen):
        raise BadInput(f"{ticker} has no forecast on {day}: no quote, or fewer than {lookback} sessions of history")
    panel = with_graph_if_read(network.reads, panel, ends=chosen, lookback=lookback)
    found = explain_forecasts(network, chosen.to(torch.int64), panel=panel, stats=fit.stats)
    effects = neighbours_of(network, chosen.to(torch.int64), panel=panel, stats=fit.stats)
    if found is None:
        raise BadInput(f"{model} selects no variables and attends to no session, so there is nothing to show")
    return ForecastExplanation(
        fit=fit.name,
        variables=dict(zip(found.encoder_names, found.encoder[0].tolist(), strict=True)),
        known_future=dict(zip(found.decoder_names, found.decoder[0].tolist(), strict=True)),
        attention=found.attention[0].tolist(),
        neighbours=[] if effects is None else attributions(effects, ticker=panel.ticker, tickers=panel.tickers)[0],
        announcement=announcement_chance(panel, int(chosen[0])),
    )
