"""The costed simulation of one test year."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecast_assets.assets.fold.losses import YearForecasts, losses_files
from forecast_assets.assets.framework.inputs import Year
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.catalogue import MLP_BASELINE
from forecast_assets.core.specs import BacktestSpec, WindowSpec
from forecast_assets.store.artefact_files import FITS, POSITIONS, TABLE, TENSORS, TRADES, TRAINING, VARIANTS
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.backtest.accounting import Simulation
    from forecast_assets.core.evaluation.year_losses import YearLosses

RECONCILES = CheckSpec("reconciles", "sum of profits and losses less costs = change of equity, in every account")
TOLERANCE = 1e-9


@stage(group="verdict", kinds={"numpy"}, partitions=years, checks=(RECONCILES,), tuned=True)
def backtest(
    inputs: YearForecasts, calendar_panel: Version, backtest_spec: BacktestSpec, windows: WindowSpec, year: Year
) -> StageOutput:
    """Positions, trades, costs and daily net returns of the ensemble, each model and each benchmark, next-open execution;
    and the daily losses of all forecasts.
    """
    from forecast_assets.core.backtest import strategies as benchmarks
    from forecast_assets.core.backtest.accounting import reconcile
    from forecast_assets.core.backtest.costs import require_known
    from forecast_assets.core.backtest.simulate import simulate
    from forecast_assets.core.report.evidence import LATE
    from forecast_assets.core.report.figures import equity_curves

    losses = score_forecasts(inputs, lookback=windows.lookback)
    whole = pl.read_parquet(calendar_panel.path(TABLE))
    require_known(backtest_spec.cost_bps, whole)
    panel = whole.filter(pl.col("date").dt.year() <= year)
    expected = dict(zip(HORIZONS, inputs.baselines.json(TRAINING)["unconditional_mean"], strict=True))
    networks = inputs.networks
    forecasts = {v.asset: pl.read_parquet(v.path(TABLE)) for v in (inputs.ensemble, *networks)}
    random_walk = pl.read_parquet(inputs.baselines.path(TABLE)).filter(pl.col("model") == "random_walk")
    directional = backtest_spec.model_copy(update={"book": "directional"})
    # The MLP baseline traded daily: its own one-session forecast, without smoothing.
    naive = backtest_spec.model_copy(update={"horizon_sessions": 1, "smoothing": 0.0})
    traded = {
        "ensemble": (forecasts["ensemble"], backtest_spec),
        **{v.asset: (forecasts[v.asset], backtest_spec) for v in networks if v.asset != MLP_BASELINE},
        MLP_BASELINE: (forecasts[MLP_BASELINE], backtest_spec),
        "b0_mlp_naive": (forecasts["b0_mlp"], naive),
        "ensemble_directional": (forecasts["ensemble"], directional),
        "b0_mlp_directional": (forecasts["b0_mlp"], directional),
        "random_walk": (random_walk, backtest_spec),
    }
    books: dict[str, Simulation] = {
        name: simulate(table, panel, year=year, spec=spec, unconditional_mean=expected[spec.horizon_sessions])
        for name, (table, spec) in traded.items()
    }
    books["momentum"] = benchmarks.momentum(forecasts["ensemble"], panel, year=year, spec=backtest_spec)
    books["equal_weight"] = benchmarks.equal_weight(forecasts["ensemble"], panel, year=year, spec=backtest_spec)
    mean = expected[backtest_spec.horizon_sessions]
    late = simulate(
        forecasts["ensemble"], panel, year=year, spec=backtest_spec, unconditional_mean=mean, delay_sessions=1
    )
    variants = {f"ensemble{LATE}": late}
    for network in (inputs.b0_mlp, inputs.candidates["b2_tft_ticker"]):
        for (fit,), table in pl.read_parquet(network.path(FITS)).group_by("model", maintain_order=True):
            variants[str(fit)] = simulate(table, panel, year=year, spec=backtest_spec, unconditional_mean=mean)
    error = float(np.max([reconcile(book) for book in (*books.values(), *variants.values())]))
    daily, positions, trades = (
        pl.concat(getattr(book, part).with_columns(strategy=pl.lit(name)) for name, book in books.items())
        for part in ("daily", "positions", "trades")
    )
    candidates = pl.concat(book.daily.with_columns(strategy=pl.lit(name)) for name, book in variants.items())
    return StageOutput(
        files={TABLE: daily, POSITIONS: positions, TRADES: trades, VARIANTS: candidates, **losses_files(losses)},
        facts={"strategies": len(books), "trades": trades.height, "accounting_error": error},
        plots={"equity": equity_curves(daily, strategies=["ensemble", "b0_mlp", "equal_weight", "momentum"])},
        checks={RECONCILES.name: Check(error <= TOLERANCE, f"largest difference {error:.1e} of equity")},
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
    found = year_losses(forecasts.tables(), raw=forecasts.uncalibrated(), new_listings=new_listing_origins(origins))
    fits = fit_losses(forecasts.fits(), combined=forecasts.combined())
    return found._replace(daily=found.daily._replace(fits=fits))
