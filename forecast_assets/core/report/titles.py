"""Readable titles of the models and strategies in reports; a name without a title stands for itself."""

from collections.abc import Iterable

from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX, YARDSTICK
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.rivals.read import ZERO_SHOT_NAME
from forecast_assets.core.rivals.score import PREFIX

TITLES = {key: model.title for key, model in MODELS.items()} | {
    "ensemble": "Ensemble",
    "ensemble_split": "Ensemble, split conformal",
    "best_member": "Best single fit",
    "random_walk": "Random walk",
    "ewma": "EWMA(0.94) volatility",
    YARDSTICK: "EWMA(0.94), uncalibrated",
    "histvol20": "20-session historical volatility",
    "garch": "GARCH(1,1)-t",
    "har": "HAR volatility regression",
    "harx": "HAR-X volatility regression",
    "harx_plain": "HAR-X without announcements",
    "momentum": "20-session momentum",
    "momentum20": "20-session momentum",
    "equal_weight": "Equal weight",
    "volatility_sort": "Volatility sort (no view on returns)",
    "equal_risk_ensemble": "Equal risk by the ensemble's sigma",
    "equal_risk_harx": "Equal risk by HAR-X's sigma",
    "equal_risk_ewma": "Equal risk by EWMA's sigma",
    PREFIX + ZERO_SHOT_NAME: "Chronos, zero-shot",
    f"{PREFIX}{ZERO_SHOT_NAME}{RAW_SUFFIX}": "Chronos, zero-shot, uncalibrated",
    "equal_risk_b0_mlp": "Equal risk by the MLP baseline's sigma",
    "mean_risk": "Mean-risk book of the ensemble",
}

VARIANTS = {
    "_naive": "traded daily without smoothing",
    "_directional": "not neutral",
    "/late": "one session later",
    RAW_SUFFIX: "uncalibrated",
}
"""Suffix of a strategy -> how it differs from the model's own."""

NOTE = "HAR-X: the HAR volatility regression with range, market and VIX terms."


def title(name: str) -> str:
    """Return what readers see of a model or strategy.

    >>> [title(name) for name in ("b0_mlp_naive", "b2_tft_ticker/1", "my_model", "rival_friend")]
    ['MLP baseline, traded daily without smoothing', 'TFT + ticker embedding, fit 1', 'my_model', 'friend']
    """
    if name in TITLES:
        return TITLES[name]
    if name.startswith(PREFIX):
        rival, raw = name.removeprefix(PREFIX), name.endswith(RAW_SUFFIX)
        return f"{rival.removesuffix(RAW_SUFFIX)}, {VARIANTS[RAW_SUFFIX]}" if raw else rival
    for suffix, difference in VARIANTS.items():
        if (base := name.removesuffix(suffix)) in TITLES and base != name:
            return f"{_short(base)}, {difference}"
    model, _, fit = name.rpartition("/")
    return f"{_short(model)}, fit {fit}" if model in TITLES else name


def listed(names: Iterable[str]) -> str:
    """Return the titles as one line, with semicolons since titles hold commas; "none" without a name."""
    return "; ".join(map(title, names)) or "none"


def _short(name: str) -> str:
    """Return the title without what stands in brackets."""
    return TITLES[name].partition(" (")[0]
