"""The costed simulation of one test year."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecast_assets.assets.fold.books import YearModels, year_books
from forecast_assets.assets.fold.coverage import BY_EXCHANGE, BY_VOLATILITY, coverage_checks, year_cells
from forecast_assets.assets.fold.losses import YearForecasts, losses_files
from forecast_assets.assets.framework.inputs import Year
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.assets.fx_rates import OWN_CURRENCIES, conversion_of
from forecast_assets.core.specs import BacktestSpec, CoverageSpec, CurrencySpec, MeanRiskSpec, WindowSpec
from forecast_assets.store.artefact_files import POSITIONS, TABLE, TENSORS, TRADES
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.evaluation.year_losses import YearLosses

RECONCILES = CheckSpec("reconciles", "sum of profits and losses less costs = change of equity, in every account")
TOLERANCE = 1e-9


@stage(group="verdict", kinds={"numpy"}, partitions=years, checks=(RECONCILES, BY_EXCHANGE, BY_VOLATILITY), tuned=True)
def backtest(
    inputs: YearForecasts,
    fx_rates: Version,
    backtest_spec: BacktestSpec,
    currency: CurrencySpec,
    coverage: CoverageSpec,
    mean_risk: MeanRiskSpec,
    windows: WindowSpec,
    year: Year,
) -> StageOutput:
    """Positions, trades, costs and daily net returns of the ensemble, each model and each benchmark, next-open execution;
    and the daily losses of all forecasts.

    The year for itself, from cash and up to its last close: the book over all years is simulated in one piece, in the
    report, which holds New Year's night too. In the base currency where there are exchange rates.
    """
    from forecast_assets.core.backtest.accounting import reconcile
    from forecast_assets.core.backtest.costs import require_known
    from forecast_assets.core.report.figures import equity_curves

    losses, cells = score_forecasts(inputs, lookback=windows.lookback), year_cells(inputs)
    whole = pl.read_parquet(inputs.calendar_panel.path(TABLE))
    require_known(backtest_spec.cost_bps, whole)
    models = YearModels.of(inputs.ensemble, [inputs.b0_mlp, *inputs.candidates.values()], inputs.baselines)
    panel = whole.filter(pl.col("date").dt.year() <= year)
    conversion = conversion_of(pl.read_parquet(fx_rates.path(TABLE)), panel.lazy(), currency)
    books = year_books(models, panel, spec=backtest_spec, conversion=conversion, optimiser=mean_risk)
    error = float(np.max([reconcile(book) for book in books.values()]))
    daily, positions, trades = (
        pl.concat(getattr(book, part) for book in books.values()) for part in ("daily", "positions", "trades")
    )
    return StageOutput(
        files={TABLE: daily, POSITIONS: positions, TRADES: trades, **losses_files(losses, cells)},
        facts={
            "strategies": len(books),
            "trades": trades.height,
            "accounting_error": error,
            "currency": conversion.base if conversion else OWN_CURRENCIES,
        },
        plots={
            "equity": equity_curves(daily, strategies=["ensemble", "equal_risk_ensemble", "b0_mlp", "equal_weight"])
        },
        checks={
            RECONCILES.name: Check(error <= TOLERANCE, f"largest difference {error:.1e} of equity"),
            **coverage_checks(cells, spec=coverage),
        },
    )


def score_forecasts(forecasts: YearForecasts, *, lookback: int) -> "YearLosses":
    """Return the losses of a year's forecasts, and of the single fits behind them."""
    from forecast_assets.core.evaluation.training_noise import fit_losses
    from forecast_assets.core.evaluation.year_losses import new_listing_origins, year_losses
    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(forecasts.windowed_tensors.path(TENSORS))
    ends = panel.ends(lookback)
    origins = pl.DataFrame(
        {
            "date": pl.Series(panel.date[ends].numpy()).cast(pl.Date),
            "ticker": pl.Series(panel.tickers).gather(panel.ticker[ends].numpy()),
        }
    )
    found = year_losses(
        forecasts.tables(), uncalibrated=forecasts.uncalibrated(), new_listings=new_listing_origins(origins)
    )
    fits = fit_losses(forecasts.fits(), combined=forecasts.combined())
    return found._replace(daily=found.daily._replace(fits=fits))
