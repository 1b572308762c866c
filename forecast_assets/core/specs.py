"""Every setting of the project, declared once: frozen, typed, described.

Profiles (``conf/profile``), the command line and the Dagster launchpad all fill these same specs. A spec is data: what it
means is written next to the code that reads it. This module imports nothing heavier than pydantic, so that loading the
Dagster definitions stays quick.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from forecast_assets.core.credentials import has_password
from forecast_assets.core.errors import BadSetting
from forecast_assets.core.horizons import HORIZONS, horizons_text


def refuse_password(value: str, *, setting: str) -> None:
    """Raise BadSetting, without the value, for a URL with a password in it: settings stand on run pages and in logs."""
    if has_password(value):
        raise BadSetting(
            f"settings: {setting}: the URL holds a password, and a setting is shown on run pages; leave it to PGPASSWORD or "
            "~/.pgpass, or to what else the database's driver reads."
        )


class Spec(BaseModel):
    """Base of all specs: frozen, and an unknown key is an error rather than a silent no-op."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Correction(Spec):
    """One declared repair of a known data error; it applies only where the panel shows that very error."""

    ticker: str
    kind: Literal["neutralise_return", "trim"]
    date: dt.date = Field(
        description="neutralise_return: the session of the false return; trim: first session kept or dropped"
    )
    end: dt.date | None = Field(None, description="trim: last session of the range that is dropped")
    log_return: float | None = Field(None, description="neutralise_return: the false log return, as seen in the data")
    known_from: dt.date | None = Field(
        None, description="day from which the error was known; a replay of an earlier night does not repair it"
    )
    reason: str


def text_keys(value: Any) -> Any:
    """Return a mapping with its keys as text: 7203 is a ticker. Raises ValueError for what YAML made of NO or 1.5."""
    if not isinstance(value, Mapping):
        return value
    if odd := [key for key in value if isinstance(key, bool) or not isinstance(key, str | int)]:
        raise ValueError(f"{odd[0]!r} is how YAML reads a ticker without quotes; put it in quotes")
    return {str(key): each for key, each in value.items()}


class ReadSpec(Spec):
    """How files are read where they do not say it themselves; also what ``panel.yaml`` beside them may hold."""

    date_format: str | None = Field(None, description="of dates with two readings, like %d/%m/%Y; also epoch, minguo")
    decimal: Literal[".", ","] | None = Field(None, description="decimal mark of prices and volumes with two readings")
    exchange: str | None = Field(
        None, description="exchange (MIC or word) of all tickers of files without such a column"
    )
    adjust: Literal["auto", "none"] = Field(
        "auto", description="auto: prices adjusted for splits and dividends where a file has both; none: as quoted"
    )
    one_price: bool = Field(False, description="read files with one price a day: each close is its day's open too")


class PanelSpec(ReadSpec):
    """From raw rows to one row per ticker and session."""

    columns: dict[str, tuple[str, ...]] = Field(description="accepted spellings of each raw column")
    exchanges: dict[str, str] = Field(
        description="exchange (MIC) of each ticker suffix ('' is no suffix), and of words beside the known ones"
    )
    regions: dict[str, str] = Field(
        description="region (Americas, Europe, Asia-Pacific, Crypto, Currencies, Futures) of each exchange"
    )
    tickers: dict[str, str] = Field(
        default_factory=dict,
        description="exchange of a ticker, whatever its name and its dates say, such as {7203: XTKS} after --set; "
        'in quotes in a file ({"0700": XHKG}): YAML reads 0700 as 448 and NO as false',
    )
    corrections: tuple[Correction, ...] = Field(
        (), description="known errors of the rows, each with what is right and why"
    )
    calendar: Literal["exchange", "union"] = Field("exchange", description="sessions a ticker is reindexed to")
    max_fill_sessions: int = Field(5, ge=0, description="longest hole that is forward-filled")
    ended_after_sessions: int = Field(20, ge=1, description="silence after which a ticker counts as ended")
    calendar_days: int = Field(
        60, ge=0, description="days before an exchange's calendar ends from which a warning is given"
    )
    max_invalid_share: float = Field(0.05, ge=0, le=1, description="share of invalid rows that blocks downstream")
    large_return: float = Field(0.5, gt=0, description="one-session |simple return| that is flagged")
    max_revision_cost: float = Field(
        0.01, ge=0, description="share of pinball that revisions after a night may have cost before a warning is given"
    )
    renames: dict[str, str] = Field(
        default_factory=dict, description="old ticker -> new one, such as {FB: META}: its history carries on"
    )

    def known_on(self, day: dt.date) -> "PanelSpec":
        """Return it with the corrections that were known on ``day``."""
        known = tuple(each for each in self.corrections if each.known_from is None or each.known_from <= day)
        return self.model_copy(update={"corrections": known})

    @field_validator("renames", "tickers", mode="before")
    @classmethod
    def _may_be_left_out(cls, value: Any) -> Any:
        return {} if value is None else value  # Hydra's default: it lets no override fill an empty mapping

    @field_validator("tickers", mode="before")
    @classmethod
    def _are_text(cls, value: Any) -> Any:
        return text_keys(value)

    @field_validator("tickers")
    @classmethod
    def _name_exchanges(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        known = {*info.data.get("regions", {}), *info.data.get("exchanges", {}).values()}
        for ticker, exchange in value.items():
            if exchange not in known:
                raise ValueError(f"{exchange} ({ticker}) is not an exchange of panel.regions")
        return value

    @field_validator("renames")
    @classmethod
    def _leads_somewhere(cls, value: dict[str, str]) -> dict[str, str]:
        for ticker in value:
            path = [ticker]
            while (new := value.get(path[-1])) is not None:
                if new in path:
                    raise ValueError(
                        f"{' -> '.join([*path, new])} goes in a circle; leave the latest name without a rename"
                    )
                path.append(new)
        return value


class FeatureSpec(Spec):
    """Causal features. Lengths are in sessions of the ticker's own exchange."""

    volume_window: int = Field(20, ge=2, description="sessions of the volume's mean and deviation")
    volatility_window: int = Field(20, ge=2, description="sessions of the rolling volatility")
    rsi_window: int = Field(14, ge=2, description="sessions of the relative strength index (Wilder's average)")
    macd_fast: int = Field(12, ge=1, description="span of the MACD's fast average")
    macd_slow: int = Field(26, ge=2, validate_default=True, description="span of the MACD's slow average")
    macd_signal: int = Field(9, ge=1, description="span of the MACD's signal line")
    moment_window: int = Field(60, ge=4, description="window of the rolling skewness and kurtosis")
    ewma_decay: float = Field(0.94, gt=0, lt=1, description="decay of the EWMA variance (RiskMetrics)")

    @field_validator("macd_slow")
    @classmethod
    def _is_slower(cls, value: int, info: ValidationInfo) -> int:
        # Both averages start where the slow one can; a faster "slow" one would start before the other's first mean.
        if value <= info.data.get("macd_fast", 0):
            raise ValueError(f"has to be longer than macd_fast ({info.data['macd_fast']})")
        return value


class ReleaseSpec(Spec):
    """When the value of a day is known: hours after an exchange's close of that day, or days later at a time of day."""

    exchange: str | None = Field(None, description="MIC of the exchange after whose close it is released, such as XNYS")
    hours: float = Field(0.0, ge=0, description="hours from that close to the release")
    days: int | None = Field(None, ge=0, description="calendar days from its date to the release")
    time: dt.time | None = Field(None, description='time of day of the release, in quotes: "08:30"')
    zone: str | None = Field(None, description="time zone of that time, such as America/New_York")

    @field_validator("time", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        # YAML reads 16:30 without quotes as a number in base 60.
        is_base_60 = isinstance(value, int) and not isinstance(value, bool)
        return f"{value // 60:02}:{value % 60:02}" if is_base_60 else value

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("is no time zone; write one like Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _is_one_form(self) -> Self:
        later = [name for name in ("days", "time", "zone") if getattr(self, name) is not None]
        if (self.exchange is None) == (not later) or (later and (len(later) < 3 or self.hours)):
            raise ValueError(
                'says not when; write {exchange: XNYS, hours: 2} or {days: 1, time: "08:30", zone: America/New_York}'
            )
        return self


class CovariateColumn(Spec):
    """A feature made from a column of a covariate's file."""

    column: str = Field(description="column of the file")
    transform: Literal["level", "log", "change", "log_change"] = Field(
        "level", description="the value, its log, or the change of either from the value `over` values before"
    )
    over: int = Field(1, ge=1, description="values of the file that a change looks back")
    at_least: float | None = Field(None, description="a smaller result counts as this one")
    at_most: float | None = Field(None, description="a larger result counts as this one")


class CovariateSpec(Spec):
    """A file of a user's own series, as ``covariates.yaml`` declares it."""

    path: str = Field(description="CSV or Parquet file; a relative path starts where covariates.yaml lies")
    kind: Literal["observed", "known_future", "static"] = Field(
        description="observed: values of days past; known_future: events on days ahead; static: one value per ticker"
    )
    key: Literal["date", "ticker"] = Field("date", description="whose values: of a date, or of a ticker and date")
    release: ReleaseSpec | None = Field(None, description="when a value is known, where no column available_at says so")
    stale_days: int = Field(10, ge=1, description="calendar days after which an observed value is too old: missing")
    columns: dict[str, CovariateColumn] = Field(
        {}, description="features by name; empty: each column of numbers as it is"
    )
    announcements: bool = Field(
        False, description="known_future: the events are companies' reports, which raise a horizon's variance"
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        changes = [name for name, each in self.columns.items() if each.transform.endswith("change")]
        if self.kind == "observed":
            if self.announcements:
                raise ValueError("announcements are events; declare kind: known_future")
        elif self.release is not None:
            raise ValueError(
                "a static value has no release; leave it out"
                if self.kind == "static"
                else "release counts from the event itself; give a column available_at, when each date was announced"
            )
        elif changes:
            raise ValueError(f"columns: {changes[0]}: a {self.kind} value has none before it; choose level or log")
        return self

    @property
    def is_of_tickers(self) -> bool:
        """Whether each ticker has values of its own; a static value is always a ticker's."""
        return self.key == "ticker" or self.kind == "static"


class WindowSpec(Spec):
    """What one window holds."""

    lookback: int = Field(120, ge=2, description="observed sessions that a window shows a model")


class FoldSpec(Spec):
    """Yearly walk-forward: where time is cut."""

    first_test_year: int = Field(
        2019,
        ge=1900,
        description="where the panel reaches it and has history before it; else the panel's first year that has",
    )
    min_history_sessions: int = Field(
        480, ge=1, description="union sessions (days on which any exchange is open) before the first test year"
    )
    validation_sessions: int = Field(126, ge=1, description="union sessions of validation forecast origins")
    purge_sessions: int = Field(HORIZONS[-1] + 1, ge=0, description="union sessions left out before the test year")
    spans: int = Field(
        0,
        ge=0,
        description="earlier times that training leaves out too, to judge a location by; fewer on a short panel",
    )
    span_sessions: int = Field(42, ge=1, description="union sessions of such a span")
    span_stride_sessions: int = Field(
        210, ge=1, description="from one span's begin to the next one's; ten months take them through the seasons"
    )


class SweepSpec(Spec):
    """The search for settings on the years before the first test year, and what is searched."""

    trials: int = Field(24, ge=0, description="distinct settings that are tried; 0: the profile's stand")
    years: tuple[int, ...] = Field(
        (2015, 2016, 2017, 2018),
        description="inner years, where history suffices; else the four before the panel's first test year",
    )
    models: tuple[str, ...] = Field(
        ("b1_tft", "b2_tft_ticker", "b3_tft_sector", "b4_patchtst"), description="networks that are tried"
    )
    hidden: tuple[int, ...] = Field((32, 64, 128), description="widths that are tried")
    learning_rate: tuple[float, ...] = Field((3e-4, 1e-3, 3e-3), description="of the cosine decay's start")
    lookback: tuple[int, ...] = Field((60, 120, 250), description="observed sessions that are tried")
    epochs: int = Field(3, ge=1, description="of an inner year's fit")
    samples_per_epoch: int = Field(4_000, ge=1, description="samples (windows) per epoch of an inner year")
    max_tickers: int = Field(60, ge=1, description="tickers that settings are tried on, where a panel has more")
    tolerance: float = Field(
        0.001,
        ge=0,
        description="rise of the loss (a share of it) that a shorter lookback or a narrower network may cost",
    )
    coverage_low: float = Field(0.92, description="settings whose 95 % band covers less, at any horizon, ...")
    coverage_high: float = Field(0.98, description="... or more, are not feasible")
    calibration_rate: tuple[float, ...] = Field((0.005, 0.01, 0.02, 0.05), description="see calibration.rate")
    smoothing: tuple[float, ...] = Field((0.9, 0.95, 0.98), description="see backtest.smoothing")
    kelly_fraction: tuple[float, ...] = Field((0.25, 0.5), description="see backtest.kelly_fraction")
    seed: int = Field(0, ge=0, description="of the sampler and of every fit")
    # How it is carried out changes no result, so it is no part of the settings that a version is known by.
    workers: int = Field(1, ge=1, exclude=True, description="processes that try settings at the same time")
    storage: str = Field(
        "",
        exclude=True,
        description="of the study: a database URL (without a password: PGPASSWORD) or a journal file; empty: SQLite",
    )

    @field_validator("storage")
    @classmethod
    def _no_password(cls, value: str) -> str:
        refuse_password(value, setting="sweep.storage")
        return value


class ChronosSpec(Spec):
    """F0: zero-shot forecasts of a Chronos foundation model. Not tuned: it may know the years that settings are tuned on."""

    trained_until: dt.date | None = Field(
        None,
        description="last day that may be in the weights' training data: only later forecast origins are forecast and "
        "scored; unset: the release of a model that the hub is known for, and any other is refused",
    )
    context_sessions: int = Field(512, ge=2, description="closes of a ticker that it reads, up to the forecast origin")
    batch_size: int = Field(256, ge=1, description="forecast origins of one call")


class EnsembleSpec(Spec):
    """Which fits are combined, and how."""

    members: int = Field(5, ge=1, description="most fits: each lowers the combination's validation pinball")
    groups: int = Field(3, ge=1, description="groups of the median of means")
    tolerance: float = Field(
        0.001,
        ge=0,
        description="rise of the relative loss on validation that a member may cost: half a year does not tell it from none",
    )


class CalibrationSpec(Spec):
    """Online calibration of forecast quantiles on matured outcomes."""

    enabled: bool = Field(True, description="publish calibrated forecasts; the raw ones stay beside them")
    rate: float = Field(
        0.02, gt=0, le=0.2, description="share of a coverage gap that one day's matured outcomes close at h=1"
    )
    exchange_rate: float = Field(
        0.01,
        ge=0,
        le=0.2,
        description="the same of what an exchange's coverage differs in from that of all; 0: one for all",
    )
    volatility_rate: float = Field(
        0.02, ge=0, le=0.2, description="the same of a decile of the volatility forecast; 0: one for all"
    )


CostBps = float | dict[str, float]  # basis points a side: for all tickers, or by ``default``, region and ticker


class ResamplingSpec(Spec):
    """The bootstrap of confidence intervals."""

    bootstrap_samples: int = Field(1000, ge=1, description="resamples behind each confidence interval")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")


class CoverageSpec(ResamplingSpec):
    """The coverage contract: how far the 95 % band's coverage may lie from nominal, by exchange and by volatility."""

    many_tickers: int = Field(
        20, ge=1, description="tickers of an exchange from which on the narrow limits hold, at h=1"
    )
    many_low: float = Field(0.93, ge=0, le=1, description="least coverage of such an exchange ...")
    many_high: float = Field(0.97, ge=0, le=1, description="... and the largest")
    few_tickers: int = Field(5, ge=1, description="tickers of an exchange below which there is no limit")
    few_low: float = Field(0.90, ge=0, le=1, description="least coverage of an exchange between the two ...")
    few_high: float = Field(0.98, ge=0, le=1, description="... and the largest")
    decile_low: float = Field(
        0.92, ge=0, le=1, description="least coverage of a decile of the band's width, every h ..."
    )
    decile_high: float = Field(0.98, ge=0, le=1, description="... and the largest")


class BacktestSpec(ResamplingSpec):
    """The trading simulation's rules. Declared in advance; the inner walk-forward may change them, a test year never."""

    execution: Literal["next_open", "same_close"] = Field("next_open", description="same_close is optimistic")
    horizon_sessions: int = Field(
        20 if 20 in HORIZONS else HORIZONS[-1],
        description=f"horizon whose forecast is traded, as that many tranches: {horizons_text(last='or')}",
    )
    cost_bps: CostBps = Field(
        5.0,
        description="cost of a trade, basis points of its value, each side: a number, or by region and ticker, such as "
        "{default: 5, Europe: 8, BMW.DE: 3}",
    )
    kelly_fraction: float = Field(
        0.5, gt=0, le=1, description="share of the Kelly weight, mean over variance, that is held"
    )
    name_cap: float = Field(0.05, gt=0, description="largest |weight| of a ticker")
    gross_cap: float = Field(2.0, gt=0, description="largest sum of |weights|")
    sigma_floor: float = Field(0.005, gt=0, description="lower bound of the one-session sigma")
    smoothing: float = Field(0.9, ge=0, lt=1, description="a in w = a w_prev + (1 - a) target")
    book: Literal["neutral", "directional"] = Field(
        "neutral", description="neutral: no net position, forecast scale or past beta within any region"
    )
    max_wait_sessions: int = Field(5, ge=0, description="sessions an order waits for a quote before it is cancelled")

    @field_validator("horizon_sessions")
    @classmethod
    def _is_forecast(cls, value: int) -> int:
        if value not in HORIZONS:
            raise ValueError(f"has to be {horizons_text(last='or')}")
        return value

    @field_validator("cost_bps", mode="before")
    @classmethod
    def _has_a_cost_for_every_ticker(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "default" not in value:
            raise ValueError("needs a 'default', the cost for every region and ticker that has none of its own")
        for rate in value.values() if isinstance(value, Mapping) else [value]:
            if isinstance(rate, bool) or not isinstance(rate, int | float):
                raise PydanticKnownError("float_type")
            if not rate >= 0:
                raise PydanticKnownError("greater_than_equal", {"ge": 0})
        return value


class CurrencySpec(Spec):
    """The currency that books and reports count in, where a file of exchange rates is given (FORECAST_FX); else unused."""

    base: str = Field("USD", description="what books and reports count in, such as EUR")
    max_age_days: int = Field(
        7, ge=0, description="calendar days that the last rate known stands, over holidays; after them it is missing"
    )
    tickers: dict[str, str] = Field(
        default_factory=dict,
        description="currency of a ticker that its exchange does not say, such as {SHEL.L: GBP}; GBX, ILA and ZAC are "
        "hundredths of GBP, ILS and ZAR",
    )
    exchanges: dict[str, str] = Field(
        default_factory=dict, description="currency of an exchange (MIC), beside or instead of the known ones"
    )

    @field_validator("base")
    @classmethod
    def _is_a_code(cls, value: str) -> str:
        if not re.fullmatch("[A-Z]{3}", value):
            raise ValueError("has to be a currency's code in capitals, such as EUR")
        return value

    @field_validator("tickers", "exchanges", mode="before")
    @classmethod
    def _may_be_left_out(cls, value: Any) -> Any:
        return {} if value is None else text_keys(value)


class DeclaredTrial(Spec):
    """A strategy or forecast that was evaluated on the same test years outside the store."""

    name: str
    sharpe: float | None = Field(None, description="its annual net Sharpe ratio, for the report; null: not a strategy")
    trials: int = Field(1, ge=1, description="trials that it stands for, such as variants compared at once")


class MattersSpec(Spec):
    """What a comparison of forecasts counts as a difference. Declared in advance."""

    smallest_difference: float = Field(
        0.0005, ge=0, description="smallest difference of a ratio of pinball losses from 1 that matters; 0: any"
    )


class VerdictSpec(MattersSpec):
    """Settings of the comparisons and selection tests in the backtest report."""

    declared_trials: tuple[DeclaredTrial, ...] = Field(
        (),
        description="trials outside the trial log; of this very panel, so none unless asked for: `verdict=reference`",
    )
    overfitting_blocks: int = Field(
        10, ge=4, multiple_of=2, description="blocks of the symmetric cross-validation behind PBO"
    )


class SurvivorshipSpec(Spec):
    """Delistings that are planted into a panel of survivors, for bands of Sharpe ratios and coverage in the report.

    With a universe file they are the real ones, and ``recoveries`` alone counts.
    """

    rates: tuple[float, ...] = Field(
        (0.01, 0.02, 0.04), description="shares of the tickers that are delisted in a year, each planted for itself"
    )
    recoveries: tuple[float, ...] = Field(
        (0.0, 0.3, 0.7), description="shares of the last price that holders get; 0.7 is a delisting return of -30 %"
    )
    plantings: int = Field(100, ge=1, description="plantings of each rate, over which the bands are")
    volatility_ratio: float = Field(
        2.0, ge=1, description="by what a volatility one standard deviation higher multiplies the hazard; 1: by nothing"
    )
    drawdown_ratio: float = Field(2.0, ge=1, description="the same of a deeper fall from the ticker's own high")
    seed: int = Field(0, ge=0, description="seed of the plantings")

    @field_validator("rates", "recoveries")
    @classmethod
    def _are_shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or list(value) != sorted(set(value)) or not 0 <= value[0] <= value[-1] <= 1:
            raise ValueError("has to be shares between 0 and 1, ascending, such as [0.01, 0.02]")
        return value


class AblationSpec(ResamplingSpec, MattersSpec):
    """The comparisons of the ablation report; separate, since trading settings do not change its results."""


class ServingSpec(Spec):
    """The formats of the champion's export."""

    program: bool = Field(True, description="also as a torch.export program, model.pt2; takes half a minute")


class DriftSpec(Spec):
    """Thresholds of the drift checks."""

    recent_sessions: int = Field(60, ge=5, description="sessions compared with the reference period")
    reference_sessions: int = Field(
        750, ge=50, description="sessions before the recent ones that these are compared with"
    )
    false_discovery_rate: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="expected share of false ones among the features reported as moved (Benjamini-Hochberg)",
    )
    bootstrap_samples: int = Field(
        200, ge=20, description="resamples behind each feature's p-value and the alarm's limits"
    )
    coverage_low: float = Field(0.80, description="coverage rule: 95 % band below this ...")
    coverage_high: float = Field(0.99, description="... or above this ...")
    coverage_days: int = Field(3, ge=1, description="... on this many forecast days in a row")
    alarm_decay: float = Field(0.9, gt=0, lt=1, description="decay of the coverage that the calibrated alarm watches")
    alarm_block_sessions: int = Field(20, ge=1, description="block of the bootstrap that sets the alarm's limits")
    false_alerts_per_year: float = Field(
        0.5, gt=0, description="false alerts the limits aim at; below the promised one, since limits are estimates"
    )
    loss_limit: float = Field(
        1.3,
        gt=1,
        description="estimated loss of forecasts not matured yet, over the usual one of a year, that is pointed out",
    )
    feature_confirm_nights: int = Field(
        20, ge=1, description="nights in a row with a moved feature before a warning is sent"
    )
    feature_release_nights: int = Field(20, ge=1, description="nights in a row without one before it counts as over")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")


class NightlySpec(ResamplingSpec):
    """The nightly retraining: how far back it looks, how much it trains, and when a challenger is not worse."""

    comparison_sessions: int = Field(
        40, ge=1, description="latest union sessions of matured forecasts that champion and challenger are compared on"
    )
    validation_sessions: int = Field(
        20, ge=1, description="union sessions before them, whose forecasts select a challenger's epoch"
    )
    train_sessions: int = Field(
        500, ge=1, description="union sessions before those, whose forecast origins a challenger is trained on"
    )
    epochs: int = Field(1, ge=1, description="epochs of a warm-started member")
    samples_per_epoch: int = Field(4_000, ge=1, description="samples (windows) per epoch, drawn evenly over tickers")
    learning_rate: float = Field(1e-4, gt=0, description="of the cosine decay's start; a warm start needs less")
    coverage_tolerance: float = Field(
        0.01, ge=0, description="how much further from nominal a challenger's coverage may lie"
    )


class AlertSpec(Spec):
    """When a night is late, and where a message links to."""

    deadline_hours: float = Field(
        12.0, gt=0, description="hours after a session's last close by which its night must be done"
    )
    ui_url: str = Field("http://127.0.0.1:3000", description="Dagster UI that messages link to")


class ArrivalSpec(Spec):
    """When a file is read, when a night begins, and until when a ticker whose prices come late is forecast."""

    quiet_seconds: float = Field(
        5.0,
        ge=0,
        description="seconds for which a file's size and time of writing must not have moved before it is read; a file with "
        "a marker beside it, such as prices.csv.done, is read at once",
    )
    complete_share: float = Field(
        0.95,
        gt=0,
        le=1,
        description="share of an exchange's tickers, those of its last three sessions, whose prices a night waits for",
    )
    grace_hours: float = Field(
        9.0,
        ge=0,
        description="hours after a session's last close for which its night waits for an exchange that lacks prices; then "
        "it is made from what is there",
    )
    late_hours: float = Field(
        12.0,
        ge=0,
        description="hours after a session's last close up to which a ticker whose prices come after its night is forecast "
        "for it, under its own time of issue; never after its exchange's next close",
    )


class AuditSpec(Spec):
    """How features, models and forecasts that a user brings are audited for look-ahead."""

    cuts: int = Field(16, ge=4, description="days at which the panel is cut, poisoned and shuffled, at most")
    tolerance: float = Field(
        1e-9, ge=0, description="difference that is rounding, as a share of a column's largest number"
    )
    train_share: float = Field(
        0.5, gt=0, lt=1, description="share of the sessions that a model with fit and predict is fitted on"
    )
    limit_seconds: float = Field(300.0, gt=0, description="after which an audit is stopped")
    implausible_ic: float = Field(
        0.2, gt=0, lt=1, description="mean daily rank IC above which forecasts must have seen their outcome"
    )
    implausible_next_ic: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="the same of the next session alone, where later sessions show a quarter of it or less",
    )


class ScenarioSpec(Spec):
    """Scenarios of all tickers at once: calibrated marginals, ordered as past outcomes were."""

    scenarios: int = Field(10_000, ge=100, description="joint outcomes that are drawn")
    past_days: int = Field(
        500, ge=20, description="latest matured forecast days whose outcomes order the draws, at most"
    )
    least_days: int = Field(60, ge=2, description="matured forecast days below which there are no scenarios")
    blend: float = Field(
        0.3,
        gt=0,
        lt=1,
        description="weight of a second past day beside each scenario's own, so that days that are used again differ",
    )
    prior_days: float = Field(
        60.0,
        ge=0,
        description="days of the average ticker's that a ticker's own correlation with its sector is shrunk by",
    )
    prior_tickers: float = Field(
        4.0, ge=0, description="tickers of the whole panel that the mean of a sector's tickers is shrunk by"
    )
    volatility_sessions: float = Field(
        3.0,
        ge=0,
        description="half-life, in days, of the squared returns by which a portfolio's losses are rescaled beside the range "
        "of its past returns; 0: they are not rescaled",
    )
    seed: int = Field(0, ge=0, description="seed of the draws")


class MeanRiskSpec(ScenarioSpec):
    """A book from an optimiser, beside the half-Kelly one or in its place; with joint scenarios of its own."""

    use: Literal["off", "beside", "traded"] = Field(
        "off",
        description="beside: a strategy of the backtest and the report; traded: the target positions are its, too",
    )
    level: float = Field(0.95, gt=0.5, lt=1, description="of the expected shortfall: mean loss of the worst 1 - level")
    limit: float = Field(
        0.05, gt=0, description="largest expected shortfall over the traded horizon, as a share of equity"
    )
    rebalance: Literal["daily", "weekly", "monthly"] = Field(
        "weekly", description="on the first decision day of which weights are found anew"
    )
    scenarios: int = Field(1000, ge=100, description="joint outcomes that the risk is measured on")


class OwnModelsSpec(Spec):
    """Limits of models of one's own, from files and packages."""

    minutes: float = Field(
        60.0, gt=0, description="after which a fit with its forecasts, or the audit before the first one, is stopped"
    )


class DemoSpec(Spec):
    """The synthetic panel that ships with the project."""

    tickers: int = Field(24, ge=6, description="spread over three exchanges")
    start: dt.date = Field(dt.date(2015, 1, 2), description="first day of the panel")
    end: dt.date = Field(dt.date(2021, 12, 31), description="last day of the panel")
    signal: float = Field(
        0.0016,
        description="strength of the planted signal: log return of the next session and unit of it; below 0: reversed",
    )
    announcements: float = Field(
        0.0,
        ge=0,
        description="median move on a company's quarterly announcement, in volatilities of a quiet session; 0: none",
    )
    seed: int = Field(7, ge=0, description="seed of its random numbers")
    rival: bool = Field(
        True, description="also a file of a plain rival's forecasts, where FORECAST_RIVALS names no folder"
    )
