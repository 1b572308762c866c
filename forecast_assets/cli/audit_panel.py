"""The panel that ``audit`` tests on."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from forecast_assets.core.audit.rows import with_known_at
from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.folders import find_files
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.leakage_checks import sample
from forecast_assets.core.settings import Settings


def read_rows(path: Path, settings: Settings, *, tickers: pl.Series | None = None) -> pl.DataFrame:
    """Return the rows of the panel at ``path``, as a run would read it, with ``known_at``.

    Of ``tickers``; without them of some, the same ones each time. Raises BadInput as a run does.
    """
    with tempfile.TemporaryDirectory() as scratch:
        reading = Reading(find_files(path, settings.panel).files, spec=settings.panel, scratch=Path(scratch))
        if tickers is None:
            return with_known_at(sample(pl.concat(reading.parts()).lazy()))
        wanted = tickers.cast(pl.String).unique()
        rows = pl.concat(part.filter(pl.col("ticker").is_in(wanted.implode())) for part in reading.parts())
    if rows.is_empty():
        raise BadInput(f"{path}: it has none of the tickers of the forecasts ({_few(wanted.sort())})")
    return with_known_at(rows)


def calendar_rows(raw: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return raw rows as a calendar panel, all of them members'."""
    return with_known_at(reindex(raw.drop("known_at"), spec=settings.panel))


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
