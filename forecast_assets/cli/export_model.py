"""``export-model``: the weights of a published TFT, for pytorch-forecasting to load."""

from pathlib import Path

import click

from forecast_assets.cli.common import open_store, user_command
from forecast_assets.forecaster.published_fit import best_fit


@click.command("export-model")
@click.argument("model")
@click.argument("year", type=int)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@user_command
def command(model: str, year: int, out: Path) -> None:
    """Write a published TFT for pytorch-forecasting.

    The folder OUT gets the best fit of MODEL (B2 or b2_tft_ticker) of test YEAR: the weights under pytorch-forecasting's
    names (safetensors), its hyperparameters (JSON) and a README that shows how to load them.
    """
    from forecast_assets.core.models.catalogue import EXPERIMENTS
    from forecast_assets.core.models.tft.reference import export_network

    key = EXPERIMENTS[model].key if model in EXPERIMENTS else model
    store, _ = open_store()
    fit = best_fit(store, key, year)
    export_network(fit.network, out)
    click.echo(f"{out}: weights, hyperparameters and README.txt of {fit.name}, {year}")
