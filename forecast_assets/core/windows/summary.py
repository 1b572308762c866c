"""Numbers that sum up a ticker's history at a forecast origin, for networks: what the volatility regression reads of it.

Log variances are relative to the regression's own forecast, so that what all tickers share on a date cancels out: numbers of
the date let a network learn market timing from two or three thousand dates. They are in the regression, few and linear.
The columns of the user's own series are all there, those of the date too: what a user declares is meant to be read.
"""

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.volatility import (
    LAGS,
    MARKET_LAGS,
    SHORT,
    VIX_CHANGES,
    VIX_MEANS,
    Histories,
    covariate_names,
    regressor_names,
    root_horizons,
)

_OF_THE_DATE = {
    *(f"{name}_mean_{len(lags)}" for name, groups in MARKET_LAGS.items() for lags in groups),
    *(f"market_loss_{n}" for n in SHORT),
    *("residual_level", "large_moves", "vix"),
    *(f"vix_mean_{lags[-1]}" for lags in VIX_MEANS),
    *(f"vix_change_{n}" for n in VIX_CHANGES),
}
_VARIANCES = (*LAGS, "half_year_variance", "two_years_variance")
"""Beginnings of the names of log variances per session."""

PER_VOLATILITY = ("overnight_gap", "intraday_return", "macd", "macd_signal")
AS_THEY_ARE = (*(f"announcement_{h}d" for h in HORIZONS), "skew_60", "rank_return_1", "rank_volatility")
REFERENCE = (len(HORIZONS) - 1) // 2  # the horizon whose forecast log variances are relative to


def summary_names() -> tuple[str, ...]:
    """Return the names of the numbers, in order; those of the covariates follow."""
    own = tuple(name for name in regressor_names() if name not in _OF_THE_DATE)
    others = tuple(f"forecast_{h}d" for k, h in enumerate(HORIZONS) if k != REFERENCE)
    return (*own, *others, *PER_VOLATILITY, *AS_THEY_ARE)


def summary(panel: Histories, rows: Tensor, *, x: Tensor, volatility: Tensor) -> Tensor:
    """Return the numbers at rows ``rows`` (B,), unscaled, (B, S); NaN where a covariate is missing.

    ``x`` (B, R): the regressors there; ``volatility`` (B, H): the forecasts made of them. A feature that the panel lacks
    counts as zero.
    """
    session = volatility / root_horizons(volatility)  # per session
    level = 2 * session[:, REFERENCE : REFERENCE + 1].log()  # (B, 1)

    def feature(name: str) -> Tensor:
        if name not in panel.feature_names:
            return torch.zeros_like(session[:, 0])
        return panel.features[rows, panel.feature_names.index(name)]

    names = regressor_names()
    own = [k for k, name in enumerate(names) if name not in _OF_THE_DATE]
    relative = torch.tensor(
        [1.0 if names[k].startswith(_VARIANCES) else 0.5 if names[k] == "ewma_volatility" else 0.0 for k in own],
        dtype=x.dtype,
        device=x.device,
    )
    others = [k for k in range(len(HORIZONS)) if k != REFERENCE]
    per_volatility = torch.stack([feature(name) / session[:, REFERENCE] for name in PER_VOLATILITY], dim=1)
    plain = torch.stack([feature(name) for name in AS_THEY_ARE], dim=1)
    parts = [x[:, own] - level * relative, 2 * session[:, others].log() - level, per_volatility, plain]
    if count := len(covariate_names(panel.feature_names)):
        parts.append(torch.where(x[:, -count:] > 0, x[:, -2 * count : -count], float("nan")))
    return torch.cat(parts, dim=1)
