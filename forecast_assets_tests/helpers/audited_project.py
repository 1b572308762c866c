"""This project's own features and announcements as functions that the auditor can be pointed at, from raw rows."""

import polars as pl

from forecast_assets.core.audit.frames import RAW_NAMES
from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.announcements.build import Announcements
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.demo import EXCHANGES
from forecast_assets.core.panel.rows import COLUMNS
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.helpers.builders import panel_spec


def calendar_panel(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the calendar panel of raw rows of the synthetic exchanges."""
    suffixes = {suffix: exchange for exchange, suffix in EXCHANGES}
    suffix = pl.col("ticker").str.extract(r"(\.\w+)$").fill_null("")
    rows = frame.rename({new: old for old, new in RAW_NAMES.items()})
    placed = rows.with_columns(exchange=suffix.replace_strict(suffixes)).select(COLUMNS)
    return reindex(placed, spec=panel_spec())


def features(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the feature panel without what may look ahead."""
    return feature_panel(calendar_panel(frame), features=FeatureSpec()).drop(*TARGETS, "label_end")


def announcements(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table of the announcements."""
    rows = calendar_panel(frame).sort("ticker", "date").rechunk()
    return pl.concat(Announcements(lambda: [rows], None).parts()).join(
        rows.select("ticker", "date", "is_missing"), on=["ticker", "date"]
    )
