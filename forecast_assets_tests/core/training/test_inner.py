"""Settings scored on the years before the first test year."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch

from forecast_assets.assets.fold.candidates import why_skipped
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.specs import CalibrationSpec, FoldSpec
from forecast_assets.core.training.inner import (
    Budget,
    Candidate,
    Progress,
    Pruned,
    inner_score,
    inner_walk_forward,
    inner_years,
    search_panel,
    usable_years,
)
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.core.training.test_fit import CPU, LOOKBACK, TFT
from forecast_assets_tests.helpers.tensors import random_panel, weekdays

FOLDS = FoldSpec(first_test_year=2020, validation_sessions=40, purge_sessions=21)
EPOCHS = 2
BUDGET = Budget((2018, 2019), FOLDS, CalibrationSpec(), seed=0)
CANDIDATE = Candidate("b3_tft_sector", TFT.model_copy(update={"epochs": EPOCHS}), LOOKBACK)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return random_panel(tickers=4, sessions=1000)


def test_every_epoch_of_every_year_is_a_step_and_the_value_is_the_mean_of_the_best(panel: PanelTensors) -> None:
    reported: list[Progress] = []
    years = inner_walk_forward(CANDIDATE, BUDGET, panel=panel, hardware=CPU, report=reported.append)
    assert [progress.step for progress in reported] == list(range(2 * EPOCHS))
    assert [progress.year for progress in reported] == [2018, 2018, 2019, 2019]
    first = min(progress.epoch["validation_pinball"] for progress in reported[:EPOCHS])
    second = reported[EPOCHS].epoch["validation_pinball"]
    assert reported[EPOCHS].value == pytest.approx((first + second) / 2)
    assert [year.fold.year for year in years] == [2018, 2019]


def test_a_pruned_candidate_stops_where_it_is(panel: PanelTensors) -> None:
    reported: list[int] = []

    def prune_at_the_second(progress: Progress) -> None:
        reported.append(progress.step)
        if progress.step == 1:
            raise Pruned

    with pytest.raises(Pruned):
        inner_walk_forward(CANDIDATE, BUDGET, panel=panel, hardware=CPU, report=prune_at_the_second)
    assert reported == [0, 1]


def test_the_score_is_that_of_the_inner_years_forecasts_alone(panel: PanelTensors) -> None:
    folds = FOLDS
    rows = {2018: 0.0, 2019: 0.0}
    empty = inner_years({year: np.zeros((0, 3, 7)) for year in rows}, panel=panel, folds=folds, lookback=LOOKBACK)
    levels = np.linspace(-0.03, 0.03, len(QUANTILES))
    years = [replace(year, quantiles=np.broadcast_to(levels, (len(year.fold.origins), 3, 7)).copy()) for year in empty]
    for year in years:
        year.quantiles[: len(year.fold.validation)] = 99.0  # validation rows don't count
    score = inner_score(years, panel=panel, calibration=CalibrationSpec(enabled=False))
    y = torch.cat([panel.targets[year.fold.test, 0] for year in years]).double().numpy()
    assert score.loss == pytest.approx(np.prod(score.pinball) ** (1 / 3))
    missed, tau = y[:, None] - levels, np.array(QUANTILES)
    assert score.pinball[0] == pytest.approx(np.nanmean(np.maximum(tau * missed, (tau - 1) * missed)))
    assert score.coverage_95[0] == pytest.approx(np.mean(np.abs(y[np.isfinite(y)]) <= 0.03))


def test_a_test_year_is_an_error_and_years_without_history_are_skipped(panel: PanelTensors) -> None:
    with pytest.raises(ValueError, match="2020 is a test year"):
        usable_years(panel, (2019, 2020), folds=FOLDS, lookbacks=(LOOKBACK,))
    assert usable_years(panel, (2015, 2018, 2019), folds=FOLDS, lookbacks=(LOOKBACK,)) == (2018, 2019)
    with pytest.raises(BadInput, match="no inner year"):
        usable_years(panel, (2015, 2016), folds=FOLDS, lookbacks=(LOOKBACK,))


def searched(panel: PanelTensors, *, tickers: int = 60, lookback: int = LOOKBACK) -> PanelTensors:
    return search_panel(panel, folds=FOLDS, years=(2018, 2019), lookback=lookback, tickers=tickers)


def later(panel: PanelTensors, name: str, *, first: int) -> PanelTensors:
    """Return the panel with its last ticker renamed ``name``, and without that ticker's rows before row ``first``."""
    last = len(panel.tickers) - 1
    position = torch.arange(panel.rows) % (panel.rows // len(panel.tickers))
    kept = panel.take(torch.nonzero((panel.ticker != last) | (position >= first)).squeeze(1))
    restarted = torch.where(kept.ticker == last, kept.run_length - first, kept.run_length)
    return replace(kept, run_length=restarted, tickers=(*panel.tickers[:-1], name))


def names(panel: PanelTensors) -> set[str]:
    return {panel.tickers[code] for code in panel.ticker.unique().tolist()}


def test_a_search_reads_no_row_and_no_label_of_a_test_year(panel: PanelTensors) -> None:
    found = searched(panel)
    assert int(found.date.max()) == 18_261  # 2019-12-31
    assert found.rows == int((panel.date < 18_262).sum())
    labelled = found.label_end != NO_DATE
    assert int(found.label_end.max()) == 18_261
    assert torch.equal(labelled, torch.isfinite(found.targets).all(dim=1))
    assert int((~labelled).sum()) == 4 * 20  # the last sessions, whose 20-session labels end later
    kept = torch.nonzero(panel.date < 18_262).squeeze(1)[labelled]
    assert torch.equal(found.targets[labelled], panel.targets[kept])
    assert torch.equal(found.features, panel.features[panel.date < 18_262])


def test_what_a_search_reads_is_the_same_without_the_test_years(panel: PanelTensors) -> None:
    short = panel.take(torch.nonzero(panel.date < 18_262).squeeze(1))
    reach = torch.arange(short.rows) % (short.rows // 4) + 1  # sessions so far, of each ticker
    for column, horizon in enumerate(HORIZONS):  # as the targets of a panel that ends here are
        short.targets[reach > short.rows // 4 - horizon, column] = torch.nan
    short.label_end[short.label_end > 18_261] = 18_261
    whole, cut = searched(panel), searched(short)
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor.nan_to_num(-9.0), cut.tensors()[name].nan_to_num(-9.0)), name


def test_forecasts_of_the_last_sessions_are_not_scored(panel: PanelTensors) -> None:
    found = searched(panel)
    years = inner_years({2019: np.zeros((0, 3, 7))}, panel=found, folds=FOLDS, lookback=LOOKBACK)
    quantiles = np.broadcast_to(np.linspace(-0.03, 0.03, 7), (len(years[0].fold.origins), 3, 7)).copy()
    spoilt = quantiles.copy()
    unlabelled = found.label_end[years[0].fold.origins].numpy() == NO_DATE
    assert unlabelled.sum() == 4 * 20
    spoilt[unlabelled] = 99.0
    scores = [
        inner_score([replace(years[0], quantiles=of)], panel=found, calibration=CalibrationSpec())
        for of in (quantiles, spoilt)
    ]
    assert scores[0] == scores[1]


def test_a_ticker_that_lists_in_a_test_year_displaces_none() -> None:
    fewer = random_panel(tickers=5, sessions=1000)
    chosen = names(searched(fewer, tickers=3))
    assert len(chosen) == 3
    late = later(random_panel(tickers=6, sessions=1000), "NEW71", first=int((weekdays(1000) < 18_262).sum()))
    assert sha256(b"NEW71").digest() < min(sha256(name.encode()).digest() for name in fewer.tickers)
    assert names(searched(late, tickers=3)) == chosen
    assert "NEW71" not in searched(late).tickers


def test_a_ticker_without_an_inner_forecast_takes_only_a_place_that_is_left() -> None:
    fewer = random_panel(tickers=5, sessions=1000)
    chosen = names(searched(fewer, tickers=3))
    # One session short of a forecast whose labels end before the test year.
    first = int((weekdays(1000) < 18_262).sum()) - HORIZONS[-1] - LOOKBACK + 1
    late = later(random_panel(tickers=6, sessions=1000), "NEW71", first=first)
    assert names(searched(late, tickers=3)) == chosen
    assert names(searched(late, tickers=6)) == {*fewer.tickers, "NEW71"}
    in_time = later(random_panel(tickers=6, sessions=1000), "NEW71", first=first - 1)
    assert "NEW71" in names(searched(in_time, tickers=3))
    assert len(names(searched(in_time, tickers=3)) & chosen) == 2


def test_a_sample_of_tickers_is_whole_histories_under_codes_of_its_own(panel: PanelTensors) -> None:
    few = searched(panel, tickers=2)
    assert len(few.tickers) == 2
    assert few.ticker.unique().tolist() == [0, 1]
    assert int(few.segment_start.sum()) == 2
    for code, name in enumerate(few.tickers):
        whole = panel.features[(panel.ticker == panel.tickers.index(name)) & (panel.date < 18_262)]
        assert torch.equal(few.features[few.ticker == code], whole)


def test_a_macro_series_that_begins_in_a_test_year_is_none_to_the_search(panel: PanelTensors) -> None:
    begun = panel.date >= 18_262
    macro = torch.where(begun, 20.0, torch.nan)[:, None].expand(-1, 4)
    names = ("vix", "vix_change_5", "us10y_change_5", "term_slope")
    with_macro = replace(
        panel, features=torch.cat([panel.features, macro], dim=1), feature_names=(*panel.feature_names, *names)
    )
    spec = compose_settings("smoke", []).b5_moe
    assert why_skipped("b5_moe", spec, with_macro, with_macro.ends(1)) is None
    found = searched(with_macro)
    assert "b5_moe: the panel has no vix" in str(why_skipped("b5_moe", spec, found, found.ends(1)))


def test_a_model_that_names_a_series_nobody_declared_is_skipped_with_what_to_do(panel: PanelTensors) -> None:
    spec = compose_settings("smoke", ["tft.observed=[log_return,x_mood]"]).b1_tft
    named = replace(panel, feature_names=tuple("x_mod" if name == "noise_2" else name for name in panel.feature_names))
    assert why_skipped("b1_tft", spec, named, named.ends(1)) == (
        "b1_tft: reads x_mood, which no series makes; declare it in covariates.yaml (there: x_mod)"
    )
    there = replace(panel, feature_names=tuple("x_mood" if name == "noise_2" else name for name in panel.feature_names))
    assert why_skipped("b1_tft", spec, there, there.ends(1)) is None


def test_a_panel_that_begins_in_a_test_year_leaves_the_search_nothing() -> None:
    panel = random_panel(tickers=2, sessions=300)
    folds = FoldSpec(first_test_year=2017)
    empty = search_panel(panel, folds=folds, years=(2015, 2016), lookback=LOOKBACK, tickers=60)
    assert empty.rows == 0
    with pytest.raises(BadInput, match="no inner year"):
        usable_years(empty, (2015, 2016), folds=folds, lookbacks=(LOOKBACK,))
