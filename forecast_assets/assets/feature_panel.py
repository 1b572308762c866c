"""The panel with its features and targets: one row per ticker and session."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.assets.framework.causality_checks import CAUSAL, causal_checks
from forecast_assets.assets.framework.column_lineage import feature_columns
from forecast_assets.assets.framework.inputs import OutputFolder, Previous
from forecast_assets.assets.framework.output import StageOutput, write_table
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.panel.incremental import Span, Stored


@stage(group="panel", kinds={"polars"}, checks=CAUSAL)
def feature_panel(
    calendar_panel: Version,
    announcements: Version,
    macro_series: pl.LazyFrame,
    covariates: Version,
    features: FeatureSpec,
    previous: Previous,
    folder: OutputFolder,
) -> StageOutput:
    """Causal features, known-future calendar and targets with their label ends, per ticker and session."""
    from forecast_assets.assets.announcements import announcement_rows
    from forecast_assets.assets.covariates import own_series
    from forecast_assets.core.panel.announcements.columns import NAMES as ANNOUNCEMENTS
    from forecast_assets.core.panel.build import (
        columns,
        feature_parts,
        with_announcements,
        with_covariates,
        with_macro,
    )
    from forecast_assets.core.panel.covariates.declare import declared_features
    from forecast_assets.core.panel.covariates.read import require_tickers
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.incremental import extend_parts
    from forecast_assets.core.panel.leakage_checks import feature_leakage
    from forecast_assets.core.panel.macro import MACRO_NAMES
    from forecast_assets.core.panel.parts import part_sizes, ticker_parts

    sessions = pl.scan_parquet(calendar_panel.path(TABLE))
    digests = YearDigests()
    made_from = previous.parents.get("calendar_panel") if previous else None  # it may be gone from the store
    if previous is None or made_from is None:
        parts = feature_parts(lambda: ticker_parts(sessions), features=features)
    else:
        stored = partial(stored_rows, made_from.path(TABLE), previous.version.path(TABLE))
        parts = extend_parts(lambda: ticker_parts(sessions), features=features, stored=stored)
    macro, own = macro_series.collect(), own_series(covariates)
    require_tickers(own, sessions.select("ticker").unique().collect()["ticker"])
    declared = declared_features(own.specs)
    table = with_macro(with_announcements(parts, announcement_rows(announcements)), macro)
    table = with_covariates(table, own)
    write_table(digests.watch(table), folder / TABLE)
    more = len(ANNOUNCEMENTS) + (len(MACRO_NAMES) if macro.height else 0) + len(declared)
    return StageOutput(
        facts={
            "columns": len(columns(features)) + more,
            "parts": len(part_sizes(sessions)),
            "extended": made_from is not None,
        },
        checks=causal_checks(feature_leakage(sessions, features=features, macro=macro, covariates=own)),
        slices=digests.digests(),
        columns=feature_columns(features, declared),
    )


def stored_rows(sessions: Path, features: Path, span: "Span") -> "Stored":
    """Return the rows of a span of tickers of the previous version, and of the calendar panel that it was made from."""
    from forecast_assets.core.panel.incremental import Stored

    return Stored(*(pl.scan_parquet(path).filter(span.rows()).collect() for path in (sessions, features)))
