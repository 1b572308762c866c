"""Raw rows with a planted next-day signal, what the oracle knows of it, and how much of it a shipped profile finds.

Tickers on three exchanges, each with noise of its own. Each session's log return is

    r(t+1) = gap(t+1) + intraday(t+1) + STRENGTH x gap(t),    the last term between the open and the close of t+1

so that the next return follows today's overnight gap, a feature that every network but the MLP baseline reads. Both parts of
the noise are Normal; nothing else can be forecast.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from forecast_assets.core.models.catalogue import FitSpec
from forecast_assets.core.panel.demo import EXCHANGES, SECTORS
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.scores.rank import rank_ic
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import TENSORS, TRAINING
from forecast_assets_tests.helpers.graph import PANEL, Graph

VOLATILITY, GAP = 0.014, 0.008  # of the noise within the day, and of the gap
STRENGTH = 0.53  # the next session's drift per unit of the gap: a quarter of its return's standard deviation
START = dt.date(2015, 1, 2)
SETTINGS = ("sweep.trials=0",)
"""No search: the profile's own settings are measured."""

NETWORKS = ("b2_tft_ticker", "b4_patchtst")
"""One of each architecture that reads a ticker's own past; B1 and B3 differ from B2 in codes, which say nothing here."""

TICKERS = {"demo": 24, "full": 40}


class Planted(NamedTuple):
    """Raw rows as a user's CSV file has them, and the drift of the next session: Date, Ticker, drift."""

    rows: pl.DataFrame
    drifts: pl.DataFrame


class Found(NamedTuple):
    """What a profile found: by name, of the oracle, the linear regression and the networks."""

    ic: dict[str, float]
    """Mean daily rank IC at one session, on the test year."""
    error: dict[str, float]
    """Its standard error over the days."""
    slopes: dict[str, list[list[float]]]
    """Of each network's fits, how much of the learned location is published at each horizon."""


def planted(*, tickers: int, end: dt.date, seed: int = 0, strength: float = STRENGTH) -> Planted:
    """Return the panel of ``tickers`` from ``START`` to ``end``."""
    rng = np.random.default_rng(seed)
    rows, drifts = [], []
    for number in range(tickers):
        mic, suffix = EXCHANGES[number % len(EXCHANGES)]
        days = sessions(mic, START, end)
        gap, noise = rng.normal(0, GAP, len(days)), rng.normal(0, VOLATILITY, len(days))
        drift = strength * gap
        intraday = noise + np.r_[0.0, drift[:-1]]
        log_close = np.log(100) + np.cumsum(gap + intraday)
        opens, closes = np.exp(log_close - intraday), np.exp(log_close)
        wick = np.exp(np.abs(rng.normal(0, VOLATILITY / 3, (2, len(days)))))
        name = f"PLN{number:02d}{suffix}"
        bars = {
            "Date": days,
            "Ticker": [name] * len(days),
            "Sector": [SECTORS[number // len(EXCHANGES) % len(SECTORS)]] * len(days),
            "Opening Price": opens,
            "High": np.maximum(opens, closes) * wick[0],
            "Low": np.minimum(opens, closes) / wick[1],
            "Closing Price": closes,
            "Volume": np.exp(13 + 0.4 * rng.standard_normal(len(days))).astype(np.int64),
        }
        rows.append(pl.DataFrame(bars))
        drifts.append(pl.DataFrame({"Date": days, "Ticker": bars["Ticker"], "drift": drift}))
    return Planted(pl.concat(rows).sort("Date", "Ticker"), pl.concat(drifts))


def shipped(profile: str, root: Path, *, models: Sequence[str] = NETWORKS, strength: float = STRENGTH) -> Found:
    """Return what the ``profile`` finds with ``models``; an oracle there is only of a signal that has a ``strength``.

    Everything is the profile's own, from the raw file to the forecast table of its first test year, which the panel ends
    with. Files go to the folder ``root``. Raises RuntimeError where a stage fails.
    """
    settings = compose_settings(profile, list(SETTINGS))
    year = settings.folds.first_test_year
    panel = planted(tickers=TICKERS[profile], end=dt.date(year, 12, 31), strength=strength)
    panel.rows.write_csv(raw := root / "planted.csv")
    with Graph(root, profile=profile) as graph:
        chosen = (*PANEL, "sweep", *models)
        outcome = graph.run(*chosen, years=[str(year)], overrides=SETTINGS, panel=raw)
        if outcome.failures:
            raise RuntimeError("\n".join(failed.message for failed in outcome.failures))
        tensors = PanelTensors.load(graph.version("windowed_tensors").path(TENSORS))
        tables = {name: graph.table(name, str(year)) for name in models}
        fits = {name: graph.version(name, str(year)).json(TRAINING)["fits"] for name in models}
    fold = make_fold(tensors, year=year, spec=settings.folds, lookback=settings.windows.lookback)
    forecasts = {"oracle": oracle(tensors, fold, panel.drifts)} if strength else {}
    spec: FitSpec = getattr(settings, models[0])
    forecasts["linear"] = linear(tensors, fold, spec=spec)
    forecasts |= {name: _medians(tables[name], tensors, fold) for name in models}
    day, outcome_1d = tensors.date[fold.test].numpy(), tensors.targets[fold.test, 0].double().numpy()
    daily = {name: rank_ic(of, outcome_1d, day=day) for name, of in forecasts.items()}
    known = {name: of[np.isfinite(of)] for name, of in daily.items()}
    return Found(
        ic={name: float(of.mean()) for name, of in known.items()},
        error={name: float(of.std(ddof=1) / np.sqrt(len(of))) for name, of in known.items()},
        slopes={name: [fit["location_slope"] for fit in of] for name, of in fits.items()},
    )


def best_share(ic: dict[str, float]) -> float:
    """Return the best network's IC as a share of the linear regression's."""
    return max(value for name, value in ic.items() if name not in ("oracle", "linear")) / ic["linear"]


def oracle(panel: PanelTensors, fold: Fold, drifts: pl.DataFrame) -> NDArray[np.float64]:
    """Return the drift of the session after each test origin, (M,)."""
    keys = _keys(panel, fold.test)
    joined = keys.join(
        drifts, left_on=("date", "ticker"), right_on=("Date", "Ticker"), how="left", maintain_order="left"
    )
    return joined["drift"].to_numpy()


def linear(panel: PanelTensors, fold: Fold, *, spec: FitSpec) -> NDArray[np.float64]:
    """Return the one-session forecasts at the test origins, (M,), of a least-squares regression on a network's inputs.

    It is shown the last row of the window that ``spec`` reads, standardised as for the network, and fitted on the fold's
    training origins.
    """
    stats = fit_stats(panel, fold)
    columns = panel.columns(spec.reads.columns)

    def design(rows: torch.Tensor) -> torch.Tensor:
        x = stats.standardise(panel.features[rows][:, columns], columns).double().nan_to_num(0.0)
        return torch.cat([x, x.new_ones(len(x), 1)], dim=1)  # (M, C + 1)

    labelled = fold.train[torch.isfinite(panel.targets[fold.train, 0])]
    fitted = torch.linalg.lstsq(design(labelled), panel.targets[labelled, :1].double(), driver="gelsd").solution
    return (design(fold.test) @ fitted).squeeze(1).numpy()


def _medians(table: pl.DataFrame, panel: PanelTensors, fold: Fold) -> NDArray[np.float64]:
    """Return a forecast table's one-session medians at the test origins, (M,)."""
    one = table.filter(pl.col("horizon") == 1, pl.col("split") == "test").select("date", "ticker", "q50")
    joined = _keys(panel, fold.test).join(one, on=("date", "ticker"), how="left", maintain_order="left")
    return joined["q50"].to_numpy()


def _keys(panel: PanelTensors, rows: torch.Tensor) -> pl.DataFrame:
    days = pl.Series("date", panel.date[rows].numpy()).cast(pl.Date)
    return pl.DataFrame([days, pl.Series("ticker", panel.tickers).gather(panel.ticker[rows].numpy()).alias("ticker")])
