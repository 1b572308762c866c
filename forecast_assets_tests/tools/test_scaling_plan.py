"""The estimate for a large panel: its arithmetic on round numbers, and the page that shows it."""

import pytest

from tools.scaling_plan import PAGE, Job, Units, plan, with_plan

ROUND = Units(
    sessions_per_ticker=1_000,
    panel_seconds_per_row=36e-6,
    tensor_bytes_per_row=1024,
    train_windows_per_core_second=100,
    infer_windows_per_core_second=1_000,
    fit_gib=0.5,
    fold_over_tensors=1.5,
    night_panel_seconds_per_ticker=3.6,
    night_forecast_seconds_per_ticker=0.06,
    export_seconds=1,
)


def test_the_arithmetic_on_round_numbers() -> None:
    job = Job(
        tickers=1_048_576,
        models=2,
        years=5,
        fits=3,
        epochs=2,
        samples_per_ticker=50,
        compared_origins=104_857_600,
        validation_sessions=100,
        test_sessions=200,
        hours=10,
    )
    found = {line.what: line.value for line in plan(job, ROUND)}
    assert found["rows"] == pytest.approx(1_048.576)
    assert found["raw rows to tensors"] == pytest.approx(10.48576)
    assert found["tensors"] == pytest.approx(1_000)
    assert found["fits"] == 30
    assert found["training a fit"] == pytest.approx(1_048_576 * 50 * 2 / 100 / 3600)
    assert found["forecasting a fit"] == pytest.approx((104_857_600 * 2 + 1_048_576 * 300) / 1_000 / 3600)
    assert found["all fits"] == pytest.approx(30 * 1_048_576 * 1.5 / 3600)
    assert found["cores for 10 hours"] == pytest.approx(3 * 1_048_576 * 1.5 / 3600)
    assert found["and for each fit on it"] == pytest.approx(500.5)
    assert found["rows of one fit's forecasts"] == pytest.approx(943.7184)
    assert found["a night's panel"] == pytest.approx(1_048.576)
    assert found["a night's forecasts"] == pytest.approx(1_048.576)


def test_the_page_shows_what_the_committed_results_give() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_plan(page) == page


def test_a_page_without_its_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="markers"):
        with_plan("no tables here")
