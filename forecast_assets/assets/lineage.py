"""What the columns of the panel tables are and where they come from, out of the features' declarations."""

from typing import TYPE_CHECKING

from forecast_assets.assets.product import Column

if TYPE_CHECKING:
    from forecast_assets.core.specs import FeatureSpec

CALENDAR_COLUMNS = {
    "date": "session",
    "ticker": "name, as delivered",
    "exchange": "MIC of its exchange",
    "sector": "of its last quote",
    "open": "null on a filled row",
    "high": "null on a filled row, or where not delivered",
    "low": "null on a filled row, or where not delivered",
    "close": "carried on a filled row; declared corrections made",
    "volume": "null on a filled row",
}


def calendar_columns() -> dict[str, Column]:
    """Columns of the calendar panel."""
    delivered = {name: Column(what, (("raw_panel", name),)) for name, what in CALENDAR_COLUMNS.items()}
    quoted = (("raw_panel", "date"), ("raw_panel", "exchange"))
    return delivered | {
        "is_missing": Column("a session without a quote, filled", quoted),
        "segment": Column("0, 1, ... a hole too long to be filled begins the next one", quoted),
        "region": Column("of its exchange; books are neutral within it", (("raw_panel", "exchange"),)),
    }


def feature_columns(spec: "FeatureSpec") -> dict[str, Column]:
    """Columns of the feature panel, the macro ones included."""
    from forecast_assets.core.horizons import HORIZONS, TARGETS
    from forecast_assets.core.panel.features import declare, declare_cross, declare_scale
    from forecast_assets.core.panel.known import KNOWN
    from forecast_assets.core.panel.macro import MACRO, SERIES

    def panel(*names: str) -> tuple[tuple[str, str], ...]:
        return tuple(("calendar_panel", name) for name in names)

    kept = ("date", "ticker", "exchange", "sector", "region", "segment", "is_missing")
    columns = {name: Column("as in calendar_panel", panel(name)) for name in kept}
    for feature in (*declare(spec), *declare_cross(spec), declare_scale(spec)):
        columns[feature.name] = Column(f"{feature.formula} [{feature.unit}]; {feature.source}", panel(*feature.reads))
    for known in MACRO:
        reads = tuple(
            ("macro_series", name) for name in ("known_from", *SERIES) if name == "known_from" or name in known.formula
        )
        columns[known.name] = Column(f"{known.formula} [{known.unit}], as known at the close; {known.source}", reads)
    for name in KNOWN:
        columns[name] = Column("of the session ahead, by the exchange's published calendar", panel("date", "exchange"))
    for name, horizon in zip(TARGETS, HORIZONS, strict=True):
        said = f"log(close {horizon} own sessions later / close) [log return]"
        columns[name] = Column(said, panel("close", "is_missing", "segment"))
    columns["label_end"] = Column(
        "date of the furthest valid target's last session", panel("date", "is_missing", "segment")
    )
    return columns
