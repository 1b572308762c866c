"""Forecast models: networks, and the baselines that they must beat."""
