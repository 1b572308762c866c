"""Scores of forecasts and return series: numbers in, numbers out."""
