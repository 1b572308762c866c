"""``explain``: variable selection, attention and neighbour attribution of one forecast, from the published weights."""

import datetime as dt
from dataclasses import asdict
from pathlib import Path

import click

from forecast_assets.cli.common import json_option, open_store, print_json, user_command
from forecast_assets.forecaster.explain import ForecastExplanation, explain_forecast


@click.command("explain")
@click.argument("ticker")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@click.option("--model", default="b2_tft_ticker", show_default=True, help="The network that is explained.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it as a PNG.")
@json_option
@user_command
def command(ticker: str, day: dt.datetime, model: str, out: Path | None, as_json: bool) -> None:
    """Explain a network's forecast of TICKER on DATE.

    Prints how likely the ticker is to report within a week, the variables the network selected, its attention over past
    sessions and, where it reads correlated tickers, how much each of them moved the forecast.
    """
    from forecast_assets.cli.export import require_folder
    from forecast_assets.core.windows.announced import announcement_sentence

    if out is not None:
        require_folder(out)
    store, _ = open_store()
    why = explain_forecast(store, model=model, ticker=ticker, day=day.date())
    if out is not None:
        draw(why, out, title=f"{ticker} on {day.date()}: explanation of {model}")
    if as_json:
        print_json({"ticker": ticker, "date": day.date(), **asdict(why)})
        return
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
        click.echo(f"{out}: drawn")


def draw(why: ForecastExplanation, out: Path, *, title: str) -> None:
    """Draw selected variables and attention as a PNG."""
    from forecast_assets.core.report.diagnostic_figures import explanation_figure, ranked
    from forecast_assets.core.report.figure_style import to_png

    variables = ranked(list(why.variables.values()), list(why.variables))
    out.write_bytes(to_png(explanation_figure(title, variables=variables, attention=why.attention)))
