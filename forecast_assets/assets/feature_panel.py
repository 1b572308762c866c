"""Features and targets."""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.assets.framework.causality_checks import CAUSAL, causal_checks
from forecast_assets.assets.framework.column_lineage import feature_columns
from forecast_assets.assets.framework.inputs import OutputFolder, Previous
from forecast_assets.assets.framework.output import StageOutput, write_table
from forecast_assets.assets.framework.previous_version import PreviousVersion
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.panel.incremental import Span, Stored


@stage(group="panel", kinds={"polars"}, checks=CAUSAL)
def feature_panel(
    calendar_panel: Version, macro_series: pl.LazyFrame, features: FeatureSpec, previous: Previous, folder: OutputFolder
) -> StageOutput:
    """Causal features, known-future calendar and targets with their label ends, per ticker and session."""
    from forecast_assets.core.panel.build import columns, feature_parts, with_macro
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.incremental import extend_parts
    from forecast_assets.core.panel.leakage_checks import feature_leakage
    from forecast_assets.core.panel.macro import MACRO_NAMES
    from forecast_assets.core.panel.parts import part_sizes, ticker_parts

    sessions = pl.scan_parquet(calendar_panel.path(TABLE))
    digests = YearDigests()
    stored = Before.of(previous)
    if stored is None:
        parts = feature_parts(lambda: ticker_parts(sessions), features=features)
    else:
        parts = extend_parts(lambda: ticker_parts(sessions), features=features, stored=stored.rows)
    macro = macro_series.collect()
    write_table(digests.watch(with_macro(parts, macro)), folder / TABLE)
    return StageOutput(
        facts={
            "columns": len(columns(features)) + (len(MACRO_NAMES) if macro.height else 0),
            "parts": len(part_sizes(sessions)),
            "extended": stored is not None,
        },
        checks=causal_checks(feature_leakage(sessions, features=features, macro=macro)),
        slices=digests.digests(),
        columns=feature_columns(features),
    )


class Before:
    """The tables of the run before."""

    def __init__(self, *, sessions: Path, features: Path) -> None:
        self._sessions, self._features = pl.scan_parquet(sessions), pl.scan_parquet(features)

    @classmethod
    def of(cls, previous: PreviousVersion | None) -> "Before | None":
        """None where there was none, or where the calendar panel it was made from is gone."""
        if previous is None or "calendar_panel" not in previous.parents:
            return None
        return cls(sessions=previous.parents["calendar_panel"].path(TABLE), features=previous.version.path(TABLE))

    def rows(self, span: "Span") -> "Stored":
        """The rows of a span of tickers."""
        from forecast_assets.core.panel.incremental import Stored

        return Stored(self._sessions.filter(span.rows()).collect(), self._features.filter(span.rows()).collect())
