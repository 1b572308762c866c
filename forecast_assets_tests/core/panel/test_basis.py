"""Opens and closes of one file are on one basis, or it is refused or the ticker flagged."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.sessions import sessions
from forecast_assets_tests.helpers.builders import MONDAY, csv, panel_spec
from forecast_assets_tests.helpers.reading import read_files

DAYS = sessions("XNYS", MONDAY, MONDAY + dt.timedelta(days=60))


def prices(ticker: str, *, factor: float, seed: int) -> list[str]:
    """Return rows of a random walk whose close is multiplied by ``factor``; the open is not."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, len(DAYS))))
    opening = np.append(50, close[:-1]) * np.exp(rng.normal(0, 0.003, len(DAYS)))
    return [f"{day},{ticker},{o:.4f},{c * factor:.4f},1000" for day, o, c in zip(DAYS, opening, close, strict=True)]


def test_an_adjusted_close_beside_raw_opens_is_refused_by_its_values(tmp_path: Path) -> None:
    path = csv(tmp_path / "p.csv", *prices("KO", factor=0.8, seed=1), header="Date,Ticker,Open,Close,Volume")
    with pytest.raises(BadInput, match=r"p\.csv: open and close are on two bases \(KO: the close is about 0\.\d+ of"):
        read_files([path], spec=panel_spec())


def test_prices_of_one_basis_pass_whatever_their_drift(tmp_path: Path) -> None:
    rows = [row for seed in range(6) for row in prices(f"T{seed}", factor=1.0, seed=seed)]
    panel, reading = read_files(
        [csv(tmp_path / "p.csv", *rows, header="Date,Ticker,Open,Close,Volume")], spec=panel_spec()
    )
    assert panel.height == len(rows)
    assert "mixed_basis" not in reading.flags["flag"]


def test_one_odd_ticker_among_many_is_flagged(tmp_path: Path) -> None:
    rows = [row for seed in range(12) for row in prices(f"T{seed}", factor=0.9 if seed == 3 else 1.0, seed=seed)]
    _, reading = read_files([csv(tmp_path / "p.csv", *rows, header="Date,Ticker,Open,Close,Volume")], spec=panel_spec())
    (flag,) = reading.flags.filter(flag="mixed_basis").to_dicts()
    assert flag["ticker"] == "T3"
    assert flag["detail"].startswith("in p.csv the close is about 0.")
