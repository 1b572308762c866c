"""The posterior of each row, and the announcements expected ahead, day by day.

At the close of a day the announcement of this quarter lies in the weekdays before it, on it, or ahead: the past days weigh
as expectation times likelihood, those ahead as the expectation alone. So "just reported" and "overdue" follow by themselves.
Nothing of a later day is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.announcements.model import (
    FIT_DAYS,
    UNIFORM,
    FitRows,
    Parameters,
    begin_fit,
    expectation,
    fit_again,
    posterior_of,
    share_of,
)
from forecast_assets.core.panel.announcements.observations import Bools
from forecast_assets.core.panel.announcements.state import JOINT, OLDEST, State
from forecast_assets.core.panel.announcements.sums import Floats, Ints, trailing_sum
from forecast_assets.core.panel.announcements.surprises import EVIDENCE
from forecast_assets.core.panel.announcements.weekdays import HALF, QUARTER, longest_ahead

FIRST_DAYS = 330 + HALF + 1  # weekdays of a panel before a year that parameters are first fitted for
FEWEST_ROWS = 2_500  # rows to fit to

Schedule = Mapping[int, Parameters]
"""Year -> the parameters that its days are filtered with; a year without any counts all days as equal."""


@dataclass(frozen=True)
class Evidence:
    """Rows of some tickers on the grid of D weekdays from ``begin`` on."""

    begin: int
    values: Floats  # (D, T, EVIDENCE), zero where not known
    known: Bools  # (D, T) there is evidence
    quoted: Bools  # (D, T)
    first: Floats  # (T,) weekday of the first row
    ahead: Ints  # (D, T, H) weekdays to the session of each horizon
    regions: list[str]  # (T,)

    @classmethod
    def empty(cls, days: int) -> "Evidence":
        """Return the evidence of no ticker on ``days`` days."""
        none = np.zeros((days, 0), dtype=bool)
        ahead = np.zeros((days, 0, len(HORIZONS)), dtype=np.int64)
        return cls(0, np.zeros((days, 0, EVIDENCE)), none, none, np.zeros(0), ahead, [])

    @classmethod
    def joined(cls, parts: Sequence["Evidence"]) -> "Evidence":
        """Return the evidence of several parts of the tickers as one."""
        grids = {
            name: np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in ("values", "known", "quoted", "ahead")
        }
        first = np.concatenate([part.first for part in parts])
        return cls(parts[0].begin, first=first, regions=[name for part in parts for name in part.regions], **grids)

    def of(self, tickers: Ints) -> "Evidence":
        """Return that of some tickers, by their numbers."""
        return Evidence(
            self.begin,
            self.values[:, tickers],
            self.known[:, tickers],
            self.quoted[:, tickers],
            self.first[tickers],
            self.ahead[:, tickers],
            [self.regions[k] for k in tickers],
        )

    def days(self, begin: int, end: int) -> "Evidence":
        """Return the days ``begin`` to ``end``, counted from the first of these."""
        part = slice(begin, end)
        return Evidence(
            self.begin + begin,
            self.values[part],
            self.known[part],
            self.quoted[part],
            self.first,
            self.ahead[part],
            self.regions,
        )

    @property
    def has_begun(self) -> Bools:
        """Whether the ticker has been quoted by the day, (D, T)."""
        return self.weekdays[:, None] >= self.first

    @property
    def weekdays(self) -> Ints:
        """The weekday of each day, (D,)."""
        return self.begin + np.arange(len(self.known))

    def share(self, days: Ints) -> Floats:
        """Return how much of the quarter around each of ``days`` lies after the first row, (len(days), T)."""
        inside = days[:, None] + HALF + 1 - np.maximum(self.first, days[:, None] - HALF)
        return np.where(days[:, None] >= self.first, np.clip(inside / QUARTER, 0.0, 1.0), 0.0)

    def joint(self, expected: Floats, likelihood: Floats | float) -> Floats:
        """Return expectation times likelihood: nothing on a day without a quote, as any day before the first one."""
        weighed = np.where(self.known, expected * likelihood, expected)
        return np.where(self.quoted, weighed, np.where(self.has_begun, 0.0, UNIFORM))


@dataclass(frozen=True)
class Filtered:
    """What is known at the close of each of D days, and what was found out later."""

    announced: Floats  # (D, T) probability that the day's row is the quarter's announcement
    ahead: Floats  # (D, T, H) probability of one in the sessions of each horizon; more than one adds up
    expected: Floats  # (D, T) before the day's row was seen
    log_likelihood: Floats  # (D, T)
    posterior: Floats  # (D, T) of the days ``HALF`` weekdays earlier, with the ``HALF`` weekdays after them


def blocks(years: Ints) -> Iterator[tuple[int, int, int]]:
    """Yield (begin, end, year) of blocks of at most ``HALF`` days, none over the turn of a year."""
    turns = np.flatnonzero(np.diff(years, prepend=years[:1] - 1))
    for start, stop in zip(turns, np.append(turns, len(years))[1:], strict=True):
        for begin in range(int(start), int(stop), HALF):
            yield begin, min(begin + HALF, int(stop)), int(years[start])


def filter_days(evidence: Evidence, schedule: Schedule, state: State, *, years: Ints) -> Filtered:
    """Filter all days of ``evidence``, whose calendar ``years`` are (D,); updates ``state``."""
    days, tickers = evidence.known.shape
    reach = longest_ahead()
    posterior = np.concatenate([state["posterior"], np.zeros((days + reach, tickers))])
    joint = np.concatenate([state["joint"], np.zeros((days, tickers))])
    out = Filtered(
        announced=np.full((days, tickers), np.nan),
        ahead=np.full((days, tickers, evidence.ahead.shape[2]), np.nan),
        expected=np.full((days, tickers), UNIFORM),
        log_likelihood=np.zeros((days, tickers)),
        posterior=np.zeros((days, tickers)),
    )
    begun = False
    for begin, end, year in blocks(years):
        parameters, part = schedule.get(year), evidence.days(begin, end)
        if parameters is None:
            later = np.full((end - begin + reach, tickers), UNIFORM)
            joint[JOINT + begin : JOINT + end] = part.joint(later[: end - begin], 1.0)
        else:
            if not begun and begin and years[begin] == min(schedule):
                posterior[OLDEST : OLDEST + begin] = past_posterior(evidence.days(0, begin), parameters)
            begun = True
            weights = parameters.of_regions(evidence.regions)
            likelihood = np.where(part.known, parameters.likelihood(part.values), 1.0)
            expected = expectation(posterior, weights, begin=OLDEST + begin, days=end - begin)
            joint[JOINT + begin : JOINT + end] = part.joint(expected, likelihood)
            around = trailing_sum(joint[JOINT + begin - 2 * HALF : JOINT + end], QUARTER)[2 * HALF :]
            middle = joint[JOINT + begin - HALF : JOINT + end - HALF]
            share = evidence.share(part.weekdays - HALF)
            posterior[OLDEST + begin - HALF : OLDEST + end - HALF] = share_of(middle, around) * share
            ahead = expectation(posterior, weights, begin=OLDEST + end, days=reach)
            later = np.concatenate([expected, ahead])
            out.expected[begin:end], out.log_likelihood[begin:end] = expected, np.log(likelihood)
        before = trailing_sum(joint[JOINT + begin - HALF - 1 : JOINT + end], HALF + 2)[HALF + 1 :]
        for day in range(end - begin):
            coming = later[day + 1 : day + 1 + reach].cumsum(axis=0)  # (reach, T)
            total = before[day] + coming[HALF - 1]
            out.announced[begin + day] = np.where(part.quoted[day], joint[JOINT + begin + day] / total, np.nan)
            out.ahead[begin + day] = np.take_along_axis(coming, part.ahead[day].T - 1, axis=0).T / total[:, None]
    out.posterior[:] = posterior[OLDEST - HALF : OLDEST - HALF + days]
    state["posterior"], state["joint"] = posterior[days : days + OLDEST], joint[days:]
    return out


def past_posterior(evidence: Evidence, parameters: Parameters) -> Floats:
    """Return the posterior of the days before the first that parameters are fitted for, (D, T)."""
    share = evidence.share(evidence.weekdays)
    likelihood = np.where(evidence.known, parameters.likelihood(evidence.values), 0.0)
    weights = parameters.of_regions(evidence.regions)
    found = posterior_of(likelihood, share=share)
    for _ in range(2):
        expected = expectation(found, weights, begin=0, days=len(found))
        found = posterior_of(expected * likelihood, share=share)
    found[len(found) - HALF :] = 0.0  # the quarter around these is not whole yet
    return found


def fit_schedule(
    evidence: Evidence, start: Floats, *, years: Ints, chosen: Mapping[int, Bools]
) -> dict[int, Parameters]:
    """Fit the parameters of each year on what came before it.

    ``evidence`` reaches from the panel's first day to its last; ``start`` (D, T) as ``Surprises.start``; ``chosen``: year ->
    which tickers (T,) it is fitted to.
    """
    schedule: dict[int, Parameters] = {}
    state = State.initial([str(k) for k in range(len(evidence.first))])
    posterior = np.zeros(evidence.known.shape)
    share = evidence.share(evidence.weekdays)
    for year in np.unique(years):
        begin, end = np.searchsorted(years, [year, year + 1])
        tickers = np.flatnonzero(chosen[int(year)])
        cut = max(0, int(begin) - FIT_DAYS - JOINT - OLDEST)
        rows = FitRows(
            evidence.values[cut:begin][:, tickers],
            evidence.known[cut:begin][:, tickers],
            share[cut:begin][:, tickers],
            [evidence.regions[k] for k in tickers],
        )
        enough = rows.known[slice(*rows.span)].sum() >= FEWEST_ROWS
        if schedule and enough:
            schedule[int(year)] = fit_again(schedule[int(year) - 1], posterior[cut:begin, tickers], rows)
        elif schedule:
            schedule[int(year)] = schedule[int(year) - 1]
        elif begin >= FIRST_DAYS and enough:
            schedule[int(year)] = begin_fit(rows, start[cut:begin, tickers])
            posterior[:begin] = past_posterior(evidence.days(0, int(begin)), schedule[int(year)])
            state["posterior"] = _last(posterior[:begin], OLDEST)
        found = filter_days(evidence.days(int(begin), int(end)), schedule, state, years=years[begin:end])
        if schedule:
            late = min(HALF, int(begin))
            posterior[begin - late : end - HALF] = found.posterior[HALF - late :]
    return schedule


def _last(values: Floats, days: int) -> Floats:
    return np.concatenate([np.zeros((days, values.shape[1])), values])[-days:]
