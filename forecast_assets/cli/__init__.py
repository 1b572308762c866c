"""The ``forecast-assets`` command: one module per command."""

from forecast_assets.cli.app import main as main
