"""``explain``: variable selection, attention and neighbour attribution of one forecast, from the published weights."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forecast_assets.cli.common import open_store, user_command
from forecast_assets.cli.published_fit import best_fit
from forecast_assets.core.errors import BadInput
from forecast_assets.core.nearest import nearest_names
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


@click.command("explain")
@click.argument("ticker")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@click.option("--model", default="b2_tft_ticker", show_default=True, help="The network that is explained.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it as a PNG.")
@user_command
def command(ticker: str, day: dt.datetime, model: str, out: Path | None) -> None:
    """Explain a network's forecast of TICKER on DATE.

    Prints how likely the ticker is to report within a week, the variables the network selected, its attention over past
    sessions and, where it reads correlated tickers, how much each of them moved the forecast.
    """
    from forecast_assets.core.windows.announced import announcement_sentence

    store, _ = open_store()
    why = explain_forecast(store, model=model, ticker=ticker, day=day.date())
    click.echo(f"{ticker} {day.date()}: {why.fit}")
    if why.announcement is not None:
        click.echo(f"  {announcement_sentence(why.announcement)}")
    for title, weights in (("selected variables", why.variables), ("known-future covariates", why.known_future)):
        click.echo(f"  {title}")
        for name, weight in sorted(weights.items(), key=lambda item: -item[1])[:8]:
            click.echo(f"    {weight:6.1%}  {name}")
    lags = sorted(range(len(why.attention)), key=lambda k: -why.attention[k])[:5]
    click.echo("  highest attention, in sessions before the forecast")
    for k in lags:
        click.echo(f"    {why.attention[k]:6.1%}  {len(why.attention) - 1 - k}")
    if why.neighbours:
        click.echo("  neighbour attribution, in basis points of the 1-session median, and correlation")
    for one in why.neighbours[:8]:
        now = "earlier only" if one.correlation is None else f"{one.correlation:+.2f}"
        click.echo(f"    {1e4 * one.added:+9.2g}  {one.ticker} ({now})")
    if out is not None:
        from forecast_assets.core.report.diagnostic_figures import explanation_figure, ranked
        from forecast_assets.core.report.figure_style import to_png

        variables = ranked(list(why.variables.values()), list(why.variables))
        title = f"{ticker} on {day.date()}: explanation of {model}"
        out.write_bytes(to_png(explanation_figure(title, variables=variables, attention=why.attention)))
        click.echo(f"{out}: drawn")
