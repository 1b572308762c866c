"""``python -m forecast_assets.webserver``: dagster-webserver, with its own options, behind the guard."""

from forecast_assets.webserver.launch import main

main()
