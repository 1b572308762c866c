"""``Forecaster``: forecasts, scores and explanations of one data root, as data frames."""

import datetime as dt
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from forecast_assets.core.errors import BadInput, UserError
from forecast_assets.forecaster.explain import ForecastExplanation, explain_forecast
from forecast_assets.forecaster.issued import forecasts_of, latest_forecasts
from forecast_assets.store.artefact_files import BACKTEST_METRICS, TABLE
from forecast_assets.store.asset_keys import BACKTEST, BACKTEST_REPORT, CALENDAR_PANEL
from forecast_assets.store.durable import replace_bytes
from forecast_assets.store.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class RunFailed(UserError):
    """A stage of the graph failed; the message names each with its reason."""


@dataclass(frozen=True)
class Picture:
    """A figure that a notebook shows and that can be saved."""

    figure: "Figure"

    def save(self, path: str | Path) -> Path:
        """Write it as PNG or SVG, as the suffix says. Raises BadInput for another suffix."""
        from forecast_assets.core.report.figure_style import to_png, to_svg

        path = Path(path)
        if path.suffix not in (".png", ".svg"):
            raise BadInput(f"{path}: a picture is a .png or a .svg")
        path.write_bytes(to_png(self.figure) if path.suffix == ".png" else to_svg(self.figure).encode())
        return path

    def _repr_png_(self) -> bytes:
        from forecast_assets.core.report.figure_style import to_png

        return to_png(self.figure)


class Forecaster:
    """Forecasts, scores and explanations of what one data root holds.

    ``Forecaster.fit`` runs the graph, ``Forecaster.load`` opens what a run or the nights have made. Both read and write what
    the command line, Dagster and the service do, so all of them give the same numbers.
    """

    def __init__(self, store: Store) -> None:
        """Open ``store``; use ``load`` or ``fit``."""
        self.store = store

    @classmethod
    def load(cls, data_dir: str | Path = "data") -> "Forecaster":
        """Open the data root ``data_dir``: a folder, or an fsspec URL. Raises BadInput where it holds no store."""
        root = str(data_dir).rstrip("/")
        store = Store(f"{root}/store")
        if not store.assets():
            raise BadInput(
                f"{root}: nothing is materialised there; name the folder of --data-dir, or use Forecaster.fit"
            )
        return cls(store)

    @classmethod
    def fit(
        cls,
        panel: "str | Path | pl.DataFrame | pd.DataFrame",
        *,
        data_dir: str | Path = "data",
        profile: str = "demo",
        years: Sequence[int] = (),
        settings: Sequence[str] = (),
    ) -> "Forecaster":
        """Run the graph on ``panel`` and open the result. What has not changed since the last run is not computed again.

        ``panel``: a file, a folder of files, or a polars or pandas frame with the columns of such a file (Date, Ticker,
        Sector, Opening Price, Closing Price, Volume; see ``docs/files.md``). ``years``: test years, all where none is
        named. ``settings``: as with ``--set``, such as ``"backtest.cost_bps=5"``. Raises RunFailed where a stage failed.
        """
        import dagster as dg

        root = Path(data_dir)
        path = panel if isinstance(panel, str | Path) else _written(panel, root)
        variables = {"FORECAST_DATA_DIR": root, "FORECAST_PROFILE": profile, "FORECAST_PANEL": path}
        with _environment({name: str(value) for name, value in variables.items()}), warnings.catch_warnings():
            # A notebook has an event loop of its own, beside which Dagster leaves a coroutine, and no widgets for bars.
            warnings.filterwarnings("ignore", "coroutine .*shutdown_asyncgens")
            warnings.filterwarnings("ignore", "IProgress not found")
            from forecast_assets.automation.pipeline import Plan, run_pipeline
            from forecast_assets.definitions import defs, store
            from forecast_assets.resources.settings import compose_settings

            compose_settings(profile, list(settings))  # an unknown profile or setting ends it before anything starts
            plan = Plan(years=tuple(map(str, years)), settings={"profile": profile, "overrides": list(settings)})
            named = "DAGSTER_HOME" in os.environ
            with dg.DagsterInstance.get() if named else dg.DagsterInstance.ephemeral() as instance:
                opened = store.store()
                outcome = run_pipeline(defs, instance=instance, store=opened, root=str(root), plan=plan)
        if outcome.failures:
            raise RunFailed("; ".join(f"{f.asset} {f.part}".strip() + f": {f.message}" for f in outcome.failures))
        return cls(opened)

    def forecast(self, *tickers: str, date: dt.date | str | None = None) -> pl.DataFrame:
        """Return the forecasts of ``tickers`` at the close of ``date`` (None: the latest); without tickers the last night's.

        A row per ticker and horizon, with the columns of ``forecaster.issued.COLUMNS``. Raises BadInput for an unknown
        ticker or a day without a forecast.
        """
        if tickers:
            return forecasts_of(self.store, tickers, day=_day(date))
        if date is not None:
            raise BadInput("name the tickers whose forecasts of that day are wanted")
        return latest_forecasts(self.store)

    def backtest(self, *, daily: bool = False) -> pl.DataFrame:
        """Return a row per strategy with its return, risk and cost over all test years; with ``daily`` a row per date.

        Returns are fractions of capital, a year's unless ``daily``.
        """
        if daily:
            years = self.store.partitions(BACKTEST)
            return pl.concat(pl.read_parquet(self.store.current(BACKTEST, year).path(TABLE)) for year in years)
        return pl.DataFrame(self._report()["strategies"])

    def leaderboard(self) -> pl.DataFrame:
        """Return a row per model and horizon, best first: pinball loss relative to EWMA, coverage, rank IC.

        All models are scored on the same forecast origins. Ratios below 1 are better than EWMA.
        """
        return pl.DataFrame(self._report()["forecasts"]).sort("horizon", "pinball_ratio")

    def verdicts(self) -> list[str]:
        """Return the report's sentences: each claim with what the evidence says."""
        return [
            f"{verdict['claim']}: {verdict['verdict']}. {verdict['sentence']}" for verdict in self._report()["verdicts"]
        ]

    def explain(
        self, ticker: str, *, date: dt.date | str | None = None, model: str = "b2_tft_ticker"
    ) -> ForecastExplanation:
        """Explain how the best fit of ``model`` made a forecast (None: its latest one in a test year).

        Raises as ``forecaster.explain.explain_forecast``.
        """
        day = _day(date) or forecasts_of(self.store, [ticker])["date"][0]
        return explain_forecast(self.store, model=model, ticker=ticker, day=day)

    def plot(self, ticker: str, *, date: dt.date | str | None = None) -> Picture:
        """Draw the closes of ``ticker`` and its forecast (None: the latest) as a fan; what came after it, where known."""
        from forecast_assets.core.report.figures import fan_chart

        forecasts = self.forecast(ticker, date=date).with_columns(model=pl.lit("ensemble"))
        day, name = forecasts["date"][0], forecasts["ticker"][0]
        prices = self.closes(name)
        return Picture(fan_chart(prices, forecasts, ticker=name, date=day, model="ensemble"))

    def closes(self, ticker: str) -> pl.DataFrame:
        """Return date, ticker and close of the sessions on which ``ticker`` was quoted, ascending."""
        panel = pl.scan_parquet(self.store.current(CALENDAR_PANEL).path(TABLE))
        mine = panel.filter(pl.col("ticker") == ticker, ~pl.col("is_missing"))
        return mine.select("date", "ticker", "close").sort("date").collect()

    def _report(self) -> dict[str, Any]:
        content: dict[str, Any] = self.store.current(BACKTEST_REPORT).json(BACKTEST_METRICS)
        return content


def _day(date: dt.date | str | None) -> dt.date | None:
    if not isinstance(date, str):
        return date
    try:
        return dt.date.fromisoformat(date)
    except ValueError:
        raise BadInput(f"{date}: not a date like 2024-01-31") from None


def _written(panel: "pl.DataFrame | pd.DataFrame", root: Path) -> Path:
    """Write a frame to the data root as a file that the graph reads; the same frame is the same file."""
    frame = panel if isinstance(panel, pl.DataFrame) else pl.from_pandas(panel)
    content = io.BytesIO()
    frame.write_parquet(content)
    path = root / "raw" / "frame.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_bytes(path, content.getvalue())
    return path


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while: the graph is configured by them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ |= variables
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
