"""Settings chosen on the forecasts of the best trial: the rate of the calibration and the trading settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from forecast_assets.assets.fold.forecast_files import fold_table
from forecast_assets.core.scores.trading import EPS
from forecast_assets.core.specs import BacktestSpec, ResamplingSpec
from forecast_assets.store.artefact_files import TABLE, TRIAL_FORECASTS
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    import optuna

    from forecast_assets.assets.tuning.search import Search
    from forecast_assets.core.training.inner import InnerYear
    from forecast_assets.core.windows.tensors import PanelTensors


@dataclass(frozen=True)
class Selection:
    """The best trial of a search, and the settings that are chosen on its forecasts."""

    search: "Search"
    best: "optuna.trial.FrozenTrial"
    panel: "PanelTensors"
    calendar_panel: Version
    backtest: BacktestSpec

    def years(self) -> "list[InnerYear]":
        """Return the best trial's raw forecasts of each inner year."""
        from forecast_assets.assets.tuning.search import TrialRunner, load_forecasts, save_forecasts
        from forecast_assets.core.training.inner import inner_walk_forward, inner_years
        from forecast_assets.resources.study import folder_of

        stored = self.search.folder / folder_of(self.best.params) / TRIAL_FORECASTS
        if not stored.exists():  # another machine ran the trial: the same settings and seed give the same forecasts
            candidate = self.search.candidate(self.best.params)
            years = inner_walk_forward(
                candidate,
                self.search.budget,
                panel=TrialRunner(self.search).panel_for(candidate),
                hardware=self.search.hardware,
                report=lambda _: None,
            )
            stored.parent.mkdir(exist_ok=True)
            save_forecasts(stored, {year.fold.year: year.quantiles for year in years})
        raw = load_forecasts(stored)
        return inner_years(raw, panel=self.panel, folds=self.search.budget.folds, lookback=self.best.params["lookback"])

    def calibration_rate(self) -> tuple[pl.DataFrame, float]:
        """Return all rates with their scores, and the best: the smallest calibrated pinball relative to the first rate's."""
        from forecast_assets.core.training.inner import inner_score

        scores: dict[float, float] = {}
        first: tuple[float, ...] | None = None
        for rate in self.search.spec.calibration_rate:
            spec = self.search.budget.calibration.model_copy(update={"rate": rate, "enabled": True})
            pinball = inner_score(self.years(), panel=self.panel, calibration=spec).pinball
            first = first or pinball
            scores[rate] = sum(p / f for p, f in zip(pinball, first, strict=True)) / len(first)
        rows = [{"setting": "calibration.rate", "rate": rate, "score": score} for rate, score in scores.items()]
        self._log_evaluations(rows, rules=self.search.budget.calibration.model_dump(mode="json"))
        return pl.DataFrame(rows), min(scores, key=lambda rate: scores[rate])

    def trading(self, rate: float) -> tuple[pl.DataFrame, dict[str, Any]]:
        """Return all trading settings with their scores, and the best: the largest net Sharpe ratio over the inner
        years, of one book over each run of them without a gap. Where no setting ever trades none is changed.
        """
        from forecast_assets.core.backtest.costs import Costs
        from forecast_assets.core.backtest.decisions import consecutive, forecast_decisions, join_decisions
        from forecast_assets.core.backtest.simulate import Terms, market_of, trade_forecasts
        from forecast_assets.core.training.calibrate import calibrate_fold

        spec = self.search.spec
        calibration = self.search.budget.calibration.model_copy(update={"rate": rate, "enabled": True})
        years = self.years()
        last = max(year.fold.year for year in years)
        quotes = pl.scan_parquet(self.calendar_panel.path(TABLE)).filter(pl.col("date").dt.year() <= last).collect()
        decided = {}
        for year in years:
            online = calibrate_fold(year.quantiles, panel=self.panel, fold=year.fold, spec=calibration)
            published, raw = (
                fold_table(self.panel, year.fold, of, model="sweep") for of in (online.quantiles, year.quantiles)
            )
            decided[year.fold.year] = forecast_decisions(
                published, raw, horizon_sessions=self.backtest.horizon_sessions
            )
        runs = [join_decisions({year: decided[year] for year in run}) for run in consecutive(decided)]
        markets = [(run, market_of(run, quotes, spec=self.backtest)) for run in runs]
        costs = Costs.of(self.backtest.cost_bps, quotes)
        rows: list[dict[str, Any]] = []
        for smoothing in spec.smoothing:
            for kelly in spec.kelly_fraction:
                rules = self.backtest.model_copy(update={"smoothing": smoothing, "kelly_fraction": kelly})
                net = pl.concat(
                    trade_forecasts(run, Terms("sweep", view, rules, costs)).daily["net_return"]
                    for run, view in markets
                )
                deviation = float(net.std() or 0.0)  # type: ignore[arg-type]
                sharpe = float(net.mean() or 0.0) / deviation if deviation > EPS else None  # type: ignore[arg-type]
                rows.append({"setting": "trading", "smoothing": smoothing, "kelly_fraction": kelly, "score": sharpe})
        bootstrap = set(ResamplingSpec.model_fields)  # intervals, which are no part of what is evaluated
        common = self.backtest.model_dump(mode="json", exclude=bootstrap)
        self._log_evaluations(rows, rules={"calibration.rate": rate, **common})
        table = pl.DataFrame(rows, schema_overrides={"score": pl.Float64})
        traded = [row for row in rows if row["score"] is not None]
        if not traded:
            return table, {}
        best = max(traded, key=lambda row: row["score"])
        return table, {f"backtest.{setting}": best[setting] for setting in ("smoothing", "kelly_fraction")}

    def _log_evaluations(self, rows: list[dict[str, Any]], *, rules: dict[str, Any]) -> None:
        """Enter every inner year that was evaluated into the trial log, once for each of ``rows``, settings and their score.

        ``rules``: the settings that all rows have in common. The same evaluation made again has the same id.
        """
        import datetime as dt

        from forecast_assets.core.evaluation.trials import Trial
        from forecast_assets.resources.study import folder_of
        from forecast_assets.resources.trial_log import trial_journal

        made: dict[str, Any] = {"kind": "look", "model": "sweep", "seed": None, "score": None, "pruned": False}
        made["when"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        forecasts = [self.search.name, folder_of(self.best.params)]
        evaluations = []
        for row in rows:
            settings = sha256_text(canonical_json({**rules, **{k: v for k, v in row.items() if k != "score"}}))
            for year in self.search.budget.years:
                key = sha256_text(canonical_json([*forecasts, settings, year]))[:32]
                evaluations.append(Trial(id=key, spec=settings[:16], fold=str(year), **made))
        trial_journal(self.search.data_root).append(trial.as_record() for trial in evaluations)
