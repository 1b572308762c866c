"""``audit --forecasts``: a file of forecasts against the panel that they are of."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.core.errors import BadInput


def audit_file(path: Path, panel: Path | None, *, overrides: list[str]) -> dict[str, Any]:
    """Return the audit of a file as ``rivals`` reads it, as plain values. Raises BadInput, naming the file."""
    from forecast_assets.cli.audit_panel import read_rows
    from forecast_assets.core.audit.forecasts import audit_forecasts
    from forecast_assets.core.rivals.read import read_rival
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    if panel is None:
        raise BadInput(f"{path}: forecasts are audited against their outcomes; name the panel they are of with --panel")
    settings = compose_settings(environment.profile_name(), overrides)
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file")
    rival = read_rival(path)
    location = pl.col("q50" if rival.has_band else "mean")
    forecasts = rival.rows.select("date", "ticker", "horizon", "available_at", location=location)
    rows = read_rows(panel, settings, tickers=forecasts["ticker"])
    audit = audit_forecasts(forecasts, rows, name=str(path), spec=settings.audit)
    return {**asdict(audit), "clean": audit.clean, "sentence": audit.sentence()}
