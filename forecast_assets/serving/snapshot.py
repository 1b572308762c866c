"""The immutable snapshot that answers come from: a model, its data, and the forecasts issued so far."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.scores.direction import probability_above
from forecast_assets.core.scores.quantile import mean_sigma_from_quantiles
from forecast_assets.core.training.calibrate import CalibrationState, apply
from forecast_assets.core.training.calibration_groups import Membership
from forecast_assets.core.windows.days import to_date, to_day
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.history import Closes, History
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.issued import Floats, Forecast, ForecastTable, IssuedForecasts, Provenance
from forecast_assets.serving.schemas import (
    Answer,
    Book,
    Horizon,
    NewestForecast,
    NewestForecasts,
    NewestHorizon,
    Quantiles,
)

DECIMALS = 6  # of the newest forecasts: a ten-thousandth of a percent


class Card(Protocol):
    """The fields of a model's card that the service reads."""

    @property
    def model_version(self) -> str: ...
    @property
    def cutoff(self) -> dt.date: ...
    @property
    def lookback(self) -> int: ...
    @property
    def calibrated(self) -> bool: ...
    @property
    def features(self) -> tuple[str, ...]: ...


class Model(Protocol):
    """The methods of a bundle that the service calls."""

    @property
    def card(self) -> Card: ...
    @property
    def state(self) -> CalibrationState: ...
    def forecast(self, panel: PanelTensors, rows: Tensor, *, state: CalibrationState) -> Any:
        """Return an object with ``raw`` (B, 3, 7) and ``groups``, those of the B forecasts."""

    def rename(self, renames: Mapping[str, str]) -> None:
        """Give what the model knows of each renamed ticker to its latest name."""

    def explain(self, panel: PanelTensors, row: int) -> Any:
        """Return (fit, explanation) of one forecast, or None where no member can be explained."""


class PendingForecast(NamedTuple):
    """A forecast that the model has to compute."""

    ticker: str
    day: int
    row: int


@dataclass(frozen=True)
class Snapshot:
    """What one request reads, from begin to end. Nothing in it ever changes."""

    id: str
    issued: IssuedForecasts
    folds: Mapping[str, ForecastTable]  # year -> its fold's out-of-sample forecasts
    states: Mapping[str, tuple[str, CalibrationState]]  # day of a night -> (model version, state that it applied)
    history: History | None
    model: Model | None
    closes: Closes
    book: Book | None
    report: bytes | None  # the backtest report's page
    tickers: tuple[str, ...]
    latest: dict[str, bytes] = field(default_factory=dict)  # ticker -> its latest night's answer as JSON

    @cached_property
    def newest(self) -> bytes:
        """The answer of /forecasts as JSON."""
        return self.newest_forecasts().model_dump_json().encode()

    @classmethod
    def of(
        cls,
        identity: str,
        *,
        nights: dict[str, ForecastTable],
        folds: Mapping[str, ForecastTable],
        states: Mapping[str, tuple[str, CalibrationState]],
        history: History | None,
        model: Model | None,
        closes: Closes,
        book: Book | None,
        report: bytes | None,
    ) -> "Snapshot":
        """Assemble a snapshot, and prepare the latest night's answers as JSON."""
        issued = IssuedForecasts(nights)
        tickers = set(issued.latest) | (set(history.span) if history is not None else set())
        for fold in folds.values():
            tickers |= set(fold.span)
        snapshot = cls(identity, issued, folds, states, history, model, closes, book, report, tuple(sorted(tickers)))
        for ticker in issued.latest:
            answer = snapshot.find(ticker, None)
            assert isinstance(answer, Answer)  # the latest issued forecast was issued
            snapshot.latest[ticker] = answer.model_dump_json().encode()
        assert snapshot.newest  # made here, in the watch's thread, and not by the first request
        return snapshot

    @property
    def night(self) -> str | None:
        """The latest night's day."""
        return max(self.issued.nights, default=None)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The MICs of the panel; none without one."""
        return () if self.history is None else self.history.panel.exchanges

    @property
    def newest_issued_day(self) -> int | None:
        """The day of the newest issued forecast of all, None without any."""
        tables = (*self.issued.nights.values(), *self.folds.values())
        return max((int(table.date.max()) for table in tables if len(table.date)), default=None)

    def find(self, ticker: str, date: dt.date | None) -> Answer | PendingForecast:
        """Return the issued forecast, or the one that the model has to compute. Raises HttpError."""
        self.check_known(ticker)
        day = to_day(date) if date is not None else self.latest_day(ticker)
        found = self.issued_at(ticker, day)
        return self.pending(ticker, day) if found is None else self._answer(ticker, day, *found)

    def issued_at(self, ticker: str, day: int) -> tuple[Forecast, Provenance] | None:
        """Return the forecast that a night, or else the walk-forward, issued for ``ticker`` on ``day``."""
        if (found := self.issued.at(ticker, day)) is not None:
            return found
        for fold in self.folds.values():
            if (forecast := fold.at(ticker, day)) is not None:
                return forecast, fold.provenance
        return None

    def newest_day_of(self, ticker: str) -> int | None:
        """Return the day of the ticker's newest night or else of its newest walk-forward forecast, None without any."""
        if (day := self.issued.latest.get(ticker)) is not None:
            return day
        days = [int(fold.date[fold.span[ticker][1] - 1]) for fold in self.folds.values() if ticker in fold.span]
        return max(days, default=None)

    def newest_forecasts(self) -> NewestForecasts:
        """Return the newest issued forecast of every ticker that has one."""
        days = ((ticker, self.newest_day_of(ticker)) for ticker in self.tickers)
        rows = [self._newest(ticker, day) for ticker, day in days if day is not None]
        return NewestForecasts(snapshot=self.id, night=self.night, report=self.report is not None, forecasts=rows)

    def _newest(self, ticker: str, day: int) -> NewestForecast:
        found = self.issued_at(ticker, day)
        assert found is not None  # the newest issued forecast was issued
        (q, _, sigma, p_up), made_by = found
        sector, exchange = (None, None) if self.history is None else self.history.labels(ticker)
        shown = np.round(np.column_stack([q[:, [0, 3, 6]], p_up, sigma]), DECIMALS).tolist()  # (3, 5)
        names = ("low", "median", "high", "p_up", "sigma")
        horizons = [
            NewestHorizon(sessions=sessions, **dict(zip(names, row, strict=True)))
            for sessions, row in zip(HORIZONS, shown, strict=True)
        ]
        return NewestForecast(
            ticker=ticker,
            sector=sector,
            exchange=exchange,
            session=to_date(day),
            source=made_by.source,
            horizons=horizons,
        )

    def pending(self, ticker: str, day: int) -> PendingForecast:
        """Return a forecast that the model may compute. Raises HttpError where it is in sample or has too little history."""
        self.check_known(ticker)
        date = to_date(day)
        if self.history is None or ticker not in self.history.span:
            raise HttpError(404, "no_forecast", f"{ticker}: no forecast for {date}, and no feature data to make one.")
        row = self.history.row(ticker, day)
        if not bool(self.history.panel.member[row]):
            raise HttpError(
                422, "not_a_member", f"{ticker}: it was not in the universe on {date}; choose another session."
            )
        if self.model is None:
            raise HttpError(404, "no_forecast", f"{ticker}: no forecast was issued for {date}, and there is no model.")
        if date <= (cutoff := self.model.card.cutoff):
            sentence = (
                f"{ticker}: the model was trained on outcomes up to {cutoff}, so a forecast for {date} would not be out of "
                "sample, and none was issued at the time."
            )
            raise HttpError(422, "in_sample", sentence)
        have, need = int(self.history.panel.run_length[row]), self.model.card.lookback
        if have < need:
            sentence = f"{ticker}: {have} complete sessions lead up to {date}, and a forecast needs {need}."
            raise HttpError(422, "short_history", sentence)
        return PendingForecast(ticker, day, row)

    def compute(self, wanted: list[PendingForecast]) -> list[Answer]:
        """Compute several forecasts in one run of the model."""
        import torch

        assert self.model is not None
        assert self.history is not None
        initial = CalibrationState.initial()
        rows = torch.tensor([one.row for one in wanted], dtype=torch.int64)
        made = self.model.forecast(self.history.panel, rows, state=initial)
        raw = np.asarray(made.raw, dtype=np.float64)  # (B, 3, 7)
        return [
            self._computed(one, raw[k : k + 1], made.groups[k : k + 1], self._calibration_at(one.day))
            for k, one in enumerate(wanted)
        ]

    def latest_day(self, ticker: str) -> int:
        """Return the day of the ticker's latest forecast. Raises HttpError for an unknown ticker."""
        self.check_known(ticker)
        if self.history is not None and ticker in self.history.span and ticker not in self.issued.latest:
            return self.history.latest(ticker)
        day = self.newest_day_of(ticker)
        assert day is not None  # a known ticker is in the panel, or was forecast
        return day

    def _computed(
        self, one: PendingForecast, raw: Floats, groups: Membership, state: CalibrationState | None
    ) -> Answer:
        assert self.model is not None
        assert self.history is not None
        q = (apply(state, raw, groups=groups) if state is not None else np.sort(raw, axis=-1))[0]  # (3, 7)
        if not np.isfinite(q).all():
            raise ValueError(f"{one.ticker} on {to_date(one.day)}: the model's quantiles are not finite")
        mean, sigma = mean_sigma_from_quantiles(q)
        made_by = Provenance("computed", state is not None, self.model.card.model_version, self.history.data_version)
        return self._answer(one.ticker, one.day, Forecast(q, mean, sigma, probability_above(q)), made_by)

    def _calibration_at(self, day: int) -> CalibrationState | None:
        """Return the calibration state in force on ``day``; None where it is not on record.

        A later state has learned from outcomes after that day. The model's own state is as old as its export, so it
        serves forecasts on the panel's last day only.
        """
        assert self.model is not None
        assert self.history is not None
        if not self.model.card.calibrated:
            return None
        version = self.model.card.model_version
        until = to_date(day).isoformat()
        if nights := [night for night, (model, _) in self.states.items() if night <= until and model == version]:
            return self.states[max(nights)][1]
        return self.model.state if day >= int(self.history.date.max()) else None

    def check_known(self, ticker: str) -> None:
        """Raise HttpError, with the nearest tickers, for one that is neither in the panel nor in a forecast."""
        if ticker in self.issued.latest or (self.history is not None and ticker in self.history.span):
            return
        if any(ticker in fold.span for fold in self.folds.values()):
            return
        nearest = nearest_names(ticker, self.tickers)
        hint = f"; did you mean {', '.join(nearest)}?" if nearest else "."
        raise HttpError(404, "unknown_ticker", f"{ticker!r}: no such ticker in the panel{hint}", nearest=nearest)

    def _answer(self, ticker: str, day: int, forecast: Forecast, made_by: Provenance) -> Answer:
        horizons = [
            Horizon(
                sessions=sessions,
                quantiles=Quantiles(**dict(zip(QUANTILE_COLUMNS, forecast.quantiles[k].tolist(), strict=True))),
                mean=float(forecast.mean[k]),
                sigma=float(forecast.sigma[k]),
                p_up=float(forecast.p_up[k]),
            )
            for k, sessions in enumerate(HORIZONS)
        ]
        return Answer(ticker=ticker, session=to_date(day), horizons=horizons, snapshot=self.id, **made_by._asdict())
