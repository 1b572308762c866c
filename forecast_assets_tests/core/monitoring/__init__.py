"""Tests of forecast_assets.core.monitoring."""
