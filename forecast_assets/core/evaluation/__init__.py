"""Forecast scores, significance, multiple testing, overfitting, trials and diagnostics."""
