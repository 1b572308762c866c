"""Audit a function of a panel, or a model with fit and predict, for anything that looks ahead.

The function is run on a whole panel and again on panels whose rows after a cut are dropped (truncation), garbage (poison) or
exchanged at random (shuffle); for the arrival test also what other exchanges closed with later on the cut's own day is
garbage. What it returns up to the cut has to be the same each time, but for rounding: how much of that there is shows a run
on the panel with its last digits changed. What no row tells, such as a table of future winners in the code, can't be seen.
"""

import datetime as dt
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from forecast_assets.core.audit.frames import Columns, FrameKind, Handing, filled_columns, returned_table
from forecast_assets.core.audit.rows import cut_days, jitter, shuffle
from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.comparison import KEY, Change, compare, without_open_holes
from forecast_assets.core.panel.leakage_checks import poison
from forecast_assets.core.specs import AuditSpec

Decide = Literal["day", "close"]
"""When a row's values have to be known: once all exchanges have closed on its date, or at its own exchange's close."""
TESTS = {
    "truncation": "the rows after {cut} are dropped",
    "poison": "the values after {cut} are garbage",
    "shuffle": "the values after {cut} are exchanged at random",
    "arrival": "closes of other exchanges later on {cut} are garbage",
}
JITTER = 1e-13
SINGLE_PRECISION = 1e-5  # rounding of numbers of 24 bits, as a share of a column's largest
MORE_THAN_JITTER = 10.0
"""How many times as much as by jitter an entry has to change."""


@dataclass(frozen=True)
class Leak:
    """The first row, by date, that one way of changing the future changed."""

    test: str
    cut: dt.date
    column: str
    ticker: str
    date: dt.date
    was: Any
    now: Any
    sessions_ahead: (
        int  # dates of the panel between the row and the first one that was changed: at least so far it looks
    )
    changed: Mapping[str, int]  # column -> rows that differ up to the cut
    rows: int  # up to the cut

    def sentence(self) -> str:
        """Return what was seen, in words."""
        what = f"{self.column}: {_shown(self.was)} becomes {_shown(self.now)}"
        ahead = (
            "the same day" if self.test == "arrival" else f"at least {_counted(self.sessions_ahead, 'session')} ahead"
        )
        counts = ", ".join(f"{name} {count:,}" for name, count in self.changed.items())
        return (
            f"{self.ticker} on {self.date}, {what} when {TESTS[self.test].format(cut=self.cut)} ({self.test}); "
            f"it looks {ahead}. Of {self.rows:,} rows up to that day change: {counts}"
        )


@dataclass(frozen=True)
class Audit:
    """Everything that an audit found."""

    name: str
    handing: Handing
    columns: tuple[str, ...]
    rows: int
    cuts: tuple[dt.date, ...]
    leaks: tuple[Leak, ...]  # the worst of each test and cut; the earliest row first
    notes: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing changed."""
        return not self.leaks

    def sentence(self) -> str:
        """Return the verdict in words."""
        if self.leaks:
            return f"{self.name}: LEAK - {self.leaks[0].sentence()}"
        table = f"{_counted(len(self.columns), 'column')} of {self.rows:,} rows"
        cuts = f"{_counted(len(self.cuts), 'cut')} from {self.cuts[0]} to {self.cuts[-1]}"
        return f"{self.name}: clean - nothing in {table} changes with what comes later, at {cuts}"


@dataclass(frozen=True)
class Subject:
    """A function, or a class with ``fit`` and ``predict``, as ``load`` gives it anew for each run: it remembers nothing."""

    name: str
    load: Callable[[], Any]
    ignore: tuple[str, ...] = ()  # columns that may look ahead: labels
    train_until: dt.date | None = None  # last day that ``fit`` is handed

    def run(self, rows: pl.DataFrame, handing: Handing, *, on: str) -> pl.DataFrame:
        """Return its table for ``rows``, without the ignored columns. Raises BadInput naming it where it fails."""
        subject = self.load()
        handed = handing.frame(rows)
        try:
            if has_fit(subject):
                model: Any = subject() if inspect.isclass(subject) else subject
                past = rows.filter(pl.col("date") <= self.train_until) if self.train_until else rows
                fitted = model.fit(handing.frame(past))
                found = (fitted if hasattr(fitted, "predict") else model).predict(handed)
            else:
                found = subject(handed)
        except Exception as error:
            raise BadInput(f"{self.name}: raises {_raised(error)} on {on}, {handing}") from error
        try:
            table = returned_table(found, handed=handed)
        except BadInput as problem:
            raise BadInput(f"{self.name}: {problem}, on {on}, {handing}") from problem
        return table.drop(self.ignore, strict=False)


def has_fit(subject: Any) -> bool:
    """Return whether something is a model rather than a function."""
    return hasattr(subject, "fit") and hasattr(subject, "predict")


def train_until(rows: pl.DataFrame, spec: AuditSpec) -> dt.date:
    """Return the last day that a model is fitted on."""
    days = rows["date"].unique().sort()
    day: dt.date = days[int(spec.train_share * (len(days) - 1))]
    return day


@dataclass
class AuditRun:
    """The audit of one subject on ``panels``: raw and calendar rows, with ``known_at``, by ticker and date."""

    subject: Subject
    panels: Mapping[Columns, pl.DataFrame]
    spec: AuditSpec
    decide: Decide = "day"
    handings: tuple[Handing, ...] = ()  # that may be tried; none: those that its code suggests
    progress: Callable[[int, int, Leak | None], None] = lambda done, of, first: None
    _leaks: list[Leak] = field(default_factory=list, init=False)
    _notes: list[str] = field(default_factory=list, init=False)
    _late: list[Leak] = field(default_factory=list, init=False)
    _failed: dict[str, list[str]] = field(default_factory=dict, init=False)
    _compared: dict[str, int] = field(default_factory=dict, init=False)  # test -> cuts with rows to compare

    def result(self) -> Audit:
        """Run all tests. Raises BadInput for a subject that can't be audited, in one sentence that names it."""
        handing, whole = self._first_run()
        rows = self.panels[handing.columns]
        self._slack = self._rounding(rows, handing, whole)
        cuts = cut_days(rows, count=self.spec.cuts, after=self.subject.train_until)
        if not cuts:
            raise BadInput(f"{self.subject.name}: the panel has too few days to be cut; name a longer one with --panel")
        if not (whole["date"] <= cuts[-1]).any():
            raise BadInput(
                f"{self.subject.name}: returns no row on any day but the last ones, so there is nothing to compare; return "
                "those of all days"
            )
        runs = list(_runs(rows, cuts))
        for done, (test, cut, later, known) in enumerate(runs):
            self.progress(done, len(runs), min(self._leaks, key=_order, default=None))
            self._compare(test, cut, whole, rows, handing, later=later, known=known)
        self._check_coverage()
        if self._late and not self._leaks:
            first = min(self._late, key=_order)
            self._notes.append(
                f"{first.sentence()}. It is known once all exchanges have closed, not at the row's own close: a leak if you "
                "decide there (--decide close)"
            )
        return Audit(
            self.subject.name,
            handing,
            tuple(name for name in whole.columns if name not in KEY),
            whole.height,
            tuple(cuts),
            tuple(sorted(self._leaks, key=_order)),
            tuple(self._notes),
        )

    def _first_run(self) -> tuple[Handing, pl.DataFrame]:
        """Return how the subject takes rows, and what it returns for the whole panel."""
        problems = []
        for handing in self.handings or tuple(suggested(self.subject.load())):
            try:
                whole = self.subject.run(self.panels[handing.columns], handing, on="the whole panel")
            except BadInput as problem:
                problems.append(problem)
                continue
            if whole.width == len(KEY):
                raise BadInput(f"{self.subject.name}: returns no column but those that are ignored")
            filled = filled_columns(whole)
            if not any(filled.values()):
                raise BadInput(
                    f"{self.subject.name}: returns missing values only, in {', '.join(filled)}, from {handing}"
                )
            if empty := [name for name, holds in filled.items() if not holds]:
                self._notes.append(f"{', '.join(empty)}: missing everywhere, so nothing was tested")
            return handing, whole
        others = "; --columns and --frame choose another way" if len(problems) > 1 else ""
        raise BadInput(f"{problems[0]}{others}") from problems[0]

    def _rounding(self, rows: pl.DataFrame, handing: Handing, whole: pl.DataFrame) -> pl.DataFrame:
        """Return how much each entry of ``whole`` may change: several times as much as it does by jitter.

        Raises BadInput where the subject gives other values for the very same rows.
        """
        again = self.subject.run(rows, handing, on="the whole panel")
        slack = whole.with_columns(pl.lit(0.0).alias(name) for name in whole.columns if name not in KEY)
        noise = compare(whole, again, tolerance=self.spec.tolerance, slack=self._with_scale(slack, whole, again))
        if noise:
            column, change = next(iter(noise.items()))
            raise BadInput(
                f"{self.subject.name}: gives other values when it is run twice on the same rows ({column} of "
                f"{change.ticker} on {change.date}: {_shown(change.was)}, then {_shown(change.now)}); fix its seed"
            )
        moved = self.subject.run(jitter(rows, size=JITTER), handing, on="the panel with its last digits changed")
        pairs = whole.select(KEY).join(moved, on=KEY, how="left", maintain_order="left")
        return slack.with_columns(
            _jittered(whole[name], pairs[name] if name in pairs.columns else pl.Series(name, [None] * pairs.height))
            for name in whole.columns
            if name not in KEY
        )

    def _with_scale(self, slack: pl.DataFrame, *tables: pl.DataFrame) -> pl.DataFrame:
        """Add to the slack what rounding is of the largest number of each column."""
        whole = tables[0]
        shares = {
            name: max(self.spec.tolerance, SINGLE_PRECISION if _is_single(whole[name]) else 0.0)
            for name in slack.columns
            if name not in KEY
        }
        sizes = {
            name: share * max(_largest(table[name]) for table in tables if name in table.columns)
            for name, share in shares.items()
        }
        return slack.with_columns(pl.col(name) + size for name, size in sizes.items())

    def _compare(
        self,
        test: str,
        cut: dt.date,
        whole: pl.DataFrame,
        rows: pl.DataFrame,
        handing: Handing,
        *,
        later: pl.Expr,
        known: pl.DataFrame | None,
    ) -> None:
        """Run one test at one cut; ``known``: rows that have to be the same, instead of all up to the cut."""
        changed = {"truncation": lambda: rows.filter(~later), "shuffle": lambda: shuffle(rows, later=later)}
        other_rows = changed.get(test, lambda: poison(rows, later=later))()
        try:
            other = self.subject.run(other_rows, handing, on=f"the panel when {TESTS[test].format(cut=cut)}")
        except BadInput as problem:
            self._failed.setdefault(test, []).append(str(problem))
            return

        def past(table: pl.DataFrame) -> pl.DataFrame:
            # A ticker's rows before its first quote stand for nothing, and its listing is not known then.
            listed = rows.group_by("ticker").agg(first=pl.min("date"))
            table = table.join(listed, on="ticker", how="left", maintain_order="left")
            table = table.filter((pl.col("date") >= pl.col("first")).fill_null(True)).drop("first")
            if known is None:
                return table.filter(pl.col("date") <= cut)
            return table.join(known, on=KEY, how="semi", maintain_order="left")

        before = past(whole)
        after = past(other)
        if test == "truncation":
            before = without_open_holes(before, after)
        self._compared[test] = self._compared.get(test, 0) + bool(before.height)
        # A row that is not returned holds nothing, like one of missing values.
        keys = pl.concat([before.select(KEY), after.select(KEY)]).unique().sort(KEY)
        slack = self._with_scale(self._slack, whole, other)
        before, after, slack = (
            keys.join(each, on=KEY, how="left", maintain_order="left") for each in (before, after, slack)
        )
        found = compare(before, after, tolerance=self.spec.tolerance, slack=slack.fill_null(0.0))
        if found:
            leak = _leak(test, cut, found, days=rows["date"], rows=keys.height)
            (self._late if test == "arrival" and self.decide == "day" else self._leaks).append(leak)

    def _check_coverage(self) -> None:
        """Note what could not be tested. Raises BadInput where a test could be made at no cut and no other found a leak."""
        for test, problems in self._failed.items():
            if not self._compared.get(test) and not self._leaks and test != "arrival":
                raise BadInput(problems[-1])
            self._notes.append(f"{test}: not tested at {_counted(len(problems), 'cut')}; {problems[0]}")
        if "arrival" not in self._compared and "arrival" not in self._failed:
            self._notes.append("arrival: not tested, all exchanges of the panel close at the same time")


def suggested(subject: Any) -> Iterator[Handing]:
    """Yield ways of handing rows that a function's annotation or imports suggest, raw columns first."""
    frame_kinds = _frame_kinds(subject.fit if has_fit(subject) else subject)
    columns: tuple[Columns, ...] = ("raw", "calendar")
    yield from (Handing(names, frame_kind) for names in columns for frame_kind in frame_kinds)


def _frame_kinds(function: Any) -> tuple[FrameKind, ...]:
    plain = inspect.unwrap(function)
    try:
        parameters = [each for name, each in inspect.signature(plain).parameters.items() if name != "self"]
    except (TypeError, ValueError):
        parameters = []
    stated = str(parameters[0].annotation) if parameters else ""
    if "LazyFrame" in stated:
        return ("polars lazy",)
    if "polars" in stated or "pl." in stated:
        return ("polars",)
    if "pandas" in stated or "pd." in stated:
        return ("pandas",)
    module = getattr(plain, "__globals__", {})
    uses = [name for name in ("polars", "pandas") if any(value is sys.modules.get(name) for value in module.values())]
    return ("pandas",) if uses == ["pandas"] else ("polars",) if uses == ["polars"] else ("polars", "pandas")


def _runs(rows: pl.DataFrame, cuts: list[dt.date]) -> Iterator[tuple[str, dt.date, pl.Expr, pl.DataFrame | None]]:
    """Yield test, cut, which rows come later, and the rows that have to be the same (None: all up to the cut)."""
    date, known_at = pl.col("date"), pl.col("known_at")
    for test in ("truncation", "poison", "shuffle"):
        for cut in cuts:
            yield test, cut, date > cut, None
    for number, cut in enumerate(cuts):
        times = rows.filter(date == cut)["known_at"].unique().sort()
        if len(times) > 1:
            time = times[number % (len(times) - 1)]
            later = (date > cut) | ((date == cut) & (known_at > time))
            yield "arrival", cut, later, rows.filter(~later).select(KEY)


def _leak(test: str, cut: dt.date, found: Mapping[str, Change], *, days: pl.Series, rows: int) -> Leak:
    column, change = min(found.items(), key=lambda item: (item[1].date, item[1].ticker))
    between = days.filter((days > change.date) & (days <= cut)).n_unique()
    counts = {name: each.count for name, each in found.items()}
    ahead = between if test == "arrival" else between + 1
    return Leak(test, cut, column, change.ticker, change.date, change.was, change.now, ahead, counts, rows)


def _order(leak: Leak) -> tuple[dt.date, int]:
    return leak.date, list(TESTS).index(leak.test)


def _jittered(was: pl.Series, now: pl.Series) -> pl.Series:
    """Return how much an entry may change, (n,): infinity where jitter makes it missing or another word."""
    if was.dtype.is_numeric() and now.dtype.is_numeric():
        was, now = was.cast(pl.Float64), now.cast(pl.Float64)
        change = ((was - now).abs() * MORE_THAN_JITTER).fill_nan(None).fill_null(float("inf"))
    else:
        was, now = was.cast(pl.String), now.cast(pl.String)
        change = pl.Series([float("inf")]).new_from_index(0, len(was))
    return pl.select(pl.when(was.eq_missing(now)).then(0.0).otherwise(change).alias(was.name)).to_series()


def _largest(values: pl.Series) -> float:
    if not values.dtype.is_numeric() or not len(values):
        return 0.0
    numbers = values.cast(pl.Float64).abs()
    largest = numbers.filter(numbers.is_finite()).max()
    return float(largest) if isinstance(largest, float) else 0.0  # no number at all


def _is_single(values: pl.Series) -> bool:
    """Return whether numbers are of single precision, whatever they are kept as; whole numbers are not."""
    if not values.dtype.is_float():
        return False
    numbers = values.filter(values.is_finite())
    return bool((numbers.cast(pl.Float32).cast(pl.Float64) == numbers).all() and (numbers != numbers.round()).any())


def _raised(error: Exception) -> str:
    """Return an exception as text: its type, its first line and where in the user's code."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0][:200].rstrip('.')}" if lines else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return f"{text} (line {frames[0].lineno})" if frames else text


def _shown(value: Any) -> str:
    return "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
