"""Settings scored on the years before the first test year."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.specs import CalibrationSpec, FoldSpec
from forecast_assets.core.training.inner import (
    Budget,
    Candidate,
    Progress,
    Pruned,
    inner_score,
    inner_walk_forward,
    inner_years,
    sample_of_tickers,
    usable_years,
)
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.core.training.test_fit import CPU, LOOKBACK, SPECS
from forecast_assets_tests.helpers.tensors import random_panel

FOLDS = FoldSpec(first_test_year=2020, validation_sessions=40, purge_sessions=21)
EPOCHS = 2
BUDGET = Budget((2018, 2019), FOLDS, CalibrationSpec(), seed=0)
CANDIDATE = Candidate("b3_tft_sector", SPECS["b3_tft_sector"].model_copy(update={"epochs": EPOCHS}), LOOKBACK)


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
    assert score.mae_1d == pytest.approx(np.nanmean(np.abs(y)))
    assert score.coverage_95[0] == pytest.approx(np.mean(np.abs(y[np.isfinite(y)]) <= 0.03))


def test_rows_after_the_inner_years_change_nothing(panel: PanelTensors) -> None:
    late = panel.date > int(panel.date[panel.date < 18262].max()) + 30  # 2020-01-01 and the labels of 2019
    features, targets = panel.features.clone(), panel.targets.clone()
    features[late] *= 1000
    targets[late] = 9.0
    poisoned = replace(panel, features=features, targets=targets)
    one, other = (
        inner_walk_forward(CANDIDATE, BUDGET, panel=of, hardware=CPU, report=lambda _: None) for of in (panel, poisoned)
    )
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left.quantiles, right.quantiles)


def test_a_test_year_is_an_error_and_years_without_history_are_skipped(panel: PanelTensors) -> None:
    with pytest.raises(ValueError, match="2020 is a test year"):
        usable_years(panel, (2019, 2020), folds=FOLDS, lookbacks=(LOOKBACK,))
    assert usable_years(panel, (2015, 2018, 2019), folds=FOLDS, lookbacks=(LOOKBACK,)) == (2018, 2019)
    with pytest.raises(BadInput, match="no inner year"):
        usable_years(panel, (2015, 2016), folds=FOLDS, lookbacks=(LOOKBACK,))


def test_a_sample_of_tickers_is_whole_histories_and_stays_when_others_list() -> None:
    wide = random_panel(tickers=6, sessions=300)
    few = sample_of_tickers(wide, tickers=3)
    names = {few.tickers[code] for code in few.ticker.unique().tolist()}
    assert len(names) == 3
    assert few.rows == 3 * 300
    assert few.tickers == wide.tickers
    assert int(few.segment_start.sum()) == 3
    assert sample_of_tickers(wide, tickers=6) is wide
    fewer = random_panel(tickers=5, sessions=300)
    before = {fewer.tickers[code] for code in sample_of_tickers(fewer, tickers=3).ticker.unique().tolist()}
    assert len(names & before) >= 2
