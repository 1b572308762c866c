"""Build tiny raw panels and their settings."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

import forecast_assets
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.specs import PanelSpec
from forecast_assets_tests.helpers.paths import REFERENCE as REFERENCE

CONF = Path(forecast_assets.__file__).parent / "conf"

MONDAY = dt.date(2024, 4, 8)
"""A Monday followed by six weeks without a holiday in New York."""


def panel_spec(**changes: Any) -> PanelSpec:
    """Return the panel settings that ship with the project, with ``changes``."""
    content = yaml.safe_load((CONF / "panel" / "default.yaml").read_text())
    return PanelSpec.model_validate(content | changes)


def reference_corrections() -> list[dict[str, Any]]:
    """Return the declared corrections of the reference panel."""
    return yaml.safe_load((CONF / "corrections" / "reference.yaml").read_text())["corrections"]


def raw(
    ticker: str,
    closes: Sequence[float | None],
    *,
    start: dt.date = MONDAY,
    exchange: str = "XNYS",
    opens: Sequence[float | None] | None = None,
    volumes: Sequence[float | None] | None = None,
    ranged: bool = False,
) -> pl.DataFrame:
    """Return a raw panel of one ticker on consecutive sessions of ``exchange``; a close of None means no quote.

    Opens are the closes and volumes 1000 unless given; ``ranged`` adds a high 2 % above and a low 1 % below both.
    """
    days = sessions(exchange, start, start + dt.timedelta(days=2 * len(closes) + 30))[: len(closes)]
    frame = pl.DataFrame(
        {
            "date": days,
            "ticker": [ticker] * len(closes),
            "exchange": [exchange] * len(closes),
            "sector": ["Technology"] * len(closes),
            "open": pl.Series(opens if opens is not None else closes, dtype=pl.Float64),
            "high": pl.Series([None] * len(closes), dtype=pl.Float64),
            "low": pl.Series([None] * len(closes), dtype=pl.Float64),
            "close": pl.Series(closes, dtype=pl.Float64),
            "volume": pl.Series(volumes if volumes is not None else [1000.0] * len(closes), dtype=pl.Float64),
        }
    ).filter(pl.col("close").is_not_null())
    if ranged:
        frame = frame.with_columns(
            high=1.02 * pl.max_horizontal("open", "close"), low=0.99 * pl.min_horizontal("open", "close")
        )
    return frame


def panel(*parts: pl.DataFrame) -> pl.DataFrame:
    """Join several tickers' raw panels."""
    return pl.concat(parts).sort("ticker", "date")


def csv(path: Path, *lines: str, header: str = "Date,Ticker,Sector,Opening Price,Closing Price,Volume") -> Path:
    """Write a raw CSV file of ``lines`` under ``header``."""
    path.write_text("\n".join([header, *lines]) + "\n")
    return path
