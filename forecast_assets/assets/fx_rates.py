"""Exchange rates into the base currency, if the user has them."""

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.assets.framework.inputs import FirstTestYear, RawFx
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import CurrencySpec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.backtest.currency import Conversion

COVERED = CheckSpec(
    "rates_cover_the_test_years", "every currency of the panel has rates throughout the test years", blocking=False
)
OWN_CURRENCIES = "each ticker's own, as if hedged at no cost"
NO_FILE = f"FORECAST_FX is not set: returns count in {OWN_CURRENCIES}"


@stage(group="verdict", kinds={"polars"}, checks=(COVERED,))
def fx_rates(fx: RawFx, calendar_panel: Version, currency: CurrencySpec, first_test_year: FirstTestYear) -> StageOutput:
    """Units of the base currency for one unit of each other one, by day; empty where FORECAST_FX names no file.

    Raises BadInput where the file can't be used, or lacks a currency of the panel; BadSetting for a declared currency of
    what the panel does not have.
    """
    from forecast_assets.core.panel.currencies import require_in_panel
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.exchange_rates import no_rates, read_rates

    if fx.path is None:
        return StageOutput(
            files={TABLE: no_rates()},
            facts={"days": 0, "note": NO_FILE},
            checks={COVERED.name: Check(True, NO_FILE)},
        )
    table = read_rates(fx.path, base=currency.base, until=fx.until)
    panel = pl.scan_parquet(calendar_panel.path(TABLE))
    require_in_panel(currency, panel.select("ticker", "exchange").unique().collect())
    lacking = _lacking(conversion_of(table, panel, currency), panel, first_test_year)
    digests = YearDigests()
    digests.add(table.rename({"currency": "ticker"}))
    return StageOutput(
        files={TABLE: table},
        facts={
            "base": currency.base,
            "currencies": ", ".join(table["currency"].unique().sort()) or "none",
            "days": table["date"].n_unique(),
            "first": str(table["date"].min()),
            "last": str(table["date"].max()),
        },
        checks={COVERED.name: Check(not lacking, lacking or "all have", warns=True)},
        slices=digests.digests(),
    )


def conversion_of(rates: pl.DataFrame, calendar_panel: pl.LazyFrame, spec: CurrencySpec) -> "Conversion | None":
    """Return the conversion of a panel's members into the base currency; None without rates."""
    from forecast_assets.core.backtest.currency import Conversion

    members = calendar_panel.filter("is_member")
    return Conversion.of(rates, members.select("ticker", "exchange").unique().collect(), spec)


def _lacking(conversion: "Conversion | None", panel: pl.LazyFrame, first_test_year: int | None) -> str | None:
    """Return the first rate that the sessions of the test years lack, in words; None where none does."""
    if conversion is None or first_test_year is None:
        return None
    quoted = panel.filter("is_member", ~pl.col("is_missing"), (pl.col("date") >= dt.date(first_test_year, 1, 1)))
    return conversion.first_gap(quoted.select("date", "ticker").collect())
