"""Causal features, each declared once as data: name, formula, unit, warm-up, source, expression.

Here belongs what a model may look at of the past of one ticker, or of its exchange on the same day. What is known in
advance is in ``known``, what is to be forecast in ``targets``. No feature holds a price level, so a future split changes
nothing. Expressions see the observed rows of one segment in order; filled rows are not there, so a halt of three sessions
enters nothing but the return across it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from forecast_assets.core.panel import indicators as ind
from forecast_assets.core.panel.known import KNOWN
from forecast_assets.core.specs import FeatureSpec

SCALE = "ewma_vol"
"""Volatility forecast made at the row's close; the scale of the targets, not a feature."""

GROUP = ["ticker", "segment"]


@dataclass(frozen=True)
class Feature:
    """One column of the feature panel. ``warm_up``: rows of a segment before the first value."""

    name: str
    formula: str
    unit: str
    warm_up: int
    source: str
    expression: Callable[[], pl.Expr]


def declare(spec: FeatureSpec) -> tuple[Feature, ...]:
    """All features of a ticker's own past, in the order of their columns. r is the log return, N a window."""
    v, s, m = spec.volume_window, spec.volatility_window, spec.moment_window
    slow, signal = spec.macd_slow, spec.macd_signal
    r, log_close = pl.col("log_return"), pl.col("close").log()
    macd = ind.macd(pl.col("close"), fast=spec.macd_fast, slow=slow)
    plain = "Campbell, Lo, MacKinlay (1997)"
    har = "Corsi (2009); Garman, Klass (1980)"
    proxy = "log of the mean over {} sessions of gap^2 + Garman-Klass variance (intraday^2 without High/Low)"
    return (
        Feature("log_return", "log(close / previous close)", "log return", 1, plain, lambda: log_close.diff()),
        Feature("return_5", "log(close / close 5 sessions ago)", "log return", 5, plain, lambda: log_close.diff(5)),
        Feature("return_20", "log(close / close 20 sessions ago)", "log return", 20, plain, lambda: log_close.diff(20)),
        Feature("overnight_gap", "log(open / previous close)", "log return", 1, plain, ind.overnight_gap),
        Feature("intraday_return", "log(close / open)", "log return", 0, plain, ind.intraday_return),
        Feature(
            f"volume_z_{v}",
            f"(volume - mean_{v}) / std_{v}; missing volume is no volume; 0 where volume does not vary",
            "standard deviations",
            v - 1,
            "the plan",
            lambda: ind.z_score(pl.col("volume").fill_null(0.0), v),
        ),
        Feature(
            f"volatility_{s}",
            f"std_{s} of r (n - 1), at least {ind.FLOOR}",
            "log return per session",
            s,
            "the plan",
            lambda: r.rolling_std(s).clip(lower_bound=ind.FLOOR),
        ),
        Feature(
            f"rsi_{spec.rsi_window}",
            f"Wilder's RSI({spec.rsi_window}), seeded with plain means; 50 where no close moved",
            "0 to 100",
            spec.rsi_window,
            "Wilder (1978); TA-Lib RSI",
            lambda: ind.rsi(pl.col("close"), spec.rsi_window),
        ),
        Feature(
            "macd",
            f"(EMA_{spec.macd_fast} - EMA_{slow} of the close) / close, seeded with plain means",
            "share of the price",
            slow - 1,
            "Appel (1979); TA-Lib MACD",
            lambda: macd / pl.col("close"),
        ),
        Feature(
            "macd_signal",
            f"EMA_{signal} of the MACD line / close",
            "share of the price",
            slow + signal - 2,
            "Appel (1979); TA-Lib MACD",
            lambda: ind.seeded_ema(macd, signal, alpha=2 / (signal + 1), first=slow + signal - 2) / pl.col("close"),
        ),
        Feature(
            f"skew_{m}",
            f"unbiased skewness of r over {m} sessions; 0 where r does not vary",
            "-",
            m,
            "Joanes, Gill (1998), G1; scipy skew(bias=False)",
            lambda: ind.zero_where_flat(r.rolling_skew(m, bias=False, min_samples=m), r, m),
        ),
        Feature(
            f"kurt_{m}",
            f"unbiased excess kurtosis of r over {m} sessions; 0 where r does not vary",
            "-",
            m,
            "Joanes, Gill (1998), G2; scipy kurtosis(bias=False)",
            lambda: ind.zero_where_flat(r.rolling_kurtosis(m, fisher=True, bias=False, min_samples=m), r, m),
        ),
        *(
            Feature(
                f"har_{n}",
                proxy.format(n),
                "log variance per session",
                n,
                har,
                lambda n=n: ind.log_variance(pl.col("variance_proxy").rolling_mean(n)),  # type: ignore[misc]
            )
            for n in (1, 5, 22)
        ),
    )


def declare_ranks(spec: FeatureSpec) -> tuple[Feature, ...]:
    """Cross-sectional features: within date and exchange only, so that no later close feeds an earlier decision."""
    volatility = f"volatility_{spec.volatility_window}"
    formula = "(rank of {} among the observed names of the exchange on the date - 1/2) / names - 1/2"
    unit, source = "-1/2 to 1/2", "Gu, Kelly, Xiu (2020)"
    return (
        Feature("rank_return_1", formula.format("log_return"), unit, 1, source, lambda: ind.rank(pl.col("log_return"))),
        Feature(
            "rank_volatility",
            formula.format(volatility),
            unit,
            spec.volatility_window,
            source,
            lambda: ind.rank(pl.col(volatility)),
        ),
    )


FEATURES: dict[str, Feature] = {f.name: f for f in (*declare(FeatureSpec()), *declare_ranks(FeatureSpec()))}
"""The features at their default settings."""


def add_features(calendar_panel: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
    """``calendar_panel`` plus the feature columns and ``ewma_vol`` (Float64, null during warm-up), same rows and order.

    Features are computed over the observed rows of each segment and carried onto the filled ones.
    """
    own, ranks = declare(spec), declare_ranks(spec)
    observed = calendar_panel.filter(~pl.col("is_missing")).sort("ticker", "date")
    log_return, *others = own
    observed = observed.with_columns(
        log_return.expression().over(GROUP).alias(log_return.name),
        ind.variance_proxy().over(GROUP).alias("variance_proxy"),
    ).with_columns(
        *(feature.expression().over(GROUP).alias(feature.name) for feature in others),
        ind.ewma_volatility(pl.col("log_return"), decay=spec.ewma_decay).over(GROUP).alias(SCALE),
    )
    observed = observed.with_columns(f.expression().over("date", "exchange").alias(f.name) for f in ranks)
    names = [*(feature.name for feature in (*own, *ranks)), SCALE]
    panel = calendar_panel.sort("ticker", "date").join(
        observed.select("ticker", "date", *names), on=["ticker", "date"], how="left", maintain_order="left"
    )
    # A segment begins with an observed row, so a forward fill over missing rows can't reach across a border.
    carried = [pl.when("is_missing").then(pl.col(n).forward_fill().over(GROUP)).otherwise(pl.col(n)) for n in names]
    return panel.with_columns(expression.alias(name) for expression, name in zip(carried, names, strict=True))


def feature_names(feature_panel: pl.DataFrame) -> tuple[str, ...]:
    """The columns of a feature panel that models may take in: features, then the known-future columns."""
    fixed = {"date", "ticker", "exchange", "sector", "region", "segment", "is_missing", SCALE, "label_end"}
    free = [name for name in feature_panel.columns if name not in fixed and not name.startswith("target_")]
    return (*(name for name in free if name not in KNOWN), *(name for name in free if name in KNOWN))
