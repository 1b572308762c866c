"""Calibrated 1-, 5- and 20-session return forecasts from a raw price panel, as Dagster assets."""
