"""``python -m forecast_assets.cli`` is the command ``forecast-assets``."""

from forecast_assets.cli import main

main()
