"""Causal features, each declared once as data: name, formula, unit, warm-up, source, inputs, expression.

Here belongs what a model may read of the past of one ticker, or of its exchange on the same day. Known-future columns are
in ``known_future``, targets in ``targets``. No feature holds a price level, so a future split changes nothing.
Expressions are computed over observed rows only, so a halt of three sessions enters nothing but the return across it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from forecast_assets.core.panel import indicators as ind
from forecast_assets.core.panel.blocks import rolling_in_blocks
from forecast_assets.core.panel.known_future import KNOWN_FUTURE
from forecast_assets.core.panel.recursions import Ema, exponential_averages
from forecast_assets.core.panel.rows import PRICES
from forecast_assets.core.specs import FeatureSpec

SCALE = "ewma_vol"
"""Column of the EWMA volatility at the row's close: the scale of the targets, not a feature."""

GROUP = ["ticker", "segment"]

CODES = 1 << 20
"""More exchanges or sectors than a panel has."""

HAR_WINDOWS = (1, 5, 22)

EWMA_SEED_RETURNS = 20


@dataclass(frozen=True)
class Feature:
    """One column of the feature panel. ``warm_up``: rows of a segment before the first value.

    ``expression`` reads columns of the calendar panel, of ``bases``, ``rolling`` and ``averages``, and is element-wise but
    for ranks, which are taken within date and exchange.
    """

    name: str
    formula: str
    unit: str
    warm_up: int
    source: str
    reads: tuple[str, ...]  # columns of the calendar panel that it is computed from
    expression: Callable[[], pl.Expr]


def bases() -> dict[str, pl.Expr]:
    """Return columns that several features share, from a row and the row before it."""
    change = pl.col("close") - ind.lag(pl.col("close"), 1)
    return {
        "log_return": ind.log_return(1),
        "variance_proxy": ind.variance_proxy(),
        "traded": pl.col("volume").fill_null(0.0),
        "gain": change.clip(lower_bound=0.0),
        "loss": (-change).clip(lower_bound=0.0),
    }


def rolling(spec: FeatureSpec) -> dict[str, tuple[pl.Expr, int]]:
    """Return statistics over the last rows of a segment, by name, each with the number of rows before its own it reads."""
    v, s, m = spec.volume_window, spec.volatility_window, spec.moment_window
    r = pl.col("log_return")
    return {
        "volume_mean": (pl.col("traded").rolling_mean(v), v - 1),
        "volume_std": (pl.col("traded").rolling_std(v), v - 1),
        "return_std": (r.rolling_std(s), s - 1),
        "return_skew": (r.rolling_skew(m, bias=False, min_samples=m), m - 1),
        "return_kurt": (r.rolling_kurtosis(m, fisher=True, bias=False, min_samples=m), m - 1),
        **{f"variance_{n}": (pl.col("variance_proxy").rolling_mean(n), n - 1) for n in HAR_WINDOWS if n > 1},
    }


def longest_window(spec: FeatureSpec) -> int:
    """Return the number of rows before its own that the longest window reads."""
    return max(reach for _, reach in rolling(spec).values())


def averages(spec: FeatureSpec) -> dict[str, Ema]:
    """Return the exponential averages of a segment, by name."""
    wilder, fast, slow = spec.rsi_window, spec.macd_fast, spec.macd_slow
    return {
        "average_gain": Ema("gain", wilder, alpha=1 / wilder, first=wilder),
        "average_loss": Ema("loss", wilder, alpha=1 / wilder, first=wilder),
        # Both averages of MACD start at the same row, as in TA-Lib.
        "ema_fast": Ema("close", fast, alpha=2 / (fast + 1), first=slow - 1),
        "ema_slow": Ema("close", slow, alpha=2 / (slow + 1), first=slow - 1),
        "ewma_variance": Ema("squared_return", EWMA_SEED_RETURNS, alpha=1 - spec.ewma_decay, first=EWMA_SEED_RETURNS),
    }


def signal_average(spec: FeatureSpec) -> Ema:
    """Return the exponential average of the MACD line."""
    n = spec.macd_signal
    return Ema("macd_line", n, alpha=2 / (n + 1), first=spec.macd_slow + n - 2)


def memory(spec: FeatureSpec) -> int:
    """Return the number of rows before a row that its features depend on in double precision."""
    recursive = max(ema.memory for ema in averages(spec).values()) + signal_average(spec).memory
    return max(recursive, longest_window(spec), 20) + 1


def declare(spec: FeatureSpec) -> tuple[Feature, ...]:
    """Return the features of a ticker's own past in the order of their columns; r in a formula is the log return."""
    return (
        *_returns(),
        *_volume_and_volatility(spec),
        *_oscillators(spec),
        *_moments(spec.moment_window),
        *_variances(),
    )


def _returns() -> tuple[Feature, ...]:
    source = "Campbell, Lo, MacKinlay (1997)"
    rows: tuple[tuple[str, str, int, tuple[str, ...], Callable[[], pl.Expr]], ...] = (
        ("log_return", "log(close / previous close)", 1, ("close",), lambda: pl.col("log_return")),
        ("return_5", "log(close / close 5 sessions ago)", 5, ("close",), lambda: ind.log_return(5)),
        ("return_20", "log(close / close 20 sessions ago)", 20, ("close",), lambda: ind.log_return(20)),
        ("overnight_gap", "log(open / previous close)", 1, ("open", "close"), ind.overnight_gap),
        ("intraday_return", "log(close / open)", 0, ("open", "close"), ind.intraday_return),
    )
    return tuple(
        Feature(name, formula, "log return", warm_up, source, reads, expression)
        for name, formula, warm_up, reads, expression in rows
    )


def _volume_and_volatility(spec: FeatureSpec) -> tuple[Feature, ...]:
    v, s, col = spec.volume_window, spec.volatility_window, pl.col
    return (
        Feature(
            f"volume_z_{v}",
            f"(volume - mean_{v}) / std_{v}; missing volume is no volume; 0 where volume does not vary",
            "standard deviations",
            v - 1,
            "the plan",
            ("volume",),
            lambda: ind.zero_where_flat(
                (col("traded") - col("volume_mean")) / col("volume_std"), col("equal_volumes"), v
            ),
        ),
        Feature(
            f"volatility_{s}",
            f"std_{s} of r (n - 1), at least {ind.FLOOR}",
            "log return per session",
            s,
            "the plan",
            ("close",),
            lambda: col("return_std").clip(lower_bound=ind.FLOOR),
        ),
    )


def _oscillators(spec: FeatureSpec) -> tuple[Feature, ...]:
    slow, signal, col = spec.macd_slow, spec.macd_signal, pl.col
    unit, appel = "share of the price", "Appel (1979); TA-Lib MACD"
    return (
        Feature(
            f"rsi_{spec.rsi_window}",
            f"Wilder's RSI({spec.rsi_window}), seeded with plain means; 50 where closes have long stood still",
            "0 to 100",
            spec.rsi_window,
            "Wilder (1978); TA-Lib RSI",
            ("close",),
            lambda: ind.rsi(col("average_gain"), col("average_loss")),
        ),
        Feature(
            "macd",
            f"(EMA_{spec.macd_fast} - EMA_{slow} of the close) / close, seeded with plain means",
            unit,
            slow - 1,
            appel,
            ("close",),
            lambda: col("macd_line") / col("close"),
        ),
        Feature(
            "macd_signal",
            f"EMA_{signal} of the MACD line / close",
            unit,
            slow + signal - 2,
            appel,
            ("close",),
            lambda: col("signal_line") / col("close"),
        ),
    )


def _moments(m: int) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            f"{name}_{m}",
            f"unbiased {moment} of r over {m} sessions; 0 where r does not vary",
            "-",
            m,
            f"Joanes, Gill (1998), {source}(bias=False)",
            ("close",),
            lambda column=f"return_{name}": ind.zero_where_flat(pl.col(column), pl.col("equal_returns"), m),  # type: ignore[misc]
        )
        for name, moment, source in (
            ("skew", "skewness", "G1; scipy skew"),
            ("kurt", "excess kurtosis", "G2; scipy kurtosis"),
        )
    )


def _variances() -> tuple[Feature, ...]:
    return tuple(
        Feature(
            f"har_{n}",
            f"log of the mean over {n} sessions of gap^2 + Garman-Klass variance (intraday^2 without High/Low)",
            "log variance per session",
            n,
            "Corsi (2009); Garman, Klass (1980)",
            PRICES,
            lambda n=n: ind.log_variance(pl.col("variance_proxy" if n == 1 else f"variance_{n}")),  # type: ignore[misc]
        )
        for n in HAR_WINDOWS
    )


def declare_scale(spec: FeatureSpec) -> Feature:
    """Return the declaration of ``SCALE``."""
    return Feature(
        SCALE,
        f"sqrt of the EWMA({spec.ewma_decay}) of r^2, seeded with the mean of {EWMA_SEED_RETURNS}, at least {ind.FLOOR}",
        "log return per session",
        EWMA_SEED_RETURNS,
        "RiskMetrics (1996)",
        ("close",),
        lambda: pl.col("ewma_variance").sqrt().clip(lower_bound=ind.FLOOR),
    )


def declare_cross(spec: FeatureSpec) -> tuple[Feature, ...]:
    """Return the cross-sectional features: within date and exchange, so that no later close enters an earlier forecast."""
    volatility = f"volatility_{spec.volatility_window}"
    formula = "(rank of {} among the observed tickers of the exchange on the date - 1/2) / tickers - 1/2"
    unit, source = "-1/2 to 1/2", "Gu, Kelly, Xiu (2020)"
    mean, plain = (
        "mean log_return of the observed tickers of the exchange{} on the date",
        "Campbell, Lo, MacKinlay (1997)",
    )
    day, sector = "day", "day_sector"  # see add_cross
    ranks = tuple(
        Feature(
            f"rank_{name}",
            formula.format(column),
            unit,
            warm_up,
            source,
            ("close", "exchange"),
            lambda column=column: ind.rank(pl.col(column)).over(day),  # type: ignore[misc]
        )
        for name, column, warm_up in (
            ("return_1", "log_return", 1),
            ("volatility", volatility, spec.volatility_window),
        )
    )
    means = tuple(
        Feature(
            name,
            mean.format(who),
            "log return",
            1,
            plain,
            ("close", *reads),
            lambda group=group: pl.when(pl.col("log_return").is_not_null()).then(pl.mean("log_return").over(group)),  # type: ignore[misc]
        )
        for name, who, group, reads in (
            ("market_return", "", day, ("exchange",)),
            ("sector_return", "'s sector", sector, ("exchange", "sector")),
        )
    )
    variances = (
        Feature(
            "market_variance",
            f"log of the mean log_return^2 of the observed tickers of the exchange on the date, at least log {ind.FLOOR}^2",
            "log variance per session",
            1,
            "cross-sectional second moment",
            ("close", "exchange"),
            lambda: ind.log_variance(
                pl.when(pl.col("log_return").is_not_null()).then(pl.col("log_return").pow(2).mean().over(day))
            ),
        ),
        Feature(
            "market_volatility",
            f"mean log of {volatility} of the observed tickers of the exchange on the date",
            "log volatility per session",
            spec.volatility_window,
            "the level that volatilities share",
            ("close", "exchange"),
            lambda: pl.when(pl.col(volatility).is_not_null()).then(pl.col(volatility).log().mean().over(day)),
        ),
    )
    return (*ranks, *means, *variances)


FEATURES: dict[str, Feature] = {f.name: f for f in (*declare(FeatureSpec()), *declare_cross(FeatureSpec()))}
"""The features at their default settings."""


def observed_rows(calendar_panel: pl.DataFrame) -> pl.DataFrame:
    """Return the quoted rows by ticker and date, with ``segment_id`` and ``row``, the row's number in its segment."""
    observed = calendar_panel.filter(~pl.col("is_missing")).sort("ticker", "date")
    return number_rows(observed).with_columns(position=pl.col("row"))


def number_rows(observed: pl.DataFrame) -> pl.DataFrame:
    """Return ``observed`` with ``segment_id``, ascending, and ``row``, counted from the segment's first row given."""
    begins = (pl.col("ticker") != pl.col("ticker").shift(1)) | (pl.col("segment") != pl.col("segment").shift(1))
    numbered = observed.with_columns(segment_id=begins.fill_null(True).cum_sum().cast(pl.Int64))
    first = pl.when(pl.col("segment_id").diff().fill_null(1) != 0).then(pl.int_range(pl.len())).forward_fill()
    return numbered.with_columns(row=pl.int_range(pl.len()) - first)


def add_own_features(observed: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """Return ``observed_rows`` plus all features of a ticker's own past and ``ewma_vol``; tickers are independent."""
    rows = observed.lazy().with_columns(
        pl.col("segment_id").set_sorted(), log_open=pl.col("open").log(), log_close=pl.col("close").log()
    )
    rows = rows.with_columns(**bases()).with_columns(
        squared_return=pl.col("log_return").pow(2),
        equal_returns=ind.equal_run(pl.col("log_return")),
        equal_volumes=ind.equal_run(pl.col("traded")),
    )
    base = rows.collect()
    windows = rolling(spec)
    base = base.hstack(
        rolling_in_blocks(base, {name: e for name, (e, _) in windows.items()}, lead=longest_window(spec))
    )
    base = base.hstack(exponential_averages(base, averages(spec)))
    base = base.with_columns(macd_line=pl.col("ema_fast") - pl.col("ema_slow"))
    base = base.hstack(exponential_averages(base, {"signal_line": signal_average(spec)}))
    features = (*declare(spec), declare_scale(spec))
    return base.lazy().select(pl.col(observed.columns), *(f.expression().alias(f.name) for f in features)).collect()


def add_cross(rows: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """Return rows with their own features plus the cross-sectional ones; all tickers of a date have to be given."""
    # One number for a date and exchange, one for these and a sector: grouping by numbers is faster than by texts.
    exchange, sector = (
        pl.col(name).cast(pl.Categorical).to_physical().cast(pl.Int64) for name in ("exchange", "sector")
    )
    keys = rows.lazy().with_columns(day=pl.col("date").to_physical().cast(pl.Int64) * CODES + exchange)
    keyed = keys.with_columns(day_sector=pl.col("day") * CODES + sector.fill_null(CODES - 1))
    features = keyed.with_columns(feature.expression().alias(feature.name) for feature in declare_cross(spec))
    return features.drop("day", "day_sector").collect()


def cross_inputs(observed: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """Return the columns that ``add_cross`` reads, one row per row of ``observed_rows``."""
    wanted = {feature.name: feature for feature in declare(spec)}
    rows = observed.select(
        "date", "exchange", "sector", "segment_id", "position", "row", log_close=pl.col("close").log()
    )
    rows = rows.with_columns(log_return=ind.log_return(1))
    expression, _ = rolling(spec)["return_std"]
    rows = rows.hstack(rolling_in_blocks(rows, {"return_std": expression}, lead=longest_window(spec)))
    volatility = f"volatility_{spec.volatility_window}"
    return cross_values(rows.with_columns(wanted[volatility].expression().alias(volatility)), spec=spec)


def cross_values(rows: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """Return the columns of ``rows`` that ``add_cross`` reads."""
    return rows.select("date", "exchange", "sector", "log_return", f"volatility_{spec.volatility_window}")


def own_names(spec: FeatureSpec) -> list[str]:
    """Return the names of the features of a ticker's own past, and of the scale."""
    return [*(feature.name for feature in declare(spec)), SCALE]


def cross_names(spec: FeatureSpec) -> list[str]:
    """Return the names of the cross-sectional features."""
    return [feature.name for feature in declare_cross(spec)]


def carry(calendar_panel: pl.DataFrame, observed: pl.DataFrame) -> pl.DataFrame:
    """Return columns of the observed rows for all rows of a calendar panel sorted by ticker and date.

    A filled row gets the values of the last quote, which is of its own segment: each begins with an observed row.
    """
    last_quote = (~calendar_panel["is_missing"]).cum_sum().cast(pl.Int64) - 1
    return observed.select(pl.all().gather(last_quote))


def feature_names(feature_panel: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns of a feature panel that models may read: features, then the known-future columns."""
    fixed = {"date", "ticker", "exchange", "sector", "region", "segment", "is_missing", SCALE, "label_end"}
    free = [name for name in feature_panel.columns if name not in fixed and not name.startswith("target_")]
    return (*(name for name in free if name not in KNOWN_FUTURE), *(name for name in free if name in KNOWN_FUTURE))
