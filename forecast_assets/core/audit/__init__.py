"""Audits of what a user brings: features, models and forecasts, for anything that looks ahead."""
