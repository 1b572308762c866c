"""Drift of features and coverage of forecasts after training: statistics and limits; alerts are sent elsewhere."""
