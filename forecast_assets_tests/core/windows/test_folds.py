import datetime as dt
from dataclasses import replace

import pytest
import torch

from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.days import EPOCH
from forecast_assets.core.windows.folds import (
    Fold,
    check_purged,
    first_test_year,
    labels_end_before,
    later_origins,
    make_fold,
    origins_in,
    rows_before,
    years_to_search,
)
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import NO_DATE
from forecast_assets_tests.helpers.tensors import random_panel

SPEC = FoldSpec(first_test_year=2019, validation_sessions=60, purge_sessions=21)


def years_of(days: torch.Tensor) -> set[int]:
    return {(EPOCH + dt.timedelta(days=day)).year for day in days.tolist()}


def test_the_test_split_is_every_forecast_origin_of_the_year() -> None:
    panel = random_panel(tickers=3, sessions=700)
    fold = make_fold(panel, year=2019, spec=SPEC, lookback=20)
    assert years_of(panel.date[fold.test]) == {2019}
    in_year = [d for d in panel.date.tolist() if (EPOCH + dt.timedelta(days=d)).year == 2019]
    assert len(fold.test) == len(in_year)


def test_origins_up_to_a_day_are_left_out_of_validation_and_test_alone() -> None:
    panel = random_panel(tickers=3, sessions=700)
    fold = make_fold(panel, year=2019, spec=SPEC, lookback=20)
    for rows in (fold.validation, fold.test):
        day = EPOCH + dt.timedelta(days=int(panel.date[rows[len(rows) // 2]]))
        found = later_origins(fold, panel, than=day)
        for name in ("validation", "test"):
            kept = [
                row for row in getattr(fold, name).tolist() if EPOCH + dt.timedelta(days=int(panel.date[row])) > day
            ]
            assert getattr(found, name).tolist() == kept
        assert len(found.origins) < len(fold.origins)
        assert torch.equal(found.train, fold.train)


def test_validation_is_the_given_number_of_union_sessions_a_purge_before_the_year() -> None:
    panel = random_panel(tickers=2, sessions=700)
    fold = make_fold(panel, year=2019, spec=SPEC, lookback=20)
    sessions = panel.date.unique()
    before = sessions[sessions < int(panel.date[fold.test].min())].tolist()
    assert panel.date[fold.validation].unique().tolist() == before[-81:-21]


def test_a_ticker_outside_the_universe_changes_no_fold_and_no_statistic() -> None:
    inside, both = (random_panel(tickers=count, sessions=700) for count in (2, 3))
    third = both.ticker == 2
    # It trades on weekends too, and its values are out of all proportion.
    features, date = torch.where(third[:, None], 9.0, 1.0) * both.features, both.date + third.int()
    both = replace(both, member=~third, date=date, features=features)
    wanted, found = (make_fold(panel, year=2019, spec=SPEC, lookback=20) for panel in (inside, both))
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(wanted, name), getattr(found, name))
    expected, stats = fit_stats(inside, wanted), fit_stats(both, found)
    for name in ("mean", "std", "volatility_weights", "base_quantiles"):
        assert torch.equal(getattr(expected, name), getattr(stats, name))
    assert stats.ticker_ids.tolist() == [*expected.ticker_ids.tolist(), 0]
    ended = labels_end_before(both, year=2019)
    assert torch.equal(ended[~third], labels_end_before(inside, year=2019))


def test_labels_end_before_the_next_split_begins_at_both_borders() -> None:
    panel = random_panel(tickers=3, sessions=700)
    fold = make_fold(panel, year=2019, spec=SPEC, lookback=20)
    assert panel.label_end[fold.train].max() < panel.date[fold.validation].min()
    assert panel.label_end[fold.validation].max() < panel.date[fold.test].min()


def test_without_a_purge_validation_labels_that_reach_into_the_year_are_left_out() -> None:
    panel = random_panel(tickers=2, sessions=700)
    fold = make_fold(panel, year=2019, spec=replace_spec(purge_sessions=0), lookback=20)
    assert panel.label_end[fold.validation].max() < panel.date[fold.test].min()
    assert len(panel.date[fold.validation].unique()) == 60 - 20


def replace_spec(**changes: int) -> FoldSpec:
    return FoldSpec.model_validate(SPEC.model_dump() | changes)


SPANS = replace_spec(spans=2, span_sessions=12, span_stride_sessions=90)


def test_earlier_spans_and_their_purges_are_left_out_of_what_networks_are_trained_on() -> None:
    panel = random_panel(tickers=2, sessions=900)
    whole, fold = (make_fold(panel, year=2020, spec=spec, lookback=20) for spec in (SPEC, SPANS))
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(whole, name), getattr(fold, name))
    assert whole.spans == ()
    assert torch.equal(whole.sampled, whole.train)
    sessions = panel.date.unique()
    before = sessions[sessions < panel.date[fold.validation].min()].tolist()
    left_out = set()
    for rows, begins in zip(fold.spans, (-180, -90), strict=True):
        assert panel.date[rows].unique().tolist() == before[begins : begins + 12]
        left_out |= set(before[begins - 20 : begins + 12 + 20])  # labels of 20 sessions reach in, and out
    assert set(panel.date[fold.train].tolist()) - set(panel.date[fold.sampled].tolist()) == left_out
    assert fold.held_out.tolist() == [*torch.cat(fold.spans).tolist(), *fold.validation.tolist()]


def test_a_short_panel_has_fewer_spans_or_none() -> None:
    panel = random_panel(tickers=2, sessions=700)
    for stride, expected in ((90, 1), (450, 0)):
        spec = SPANS.model_copy(update={"spans": 4, "span_stride_sessions": stride})
        fold = make_fold(panel, year=2019, spec=spec, lookback=20)
        assert len(fold.spans) == expected
        assert len(fold.sampled.unique()) > 0.75 * len(fold.train)


def test_a_span_whose_labels_overlap_with_training_on_either_side_is_rejected() -> None:
    panel = random_panel(tickers=1, sessions=900)
    fold = make_fold(panel, year=2020, spec=SPANS, lookback=20)
    first = fold.spans[0]
    before, after = int(first.min()) - 5, int(first.max()) + 5
    for intruder, name in ((before, "sampled_before_span_1"), (after, "span_1")):
        rest = torch.cat([fold.sampled, torch.tensor([intruder])]).sort().values
        with pytest.raises(AssertionError, match=f"a {name} label ends on day"):
            check_purged(replace(fold, rest=rest), date=panel.date, label_end=panel.label_end)


def test_a_fold_whose_labels_overlap_is_rejected() -> None:
    panel = random_panel(tickers=1, sessions=100)
    overlapping = Fold(2019, train=torch.arange(50), validation=torch.arange(60, 70), test=torch.arange(95, 100))
    with pytest.raises(AssertionError, match="a train label ends on day"):
        check_purged(overlapping, date=panel.date, label_end=panel.label_end)


def test_a_forecast_origin_needs_a_full_lookback_and_an_observed_row() -> None:
    panel = random_panel(tickers=1, sessions=30)
    panel = replace(panel, observed=torch.arange(30) != 25)
    assert panel.ends(20).tolist() == [19, 20, 21, 22, 23, 24, 26, 27, 28, 29]


def test_origins_without_a_label_yet_are_forecast_but_not_trained_on() -> None:
    panel = random_panel(tickers=2, sessions=700)
    fold = make_fold(panel, year=2019, spec=SPEC, lookback=20)
    assert (panel.label_end[fold.train] != NO_DATE).all()
    assert panel.date[fold.test].max() == panel.date.max()


def test_a_year_without_enough_history_says_what_is_missing() -> None:
    panel = random_panel(tickers=2, sessions=700)
    with pytest.raises(BadInput, match=r"fold 2017: the panel has 0 sessions before 2017"):
        make_fold(panel, year=2017, spec=SPEC, lookback=20)


def test_a_year_outside_the_panel_says_so() -> None:
    panel = random_panel(tickers=2, sessions=700)
    with pytest.raises(BadInput, match="fold 2025: no test forecast origin"):
        make_fold(panel, year=2025, spec=SPEC, lookback=20)


def test_labels_of_an_exchanges_last_twenty_sessions_do_not_end_before_the_year() -> None:
    panel = random_panel(tickers=2, sessions=700)
    first = (dt.date(2019, 1, 1) - EPOCH).days
    sessions = panel.date.unique()
    before = sessions[sessions < first]
    ended = labels_end_before(panel, year=2019)
    assert panel.date[ended].max() == before[-21]
    assert panel.label_end[ended].max() == before[-1]
    assert int(ended.sum()) == 2 * (len(before) - 20)
    assert torch.equal(rows_before(panel, year=2019), panel.date < first)


def test_sessions_of_another_exchange_do_not_count_for_the_end_of_a_label() -> None:
    panel = random_panel(tickers=2, sessions=700)
    exchange = panel.ticker.clone()
    sessions = panel.date.unique()
    before = sessions[sessions < (dt.date(2019, 1, 1) - EPOCH).days]
    holiday = (exchange == 1) & (panel.date == before[-5])
    panel = replace(panel, exchange=exchange, exchanges=("XNYS", "XETR"), observed=panel.observed & ~holiday)
    ended = labels_end_before(panel, year=2019)
    assert panel.date[ended & (exchange == 0)].max() == before[-21]
    assert panel.date[ended & (exchange == 1)].max() == before[-22]


def test_the_first_label_has_ended_when_twenty_sessions_have_followed() -> None:
    panel = random_panel(tickers=1, sessions=700)
    year_begins = (dt.date(2019, 1, 1) - EPOCH).days
    for sessions, ended in ((20, 0), (21, 1), (22, 2)):  # of the panel before the year
        moved = replace(panel, date=panel.date + year_begins - panel.date[sessions])
        assert int(labels_end_before(moved, year=2019).sum()) == ended


def test_forecast_origins_of_several_years_are_those_of_each() -> None:
    panel = random_panel(tickers=2, sessions=700)
    found = origins_in(panel, (2017, 2019), lookback=20)
    assert years_of(panel.date[found]) == {2017, 2019}
    each = [origins_in(panel, (year,), lookback=20) for year in (2017, 2019)]
    assert sorted(torch.cat(each).tolist()) == found.tolist()


def sessions_in(first: int, last: int, sessions: int = 250) -> dict[int, int]:
    return dict.fromkeys(range(first, last + 1), sessions)


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        (sessions_in(2010, 2025), 2019),
        (sessions_in(2015, 2021), 2019),
        (sessions_in(2012, 2017), 2014),  # ends before 2019
        (sessions_in(2020, 2024), 2022),  # starts after it
        (sessions_in(2018, 2024), 2020),
        ({2023: 250, 2024: 40}, None),  # fourteen months
        ({2024: 1}, None),
    ],
)
def test_the_first_test_year_fits_the_panel(sessions: dict[int, int], expected: int | None) -> None:
    assert first_test_year(sessions, spec=FoldSpec()) == expected


@pytest.mark.parametrize("first", [2010, 2012, 2018, 2020])
def test_a_panel_that_grows_at_its_end_keeps_its_first_test_year(first: int) -> None:
    kept = None
    for last in range(first, 2026):
        found = first_test_year(sessions_in(first, last), spec=FoldSpec(), kept=kept)
        assert kept is None or found == kept
        kept = found
    assert kept is not None


def test_a_kept_test_year_gives_way_where_the_history_before_it_is_gone() -> None:
    assert first_test_year(sessions_in(2016, 2024), spec=FoldSpec(), kept=2017) == 2019


def test_settings_are_chosen_on_the_four_years_before_a_test_year_that_moved() -> None:
    declared = (2015, 2016, 2017, 2018)
    assert years_to_search(declared, first_test_year=2019, spec=FoldSpec()) == declared
    assert years_to_search(declared, first_test_year=2024, spec=FoldSpec()) == (2020, 2021, 2022, 2023)
