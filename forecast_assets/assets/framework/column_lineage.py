"""Descriptions and lineage of the columns of published tables, for the Dagster UI."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from forecast_assets.assets.framework.output import Column
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES, TARGETS, horizons_text

if TYPE_CHECKING:
    from forecast_assets.core.panel.covariates.declare import CovariateFeature
    from forecast_assets.core.specs import FeatureSpec

CALENDAR_COLUMNS = {
    "date": "session",
    "ticker": "symbol, as delivered",
    "exchange": "MIC of its exchange",
    "sector": "of its last quote, or from FORECAST_SECTORS: the label that held that day",
    "open": "null on a filled row",
    "high": "null on a filled row, or where not delivered",
    "low": "null on a filled row, or where not delivered",
    "close": "carried on a filled row; declared corrections made",
    "volume": "null on a filled row",
}


def reads(asset: str, *columns: str) -> tuple[tuple[str, str], ...]:
    """Return ``columns`` of one parent, as ``Column`` takes them."""
    return tuple((asset, column) for column in columns)


def calendar_columns() -> dict[str, Column]:
    """Columns of the calendar panel."""
    delivered = {name: Column(what, reads("raw_panel", name)) for name, what in CALENDAR_COLUMNS.items()}
    quoted = reads("raw_panel", "date", "exchange")
    return delivered | {
        "is_missing": Column("a session without a quote, filled", quoted),
        "is_member": Column("whether the ticker was in the universe that day; always, without FORECAST_UNIVERSE"),
        "segment": Column("0, 1, ... a hole too long to be filled begins the next one", quoted),
        "region": Column("of its exchange; books are neutral within it", reads("raw_panel", "exchange")),
    }


def nightly_columns() -> dict[str, Column]:
    """Columns of a night's forecasts."""
    made = reads("windowed_tensors", "features", "scale", "sector", "exchange", "ticker", "date")
    issued = {
        name: Column(f"{level:g} quantile of the log return, calibrated", made)
        for name, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True)
    }
    origin = "forecast origin: the session at whose close the forecast is made"
    return {
        "date": Column(origin, reads("windowed_tensors", "date")),
        "ticker": Column("symbol, as delivered", reads("windowed_tensors", "ticker")),
        "horizon": Column(f"own sessions ahead: {horizons_text(last='or')}"),
        **issued,
        "mean": Column("of the log return, from the quantiles", made),
        "sigma": Column("standard deviation of the log return, from the quantiles", made),
        "y": Column("realised log return; null, since nothing has matured yet"),
        "split": Column("test: out of sample"),
        "model": Column("ensemble: the champion is a fold's ensemble, or a challenger promoted from it"),
    }


def position_columns() -> dict[str, Column]:
    """Columns of the book for the next open."""
    held = (*reads("nightly_forecast", "mean", "sigma"), *reads("calendar_panel", "open", "close"))
    return {
        "ticker": Column("symbol that is held or traded", reads("nightly_forecast", "ticker")),
        "region": Column("of its exchange; the book is neutral within it", reads("calendar_panel", "region")),
        "weight_now": Column("fraction of equity held, as prices have moved it up to the last close", held),
        "weight_target": Column("fraction of equity to hold after the next open", held),
        "trade": Column("weight_target - weight_now", held),
        "price": Column("last close, local currency", reads("calendar_panel", "close")),
        "expected_cost": Column("of the trade, fraction of equity", held),
        "note": Column("why a ticker is closed that has left the panel, else null"),
    }


def challenger_columns() -> dict[str, Column]:
    """Columns of a night's champion-challenger comparison."""
    read = reads("windowed_tensors", "features", "targets", "date")
    sides = ("champion", "challenger")
    return {
        "horizon": Column(f"own sessions ahead: {horizons_text(last='or')}"),
        **{f"{side}_pinball": Column(f"mean pinball loss of the {side}, log return", read) for side in sides},
        "pinball_ratio": Column("the challenger's pinball over the champion's", read),
        "ratio_low": Column("lower end of its 95 % stationary-bootstrap interval", read),
        "ratio_high": Column("upper end of it", read),
        **{
            f"{s}_coverage_{band}": Column(f"share of outcomes inside the {s}'s {band} % band, uncalibrated", read)
            for s in sides
            for band in (95, 90)
        },
    }


def drift_columns(features: Sequence[str]) -> dict[str, Column]:
    """Columns of a night's feature drift; each of ``features`` is a row of it."""
    read = reads("feature_panel", *features)
    return {
        "feature": Column("name of the feature"),
        "ks_distance": Column("Kolmogorov-Smirnov distance of the recent sessions from the reference", read),
        "critical_distance": Column("what a feature that has not moved reaches once in 1 / false_discovery_rate", read),
        "p_value": Column("under a block-bootstrap null of no drift", read),
        "alert": Column("whether it counts as moved, false discoveries controlled", read),
    }


def announcement_columns() -> dict[str, Column]:
    """Columns of the announcements' table."""
    from forecast_assets.core.panel.announcements.columns import declare_columns

    read = reads("calendar_panel", "date", "exchange", "open", "high", "low", "close", "volume", "sector")
    shown = {
        "announced": "probability at the row's close that it is the quarter's announcement",
        "expected": "announcements expected on the day before its row was seen",
        "log_likelihood": "log of how much likelier the row is with an announcement than without",
        "return_size": "|return without the market's and the sector's part| in units of its mean size",
        "gap_size": "the same of the overnight gap",
    }
    declared = {name: f"{c.formula} [{c.unit}]; {c.source}" for name, c in declare_columns().items()}
    return {name: Column(text, read) for name, text in (declared | shown).items()}


def feature_columns(spec: "FeatureSpec", declared: "Sequence[CovariateFeature]" = ()) -> dict[str, Column]:
    """Columns of the feature panel, the macro ones included; ``declared``: those of the user's own series."""
    from forecast_assets.core.panel.announcements.columns import NAMES as ANNOUNCEMENTS
    from forecast_assets.core.panel.features import declare, declare_cross, declare_scale
    from forecast_assets.core.panel.known_future import KNOWN_FUTURE
    from forecast_assets.core.panel.macro import MACRO, SERIES

    panel = partial(reads, "calendar_panel")
    kept = ("date", "ticker", "exchange", "sector", "region", "segment", "is_missing", "is_member")
    columns = {name: Column("as in calendar_panel", panel(name)) for name in kept}
    for feature in (*declare(spec), *declare_cross(spec), declare_scale(spec)):
        columns[feature.name] = Column(f"{feature.formula} [{feature.unit}]; {feature.source}", panel(*feature.reads))
    for name in ANNOUNCEMENTS:
        columns[name] = Column("as in announcements", reads("announcements", name))
    for series in MACRO:
        read = reads("macro_series", "known_from", *(name for name in SERIES if name in series.formula))
        what = f"{series.formula} [{series.unit}], as known at the close; {series.source}"
        columns[series.name] = Column(what, read)
    for own in declared:
        what = f"{own.formula}, as known at the close; {own.file}"
        columns[own.name] = Column(what, reads("covariates", "known_from", "value"))
    for name in KNOWN_FUTURE:
        columns[name] = Column("of the session ahead, by the exchange's published calendar", panel("date", "exchange"))
    for name, horizon in zip(TARGETS, HORIZONS, strict=True):
        formula = f"log(close {horizon} own sessions later / close) [log return]"
        columns[name] = Column(formula, panel("close", "is_missing", "segment"))
    last = panel("date", "is_missing", "segment")
    return columns | {"label_end": Column("date of the furthest valid target's last session", last)}
