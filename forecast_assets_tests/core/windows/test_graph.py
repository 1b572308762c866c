"""The rolling correlation graph: equal to a naive loop in pandas, causal, and it finds planted edges."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from forecast_assets.core.models.catalogue import GraphSpec
from forecast_assets.core.panel.sessions import closes
from forecast_assets.core.reads import GraphSettings
from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.graph import Correlations, with_graph
from forecast_assets.core.windows.tensors import Graph, PanelTensors
from forecast_assets_tests.helpers.contagion import contagion_panel
from forecast_assets_tests.helpers.tensors import random_panel

WINDOW, LEAST, NEIGHBOURS = 12, 8, 3
SETTINGS = GraphSettings(window_sessions=WINDOW, min_pairs=LEAST, neighbours=NEIGHBOURS)
EXCHANGES = ("XETR", "XNYS", "XTKS")


def correlations(panel: PanelTensors) -> Correlations:
    return Correlations(panel, SETTINGS)


def graph_of(panel: PanelTensors) -> Graph:
    return correlations(panel).of(torch.arange(panel.rows))


def chosen(panel: PanelTensors, kept: torch.Tensor) -> PanelTensors:
    """``panel`` with the rows of ``kept`` (N,) bool alone."""
    fields: dict[str, Any] = {name: tensor[kept] for name, tensor in panel.tensors().items()}
    return replace(panel, **fields)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    """Seven tickers that share a factor, on three exchanges with their holidays; a halt, a hole and a late listing."""
    made = random_panel(tickers=7, sessions=90, features=1)
    generator = torch.Generator().manual_seed(5)
    factor = 0.01 * torch.randn(90, generator=generator)
    side = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
    made.features[:, 0] += (side[:, None] * factor).flatten()
    exchange = torch.tensor([0, 1, 2, 0, 1, 2, 1], dtype=torch.int32)[made.ticker.long()]
    is_session = torch.zeros(made.rows, dtype=torch.bool)
    for code, name in enumerate(EXCHANGES):
        days = closes(name, to_date(int(made.date.min())), to_date(int(made.date.max())))["date"]
        held = torch.tensor([day.toordinal() - 719_163 for day in days])
        is_session |= (exchange == code) & torch.isin(made.date, held)
    place = torch.arange(made.rows) % 90
    halted = (made.ticker == 3) & (place >= 40) & (place < 43)
    starts = made.segment_start | ((made.ticker == 4) & (place == 50))
    features = made.features.clone()
    features[starts, 0] = float("nan")
    made = replace(
        made, features=features, exchange=exchange, exchanges=EXCHANGES, observed=~halted, segment_start=starts
    )
    return chosen(made, is_session & ~((made.ticker == 6) & (place < 30)))


def naive(panel: PanelTensors) -> list[dict[int, float]]:
    """Of each row: row of a possible neighbour -> correlation, by loops over sessions and tickers."""
    span = (to_date(int(panel.date.min())), to_date(int(panel.date.max())))
    at = {
        (code, day): close.timestamp()
        for code, name in enumerate(panel.exchanges)
        for day, close in zip(*(closes(name, *span)[c].to_list() for c in ("date", "close")), strict=True)
    }
    table = pd.DataFrame(
        {
            "ticker": panel.ticker,
            "day": [to_date(int(day)) for day in panel.date],
            "exchange": panel.exchange,
            "change": panel.column("log_return").double(),
            "observed": panel.observed,
            "segment": panel.segment_start.cumsum(0),
        }
    )
    table["close"] = [at[key] for key in zip(table["exchange"], table["day"], strict=True)]
    table["price"] = table["change"].fillna(0.0).where(table["observed"], 0.0).groupby(table["ticker"]).cumsum()
    quotes = {ticker: part[part["observed"]] for ticker, part in table.groupby("ticker")}
    found: list[dict[int, float]] = [{} for _ in range(panel.rows)]
    for code in range(len(panel.exchanges)):
        days = sorted(table["day"][table["exchange"] == code].unique())
        known = [{t: q[q["close"] <= at[code, day]].tail(1) for t, q in quotes.items()} for day in days]
        returns = pd.DataFrame(
            [
                {
                    t: now[t]["price"].item() - last[t]["price"].item()
                    for t in now
                    if len(now[t])
                    and len(last[t])
                    and now[t].index[0] != last[t].index[0]
                    and now[t]["segment"].item() == last[t]["segment"].item()
                }
                for last, now in zip([{t: q.head(0) for t, q in quotes.items()}, *known[:-1]], known, strict=True)
            ],
            columns=list(quotes),
        )
        for s, day in enumerate(days):
            window = returns.iloc[max(0, s + 1 - WINDOW) : s + 1].corr(min_periods=LEAST)
            for row in table.index[(table["exchange"] == code) & (table["day"] == day)]:
                own = table["ticker"][row]
                for other in quotes:
                    if other != own and np.isfinite(returns[other].iloc[s]) and np.isfinite(window.loc[own, other]):
                        found[row][known[s][other].index[0]] = window.loc[own, other]
    return found


def test_it_equals_a_loop_over_sessions_and_tickers(panel: PanelTensors) -> None:
    graph = graph_of(panel)
    edges = 0
    for row, of_row in enumerate(naive(panel)):
        strongest = sorted(of_row, key=lambda other: -abs(of_row[other]))[:NEIGHBOURS]
        assert graph.neighbour[row, : len(strongest)].tolist() == strongest
        assert (graph.neighbour[row, len(strongest) :] == -1).all()
        assert (graph.weight[row, len(strongest) :] == 0).all()
        expected = [of_row[other] for other in strongest]
        assert graph.weight[row, : len(strongest)].tolist() == pytest.approx(expected, abs=2e-5)
        edges += len(strongest)
    assert edges > 1000
    assert (graph.weight < -0.3).any()


def test_later_rows_change_no_edge(panel: PanelTensors) -> None:
    """Truncation and poison."""
    graph, cut = graph_of(panel), int(panel.date.min()) + 80
    early = panel.date <= cut
    truncated = graph_of(chosen(panel, early))
    place = torch.cumsum(early, 0) - 1  # of a kept row among those that are kept
    kept = graph.neighbour[early]
    assert torch.equal(torch.where(kept >= 0, place[kept.clamp(min=0)], -1).int(), truncated.neighbour)
    assert torch.equal(graph.weight[early], truncated.weight)
    for poison in (float("nan"), 1e20, float("inf")):
        features = torch.where(early[:, None], panel.features, poison)
        poisoned = graph_of(replace(panel, features=features))
        assert torch.equal(poisoned.neighbour[early], graph.neighbour[early])
        assert torch.equal(poisoned.weight[early], graph.weight[early])
    assert (graph.neighbour[early] >= 0).sum() > 300


def test_an_american_close_has_no_edge_into_the_same_day_in_europe_or_asia(panel: PanelTensors) -> None:
    graph = graph_of(panel)
    row, slot = torch.nonzero(graph.neighbour >= 0, as_tuple=True)
    other = graph.neighbour[row, slot].long()
    lag = panel.date[row] - panel.date[other]
    xetr, xnys, xtks = range(3)
    for own, of, earliest in (
        (xetr, xnys, 1),
        (xtks, xnys, 1),
        (xtks, xetr, 1),
        (xnys, xetr, 0),
        (xnys, xtks, 0),
        (xetr, xtks, 0),
        (xnys, xnys, 0),
    ):
        pairs = (panel.exchange[row] == own) & (panel.exchange[other] == of)
        assert int(lag[pairs].min()) == earliest
    assert (panel.ticker[row] != panel.ticker[other]).all()


def test_no_edge_comes_from_a_ticker_outside_the_universe(panel: PanelTensors) -> None:
    absent = (panel.ticker == 1) | ((panel.ticker == 3) & (panel.date > int(panel.date.min()) + 60))
    found = graph_of(replace(panel, member=~absent))
    assert not absent[found.neighbour[found.neighbour >= 0].long()].any()
    weights = naive(panel)
    for row in range(panel.rows):
        allowed = sorted((abs(w) for other, w in weights[row].items() if not absent[other]), reverse=True)
        ours = found.weight[row][found.neighbour[row] >= 0].abs().tolist()
        assert ours == pytest.approx(allowed[:NEIGHBOURS], abs=2e-5)


def test_edges_into_some_rows_are_those_of_the_whole_graph(panel: PanelTensors) -> None:
    whole = graph_of(panel)
    for rows in (torch.tensor([[300, 12], [55, 300]]), torch.arange(200, 260), torch.tensor(400)):
        part = correlations(panel).of(rows)
        assert torch.equal(part.neighbour, whole.neighbour[rows])
        torch.testing.assert_close(part.weight, whole.weight[rows], rtol=0, atol=1e-6)


def test_a_graph_since_a_day_has_no_edges_into_earlier_rows(panel: PanelTensors) -> None:
    spec = GraphSpec(observed=("log_return",), known=(), window_sessions=WINDOW, min_pairs=LEAST, neighbours=NEIGHBOURS)
    since = int(panel.date.min()) + 70
    late = panel.date >= since
    part, whole = with_graph(panel, spec.graph, since=since).graph, with_graph(panel, spec.graph).graph
    assert isinstance(part, Graph)
    assert isinstance(whole, Graph)
    assert torch.equal(part.neighbour[late], whole.neighbour[late])
    assert (part.neighbour[~late] == -1).all()
    assert (part.weight[~late] == 0).all()


def test_it_finds_the_planted_edges_with_their_signs() -> None:
    """Two neighbours each among 19 tickers, over 60 sessions."""
    panel, _, sign = contagion_panel(tickers=20, sessions=400, seed=1)
    finder = Correlations(panel, GraphSettings(window_sessions=60, min_pairs=40, neighbours=2))
    graph = finder.of(torch.arange(panel.rows))
    rows = torch.nonzero(graph.neighbour[:, 0] >= 0).squeeze(1)
    assert len(rows) == 20 * (400 - 40)
    planted = sign[panel.ticker[rows].long()[:, None], panel.ticker[graph.neighbour[rows].long()].long()]
    assert (planted != 0).float().mean() > 0.8
    assert (planted * graph.weight[rows] > 0)[planted != 0].all()
