"""Scenarios of the whole panel: draws of each ticker's calibrated forecast, ordered as past outcomes were.

The Schaake shuffle (Clark et al. 2004), which is sampling from the empirical copula (Schefzik, Thorarinsdottir and Gneiting
2013): each scenario follows a past day, and within the draws of a ticker has the rank that the ticker's outcome had among
the outcomes of its own forecasts on those days. So every marginal is the published one, and what moves together, tails
included, is what moved together. The past days are the latest whose outcomes over every horizon had ended.

With more scenarios than past days each day is followed several times. The score of a scenario is a blend of two days,
``sqrt(1 - b^2)`` of its own and ``b`` of another one drawn at random, which leaves correlations as they are; and a share of
what is a ticker's own is drawn anew, see `pooling`. Scores are ranked after it, so marginals stay exact.

A scenario is a path of sessions: at each of ``HORIZONS`` its return is the ranked draw. Between two of them it moves as the
ticker did on the past day, session by session: the scores of the one-session outcomes less their straight line, at the
volatility that the two forecasts leave to the sessions between.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.joint.past import PastScores, Scores, usable_days
from forecast_assets.core.joint.pooling import Codes, Pooled, pooled
from forecast_assets.core.scores.normal_scores import interpolation_weights
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles
from forecast_assets.core.specs import ScenarioSpec

LONGEST = HORIZONS[-1]
LARGEST_SHOCK = 4.0  # of one session between two horizons


class Template(NamedTuple):
    """What S past days were like for N tickers."""

    past: Pooled  # of S days
    shocks: Scores  # (S, N, LONGEST) one-session scores from the day on
    numbers: NDArray[np.intp]  # (N,) by which a ticker's own draws are seeded: its place in the whole panel

    def of(self, columns: NDArray[np.integer]) -> "Template":
        """Return it for the tickers of ``columns``, in their order. Their scenarios stay the same."""
        common, own, deviation, renewed = self.past
        part = Pooled(common[:, columns], own[:, columns], deviation[columns], renewed[columns])
        return Template(part, self.shocks[:, columns], self.numbers[columns])


def matured_days(past: PastScores) -> int:
    """Return how many days scenarios could follow: outcomes over every horizon and each session on the way had ended."""
    return len(_followed(past, usable_days(past)))


def template(past: PastScores, *, sectors: Codes, spec: ScenarioSpec) -> Template:
    """Return the latest ``spec.past_days`` days whose outcomes had all ended, with tickers pooled where they have none.

    ``past``: what is known, see ``PastScores.known_before``; ``sectors`` (N,) codes. Raises BadInput under
    ``spec.least_days`` days.
    """
    rows = usable_days(past)
    days = len(_followed(past, rows))
    if days < spec.least_days:
        raise BadInput(
            f"scenarios: outcomes over {LONGEST} sessions have matured of {days} forecast days, at least {spec.least_days} "
            "are needed; wait for more nights, forecast more test years or lower scenarios.least_days"
        )
    first = max(0, days - spec.past_days)
    taken = rows[first : days + LONGEST - 1]
    generator = np.random.default_rng([spec.seed, 1])
    found = pooled(past.scores[taken], sectors=sectors, spec=spec, generator=generator)
    one = np.clip(found.scores[:, :, 0], -LARGEST_SHOCK, LARGEST_SHOCK)
    shocks = np.lib.stride_tricks.sliding_window_view(one, LONGEST, axis=0)  # (S, N, LONGEST)
    kept = days - first
    followed = found._replace(common=found.common[:kept], own=found.own[:kept])
    return Template(followed, shocks, np.arange(past.scores.shape[1]))


def _followed(past: PastScores, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return ``rows``, ascending, up to the last with an outcome over the longest horizon and all sessions to it."""
    ended = np.flatnonzero(np.isfinite(past.scores[rows, :, -1]).any(axis=1))
    last = int(ended[-1]) + 1 if len(ended) else 0
    return rows[: max(0, min(last, len(rows) - LONGEST + 1))]


def scenario_returns(quantiles: Floats, model: Template, *, spec: ScenarioSpec) -> NDArray[np.float32]:
    """Return joint log returns over each horizon, (N, H, scenarios), of forecasts (N, H, L)."""
    draw = _Draw(model, spec)
    weights = interpolation_weights(_levels(spec.scenarios)).T
    made = np.empty((*quantiles.shape[:2], spec.scenarios), dtype=np.float32)
    for ticker in range(len(made)):
        made[ticker] = ordered(quantiles[ticker] @ weights, draw.scores(ticker))
    return made


def scenario_paths(quantiles: Floats, model: Template, *, spec: ScenarioSpec) -> NDArray[np.float32]:
    """Return joint paths of cumulative log returns, (N, LONGEST, scenarios), of forecasts (N, H, L).

    At the sessions of ``HORIZONS`` they are ``scenario_returns``. Made ticker by ticker, so that little more memory is
    needed than the paths take: 10,000 of 557 tickers over 20 sessions are 425 MiB.
    """
    draw = _Draw(model, spec)
    weights = interpolation_weights(_levels(spec.scenarios)).T
    _, sigma = mean_sigma_from_quantiles(quantiles)  # (N, H)
    variance = np.diff(sigma**2, axis=1, prepend=0.0) / np.diff(HORIZONS, prepend=0)
    steps = np.sqrt(np.maximum(variance, 0.0))  # (N, H) volatility a session within each stretch
    line = _straight_lines().astype(np.float32)  # (LONGEST, H)
    stretch = np.searchsorted(HORIZONS, np.arange(1, LONGEST + 1))
    made = np.empty((len(quantiles), LONGEST, spec.scenarios), dtype=np.float32)
    for ticker in range(len(made)):
        ends = ordered(quantiles[ticker] @ weights, draw.scores(ticker))  # (H, n)
        bridge = _bridges(model.shocks[:, ticker]) * steps[ticker, stretch].astype(np.float32)[:, None]  # (LONGEST, S)
        np.matmul(line, ends, out=made[ticker])
        draw.add(bridge, to=made[ticker])
    return made


def ordered(values: Floats, scores: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return values (M, n), ascending, in the order of scores (M, n): the smallest goes where the score is smallest."""
    made = np.empty(scores.shape, dtype=np.float32)
    for row, order, value in zip(made, np.argsort(scores, axis=-1), values, strict=True):
        row[order] = value
    return made


def marginal_draws(quantiles: Floats, *, count: int) -> Floats:
    """Return ``count`` equally likely values of each forecast (..., L), ascending: (..., count)."""
    return quantiles @ interpolation_weights(_levels(count)).T


class _Draw:
    """The past days that the scenarios follow, the same for all tickers, and what is drawn anew of each.

    Each day is followed as often as any other, to one; where there are fewer scenarios than days, the latest ones are.
    """

    def __init__(self, model: Template, spec: ScenarioSpec) -> None:
        """Set another day beside each scenario's own."""
        days = len(model.past.own)
        self.count, self._days = spec.scenarios, min(days, spec.scenarios)
        self._model, self._seed = model, spec.seed
        generator = np.random.default_rng([spec.seed, 2])
        shift = generator.integers(1, days, size=self.count) if days > 1 else np.zeros(self.count, np.intp)
        own = days - self._days + np.arange(self.count) % self._days
        self._other = (own + shift) % days
        self._weights = np.float32(np.sqrt(1.0 - spec.blend**2)), np.float32(spec.blend)

    def scores(self, ticker: int) -> NDArray[np.float32]:
        """Return the scores of a ticker, (H, n): the same whatever other tickers are asked for."""
        past = self._model.past
        generator = np.random.default_rng([self._seed, 2, int(self._model.numbers[ticker])])
        renewed = past.renewed[ticker][:, None]  # (H, 1)
        kept = past.common[:, ticker].T + np.sqrt(1.0 - renewed) * past.own[:, ticker].T  # (H, S)
        mine, other = self._weights
        drawn = generator.standard_normal((len(renewed), self.count), dtype=np.float32)
        drawn *= np.sqrt(renewed) * past.deviation[ticker][:, None]
        drawn += other * kept[:, self._other]
        self.add(mine * kept, to=drawn)
        return drawn

    def add(self, of_days: NDArray[np.float32], *, to: NDArray[np.float32]) -> None:
        """Add the values of days (M, S) to those of the scenarios (M, n) that follow them."""
        for start in range(0, self.count, self._days):
            part = to[:, start : start + self._days]
            part += of_days[:, -self._days :][:, : part.shape[1]]


def _levels(count: int) -> Floats:
    """Return the standard Normal scores of ``count`` equally likely draws, ascending."""
    from scipy.special import ndtri

    scores: Floats = ndtri((np.arange(count) + 0.5) / count)
    return scores


def _straight_lines() -> Floats:
    """Return the weights (LONGEST, H) of the horizons' returns in a straight line through them and zero."""
    sessions = np.arange(1, LONGEST + 1)
    knots = np.array([0, *HORIZONS])
    return np.stack([np.interp(sessions, knots, np.eye(len(knots))[k]) for k in range(1, len(knots))], axis=1)


def _bridges(shocks: Scores) -> NDArray[np.float32]:
    """Return the sums of shocks (S, LONGEST) less a straight line between the horizons: (LONGEST, S), zero at each."""
    total = np.cumsum(shocks.T, axis=0, dtype=np.float32)  # (LONGEST, S)
    at_horizons = total[np.array(HORIZONS) - 1]  # (H, S)
    return total - _straight_lines().astype(np.float32) @ at_horizons
