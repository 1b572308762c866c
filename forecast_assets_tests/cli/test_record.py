"""What ``record`` says in a terminal, on a small store without a champion."""

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from forecast_assets.cli.app import cli
from forecast_assets.store.seals import seal_nights
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import DAYS, panel, publish_night, publish_panel

NIGHTS = DAYS[210:216]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six nights of four tickers; their champion is gone, so HAR-X can't be had."""
    store, tensors = Store(tmp_path / "store"), panel()
    publish_panel(store, tensors)
    for day in NIGHTS:
        publish_night(store, tensors.tickers, day, mean=0.0)
    return tmp_path


def record(root: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["record", "--data-dir", str(root), *options])


def test_forecasts_sealed_after_their_outcome_are_counted_and_not_scored(root: Path) -> None:
    seal_nights(Store(root / "store"), str(root), now=dt.datetime.now(dt.UTC))
    done = record(root)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("6 nights, 6 sealed; the newest seal: ")
    assert "of these 0 sealed before their outcome" in done.output
    assert "nothing to score yet" in done.output


def test_forecasts_sealed_in_time_are_scored_and_a_missing_champion_is_said(root: Path) -> None:
    seal_nights(Store(root / "store"), str(root), now=dt.datetime.combine(NIGHTS[0], dt.time(12), tzinfo=dt.UTC))
    done = record(root)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    (one_session,) = [line for line in lines if line.split()[:1] == ["1"]]
    assert one_session.split()[1] == "1"  # in the stub's panel outcomes count as known with the longest
    assert lines[-1].startswith("no comparison with HAR-X: ")
    assert not (root / "reports").exists()
    paged = record(root, "--page").output.splitlines()
    assert paged == [*lines, f"page: {root / 'reports' / 'latest' / 'record.html'}"]
    page = (root / "reports" / "latest" / "record.html").read_text(encoding="utf-8")
    assert "6 nights, 6 sealed; the newest seal: " in page
    cells = [cell for cell in one_session.split("  ") if cell.strip()]
    assert all(f"<td>{cell.strip()}</td>" in page for cell in cells)
    assert "no comparison with HAR-X: " in page


def test_nights_without_seals_are_scored_as_replays_alone(root: Path) -> None:
    assert "6 nights, 0 sealed\n" in record(root).output
    shutil.rmtree(root / "store" / "nightly_forecast")
    publish_night(Store(root / "store"), panel().tickers, NIGHTS[0], mean=0.0)
    assert record(root).output.startswith("1 night, 0 sealed\n")
    assert "which proves nothing" in record(root, "--replays").output


def test_without_a_night_a_sentence_says_what_makes_one(tmp_path: Path) -> None:
    done = record(tmp_path)
    assert done.exit_code == 1
    assert "no night has issued a forecast yet; make one with: forecast-assets nightly" in done.output


def test_the_share_of_the_first_session_is_that_of_its_outcomes(root: Path) -> None:
    answer = json.loads(record(root, "--replays", "--json").stdout)
    tensors = panel()
    outcomes = tensors.targets[:, 0].numpy().reshape(4, len(DAYS))[:, DAYS.index(NIGHTS[0])]
    inside = np.abs(outcomes) <= 1.959964 * 0.02
    assert answer["scores"][0]["coverage"]["95"]["mean"] == pytest.approx(inside.mean(), abs=1e-9)
