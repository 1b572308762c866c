"""Confidence sequences and e-values of the sealed record, over 1,000 simulated records that are looked at every session.

    python -m benchmarks.record_statistics                     the reference panel beside the checkout
    python -m benchmarks.record_statistics --panel PANEL.parquet

The days are real ones: the share of the reference panel's tickers whose return over a horizon, in units of an exponentially
weighted volatility known before, lay inside a band, on each session of 2014 to 2018. So tickers move together as they do in
a real panel. The band is as wide as makes the mean over those sessions 95 %, or 90 % for the power. A record draws its days
from them with replacement, so that its true coverage is known exactly, and has as many as scored sessions fit into three
years where exchanges close at different hours: every (h + 1)-th session. In ``moving`` records good and bad days come in
regimes of some forty scored sessions, and the truth is the mean of the conditional means so far.

A record of losses draws differences of the same days: how much less one volatility forecast lost than another, cut as the
record cuts them; with a random sign, neither is better.
"""

import argparse
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.anytime import confidence_sequence, log_e_values, log_e_values_above
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.monitoring.record import LARGEST_GAIN
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.scores.trading import Floats
from forecast_assets_tests.helpers.paths import FULL_PANEL
from tools.results import record

RECORDS, YEARS, SESSIONS_PER_YEAR = 1_000, 3, 252
FIRST_YEAR, LAST_YEAR = 2014, 2018
FEWEST_TICKERS = 100  # of a session that is drawn; on the others most exchanges were closed
LEVEL, NOMINAL, WRONG = 0.95, 0.95, 0.90
LIMIT = -np.log(1 - LEVEL)
REGIME_SESSIONS = 40.0
SEED = 20260


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", type=Path, default=FULL_PANEL)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    if not given.panel.exists():
        raise SystemExit(f"{given.panel}: the reference panel is not there; name one with --panel")
    scaled = scaled_returns(given.panel)
    rng = np.random.default_rng(SEED)
    by_horizon = {str(h): horizon_figures(scaled, h, rng=rng, records=given.records) for h in HORIZONS}
    first = by_horizon[str(HORIZONS[0])]
    moving = inside_while_moving(scaled, rng=rng, records=given.records)
    figures: dict[str, dict[str, Any]] = {
        "confidence_sequence_coverage": {
            "value": min([moving, *(each["always_inside"] for each in by_horizon.values())]),
            "records": given.records,
            "years": YEARS,
            "always_inside_while_the_mean_moves": moving,
            "horizons": by_horizon,
        },
        "confidence_sequence_width_1y": {"value": first["width_1y"]},
        "confidence_sequence_width_3y": {"value": first["width_3y"]},
        "coverage_90_found_1y": {
            "value": first["found_1y_where_it_is_90"],
            "found_3y": first["found_3y_where_it_is_90"],
        },
        "skill_e_value": skill_figures(scaled, rng=rng, records=given.records),
    }
    print(figures)
    if not given.dry:
        print(record("record_statistics", figures, command="python -m benchmarks.record_statistics"))


def scaled_returns(panel: Path) -> pl.DataFrame:
    """Return date, ticker, the returns over each horizon over an EWMA(0.94) volatility known before, and that over another
    one (0.97), of rows in the years drawn from."""
    names = {"Date": "date", "Ticker": "ticker", "Closing Price": "close"}
    whole = pl.scan_parquet(panel).select(pl.col(old).alias(new) for old, new in names.items())
    rows = whole.filter(pl.col("date").dt.year() <= LAST_YEAR).collect().sort("ticker", "date")
    rows = rows.with_columns(close=pl.col("close").cast(pl.Float64).log()).drop_nulls()
    rows = rows.with_columns(squared=(pl.col("close").diff() ** 2).over("ticker"))
    slow, quick = (
        pl.col("squared").ewm_mean(alpha=1 - decay, ignore_nulls=True, min_samples=60).sqrt().over("ticker")
        for decay in (0.97, 0.94)
    )
    ahead = {f"z{h}": ((pl.col("close").shift(-h) - pl.col("close")) / h**0.5).over("ticker") / quick for h in HORIZONS}
    made = rows.with_columns(**ahead, slower=slow / quick)
    until = made.group_by("date").len().sort("date")["date"][-(max(HORIZONS) + 1)]  # labels that end in these years
    kept = made.filter(pl.col("date").dt.year().is_between(FIRST_YEAR, LAST_YEAR), pl.col("date") <= until)
    finite = pl.all_horizontal(pl.col(name).is_finite() for name in (*ahead, "slower"))
    return kept.drop_nulls().filter(finite).filter(pl.len().over("date") >= FEWEST_TICKERS)


def daily_shares(scaled: pl.DataFrame, horizon: int, *, coverage: float) -> Floats:
    """Return the share of tickers inside a symmetric band on each session; its mean over sessions is ``coverage``."""
    size = scaled.select("date", z=pl.col(f"z{horizon}").abs())
    low, high = 0.1, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        daily = size.group_by("date", maintain_order=True).agg(share=(pl.col("z") <= middle).mean())
        low, high = (middle, high) if float(daily["share"].mean()) < coverage else (low, middle)  # type: ignore[arg-type]
    return daily["share"].to_numpy()


def horizon_figures(scaled: pl.DataFrame, horizon: int, *, rng: np.random.Generator, records: int) -> dict[str, Any]:
    """Return how often the truth is always inside, how wide the interval is, and how soon 90 % and 95 % differ."""
    shares, wrong = (daily_shares(scaled, horizon, coverage=level) for level in (NOMINAL, WRONG))
    year = SESSIONS_PER_YEAR // (horizon + 1)
    size = year * YEARS
    inside, widths, found = 0, [], []
    for _ in range(records):
        drawn = rng.choice(shares, size)
        inside += not (log_e_values(drawn, mean=float(shares.mean())) >= LIMIT).any()
        sequence = confidence_sequence(drawn, level=LEVEL)
        widths.append((sequence.high - sequence.low)[[year - 1, size - 1]])
        against = log_e_values(rng.choice(wrong, size), mean=NOMINAL)
        found.append([against[:year].max() >= LIMIT, against.max() >= LIMIT])
    width, power = np.median(widths, axis=0), np.mean(found, axis=0)
    return {
        "always_inside": inside / records,
        "scored_sessions_a_year": year,
        "width_1y": round(float(width[0]), 4),
        "width_3y": round(float(width[1]), 4),
        "found_1y_where_it_is_90": float(power[0]),
        "found_3y_where_it_is_90": float(power[1]),
        "sd_of_a_session": round(float(shares.std()), 4),
        "worst_session": round(float(shares.min()), 4),
    }


def inside_while_moving(scaled: pl.DataFrame, *, rng: np.random.Generator, records: int) -> float:
    """Return the share of records whose sequence holds the mean of the conditional means so far at every time."""
    shares = np.sort(daily_shares(scaled, HORIZONS[0], coverage=NOMINAL))
    worse, better = np.array_split(shares, 2)
    size, inside = SESSIONS_PER_YEAR // 2 * YEARS, 0
    for _ in range(records):
        bad = np.cumsum(rng.random(size) < 1 / REGIME_SESSIONS) % 2 == rng.integers(2)
        chance = np.where(bad, 0.8, 0.2)  # of a day from the worse half, known beforehand
        values = np.where(rng.random(size) < chance, rng.choice(worse, size), rng.choice(better, size))
        truth = (chance * worse.mean() + (1 - chance) * better.mean()).cumsum() / np.arange(1, size + 1)
        found = confidence_sequence(values, level=LEVEL)
        inside += bool(((found.low <= truth) & (truth <= found.high)).all())
    return inside / records


def session_gains(scaled: pl.DataFrame) -> Floats:
    """Return by session how much less pinball a quicker volatility lost than a slower one, both with the empirical quantiles
    of returns in units of them, in shares of what the slower one expects to lose: as the record has it against HAR-X.
    """
    z, slower = (scaled[name].to_numpy() for name in ("z1", "slower"))
    quick = np.broadcast_to(np.quantile(z, QUANTILES), (len(z), len(QUANTILES)))
    slow = slower[:, None] * np.quantile(z / slower, QUANTILES)
    saved = (pinball(z, slow, levels=QUANTILES) - pinball(z, quick, levels=QUANTILES)).mean(axis=1)
    expected = slower * np.mean([NormalDist().pdf(NormalDist().inv_cdf(level)) for level in QUANTILES])
    daily = (
        scaled.select("date", saved=pl.Series(saved), expected=pl.Series(expected)).group_by("date").sum().sort("date")
    )
    return (daily["saved"] / daily["expected"]).to_numpy()


def skill_figures(scaled: pl.DataFrame, *, rng: np.random.Generator, records: int) -> dict[str, Any]:
    """Return how often an e-value of 20 is reached where neither of two forecasts is better, and where one is."""
    gain, size = session_gains(scaled), SESSIONS_PER_YEAR // 2 * YEARS

    def reached(values: Floats) -> bool:
        outcomes = (1 + np.clip(values / LARGEST_GAIN, -1, 1)) / 2
        return bool((log_e_values_above(outcomes, mean=0.5) >= LIMIT).any())

    # A sign of its own for each day: as likely a gain as a loss.
    null = [reached(rng.choice(gain, size) * rng.choice([-1, 1], size)) for _ in range(records)]
    better = {}
    for share in (0.1, 0.2, 0.3):  # t statistics of about 2, 4 and 6 after three years
        moved = gain - gain.mean() + gain.std() * share
        better[str(share)] = float(np.mean([reached(rng.choice(moved, size)) for _ in range(records)]))
    return {
        "value": float(np.mean(null)),
        "found_3y_by_gain_in_its_sd": better,
        "sd_of_a_session": round(float(gain.std()), 4),
        "sessions_cut": round(float((np.abs(gain) > LARGEST_GAIN).mean()), 4),
    }


if __name__ == "__main__":
    main()
