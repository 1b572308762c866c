"""The horizons and quantile levels of every forecast, and the columns that hold them."""

import datetime as dt

HORIZONS: tuple[int, ...] = (1, 5, 20)
"""Forecast horizons, in sessions of the ticker's own exchange. Columns, arrays and labels are derived from this line."""

if HORIZONS[0] != 1 or list(HORIZONS) != sorted(set(HORIZONS)):
    raise ValueError(f"core/horizons.py: HORIZONS {HORIZONS} have to begin with 1 and ascend")

LOOK_AHEAD = dt.timedelta(days=35 + 2 * HORIZONS[-1])
"""Calendar days that hold the longest horizon and one session more; no exchange has lately been shut for five weeks."""

QUANTILES: tuple[float, ...] = (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)
"""Probability levels of the forecast quantiles."""

QUANTILE_COLUMNS: tuple[str, ...] = ("q025", "q05", "q25", "q50", "q75", "q95", "q975")
"""Column of each level in a forecast table, in the order of ``QUANTILES``."""

TARGETS: tuple[str, ...] = tuple(f"target_{h}d" for h in HORIZONS)  # column of each horizon's realised log return


def horizons_text(*, last: str = "and", mark: str = "") -> str:
    """Return the horizons for a sentence: "1, 5 and 20"; with ``mark`` "-" "1-, 5- and 20-"."""
    *others, longest = (f"{horizon}{mark}" for horizon in HORIZONS)
    return f"{', '.join(others)} {last} {longest}" if others else longest
