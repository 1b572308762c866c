"""Feature functions and models that do not look ahead, some of which look as if they did or round unevenly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.helpers.leaky_features import PRICE, VOLUME, by_ticker, result, returns, wide_returns

CLEAN: dict[str, Callable[..., Any]] = {}

HELD_OUT: dict[str, Callable[..., Any]] = {}
"""Those of ``CLEAN`` that were written when the auditor was done."""


def clean(function: Any) -> Any:
    CLEAN[function.__name__] = function
    return function


def held_out(function: Any) -> Any:
    HELD_OUT[function.__name__] = function
    return clean(function)


def each(frame: pd.DataFrame, transform: Callable[["pd.Series[Any]"], Any], column: str = PRICE) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")[column].transform(transform))


@clean
def momentum(frame: pd.DataFrame) -> pd.DataFrame:
    return each(frame, lambda s: s.pct_change(20))


@clean
def expanding_z_score(frame: pd.DataFrame) -> pd.DataFrame:
    return each(frame, lambda s: (s - s.expanding(20).mean()) / s.expanding(20).std(), VOLUME)


@clean
def exponential_average(frame: pd.DataFrame) -> pd.DataFrame:
    return each(frame, lambda s: s.ewm(span=20).mean())


@clean
def exponential_average_of_polars(frame: pl.DataFrame) -> pl.DataFrame:
    average = pl.col("Closing Price").ewm_mean(span=12, adjust=False).over("Ticker")
    return frame.sort("Ticker", "Date").select("Ticker", "Date", x=pl.col("Closing Price") / average - 1)


@clean
def rank_within_date(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, returns(frame).groupby(frame["Date"]).rank(pct=True))


@clean
def rank_within_date_by_first_come(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame[VOLUME].round(-5).groupby(frame["Date"]).rank(method="first"))


@clean
def rank_within_exchange_and_date(frame: pl.DataFrame) -> pl.DataFrame:
    suffix = pl.col("Ticker").str.extract(r"(\.\w+)$").fill_null("")
    return frame.select("Ticker", "Date", x=pl.col("Volume").rank().over("Date", suffix))


@clean
def mean_of_the_sector_within_date(frame: pl.DataFrame) -> pl.DataFrame:
    moved = frame.sort("Ticker", "Date").with_columns(r=pl.col("Closing Price").log().diff().over("Ticker"))
    return moved.select("Ticker", "Date", x=pl.col("r") - pl.col("r").mean().over("Date", "Sector"))


@clean
def rolling_moments(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    group = returns(frame).groupby(frame["Ticker"])
    skew = group.transform(lambda s: s.rolling(60).skew())
    return result(frame, skew).assign(kurtosis=group.transform(lambda s: s.rolling(60).kurt()))


@clean
def rolling_rank(frame: pd.DataFrame) -> pd.DataFrame:
    return each(frame, lambda s: s.rolling(20).rank(pct=True))


@clean
def rolling_of_thirty_days(frame: pd.DataFrame) -> pd.DataFrame:
    wide = frame.pivot(index="Date", columns="Ticker", values=PRICE)
    return wide.rolling("30D", min_periods=5).mean()


@clean
def holidays_filled_forwards(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.pivot(index="Date", columns="Ticker", values=PRICE).ffill(limit=5)


@clean
def month_to_date(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    month = frame["Date"].dt.to_period("M")
    return result(frame, frame[PRICE] / frame.groupby(["Ticker", month])[PRICE].transform("first"))


@clean
def the_month_before(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    month = frame["Date"].dt.to_period("M")
    ends = frame.groupby(["Ticker", month])[PRICE].last().rename("before").reset_index()
    ends["Date"] = ends["Date"] + 1
    merged = frame.assign(month=month).merge(ends.rename(columns={"Date": "month"}), on=["Ticker", "month"], how="left")
    return result(frame, merged["before"].to_numpy())


@clean
def completed_weeks(frame: pd.DataFrame) -> pd.DataFrame:
    wide = frame.pivot(index="Date", columns="Ticker", values=PRICE)
    weekly = wide.resample("W-SUN").last()  # labelled by the Sunday after
    return weekly.reindex(wide.index, method="ffill")


@clean
def winsorised_by_the_past(frame: pd.DataFrame) -> pd.DataFrame:
    return each(frame, lambda s: s.pct_change().clip(upper=s.pct_change().expanding(60).quantile(0.99)))


@clean
def target_encoding_of_matured_labels(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    by_day = returns(frame).groupby([frame["Sector"].fillna("none"), frame["Date"]]).mean()
    past = by_day.groupby(level=0).transform(lambda s: s.expanding().mean())
    keys = pd.MultiIndex.from_arrays([frame["Sector"].fillna("none"), frame["Date"]])
    return result(frame, past.reindex(keys).to_numpy())


@clean
def rolling_beta(frame: pd.DataFrame) -> pd.DataFrame:
    wide = wide_returns(frame)
    market = wide.mean(axis=1)
    return wide.rolling(60).cov(market).div(market.rolling(60).var(), axis=0)


@clean
def last_weekly_figure(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Date")
    weekly = ordered.filter(pl.col("Date").dt.weekday() == 5).select("Ticker", "Date", week="Closing Price")
    joined = ordered.join_asof(weekly, on="Date", by="Ticker", check_sortedness=False)
    return joined.select("Ticker", "Date", "week")


@clean
def windows_times_a_matrix(frame: pd.DataFrame) -> pd.DataFrame:
    """Products whose last digits depend on how many rows are multiplied at once."""
    frame = by_ticker(frame)
    lags = np.column_stack([returns(frame).groupby(frame["Ticker"]).shift(k).fillna(0.0) for k in range(24)])
    weights = np.random.default_rng(3).normal(size=(24, 4))
    table = pd.DataFrame(np.tanh(lags @ weights) @ weights[:4], columns=list("abcd"))
    return pd.concat([frame[["Ticker", "Date"]], table], axis=1)


@clean
def products_in_single_precision(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    lags = [returns(frame).groupby(frame["Ticker"]).shift(k).fillna(0.0) for k in range(16)]
    weights = np.random.default_rng(4).normal(size=(16, 1)).astype(np.float32)
    return result(frame, (np.column_stack(lags).astype(np.float32) @ weights)[:, 0])


@clean
def difference_of_cumulative_sums(frame: pl.DataFrame) -> pl.DataFrame:
    total = pl.col("Closing Price").cum_sum().over("Ticker")
    ordered = frame.sort("Ticker", "Date").with_columns(total=total)
    return ordered.select("Ticker", "Date", x=(pl.col("total") - pl.col("total").shift(10).over("Ticker")) / 10)


@clean
def sums_in_random_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sums over a date whose order, and so their last digits, depend on the number of rows."""
    frame = by_ticker(frame)
    shuffled = frame.sample(frac=1.0, random_state=0)
    total = (shuffled[PRICE] * 0.1).groupby(shuffled["Date"]).transform("sum")
    return result(frame, frame[PRICE] * 0.1 / total.reindex(frame.index))


@clean
def filter_by_fourier_transform(frame: pd.DataFrame) -> pd.DataFrame:
    """A weighted mean of the past, computed over the whole series at once."""
    from scipy.signal import fftconvolve

    kernel = np.exp(-np.arange(30) / 10)
    return each(frame, lambda s: fftconvolve(np.log(s.to_numpy()), kernel / kernel.sum())[: len(s)])


@clean
def ties_and_signs(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    mean = frame.groupby("Ticker")[PRICE].transform(lambda s: s.rolling(3).mean())
    return result(frame, np.sign(frame[PRICE] - mean)).assign(cents=(frame[PRICE] * 100).astype(int))


@clean
def calendar_of_the_date(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    days_left = (frame["Date"] + pd.offsets.MonthEnd(0) - frame["Date"]).dt.days
    return result(frame, days_left).assign(weekday=frame["Date"].dt.dayofweek)


@clean
def sector_as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame[["Ticker", "Date"]], pd.get_dummies(frame["Sector"])], axis=1)


@clean
def regression_fitted_each_year_on_the_past(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    r = returns(frame)
    past = r.groupby(frame["Ticker"]).transform(lambda s: s.rolling(5).sum())
    before = past.groupby(frame["Ticker"]).shift(1)
    forecast = pd.Series(np.nan, index=frame.index)
    for year in sorted(frame["Date"].dt.year.unique())[1:]:
        train = (frame["Date"] < f"{year}-01-01") & before.notna() & r.notna()
        here = frame["Date"].dt.year == year
        slope, intercept = np.polyfit(before[train], r[train], 1)
        forecast[here] = intercept + slope * past[here]
    return result(frame, forecast)


@clean
def components_of_the_past(frame: pd.DataFrame) -> pd.DataFrame:
    wide = wide_returns(frame).fillna(0.0)
    values, scores = wide.to_numpy(), np.full(len(wide), np.nan)
    for begin in range(120, len(wide), 60):
        _, _, directions = np.linalg.svd(values[:begin], full_matrices=False)
        scores[begin : begin + 60] = values[begin : begin + 60] @ np.abs(directions[0])
    return pd.DataFrame(scores[:, None] * np.ones(wide.shape[1]), index=wide.index, columns=wide.columns)


@clean
def kalman_filter(frame: pd.DataFrame) -> pd.DataFrame:
    def level(prices: "pd.Series[Any]") -> Any:
        state, variance, found = np.log(prices.iloc[0]), 1.0, []
        for value in np.log(prices.to_numpy()):
            variance += 1e-4
            gain = variance / (variance + 1e-3)
            state, variance = state + gain * (value - state), (1 - gain) * variance
            found.append(state)
        return np.array(found)

    return each(frame, level)


@clean
def drawdown_from_the_past_peak(frame: pd.DataFrame) -> pd.DataFrame:
    return each(frame, lambda s: s / s.cummax() - 1)


@clean
def sessions_since_listing(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker").cumcount())


@clean
def noise_by_ticker_and_date(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        "Ticker", "Date", x=pl.concat_str("Ticker", pl.col("Date").cast(pl.String)).hash(1).cast(pl.Float64)
    )


@clean
def rows_with_enough_past(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    kept = result(frame, frame.groupby("Ticker")[PRICE].pct_change(250)).dropna()
    return kept[frame.loc[kept.index, VOLUME] > 0].sample(frac=1.0, random_state=1)


@clean
def a_series_on_the_same_index(frame: pd.DataFrame) -> Any:
    return frame.groupby("Ticker")[PRICE].pct_change().rename("x")


@clean
def infinities(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    whole = frame[PRICE].round(0).groupby(frame["Ticker"]).diff()
    with np.errstate(divide="ignore", invalid="ignore"):
        return result(frame, frame[PRICE] / whole)


@clean
def lazily(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.sort("Ticker", "Date").select("Ticker", "Date", x=pl.col("Volume").rolling_median(10).over("Ticker"))


@clean
def fills_of_a_calendar_panel(frame: pl.DataFrame) -> pl.DataFrame:
    carried = pl.col("volume").forward_fill().over("ticker", "segment")
    return frame.sort("ticker", "date").select("ticker", "date", "is_missing", x=carried)


@clean
def features_of_this_project(frame: pl.DataFrame) -> pl.DataFrame:
    return feature_panel(frame.select(pl.all(), pl.lit(None).alias("known")), features=FeatureSpec()).drop(
        *TARGETS, "label_end"
    )


@clean
class FittedOnce:
    """A regression on the returns of the last week, fitted on the rows that it is handed."""

    def fit(self, train: pd.DataFrame) -> "FittedOnce":
        frame = by_ticker(train)
        past = frame.groupby("Ticker")[PRICE].pct_change(5)
        ahead = frame.groupby("Ticker")[PRICE].pct_change().groupby(frame["Ticker"]).shift(-1)
        known = past.notna() & ahead.notna()
        self.slope, self.intercept = np.polyfit(past[known], ahead[known], 1)
        return self

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = by_ticker(frame)
        return result(frame, self.intercept + self.slope * frame.groupby("Ticker")[PRICE].pct_change(5))


@clean
class NeighboursInTheTrainingYears:
    """The mean next return of the training rows with the nearest volatility."""

    def fit(self, train: pd.DataFrame) -> None:
        frame = by_ticker(train)
        r = returns(frame)
        volatility = r.groupby(frame["Ticker"]).transform(lambda s: s.rolling(20).std())
        ahead = r.groupby(frame["Ticker"]).shift(-1)
        known = volatility.notna() & ahead.notna()
        order = np.argsort(volatility[known].to_numpy())
        self.at, self.mean = volatility[known].to_numpy()[order], ahead[known].to_numpy()[order]

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = by_ticker(frame)
        volatility = returns(frame).groupby(frame["Ticker"]).transform(lambda s: s.rolling(20).std())
        place = np.searchsorted(self.at, volatility.fillna(0.0))
        means = np.convolve(self.mean, np.ones(101) / 101, mode="same")
        return result(frame, pd.Series(means[place.clip(max=len(means) - 1)]).where(volatility.notna()))


# Written when the auditor was done, and first run as they stand: nothing was fitted to them.


@held_out
def relative_strength_of_wilder(frame: pd.DataFrame) -> pd.DataFrame:
    def strength(prices: "pd.Series[Any]") -> Any:
        change = prices.diff()
        gain = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
        loss = (-change.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
        return 100 * gain / (gain + loss)

    return each(frame, strength)


@held_out
def crossing_of_averages(frame: pl.DataFrame) -> pl.DataFrame:
    fast, slow = (pl.col("Closing Price").ewm_mean(span=n, adjust=False).over("Ticker") for n in (12, 26))
    return frame.sort("Ticker", "Date").select("Ticker", "Date", macd=fast - slow, above=(fast > slow))


@held_out
def price_impact(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    impact = returns(frame).abs() / (frame[PRICE] * frame[VOLUME])
    return result(frame, impact.groupby(frame["Ticker"]).transform(lambda s: s.rolling(21, min_periods=5).mean()))


@held_out
def variance_filter_with_fixed_parameters(frame: pd.DataFrame) -> pd.DataFrame:
    def variance(prices: "pd.Series[Any]") -> Any:
        state, found = 1e-4, []
        for value in np.log(prices).diff().fillna(0.0):
            state = 2e-6 + 0.08 * value**2 + 0.9 * state
            found.append(state)
        return np.array(found)

    return each(frame, variance)


@held_out
def residual_of_each_date(frame: pd.DataFrame) -> pd.DataFrame:
    """Momentum less what its date's regression on log volume says."""
    frame = by_ticker(frame)
    y = frame.groupby("Ticker")[PRICE].pct_change(20)
    x = np.log(frame[VOLUME])
    known = y.notna() & x.notna()
    found = pd.Series(np.nan, index=frame.index)
    for _, places in frame[known].groupby("Date").groups.items():
        if len(places) > 3:
            design = np.column_stack([np.ones(len(places)), x[places]])
            slope, *_ = np.linalg.lstsq(design, y[places].to_numpy(), rcond=None)
            found[places] = y[places].to_numpy() - design @ slope
    return result(frame, found)


@held_out
def range_volatility(frame: pl.DataFrame) -> pl.DataFrame:
    square = (pl.col("High") / pl.col("Low")).log() ** 2 / (4 * np.log(2))
    return frame.sort("Ticker", "Date").select("Ticker", "Date", x=square.rolling_mean(10).over("Ticker").sqrt())


@held_out
def seasonality_of_the_years_before(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    keys = [frame["Ticker"], frame["Date"].dt.month, frame["Date"].dt.year]
    yearly = returns(frame).groupby(keys).mean()
    before = yearly.groupby(level=[0, 1]).transform(lambda s: s.shift(1).expanding().mean())
    return result(frame, before.reindex(pd.MultiIndex.from_arrays(keys)).to_numpy())


@held_out
def regression_updated_by_each_row(frame: pd.DataFrame) -> pd.DataFrame:
    def forecast(prices: "pd.Series[Any]") -> Any:
        slope, before, found = 0.0, 0.0, []
        for value in np.log(prices).diff().fillna(0.0):
            slope += 5.0 * before * (value - slope * before)
            before = value
            found.append(slope * value)
        return np.array(found)

    return each(frame, forecast)


@held_out
def completed_months_of_a_dynamic_group(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Ticker", "Date")
    monthly = ordered.group_by_dynamic("Date", every="1mo", group_by="Ticker").agg(mean=pl.col("Closing Price").mean())
    known = monthly.with_columns(pl.col("Date").dt.offset_by("1mo")).sort("Date")
    return (
        ordered.sort("Date")
        .join_asof(known, on="Date", by="Ticker", check_sortedness=False)
        .select("Ticker", "Date", "mean")
    )


@held_out
def share_of_the_past_below(frame: pd.DataFrame) -> pd.DataFrame:
    from bisect import insort_right

    def share(values: "pd.Series[Any]") -> Any:
        past: list[float] = []
        found = []
        for value in values:
            insort_right(past, value)
            found.append(np.searchsorted(past, value) / len(past))
        return np.array(found)

    return each(frame, share)


@held_out
def normal_scores_within_date(frame: pl.DataFrame) -> pl.DataFrame:
    from scipy.special import ndtri

    ranks = frame.with_columns(u=(pl.col("Volume").rank() - 0.5).over("Date") / pl.col("Volume").count().over("Date"))
    return ranks.select("Ticker", "Date", x=pl.Series(ndtri(ranks["u"].to_numpy())))


@held_out
def backwards_and_yet_right(frame: pd.DataFrame) -> pd.DataFrame:
    """The latest row first, so that the row below is the one before."""
    frame = frame.sort_values(["Ticker", "Date"], ascending=[True, False])
    return result(frame, frame[PRICE] / frame.groupby("Ticker")[PRICE].shift(-1) - 1)


@held_out
def volume_filled_with_the_mean_so_far(frame: pd.DataFrame) -> pd.DataFrame:
    return each(frame, lambda s: s.fillna(s.expanding().mean()), VOLUME)


@held_out
def yesterdays_market(frame: pd.DataFrame) -> pd.DataFrame:
    wide = wide_returns(frame)
    market = wide.mean(axis=1).shift(1)
    return wide.where(wide.isna(), other=0.0).add(market, axis=0)


@held_out
def network_of_single_precision(frame: pd.DataFrame) -> pd.DataFrame:
    import torch

    frame = by_ticker(frame)
    lags = [returns(frame).groupby(frame["Ticker"]).shift(k).fillna(0.0) for k in range(20)]
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(20, 32, generator=generator), torch.randn(32, 1, generator=generator)
    hidden = torch.tanh(torch.as_tensor(np.column_stack(lags), dtype=torch.float32) @ first)
    return result(frame, (hidden @ second)[:, 0].numpy())


@held_out
class QuantilesOfTheTrainingYears:
    """Empirical quantiles of the training returns, times a volatility of the past."""

    def fit(self, train: pd.DataFrame) -> None:
        frame = by_ticker(train)
        scaled = returns(frame) / self._volatility(frame).groupby(frame["Ticker"]).shift(1)
        self.quantiles = scaled.quantile([0.05, 0.5, 0.95]).to_dict()

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = by_ticker(frame)
        volatility = self._volatility(frame)
        bands = {f"q{level:.2f}": value * volatility for level, value in self.quantiles.items()}
        return frame[["Ticker", "Date"]].assign(**bands)

    def _volatility(self, frame: pd.DataFrame) -> Any:
        return returns(frame).groupby(frame["Ticker"]).transform(lambda s: s.ewm(alpha=0.06).std())
