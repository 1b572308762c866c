"""The costed trading simulation: market, sizing, costs, accounting, strategies and their metrics."""
