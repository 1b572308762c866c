"""What stands out in a row, and the columns made of it, against plain loops over the rows of a small panel."""

import datetime as dt
from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.announcements.columns import NAMES, QUIET, declare_columns
from forecast_assets.core.panel.sessions import closes
from forecast_assets_tests.helpers.announced import announced, calendar, infer

START, END = dt.date(2013, 1, 2), dt.date(2015, 3, 31)
FLOOR = 1e-4

Row = dict[str, Any]


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """Seven tickers of three exchanges, one with a halt, one with a hole and one without a sector."""
    raw = announced(tickers=7, start=START, end=END, seed=4).raw
    days = raw.filter(pl.col("ticker") == "ANN001")["date"]
    halted = (pl.col("ticker") == "ANN001") & pl.col("date").is_in(days[100:103].implode())
    left_out = (pl.col("ticker") == "ANN002") & pl.col("date").is_in(days[200:209].implode())
    raw = raw.filter(~halted & ~left_out)
    raw = raw.with_columns(
        sector=pl.when(pl.col("ticker") != "ANN005").then("sector"),
        high=pl.when(pl.col("ticker") != "ANN006").then("high"),
    )
    rows = calendar(raw)
    made, _ = infer(rows)
    return rows.join(made, on=["ticker", "date"], maintain_order="left").filter(~pl.col("is_missing"))


@pytest.fixture(scope="module")
def rows(table: pl.DataFrame) -> list[Row]:
    """The quoted rows in the order of their closes, with what a plain loop finds in them."""
    at: dict[tuple[str, dt.date], dt.datetime] = {}
    for exchange in table["exchange"].unique():
        at |= {(exchange, day): close for day, close in closes(exchange, START, END).iter_rows()}
    plain = table.to_dicts()
    before: dict[str, Row] = {}
    for row in plain:
        last = before.get(row["ticker"])
        row["starts"] = last is None or last["segment"] != row["segment"]
        row["group"] = (row["region"], at[row["exchange"], row["date"]])
        previous = float("nan") if row["starts"] or last is None else np.log(last["close"])
        intraday = np.log(row["close"] / row["open"])
        row["r"] = np.log(row["close"]) - previous
        row["g"], row["i"] = np.log(row["open"]) - previous, intraday
        if row["high"] is None:
            row["range"], day = float("nan"), intraday**2
        else:
            row["range"] = np.log(row["high"] / row["low"])
            day = 0.5 * row["range"] ** 2 - (2 * np.log(2) - 1) * intraday**2
        row["V"] = row["g"] ** 2 + day
        before[row["ticker"]] = row
    find_surprises(plain)
    return plain


def by_close(rows: list[Row]) -> list[list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
    return [groups[key] for key in sorted(groups, key=lambda key: (key[1], key[0]))]


def mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return sum(known) / len(known) if known else float("nan")


def find_surprises(rows: list[Row]) -> None:
    """Add residuals, sizes and unusual volume: one close after the other, each with what was known before it."""
    average: dict[str, float] = {}
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    sizes: dict[str, list[list[float]]] = defaultdict(lambda: [[0.01, 0.0] for _ in range(4)])
    for group in by_close(rows):
        for row in group:
            ticker, volume = row["ticker"], np.log(row["volume"])
            row["volume_own"] = volume - average[ticker] if ticker in average else float("nan")
            average.setdefault(ticker, volume)
            average[ticker] += 0.05 * float(np.clip(np.nan_to_num(row["volume_own"]), -1.5, 1.5))
        market = {name: mean([float(np.clip(row[name], -0.25, 0.25)) for row in group]) for name in "rgi"}
        unusual = mean([row["volume_own"] for row in group])
        for row in group:
            product, square = sums[row["ticker"]]
            beta = float(np.clip((product + 2e-3) / (square + 2e-3), 0, 3))
            row["of_market"] = {name: row[name] - beta * market[name] for name in "rgi"}
            if np.isfinite(row["r"]) and np.isfinite(market["r"]):
                own = float(np.clip(row["r"], -0.25, 0.25))
                sums[row["ticker"]] = [0.99 * product + own * market["r"], 0.99 * square + market["r"] ** 2]
            row["unusual"] = float(np.nan_to_num(row["volume_own"] - unusual))
        for row in group:
            row["e"] = {}
            for name in "rgi":
                peers = [o["of_market"][name] for o in group if o is not row and o["sector"] == row["sector"]]
                peers = [float(np.clip(value, -0.25, 0.25)) for value in peers if np.isfinite(value)]
                shared = sum(peers) / (len(peers) + 4) if row["sector"] else 0.0
                row["e"][name] = row["of_market"][name] - shared
            row["z"] = []
            for move, state in zip([*row["e"].values(), row["range"]], sizes[row["ticker"]], strict=True):
                size, count = state
                row["z"].append(abs(move) / max(size, 1e-4))
                if np.isfinite(move):
                    decay = min(0.97, 1 - 1 / (count + 5))
                    state[0], state[1] = decay * size + (1 - decay) * min(abs(move), 3 * size), count + 1
        level = mean([row["of_market"]["r"] ** 2 for row in group])
        moved = [row["z"][0] for row in group if np.isfinite(row["z"][0])]
        for row in group:
            row["level"] = np.log(max(float(np.nan_to_num(level)), FLOOR**2))
            row["large"] = sum(z > 4 for z in moved) / len(moved) if moved else 0.0


def close_to(table: pl.DataFrame, name: str, wanted: list[float]) -> None:
    """Compare a column of the table, in single precision, with plain numbers."""
    np.testing.assert_allclose(table[name].to_numpy(), wanted, rtol=2e-5, atol=2e-5, err_msg=name)


def test_moves_without_the_markets_and_the_sectors_part_are_those_of_plain_loops(
    table: pl.DataFrame, rows: list[Row]
) -> None:
    close_to(table, "return_size", [float(np.nan_to_num(row["z"][0])) for row in rows])
    close_to(table, "gap_size", [float(np.nan_to_num(row["z"][1])) for row in rows])
    close_to(table, "unusual_volume_1", [row["unusual"] for row in rows])
    close_to(table, "residual_level", [row["level"] for row in rows])
    close_to(table, "large_moves", [row["large"] for row in rows])


def histories(table: pl.DataFrame, rows: list[Row]) -> list[list[tuple[Row, dict[str, float]]]]:
    """Per segment of each ticker: its rows with the columns found for them."""
    found: list[list[tuple[Row, dict[str, float]]]] = []
    for row, columns in zip(rows, table.select(NAMES).iter_rows(named=True), strict=True):
        if row["starts"]:
            found.append([])
        found[-1].append((row, columns))
    return found


def test_the_variances_columns_are_those_of_plain_loops(table: pl.DataFrame, rows: list[Row]) -> None:
    checked = 0
    for history in histories(table, rows):
        for at in range(66, len(history), 7):
            columns = history[at][1]
            for n in QUIET:
                window = [(1 - row["announced"], row["V"]) for row, _ in history[at - n + 1 : at + 1]]
                wanted = sum(q * v for q, v in window) / sum(q for q, _ in window)
                assert columns[f"quiet_variance_{n}"] == pytest.approx(np.log(max(wanted, FLOOR**2)), abs=2e-4)
            for n in (5, 22, 66):
                wanted = np.mean([row["e"]["r"] ** 2 for row, _ in history[at - n + 1 : at + 1]])
                assert columns[f"residual_variance_{n}"] == pytest.approx(np.log(max(wanted, FLOOR**2)), abs=2e-4)
            wanted = np.mean([row["unusual"] for row, _ in history[at - 21 : at + 1]])
            assert columns["unusual_volume_22"] == pytest.approx(wanted, abs=1e-5)
            checked += 1
    assert checked > 300


def test_past_announcements_and_their_jumps_are_those_of_plain_loops(table: pl.DataFrame, rows: list[Row]) -> None:
    totals: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    since: dict[str, float] = defaultdict(lambda: 80.0)
    for history in histories(table, rows):
        surprise = []
        for at, (row, columns) in enumerate(history):
            quiet = np.exp(history[at - 1][1]["quiet_variance_66"]) if at else np.nan
            jump = float(np.nan_to_num(min(np.sqrt(row["V"] / quiet), 8)))
            total, mass = totals[row["ticker"]]
            if at:
                total, mass = 0.999 * total + jump * row["announced"], 0.999 * mass + row["announced"]
                totals[row["ticker"]] = total, mass
            size = (total + 3 * 2.2) / (mass + 3)
            assert columns["announcement_jump"] == pytest.approx(np.log(size), abs=2e-4)
            for h in HORIZONS:
                chance = min(columns[f"announcement_{h}d"], 1.0)
                wanted = np.log(1 + chance / h * (1.3 * max(size, 1.0) ** 2 - 1))
                assert columns[f"announcement_variance_{h}d"] == pytest.approx(wanted, abs=2e-4)
            surprise.append(row["announced"] * np.log(max(jump, 0.05)) if at else 0.0)
            assert columns["announced_5"] == pytest.approx(
                sum(r["announced"] for r, _ in history[: at + 1][-5:]), abs=1e-5
            )
            assert columns["surprise_22"] == pytest.approx(sum(surprise[-22:]), abs=2e-3)
            since[row["ticker"]] = 0.0 if row["announced"] > 0.4 else min(since[row["ticker"]] + 1, 80.0)
            assert columns["announced_since"] == since[row["ticker"]]
    assert table.select(pl.max("announced")).item() > 0.6


def test_every_column_is_declared_and_known_on_every_row(table: pl.DataFrame) -> None:
    assert tuple(declare_columns()) == NAMES
    assert not any(table.select(NAMES).null_count().row(0))
    assert all(table.select(pl.col(NAMES).is_finite().all()).row(0))
    assert table["is_missing"].sum() == 0
    assert table.filter(pl.col("segment") == 1).height > 100
