"""Tests of forecast_assets.core.panel."""
