"""From forecasts to a verdict: simulation, statistics, report."""
