"""The HTTP service that answers from the champion and the published forecasts; knows no Dagster."""
