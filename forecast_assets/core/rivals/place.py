"""Place a rival's forecasts at the forecast origins of a fold: where they were made for one of ours, and in time."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES, horizons_text
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.panel.sessions import next_opens
from forecast_assets.core.rivals.read import AVAILABLE, RivalForecasts
from forecast_assets.core.scores.quantile import Floats
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.tensors import PanelTensors

Ints = NDArray[np.int64]

ENOUGH_TO_JUDGE = 20  # matured forecasts from which on their size says that they are no fractions
LARGEST_POINT, LARGEST_BAND = 2.0, 10.0
"""Size of point forecasts, and width of bands, in units of the returns they are of, above which they are in another unit."""

_LOW, _MIDDLE, _HIGH = (QUANTILES.index(level) for level in (0.05, 0.5, 0.95))
_WIDTH = 3.29  # of a Normal's band between these two, in standard deviations


class Counts(NamedTuple):
    """What became of a file's rows in one test year."""

    rows: int  # whose date lies among the year's forecast origins
    placed: int  # at a test origin of ours: what is scored, once matured
    elsewhere: int  # of a known ticker, at no forecast origin of ours
    late: int  # available only when the ticker's next session had opened
    unknown_ticker: int
    unknown_horizon: int
    origins: int  # our test origins, each as often as the file has horizons


class Placed(NamedTuple):
    """A rival's forecasts in the order of ``fold.origins`` (M of them), log returns; NaN where there is none."""

    quantiles: Floats  # (M, H, 7); all NaN for a point forecast
    mean: Floats  # (M, H) of a point forecast; NaN otherwise
    counts: Counts
    unknown_tickers: tuple[str, ...]  # of the whole file, sorted


def place(rival: RivalForecasts, *, panel: PanelTensors, fold: Fold) -> Placed:
    """Place a file's rows; those of other years, tickers and horizons, and late ones, are counted and left out.

    A forecast is late where it was available at the open of its ticker's next session or later: nobody could have traded
    it, and it may have seen a part of the return. Raises BadInput where no ticker or no horizon of the file is ours, where
    rows of the year are at no forecast origin, all of them late, or too large to be fractions.
    """
    unknown = _unknown_tickers(rival, panel)
    origins, test = fold.origins.numpy(), fold.test.numpy()
    day = panel.date.numpy().astype(np.int64)
    within = rival.rows.filter(
        pl.col("date").cast(pl.Int32).is_between(int(day[origins].min()), int(day[origins].max()))
    )
    at = _positions(panel, origins, rows=panel.find(within["ticker"].to_list(), within["date"].to_numpy()).numpy())
    column = np.searchsorted(HORIZONS, within["horizon"].to_numpy())
    horizon_ours = within["horizon"].is_in(list(HORIZONS)).to_numpy()
    ticker_ours = within["ticker"].is_in(list(panel.tickers)).to_numpy()
    late = _late(within, panel)
    good = (at >= 0) & horizon_ours & ~late
    first_test = int(day[test].min())
    in_test = within["date"].cast(pl.Int32).to_numpy() >= first_test
    counts = Counts(
        rows=int(in_test.sum()),
        placed=int((good & in_test).sum()),
        elsewhere=int((in_test & ticker_ours & horizon_ours & (at < 0)).sum()),
        late=int((in_test & (at >= 0) & horizon_ours & late).sum()),
        unknown_ticker=int((in_test & ~ticker_ours).sum()),
        unknown_horizon=int((in_test & ~horizon_ours).sum()),
        origins=len(test) * len(set(HORIZONS) & set(rival.rows["horizon"].unique().to_list())),
    )
    _require_some(rival, counts, fold.year)
    quantiles = np.full((len(origins), len(HORIZONS), len(QUANTILES)), np.nan)
    mean = np.full((len(origins), len(HORIZONS)), np.nan)
    rows, place_of, horizon = within.filter(pl.Series(good)), at[good], column[good]
    quantiles[place_of, horizon] = rows.select(pl.col(QUANTILE_COLUMNS).fill_null(float("nan"))).to_numpy()
    mean[place_of, horizon] = rows["mean"].fill_null(float("nan")).to_numpy()
    if not rival.made_here:
        _require_fractions(rival, quantiles, mean, panel.targets[fold.origins].double().numpy())
    return Placed(quantiles, mean, counts, unknown)


def with_band(mean: Floats, band: Floats) -> Floats:
    """Return quantiles (M, H, 7) of point forecasts (M, H): ``band`` moved so that its median is the forecast."""
    moved: Floats = mean[..., None] + band - band[..., _MIDDLE, None]
    return moved


def _unknown_tickers(rival: RivalForecasts, panel: PanelTensors) -> tuple[str, ...]:
    tickers = rival.rows["ticker"].unique().sort().to_list()
    unknown = tuple(sorted(set(tickers) - set(panel.tickers)))
    if tickers and len(unknown) == len(tickers):
        meant = nearest_names(unknown[0], panel.tickers, count=1)
        hint = f" (the panel has {meant[0]})" if meant else ""
        raise BadInput(
            f"{rival.file}: none of its {len(tickers)} tickers is in the panel, such as {unknown[0]}{hint}; "
            "name them as the panel does"
        )
    found = rival.rows["horizon"].unique().sort().to_list()
    if found and not set(found) & set(HORIZONS):
        raise BadInput(
            f"{rival.file}: forecasts over {', '.join(map(str, found))} sessions; ours are over {horizons_text()}, "
            "of which it needs one"
        )
    return unknown


def _positions(panel: PanelTensors, origins: Ints, *, rows: Ints) -> Ints:
    """Return the position among ``origins`` of each row of the panel, -1 for a row that is none or -1."""
    position = np.full(panel.rows + 1, -1, dtype=np.int64)  # the last one stands for "no row"
    position[origins] = np.arange(len(origins))
    found: Ints = position[rows]
    return found


def _late(rows: pl.DataFrame, panel: PanelTensors) -> NDArray[np.bool_]:
    """Return which rows were available only once their ticker's exchange had opened again; none without a time."""
    timed = rows.with_row_index("row").filter(pl.col(AVAILABLE).is_not_null())
    late = np.zeros(rows.height, dtype=bool)
    if timed.is_empty():
        return late
    # A ticker is on one exchange throughout.
    first = np.searchsorted(panel.ticker.numpy(), np.arange(len(panel.tickers)))
    listed = pl.DataFrame(
        {"ticker": panel.tickers, "exchange": [panel.exchanges[code] for code in panel.exchange[first].tolist()]}
    )
    placed = timed.join(listed, on="ticker")
    for (exchange,), part in placed.group_by("exchange"):
        opens = next_opens(str(exchange), part["date"]).with_columns(pl.col("next_open").dt.replace_time_zone("UTC"))
        known = part.join(opens, on="date", how="left", maintain_order="left")
        late[known.filter(pl.col(AVAILABLE) >= pl.col("next_open"))["row"].to_numpy()] = True
    return late


def _require_some(rival: RivalForecasts, counts: Counts, year: int) -> None:
    if counts.placed or not counts.rows:
        return
    if counts.late:
        raise BadInput(
            f"{rival.file}: each of its {counts.late} forecasts of {year} was available only after the open of its next "
            f"session; {AVAILABLE} is the time a forecast was ready, before that open"
        )
    if counts.elsewhere:
        raise BadInput(
            f"{rival.file}: none of its {counts.rows} rows of {year} is at a forecast origin of ours; date is the "
            "session at whose close the forecast was made, of a ticker with its whole window behind it"
        )


def _require_fractions(rival: RivalForecasts, quantiles: Floats, mean: Floats, y: Floats) -> None:
    """Raise BadInput where forecasts are so much larger than the returns they are of that they are percentages."""
    for column, horizon in enumerate(HORIZONS):
        outcome = y[:, column]
        if rival.has_band:
            size, limit = (quantiles[:, column, _HIGH] - quantiles[:, column, _LOW]) / _WIDTH, LARGEST_BAND
        else:
            size, limit = np.abs(mean[:, column]), LARGEST_POINT
        both = np.isfinite(size) & np.isfinite(outcome)
        if both.sum() < ENOUGH_TO_JUDGE:
            continue
        forecast, real = float(np.sqrt((size[both] ** 2).mean())), float(np.sqrt((outcome[both] ** 2).mean()))
        if real > 0 and forecast > limit * real:
            what = "widths of its bands" if rival.has_band else "forecasts"
            raise BadInput(
                f"{rival.file}: the {what} over {horizon} sessions are {forecast / real:.0f} times as large as the returns; "
                "write fractions, 0.01 for 1 %"
            )
