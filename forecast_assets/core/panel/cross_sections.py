"""Cross-sectional features, which compare the tickers of a day, of a panel that comes in parts."""

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.panel.features import add_cross, cross_inputs, cross_names, cross_values
from forecast_assets.core.specs import FeatureSpec

ROWS_TOGETHER = 4_000_000  # about how many rows are compared at a time, whole days of them


class CrossSections:
    """Collect the inputs of all parts, compute the features, and return them in the same order.

    Between ``add`` and ``take`` a row takes about forty bytes.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._inputs: list[pl.DataFrame] = []
        self._found: dict[str, NDArray[np.float64]] = {}
        self._taken = 0

    def add(self, observed: pl.DataFrame) -> None:
        """Add the next ``observed_rows``."""
        self.add_values(cross_inputs(observed, spec=self._spec))

    def add_values(self, rows: pl.DataFrame) -> None:
        """Add the next rows, which have their own features already."""
        inputs = cross_values(rows, spec=self._spec)
        self._inputs.append(inputs.with_columns(pl.col("exchange", "sector").cast(pl.Categorical)))

    def close(self) -> None:
        """Compute the features once all rows are added: whole days, some at a time."""
        rows = pl.concat(self._inputs)
        self._inputs.clear()
        self._found = {name: np.full(rows.height, np.nan) for name in cross_names(self._spec)}
        counts = rows.group_by("date").len().sort("date")
        cuts = (counts["len"].cum_sum() // ROWS_TOGETHER).rle_id()
        first = counts.group_by(cuts.alias("cut"), maintain_order=True).agg(pl.first("date"))["date"].to_list()
        for begin, end in pairwise([*first, None]):
            days = pl.col("date") >= begin if end is None else pl.col("date").is_between(begin, end, closed="left")
            chosen = rows.with_row_index("place").filter(days) if len(first) > 1 else rows.with_row_index("place")
            ranked, place = add_cross(chosen, spec=self._spec), chosen["place"].to_numpy()
            for name, values in self._found.items():
                values[place] = ranked[name].to_numpy()  # null becomes NaN

    def take(self, rows: int) -> pl.DataFrame:
        """Return the features of the next ``rows`` rows, null where a row has none."""
        here = slice(self._taken, self._taken + rows)
        self._taken += rows
        return pl.DataFrame({name: values[here] for name, values in self._found.items()}).fill_nan(None)
