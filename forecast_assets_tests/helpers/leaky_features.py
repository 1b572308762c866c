"""Feature functions and models that look ahead, each as somebody could write it in good faith.

They take a raw panel (or a calendar panel where their columns say so) and return a table by ticker and date.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

Function = Callable[..., Any]
LEAKY: dict[str, Function] = {}
LEAKY_AT_THE_CLOSE: dict[str, Function] = {}
"""Those that read closes of their date alone: known at the end of the day, not at an earlier exchange's close."""
HELD_OUT: dict[str, Function] = {}
"""Those of ``LEAKY`` that were written when the auditor was done."""
PRICE, VOLUME = "Closing Price", "Volume"


def leaky(function: Any) -> Any:
    LEAKY[function.__name__] = function
    return function


def held_out(function: Any) -> Any:
    HELD_OUT[function.__name__] = function
    return leaky(function)


def late(function: Any) -> Any:
    LEAKY_AT_THE_CLOSE[function.__name__] = function
    return function


def by_ticker(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["Ticker", "Date"]).reset_index(drop=True)


def result(frame: pd.DataFrame, values: Any) -> pd.DataFrame:
    return frame[["Ticker", "Date"]].assign(x=values)


def returns(frame: pd.DataFrame) -> "pd.Series[Any]":
    return frame[PRICE].transform("log").groupby(frame["Ticker"]).diff()


def wide_returns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.pivot(index="Date", columns="Ticker", values=PRICE).ffill().transform("log").diff()


@leaky
def centred_mean(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    mean = frame.groupby("Ticker")[PRICE].transform(lambda s: s.rolling(5, center=True).mean())
    return result(frame, frame[PRICE] / mean)


@leaky
def z_score_of_all_years(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    volume = frame.groupby("Ticker")[VOLUME]
    return result(frame, (frame[VOLUME] - volume.transform("mean")) / volume.transform("std"))


@leaky
def scaled_to_the_unit_interval(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    price = frame.groupby("Ticker")[PRICE]
    low, high = price.transform("min"), price.transform("max")
    return result(frame, (frame[PRICE] - low) / (high - low))


@leaky
def volume_filled_backwards(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")[VOLUME].bfill())


@leaky
def warm_up_filled_backwards(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    values = frame.groupby("Ticker")[PRICE].transform(lambda s: s.pct_change().rolling(20).std().bfill())
    return result(frame, values)


@leaky
def week_labelled_by_its_monday(frame: pd.DataFrame) -> pd.DataFrame:
    wide = frame.pivot(index="Date", columns="Ticker", values=PRICE)
    weekly = wide.resample("W-FRI", label="left").last()
    return weekly.reindex(wide.index, method="ffill")


@leaky
def month_end_joined_back(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    month = frame["Date"].dt.to_period("M")
    return result(frame, frame[PRICE] / frame.groupby(["Ticker", month])[PRICE].transform("last"))


@leaky
def month_volume_joined_back(frame: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("Date").dt.truncate("1mo")
    return frame.select("Ticker", "Date", share=pl.col("Volume") / pl.col("Volume").mean().over("Ticker", month))


@leaky
def target_encoding(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    target = returns(frame).groupby(frame["Ticker"]).shift(-1)
    return result(frame, target.groupby(frame["Sector"].fillna("none")).transform("mean"))


@leaky
def target_encoding_by_weekday(frame: pl.DataFrame) -> pl.DataFrame:
    moved = frame.sort("Ticker", "Date").with_columns(r=pl.col("Closing Price").pct_change().over("Ticker"))
    return moved.select("Ticker", "Date", seasonal=pl.col("r").mean().over(pl.col("Date").dt.weekday()))


@leaky
def next_open(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")["Opening Price"].shift(-1) / frame[PRICE])


@leaky
def next_day_volume(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Ticker", "Date")
    return ordered.select("Ticker", "Date", busier=pl.col("Volume").shift(-1).over("Ticker") / pl.col("Volume"))


@leaky
def components_of_all_years(frame: pd.DataFrame) -> pd.DataFrame:
    wide = wide_returns(frame).fillna(0.0)
    _, _, directions = np.linalg.svd(wide.to_numpy() - wide.to_numpy().mean(axis=0), full_matrices=False)
    scores = wide.to_numpy() @ np.abs(directions[:1]).T
    return pd.DataFrame(scores * np.ones(wide.shape[1]), index=wide.index, columns=wide.columns)


@leaky
def rank_over_all_dates(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")[VOLUME].rank(pct=True))


@leaky
def deciles_of_all_dates(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, pd.qcut(returns(frame), 10, labels=False))


@leaky
def winsorised_by_all_years(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    r = returns(frame)
    return result(frame, r.clip(float(r.quantile(0.01)), float(r.quantile(0.99))))


@leaky
def interpolated_volume(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")[VOLUME].transform(lambda s: s.interpolate()))


@leaky
def interpolated_holidays(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.pivot(index="Date", columns="Ticker", values=PRICE).interpolate(limit_area="inside")


@leaky
def average_from_the_end(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")[PRICE].transform(lambda s: s[::-1].ewm(span=10).mean()[::-1]))


@leaky
def beta_of_all_years(frame: pd.DataFrame) -> pd.DataFrame:
    wide = wide_returns(frame)
    market = wide.mean(axis=1)
    beta = wide.apply(lambda r: r.cov(market)) / market.var()
    return wide * 0 + beta


@leaky
def share_of_the_last_price(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Ticker", "Date")
    return ordered.select(
        "Ticker", "Date", level=pl.col("Closing Price") / pl.col("Closing Price").last().over("Ticker")
    )


@leaky
def highest_of_the_next_week(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    ahead = pd.api.indexers.FixedForwardWindowIndexer(window_size=5)
    return result(frame, frame.groupby("Ticker")[PRICE].transform(lambda s: s.rolling(ahead, min_periods=1).max() / s))


@leaky
def detrended(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)

    def residual(prices: "pd.Series[Any]") -> "pd.Series[Any]":
        time = np.arange(len(prices))
        return np.log(prices) - np.polyval(np.polyfit(time, np.log(prices), 1), time)

    return result(frame, frame.groupby("Ticker")[PRICE].transform(residual))


@leaky
def survives(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Ticker", "Date", alive=pl.col("Date").max().over("Ticker") == pl.col("Date").max())


@leaky
def sessions_left(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker").cumcount(ascending=False))


@leaky
def age_as_share_of_life(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    group = frame.groupby("Ticker")
    return result(frame, (group.cumcount() + 1) / group["Date"].transform("count"))


@leaky
def long_histories_alone(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    kept = frame[frame.groupby("Ticker")["Date"].transform("count") >= 400]
    return result(kept, kept.groupby("Ticker")[PRICE].pct_change(5))


@leaky
def most_liquid_of_all_years(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Ticker", "Date")
    size = pl.col("Volume").median().over("Ticker")
    return ordered.filter(size > pl.col("Volume").median()).select(
        "Ticker", "Date", r=pl.col("Closing Price").pct_change().over("Ticker")
    )


@leaky
def last_session_of_the_month(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    month = frame["Date"].dt.to_period("M")
    return result(frame, (frame["Date"] == frame.groupby(["Ticker", month])["Date"].transform("max")).astype(int))


@leaky
def low_pass_filter(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)

    def smooth(prices: "pd.Series[Any]") -> Any:
        spectrum = np.fft.rfft(np.log(prices.to_numpy()))
        spectrum[len(spectrum) // 5 :] = 0
        return np.fft.irfft(spectrum, n=len(prices))

    return result(frame, frame.groupby("Ticker")[PRICE].transform(smooth))


@leaky
def smoothed_both_ways(frame: pd.DataFrame) -> pd.DataFrame:
    from scipy.ndimage import gaussian_filter1d

    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")[PRICE].transform(lambda s: gaussian_filter1d(s.to_numpy(), 2.0)))


@leaky
def hodrick_prescott_cycle(frame: pd.DataFrame) -> pd.DataFrame:
    from scipy.sparse import diags, eye
    from scipy.sparse.linalg import spsolve

    frame = by_ticker(frame)

    def cycle(prices: "pd.Series[Any]") -> Any:
        y, n = np.log(prices.to_numpy()), len(prices)
        if n < 3:
            return y * 0
        second = diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(n - 2, n))
        return y - spsolve((eye(n) + 100.0 * second.T @ second).tocsc(), y)

    return result(frame, frame.groupby("Ticker")[PRICE].transform(cycle))


@leaky
def gaps_filled_with_the_median(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Ticker", "Date", volume=pl.col("Volume").fill_null(pl.col("Volume").median().over("Ticker")))


@leaky
def nearest_weekly_figure(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Date")
    weekly = ordered.filter(pl.col("Date").dt.weekday() == 5).select("Ticker", "Date", week="Closing Price")
    return ordered.join_asof(weekly, on="Date", by="Ticker", strategy="nearest", check_sortedness=False).select(
        "Ticker", "Date", "week"
    )


@leaky
def next_weekly_figure(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Date")
    weekly = ordered.filter(pl.col("Date").dt.weekday() == 5).select("Ticker", "Date", week="Volume")
    return ordered.join_asof(weekly, on="Date", by="Ticker", strategy="forward", check_sortedness=False).select(
        "Ticker", "Date", "week"
    )


@leaky
def drawdown_to_come(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")[PRICE].transform(lambda s: s[::-1].cummin()[::-1] / s - 1))


@leaky
def regression_fitted_on_all_years(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    r = returns(frame)
    past = r.groupby(frame["Ticker"]).transform(lambda s: s.rolling(5).sum())
    target = r.groupby(frame["Ticker"]).shift(-1)
    known = past.notna() & target.notna()
    slope, intercept = np.polyfit(past[known], target[known], 1)
    return result(frame, intercept + slope * past)


@leaky
def triple_barrier_as_a_feature(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)

    def barrier(prices: "pd.Series[Any]") -> Any:
        values = prices.to_numpy()
        found = np.zeros(len(values))
        for k in range(len(values)):
            moves = values[k + 1 : k + 6] / values[k] - 1
            hit = np.flatnonzero(np.abs(moves) > 0.02)
            found[k] = np.sign(moves[hit[0]]) if len(hit) else 0
        return found

    return result(frame, frame.groupby("Ticker")[PRICE].transform(barrier))


@leaky
def correlation_with_the_next_return(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    r = returns(frame)
    ahead = r.groupby(frame["Ticker"]).shift(-1)
    both = pd.DataFrame({"r": r, "ahead": ahead, "Ticker": frame["Ticker"]})
    return result(
        frame, both.groupby("Ticker")[["r", "ahead"]].apply(lambda g: g["r"].rolling(60).corr(g["ahead"])).to_numpy()
    )


@leaky
def rank_within_the_month(frame: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("Date").dt.truncate("1mo")
    return frame.select("Ticker", "Date", r=pl.col("Closing Price").rank().over("Ticker", month))


@leaky
def volatile_by_the_median_of_all_years(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    volatility = returns(frame).groupby(frame["Ticker"]).transform(lambda s: s.rolling(20).std())
    return result(frame, (volatility > volatility.median()).astype(float).where(volatility.notna()))


@leaky
def halts_filled_with_the_next_price(frame: pl.DataFrame) -> pl.DataFrame:
    price = pl.when(~pl.col("is_missing")).then("close").backward_fill().over("ticker")
    return frame.sort("ticker", "date").select("ticker", "date", price=price)


@leaky
def month_average_of_a_dynamic_group(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Ticker", "Date")
    monthly = ordered.group_by_dynamic("Date", every="1mo", group_by="Ticker").agg(mean=pl.col("Closing Price").mean())
    joined = ordered.sort("Date").join_asof(monthly.sort("Date"), on="Date", by="Ticker", check_sortedness=False)
    return joined.select("Ticker", "Date", "mean")


@leaky
def sorted_the_wrong_way(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.sort_values(["Ticker", "Date"], ascending=[True, False])
    return result(frame, frame.groupby("Ticker")[PRICE].pct_change(5))


@leaky
def lag_across_tickers(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame[PRICE].shift(1) / frame[PRICE])


@leaky
class ScaledByWhatItPredicts:
    """A model whose predictions are standardised by their own mean and deviation."""

    def fit(self, train: pd.DataFrame) -> None:
        self.scale = returns(by_ticker(train)).std()

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = by_ticker(frame)
        past = frame.groupby("Ticker")[PRICE].pct_change(20) / self.scale
        return result(frame, (past - past.mean()) / past.std())


@leaky
class FittedAgainOnWhatItPredicts:
    """A model that is fitted once more when it is asked."""

    def fit(self, train: pl.DataFrame) -> None:
        self.slope = self._slope(train)

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        self.fit(frame)
        ordered = frame.sort("Ticker", "Date")
        return ordered.select(
            "Ticker", "Date", forecast=self.slope * pl.col("Closing Price").pct_change().over("Ticker")
        )

    def _slope(self, frame: pl.DataFrame) -> float:
        moved = frame.sort("Ticker", "Date").with_columns(r=pl.col("Closing Price").pct_change().over("Ticker"))
        pairs = moved.with_columns(y=pl.col("r").shift(-1).over("Ticker")).drop_nulls(["r", "y"])
        r, y = pairs["r"].to_numpy(), pairs["y"].to_numpy()
        return float(r @ y / (r @ r))


@late
def rank_among_later_closes(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    r = returns(frame)
    return result(frame, r.groupby(frame["Date"]).rank(pct=True))


@late
def market_of_later_closes(frame: pl.DataFrame) -> pl.DataFrame:
    moved = frame.sort("Ticker", "Date").with_columns(r=pl.col("Closing Price").pct_change().over("Ticker"))
    return moved.select("Ticker", "Date", market=pl.col("r").mean().over("Date"))


@late
def american_close_in_europe(frame: pd.DataFrame) -> pd.DataFrame:
    wide = wide_returns(frame)
    america = wide[[name for name in wide.columns if "." not in name]].mean(axis=1)
    return wide.notna().where(wide.notna(), np.nan).mul(america, axis=0)


# Written when the auditor was done, and first run as they stand: nothing was fitted to them.


@held_out
def mean_of_the_sector_over_all_years(frame: pl.DataFrame) -> pl.DataFrame:
    moved = frame.sort("Ticker", "Date").with_columns(r=pl.col("Closing Price").pct_change().over("Ticker"))
    return moved.select("Ticker", "Date", x=pl.col("r") - pl.col("r").mean().over("Sector"))


@held_out
def average_that_starts_at_the_mean(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)

    def average(prices: "pd.Series[Any]") -> Any:
        state, found = prices.mean(), []
        for value in prices:
            state += 0.1 * (value - state)
            found.append(state)
        return np.array(found)

    return result(frame, frame.groupby("Ticker")[PRICE].transform(average))


@held_out
def unit_volatility_of_the_sample(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, returns(frame).groupby(frame["Ticker"]).transform(lambda s: s / s.std()))


@held_out
def yearly_mean_merged_by_year(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame).assign(year=lambda f: f["Date"].dt.year)
    yearly = frame.groupby(["Ticker", "year"])[VOLUME].mean().rename("mean").reset_index()
    merged = frame.merge(yearly, on=["Ticker", "year"])
    return result(merged, merged[VOLUME] / merged["mean"])


@held_out
def rolling_after_a_reversal(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("Ticker", "Date", descending=[False, True])
    return ordered.select("Ticker", "Date", x=pl.col("Closing Price").rolling_mean(5).over("Ticker"))


@held_out
def turning_points(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    price = frame.groupby("Ticker")[PRICE]
    return result(frame, ((frame[PRICE] > price.shift(1)) & (frame[PRICE] > price.shift(-1))).astype(int))


@held_out
def spikes_that_revert_removed(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    r = returns(frame)
    following = r.groupby(frame["Ticker"]).shift(-1)
    return result(frame, r.mask((r.abs() > 0.03) & (following * r < 0), 0.0))


@held_out
def sessions_to_the_next_busy_day(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    usual = frame.groupby("Ticker")[VOLUME].transform(lambda s: s.rolling(60).mean())
    number = pd.Series(np.arange(len(frame)), index=frame.index)
    busy = number.where(frame[VOLUME] > 1.5 * usual).groupby(frame["Ticker"]).bfill()
    return result(frame, busy - number)


@held_out
def smoothing_spline(frame: pd.DataFrame) -> pd.DataFrame:
    from scipy.interpolate import LSQUnivariateSpline

    frame = by_ticker(frame)

    def spline(prices: "pd.Series[Any]") -> Any:
        time = np.arange(len(prices), dtype=float)
        knots = time[20:-20:40]
        return LSQUnivariateSpline(time, np.log(prices), knots)(time) if len(knots) else np.full(len(prices), np.nan)

    return result(frame, frame.groupby("Ticker")[PRICE].transform(spline))


@held_out
def last_session_of_each_week_kept(frame: pl.DataFrame) -> pl.DataFrame:
    week = pl.col("Date").dt.truncate("1w")
    kept = frame.sort("Ticker", "Date").filter(pl.col("Date") == pl.col("Date").max().over("Ticker", week))
    return kept.select("Ticker", "Date", x=pl.col("Closing Price").pct_change().over("Ticker"))


@held_out
def clusters_of_all_years(frame: pd.DataFrame) -> pd.DataFrame:
    from scipy.cluster.vq import kmeans2

    frame = by_ticker(frame)
    volatility = returns(frame).groupby(frame["Ticker"]).transform(lambda s: s.rolling(20).std())
    known = volatility.notna()
    if known.sum() < 3:
        return result(frame, volatility)
    centres, label = kmeans2(volatility[known].to_numpy()[:, None], 2, seed=0, minit="++")
    return result(frame, pd.Series(centres[label][:, 0], index=frame.index[known]).reindex(frame.index))


@held_out
def share_of_all_tickers_ever(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Ticker", "Date", x=pl.col("Ticker").count().over("Date") / pl.col("Ticker").n_unique())


@held_out
def sector_of_today(frame: pd.DataFrame) -> pd.DataFrame:
    frame = by_ticker(frame)
    return result(frame, frame.groupby("Ticker")["Sector"].transform("last"))


@held_out
def difference_to_the_next_close(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("Ticker", "Date").select("Ticker", "Date", x=pl.col("Closing Price").diff(-1).over("Ticker"))


@held_out
def high_of_the_quarter(frame: pl.DataFrame) -> pl.DataFrame:
    quarter = pl.col("Date").dt.truncate("1q")
    return frame.select("Ticker", "Date", x=pl.col("Closing Price") / pl.col("High").max().over("Ticker", quarter))


@held_out
class ScaledByTheLastDay:
    """A model whose forecasts are scaled by the volatility of the last days that it is asked for."""

    def fit(self, train: pd.DataFrame) -> None:
        self.mean = returns(by_ticker(train)).mean()

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = by_ticker(frame)
        latest = frame[frame["Date"] > frame["Date"].max() - pd.Timedelta(days=60)]
        return result(frame, (returns(frame) - self.mean) / returns(latest).std())
