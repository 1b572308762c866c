"""``audit --forecasts``: a file of forecasts against the panel that they are of."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.core.errors import BadInput


def audit_file(path: Path, panel: Path | None, *, overrides: list[str]) -> dict[str, Any]:
    """Return the audit of a CSV or Parquet file as plain values. Raises BadInput, naming the file."""
    from forecast_assets.cli.audit_panel import read_rows
    from forecast_assets.core.audit.forecasts import audit_forecasts
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    if panel is None:
        raise BadInput(f"{path}: forecasts are audited against their outcomes; name the panel they are of with --panel")
    settings = compose_settings(environment.profile_name(), overrides)
    forecasts = read_table(path)
    tickers = next((name for name in forecasts.columns if name.strip().lower() in ("ticker", "symbol")), None)
    rows = read_rows(panel, settings, tickers=None if tickers is None else forecasts[tickers])
    audit = audit_forecasts(forecasts, rows, name=str(path), spec=settings.audit)
    return {**asdict(audit), "clean": audit.clean, "sentence": audit.sentence()}


def read_table(path: Path) -> pl.DataFrame:
    """Return a CSV or Parquet file as it is, text as text. Raises BadInput for one that can't be read."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file")
    try:
        table = (
            pl.read_parquet(path)
            if path.suffix.lower() in (".parquet", ".pq")
            else pl.read_csv(path, infer_schema=False)
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise BadInput(f"{path}: can't be read as {path.suffix.lstrip('.') or 'CSV'}: {first}") from error
    if table.is_empty():
        raise BadInput(f"{path}: it has no rows")
    return table
