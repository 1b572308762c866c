"""Turn the feature panel into tensors, whole or part by part."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.macro import MACRO_NAMES
from forecast_assets.core.reads import is_covariate
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors

UNKNOWN_SECTOR = "Unknown"


def no_complete_row(longest: int) -> BadInput:
    """Return the error where no row has all features; ``longest``: sessions of the longest history."""
    return BadInput(
        f"feature_panel: no row has all features; the longest history without a hole has {longest} sessions, fewer than the "
        "features look back on; give more history per ticker: a first test year needs "
        f"{FoldSpec().min_history_sessions} sessions before it unless folds.min_history_sessions says otherwise"
    )


@dataclass(frozen=True)
class Vocabulary:
    """Tickers, sectors and exchanges of a panel, each sorted: what its integer codes index."""

    tickers: tuple[str, ...]
    sectors: tuple[str, ...]
    exchanges: tuple[str, ...]

    @classmethod
    def of(cls, feature_panel: pl.LazyFrame) -> "Vocabulary":
        """Return the vocabulary of a whole feature panel."""
        sector = pl.col("sector").fill_null(UNKNOWN_SECTOR)
        found = feature_panel.select("ticker", sector, "exchange").unique().collect(engine="streaming")
        return cls(*(tuple(found[name].unique().sort()) for name in ("ticker", "sector", "exchange")))


def build_tensors(feature_panel: pl.DataFrame, *, feature_names: tuple[str, ...]) -> PanelTensors:
    """Turn a feature panel into ``PanelTensors``; windows never cross a ticker or a segment.

    A row is complete when all features but the macro ones and the user's own, and the volatility scale, are finite. Raises
    BadInput when no row is.
    """
    panel = part_tensors(feature_panel, feature_names=feature_names, vocabulary=Vocabulary.of(feature_panel.lazy()))
    if not (panel.run_length > 0).any():
        raise no_complete_row(longest_history(feature_panel.lazy()))
    return panel


def longest_history(feature_panel: pl.LazyFrame) -> int:
    """Return the sessions of the longest segment of any ticker."""
    lengths = feature_panel.group_by("ticker", "segment").len()
    found: int = lengths.select(pl.col("len").max()).collect(engine="streaming").item()
    return found


def part_tensors(part: pl.DataFrame, *, feature_names: tuple[str, ...], vocabulary: Vocabulary) -> PanelTensors:
    """Return the tensors of some whole tickers of a panel with this ``vocabulary``; see ``build_tensors``."""
    frame = part.sort("ticker", "date")
    # A feed may stop or begin late: that may stop only a model that reads it.
    feeds = {*MACRO_NAMES, *filter(is_covariate, feature_names)}
    numbers = [*(name for name in feature_names if name not in feeds), "ewma_vol"]
    complete = pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in numbers)
    frame = frame.with_columns(complete.alias("complete")).with_columns(
        # Number of incomplete rows before: constant within each sequence of complete rows of a segment.
        breaks=(~pl.col("complete")).cum_sum().over("ticker", "segment"),
        segment_start=pl.int_range(pl.len()).over("ticker", "segment") == 0,
    )
    frame = frame.with_columns(
        run_length=pl.col("complete").cast(pl.Int32).cum_sum().over("ticker", "segment", "breaks")
    )
    return PanelTensors(
        features=_float32(frame.select(feature_names)),
        targets=_float32(frame.select(TARGETS)),
        scale=_float32(frame.select("ewma_vol")).squeeze(1),
        date=_days(frame["date"]),
        label_end=_days(frame["label_end"]),
        ticker=_codes(frame["ticker"], vocabulary.tickers),
        sector=_codes(frame["sector"].fill_null(UNKNOWN_SECTOR), vocabulary.sectors),
        exchange=_codes(frame["exchange"], vocabulary.exchanges),
        observed=torch.from_numpy((~frame["is_missing"]).to_numpy().copy()),
        member=torch.from_numpy(frame["is_member"].to_numpy().copy()),
        segment_start=torch.from_numpy(frame["segment_start"].to_numpy().copy()),
        run_length=torch.from_numpy(frame["run_length"].cast(pl.Int32).to_numpy().copy()),
        feature_names=feature_names,
        tickers=vocabulary.tickers,
        sectors=vocabulary.sectors,
        exchanges=vocabulary.exchanges,
    )


def _float32(frame: pl.DataFrame) -> torch.Tensor:
    array = frame.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy(order="c")
    return torch.from_numpy(np.ascontiguousarray(array))


def _days(dates: pl.Series) -> torch.Tensor:
    return torch.from_numpy(dates.cast(pl.Int32).fill_null(NO_DATE).to_numpy().copy())


def _codes(values: pl.Series, vocabulary: tuple[str, ...]) -> torch.Tensor:
    codes = values.replace_strict(list(vocabulary), range(len(vocabulary)), return_dtype=pl.Int32)
    return torch.from_numpy(codes.to_numpy().copy())
