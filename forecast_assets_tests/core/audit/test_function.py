"""The auditor names the first row that looks ahead, accuses no clean function, and says why it can't judge one."""

import datetime as dt
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from forecast_assets.core.audit.function import Audit, AuditRun, Decide, Leak, Subject, has_fit, train_until
from forecast_assets.core.audit.rows import synthetic_rows, with_known_at
from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.specs import AuditSpec
from forecast_assets_tests.helpers import clean_features, leaky_features
from forecast_assets_tests.helpers.builders import panel, panel_spec, raw

Panels = Mapping[Any, pl.DataFrame]
FEW = AuditSpec(cuts=6)


@pytest.fixture(scope="module")
def market() -> Panels:
    rows = synthetic_rows()
    return {"raw": with_known_at(rows), "calendar": with_known_at(reindex(rows, spec=panel_spec()))}


@pytest.fixture(scope="module")
def small() -> Panels:
    """Two tickers of New York, 60 sessions."""
    rng = np.random.default_rng(0)
    closes = [[round(100 * float(np.exp(x)), 2) for x in np.cumsum(rng.normal(0, 0.01, 60))] for _ in range(2)]
    rows = panel(raw("AAA", closes[0]), raw("BBB", closes[1]))
    return {"raw": with_known_at(rows), "calendar": with_known_at(reindex(rows, spec=panel_spec()))}


def audit(function: Any, panels: Panels, *, spec: AuditSpec = FEW, decide: Decide = "day", **options: Any) -> Audit:
    until = train_until(panels["raw"], spec) if has_fit(function) else None
    subject = Subject("mine.py:make", lambda: function, train_until=until, **options)
    return AuditRun(subject, panels, spec, decide).result()


def price(expression: pl.Expr, **others: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return a function whose column ``x`` is an expression over the rows of each ticker."""

    def make(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.sort("Ticker", "Date").select("Ticker", "Date", x=expression.over("Ticker"), **others)

    return make


CLOSE = pl.col("Closing Price")


def test_the_first_leak_is_named_with_row_column_date_and_reach(small: Panels) -> None:
    days = small["raw"]["date"].unique().sort()
    found = audit(price(CLOSE.shift(-3), past=CLOSE.shift(3).over("Ticker")), small)
    closes = small["raw"].filter(pl.col("ticker") == "AAA").sort("date")["close"]
    first, cut = found.leaks[0], found.cuts[0]
    assert cut == days[11]
    assert first == Leak("truncation", cut, "x", "AAA", days[9], closes[12], None, 3, {"x": 6}, 24)
    assert found.sentence() == (
        f"mine.py:make: LEAK - AAA on {days[9]}, x: {closes[12]:.6g} becomes missing when the rows after {cut} are dropped "
        "(truncation); it looks at least 3 sessions ahead. Of 24 rows up to that day change: x 6"
    )
    assert {leak.test for leak in found.leaks} == {"truncation", "poison", "shuffle"}


def test_a_clean_function_is_called_clean_with_what_was_compared(small: Panels) -> None:
    found = audit(price(CLOSE.rolling_mean(3)), small)
    assert found.clean
    assert found.rows == 116
    assert (
        "mine.py:make: clean - nothing in 1 column of 116 rows changes with what comes later, at 6 cuts"
        in found.sentence()
    )
    assert found.notes == ("arrival: not tested, all exchanges of the panel close at the same time",)


@pytest.mark.parametrize(
    "name",
    [
        "difference_to_the_next_close", "volume_filled_backwards", "month_volume_joined_back",
        "most_liquid_of_all_years", "survives", "interpolated_holidays", "halts_filled_with_the_next_price",
        "sector_of_today", "FittedAgainOnWhatItPredicts",
    ],
)  # fmt: skip
def test_functions_that_look_ahead_are_caught(market: Panels, name: str) -> None:
    assert not audit(leaky_features.LEAKY[name], market, spec=AuditSpec()).clean


@pytest.mark.parametrize(
    "name",
    [
        "rank_within_date", "exponential_average_of_polars", "the_month_before", "filter_by_fourier_transform",
        "windows_times_a_matrix", "products_in_single_precision", "sums_in_random_order", "components_of_the_past",
        "fills_of_a_calendar_panel", "lazily", "backwards_and_yet_right", "infinities", "FittedOnce",
    ],
)  # fmt: skip
def test_functions_that_do_not_look_ahead_are_not_accused(market: Panels, name: str) -> None:
    assert audit(clean_features.CLEAN[name], market).clean


@pytest.mark.parametrize("name", sorted(leaky_features.LEAKY_AT_THE_CLOSE))
def test_later_closes_of_the_same_day_are_a_leak_only_where_one_decides_before(market: Panels, name: str) -> None:
    function = leaky_features.LEAKY_AT_THE_CLOSE[name]
    at_the_close, at_the_end = audit(function, market, decide="close"), audit(function, market)
    assert {leak.test for leak in at_the_close.leaks} == {"arrival"}
    assert "it looks the same day" in at_the_close.sentence()
    assert at_the_end.clean
    assert "a leak if you decide there (--decide close)" in at_the_end.notes[0]


def test_an_audit_gives_the_same_answer_each_time(market: Panels) -> None:
    function = leaky_features.LEAKY["month_volume_joined_back"]
    assert audit(function, market) == audit(function, market)


def test_labels_may_look_ahead_where_they_are_ignored(small: Panels) -> None:
    labelled = price(CLOSE.shift(1), label=CLOSE.shift(-1).over("Ticker"))
    assert audit(labelled, small).leaks[0].column == "label"
    assert audit(labelled, small, ignore=("label",)).clean


def test_a_model_is_fitted_on_the_first_half_and_anew_for_each_run(small: Panels) -> None:
    handed: list[dt.date] = []

    class Model:
        fitted = False

        def fit(self, train: pl.DataFrame) -> None:
            assert not self.fitted
            self.fitted = True
            handed.append(train["Date"].max())  # type: ignore[arg-type]

        def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
            return price(CLOSE.shift(1))(frame)

    found = audit(Model, small)
    days = small["raw"]["date"].unique().sort()
    assert found.clean
    assert set(handed) == {days[29]}
    assert min(found.cuts) > days[29]


def test_a_calendar_panel_and_pandas_are_found_by_trying(small: Panels) -> None:
    def calendar(frame: Any) -> Any:
        return frame.assign(x=frame["close"])[["ticker", "date", "x"]]

    found = audit(calendar, small)
    assert str(found.handing) == "a pandas frame with the columns of a calendar panel"


def test_the_first_imports_and_annotations_say_which_frame_is_handed(small: Panels) -> None:
    def pandas(frame: "pd.DataFrame") -> Any:
        assert isinstance(frame, pd.DataFrame)
        return frame[["Date", "Ticker"]].assign(x=1.0)

    def lazy(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.select("Date", "Ticker", x="Volume")

    assert audit(pandas, small).handing.frame_kind == "pandas"
    assert audit(lazy, small).handing.frame_kind == "polars lazy"


def raises(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Date", "Ticker", x="No Such")


def only_missing(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Date", "Ticker", x=pl.lit(None, dtype=pl.Float64))


def random_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Date", "Ticker", x=pl.Series([random.random() for _ in range(frame.height)]))


def the_last_day(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("Date") == pl.col("Date").max()).select("Date", "Ticker", x="Volume")


def the_key_alone(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Date", "Ticker")


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (raises, "mine.py:make: raises ColumnNotFoundError: "),
        (
            only_missing,
            "mine.py:make: returns missing values only, in x, from a polars frame with the columns of a raw",
        ),
        (random_numbers, "mine.py:make: gives other values when it is run twice on the same rows (x of AAA on "),
        (the_last_day, "mine.py:make: returns no row on any day but the last ones, so there is nothing to compare"),
        (the_key_alone, "mine.py:make: returns a ticker and a date and no column beside them, on the whole panel"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(small: Panels, function: Any, problem: str) -> None:
    with pytest.raises(BadInput) as raised:
        audit(function, small)
    assert str(raised.value).startswith(problem)
    assert "\n" not in str(raised.value)


def test_the_line_of_the_users_code_that_raised_is_named(small: Panels) -> None:
    line = raises.__code__.co_firstlineno + 1
    with pytest.raises(BadInput, match=rf"\(line {line}\) on the whole panel"):
        audit(raises, small)


def test_a_function_that_fails_on_short_panels_is_judged_on_the_others(small: Panels) -> None:
    def needs_twenty_sessions(frame: pl.DataFrame) -> pl.DataFrame:
        if frame["Date"].n_unique() < 20:
            raise ValueError("too short")
        return price(CLOSE.shift(-1))(frame)

    found = audit(needs_twenty_sessions, small)
    assert not found.clean
    assert "truncation: not tested at 2 cuts; mine.py:make: raises ValueError: too short" in found.notes[0]


def test_a_function_that_fails_on_every_cut_panel_is_not_called_clean(small: Panels) -> None:
    def needs_all(frame: pl.DataFrame) -> pl.DataFrame:
        if frame["Date"].n_unique() < 60:
            raise ValueError("too short")
        return price(CLOSE.shift(1))(frame)

    with pytest.raises(BadInput, match=r"raises ValueError: too short .* on the panel when "):
        audit(needs_all, small)


def test_a_column_that_is_missing_everywhere_is_noted(small: Panels) -> None:
    found = audit(price(CLOSE.shift(1), y=pl.lit(None, dtype=pl.Float64)), small)
    assert found.notes[0] == "y: missing everywhere, so nothing was tested"


def test_progress_is_told_before_each_run_with_the_first_leak_so_far(small: Panels) -> None:
    told: list[tuple[int, int, bool]] = []
    subject = Subject("make", lambda: price(CLOSE.shift(-1)))
    AuditRun(subject, small, FEW, progress=lambda done, of, leak: told.append((done, of, leak is not None))).result()
    assert told[:2] == [(0, 18, False), (1, 18, True)]
    assert told[-1] == (17, 18, True)
