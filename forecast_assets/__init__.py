"""Calibrated return forecasts over several horizons from a raw price panel, as Dagster assets."""
