"""The forecasts of a year, and the files of their losses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import polars as pl

from forecast_assets.assets.fold.candidates import trained
from forecast_assets.assets.framework.parameters import Networks, Parameters
from forecast_assets.core.models.catalogue import BESIDE_BASELINE
from forecast_assets.store.artefact_files import (
    BEST_MEMBER,
    COVERAGE_CELLS,
    DAILY_LOSSES,
    FITS,
    MEMBERS,
    NEW_LISTING_LOSSES,
    RAW_FORECASTS,
    TABLE,
)
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.evaluation.daily_losses import DailyLosses
    from forecast_assets.core.evaluation.year_losses import YearLosses


@dataclass(frozen=True)
class YearForecasts(Parameters):
    """The forecasts of one year, and the panel they were made on."""

    ensemble: Version
    b0_mlp: Version
    candidates: Annotated[dict[str, Version], Networks(BESIDE_BASELINE)]
    baselines: Version
    windowed_tensors: Version
    calendar_panel: Version

    @property
    def networks(self) -> list[Version]:
        """Those that were trained."""
        return trained([self.b0_mlp, *self.candidates.values()])

    def tables(self) -> Iterator[pl.DataFrame]:
        """Yield the forecast tables, one after the other."""
        for version in (*self.networks, self.baselines, self.ensemble):
            yield pl.read_parquet(version.path(TABLE))
        yield pl.read_parquet(self.ensemble.path(BEST_MEMBER))

    def fits(self) -> Iterator[pl.DataFrame]:
        """Yield the uncalibrated forecasts of every single fit, a table per network."""
        for version in self.networks:
            yield pl.read_parquet(version.path(FITS))

    def combined(self) -> dict[str, list[str]]:
        """Return the forecasts made of some of the fits, and the names of those."""
        members = [member["fit"] for member in self.ensemble.json(MEMBERS)["members"]]
        return {"ensemble": members, "best_member": members[:1]}

    def uncalibrated(self) -> Iterator[pl.DataFrame]:
        """Yield the tables before calibration, under the same names; the yardstick's alone where nothing was calibrated."""
        from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX, YARDSTICK

        if RAW_FORECASTS not in self.ensemble.manifest.files:
            published = pl.scan_parquet(self.baselines.path(TABLE))
            yield published.filter(pl.col("model") == YARDSTICK.removesuffix(RAW_SUFFIX)).collect()
            return
        for version in (*self.networks, self.baselines, self.ensemble):
            yield pl.read_parquet(version.path(RAW_FORECASTS))
        best = self.ensemble.json(MEMBERS)["members"][0]["fit"]
        fits = pl.scan_parquet(self.candidates[best.partition("/")[0]].path(FITS))
        yield fits.filter(pl.col("model") == best).collect().with_columns(model=pl.lit("best_member"))


def losses_files(losses: "YearLosses", cells: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The files that hold ``losses`` and the sums by cell, by name."""
    return {
        **{name: getattr(losses.daily, field) for field, name in DAILY_LOSSES.items()},
        NEW_LISTING_LOSSES: losses.new_listings,
        COVERAGE_CELLS: cells,
    }


def read_daily(version: Version) -> "DailyLosses":
    """The daily losses that a year's backtest published."""
    from forecast_assets.core.evaluation.daily_losses import DailyLosses

    return DailyLosses(**{field: pl.read_parquet(version.path(name)) for field, name in DAILY_LOSSES.items()})


def read_cells(versions: Iterable[Version]) -> pl.DataFrame:
    """The sums by cell that the years' backtests published."""
    return pl.concat(pl.read_parquet(version.path(COVERAGE_CELLS)) for version in versions)


def read_new_listings(versions: Iterable[Version]) -> pl.DataFrame:
    """The losses of new listings that the years' backtests published."""
    return pl.concat(pl.read_parquet(version.path(NEW_LISTING_LOSSES)) for version in versions)
