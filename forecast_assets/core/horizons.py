"""The two grids that every forecast in the project is given on."""

HORIZONS: tuple[int, ...] = (1, 5, 20)
"""Forecast horizons, in sessions of the ticker's own exchange."""

QUANTILES: tuple[float, ...] = (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)
"""Probability levels of the forecast quantiles."""

QUANTILE_COLUMNS: tuple[str, ...] = ("q025", "q05", "q25", "q50", "q75", "q95", "q975")
"""Column of each level in a forecast table, in the order of ``QUANTILES``."""

TARGETS: tuple[str, ...] = tuple(f"target_{h}d" for h in HORIZONS)
"""Column of each horizon's realised log return."""
