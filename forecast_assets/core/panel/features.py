"""Causal features, each declared once as data: name, formula, unit, source, inputs, expression.

Here belongs what a model may read of the past of one ticker, or of its exchange on the same day. Known-future columns are
in ``known_future``, targets in ``targets``. No feature holds a price level, so a future split changes nothing.
Expressions are computed over observed rows only, so a halt of three sessions enters nothing but the return across it.
"""

from dataclasses import dataclass

import polars as pl

from forecast_assets.core.panel import indicators as ind
from forecast_assets.core.panel.blocks import rolling_in_blocks
from forecast_assets.core.panel.known_future import KNOWN_FUTURE
from forecast_assets.core.panel.recursions import Ema, exponential_averages
from forecast_assets.core.panel.rows import PRICES
from forecast_assets.core.specs import FeatureSpec

SCALE = "ewma_vol"  # column of the EWMA volatility at the row's close: the scale of the targets, not a feature
CODES = 1 << 20  # more exchanges or sectors than a panel has
HAR_WINDOWS = (1, 5, 22)
EWMA_SEED_RETURNS = 20


@dataclass(frozen=True)
class Feature:
    """One column of the feature panel.

    ``expression`` reads columns of the calendar panel, of ``bases``, ``rolling`` and ``averages``, and is element-wise but
    for ranks, which are taken within date and exchange.
    """

    name: str
    formula: str
    unit: str
    source: str
    reads: tuple[str, ...]  # columns of the calendar panel that it is computed from
    expression: pl.Expr


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
    v, s, m, slow, n = spec.volume_window, spec.volatility_window, spec.moment_window, spec.macd_slow, spec.macd_signal
    col, close, both = pl.col, ("close",), ("open", "close")
    log, deviations, price = "log return", "standard deviations", "share of the price"
    returns, appel = "Campbell, Lo, MacKinlay (1997)", "Appel (1979); TA-Lib MACD"
    wilder, gill = "Wilder (1978); TA-Lib RSI", "Joanes, Gill (1998), {}(bias=False)"
    har, variance = "Corsi (2009); Garman, Klass (1980)", "log variance per session"
    z_formula = f"(volume - mean_{v}) / std_{v}; missing volume is no volume; 0 where volume does not vary"
    rsi_formula = f"Wilder's RSI({spec.rsi_window}), seeded with plain means; 50 where closes have long stood still"
    macd_formula = f"(EMA_{spec.macd_fast} - EMA_{slow} of the close) / close, seeded with plain means"
    moment = f"unbiased {{}} of r over {m} sessions; 0 where r does not vary"
    har_formula = "log of the mean over {} sessions of gap^2 + Garman-Klass variance (intraday^2 without High/Low)"
    volume_z = ind.zero_where_flat((col("traded") - col("volume_mean")) / col("volume_std"), col("equal_volumes"), v)
    rsi = ind.rsi(col("average_gain"), col("average_loss"))
    macd, signal = col("macd_line") / col("close"), col("signal_line") / col("close")
    skew, kurt = (ind.zero_where_flat(col(name), col("equal_returns"), m) for name in ("return_skew", "return_kurt"))
    variances = {k: ind.log_variance(col("variance_proxy" if k == 1 else f"variance_{k}")) for k in HAR_WINDOWS}
    return (
        Feature("log_return", "log(close / previous close)", log, returns, close, col("log_return")),
        Feature("return_5", "log(close / close 5 sessions ago)", log, returns, close, ind.log_return(5)),
        Feature("return_20", "log(close / close 20 sessions ago)", log, returns, close, ind.log_return(20)),
        Feature("overnight_gap", "log(open / previous close)", log, returns, both, ind.overnight_gap()),
        Feature("intraday_return", "log(close / open)", log, returns, both, ind.intraday_return()),
        Feature(f"volume_z_{v}", z_formula, deviations, "the plan", ("volume",), volume_z),
        _floored(f"volatility_{s}", f"std_{s} of r (n - 1)", "the plan", col("return_std")),
        Feature(f"rsi_{spec.rsi_window}", rsi_formula, "0 to 100", wilder, close, rsi),
        Feature("macd", macd_formula, price, appel, close, macd),
        Feature("macd_signal", f"EMA_{n} of the MACD line / close", price, appel, close, signal),
        Feature(f"skew_{m}", moment.format("skewness"), "-", gill.format("G1; scipy skew"), close, skew),
        Feature(f"kurt_{m}", moment.format("excess kurtosis"), "-", gill.format("G2; scipy kurtosis"), close, kurt),
        *(Feature(f"har_{k}", har_formula.format(k), variance, har, PRICES, found) for k, found in variances.items()),
    )


def declare_scale(spec: FeatureSpec) -> Feature:
    """Return the declaration of ``SCALE``."""
    formula = f"sqrt of the EWMA({spec.ewma_decay}) of r^2, seeded with the mean of {EWMA_SEED_RETURNS}"
    return _floored(SCALE, formula, "RiskMetrics (1996)", pl.col("ewma_variance").sqrt())


def _floored(name: str, formula: str, source: str, volatility: pl.Expr) -> Feature:
    floored = volatility.clip(lower_bound=ind.FLOOR)
    return Feature(name, f"{formula}, at least {ind.FLOOR}", "log return per session", source, ("close",), floored)


def declare_cross(spec: FeatureSpec, *, all_members: bool = True) -> tuple[Feature, ...]:
    """Return the cross-sectional features: within date and exchange, so that no later close enters an earlier forecast.

    Their expressions group by ``day`` and ``day_sector``, see ``add_cross``. A row is compared with the members of the
    universe and itself: a row that is no member's has what it would have as one, and no other row sees it.
    ``all_members``: every row is a member's, which takes less time and gives the same numbers.
    """
    average, rank = (ind.mean, ind.rank) if all_members else (ind.mean_with_members, ind.rank_with_members)
    name, reads = f"volatility_{spec.volatility_window}", ("close", "exchange")
    r, volatility = pl.col("log_return"), pl.col(name)
    with_return, with_volatility = pl.when(r.is_not_null()), pl.when(volatility.is_not_null())
    half, log = "-1/2 to 1/2", "log return"
    ranked, returns = "Gu, Kelly, Xiu (2020)", "Campbell, Lo, MacKinlay (1997)"
    second_moment, shared = "cross-sectional second moment", "the level that volatilities share"
    here, of_sector = (f"of the observed members of the exchange{within} on the date" for within in ("", "'s sector"))
    rank_formula = "(rank of {} among the observed members of the exchange on the date - 1/2) / members - 1/2"
    variance_formula = f"log of the mean log_return^2 {here}, at least log {ind.FLOOR}^2"
    market, sector = (with_return.then(average(r).over(group)) for group in ("day", "day_sector"))
    variance = ind.log_variance(with_return.then(average(r.pow(2)).over("day")))
    level = with_volatility.then(average(volatility.log()).over("day"))
    return (
        Feature("rank_return_1", rank_formula.format("log_return"), half, ranked, reads, rank(r).over("day")),
        Feature("rank_volatility", rank_formula.format(name), half, ranked, reads, rank(volatility).over("day")),
        Feature("market_return", f"mean log_return {here}", log, returns, reads, market),
        Feature("sector_return", f"mean log_return {of_sector}", log, returns, (*reads, "sector"), sector),
        Feature("market_variance", variance_formula, "log variance per session", second_moment, reads, variance),
        Feature("market_volatility", f"mean log of {name} {here}", "log volatility per session", shared, reads, level),
    )


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
    r, traded = pl.col("log_return"), pl.col("traded")
    rows = rows.with_columns(**bases()).with_columns(
        squared_return=r.pow(2), equal_returns=ind.equal_run(r), equal_volumes=ind.equal_run(traded)
    )
    base = rows.collect()
    windows = {name: expression for name, (expression, _) in rolling(spec).items()}
    base = base.hstack(rolling_in_blocks(base, windows, lead=longest_window(spec)))
    base = base.hstack(exponential_averages(base, averages(spec)))
    base = base.with_columns(macd_line=pl.col("ema_fast") - pl.col("ema_slow"))
    base = base.hstack(exponential_averages(base, {"signal_line": signal_average(spec)}))
    features = (*declare(spec), declare_scale(spec))
    return base.lazy().select(pl.col(observed.columns), *(f.expression.alias(f.name) for f in features)).collect()


def add_cross(rows: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """Return rows with their own features plus the cross-sectional ones; all tickers of a date have to be given."""
    # One number for a date and exchange, one for these and a sector: grouping by numbers is faster than by texts.
    exchange, sector = (
        pl.col(name).cast(pl.Categorical).to_physical().cast(pl.Int64) for name in ("exchange", "sector")
    )
    keys = rows.lazy().with_columns(day=pl.col("date").to_physical().cast(pl.Int64) * CODES + exchange)
    keyed = keys.with_columns(day_sector=pl.col("day") * CODES + sector.fill_null(CODES - 1))
    declared = declare_cross(spec, all_members=bool(rows["is_member"].all()))
    features = keyed.with_columns(feature.expression.alias(feature.name) for feature in declared)
    return features.drop("day", "day_sector").collect()


def cross_inputs(observed: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """Return the columns that ``add_cross`` reads, one row per row of ``observed_rows``."""
    keys = ("date", "exchange", "sector", "is_member", "segment_id", "position", "row")
    rows = observed.select(*keys, log_close=pl.col("close").log()).with_columns(log_return=ind.log_return(1))
    expression, _ = rolling(spec)["return_std"]
    rows = rows.hstack(rolling_in_blocks(rows, {"return_std": expression}, lead=longest_window(spec)))
    (volatility,) = (f for f in declare(spec) if f.name == f"volatility_{spec.volatility_window}")
    return cross_values(rows.with_columns(volatility.expression.alias(volatility.name)), spec=spec)


def cross_values(rows: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """Return the columns of ``rows`` that ``add_cross`` reads."""
    return rows.select("date", "exchange", "sector", "is_member", "log_return", f"volatility_{spec.volatility_window}")


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
    fixed = {"date", "ticker", "exchange", "sector", "region", "segment", "is_missing", "is_member", SCALE, "label_end"}
    free = [name for name in feature_panel.columns if name not in fixed and not name.startswith("target_")]
    return (*(name for name in free if name not in KNOWN_FUTURE), *(name for name in free if name in KNOWN_FUTURE))
