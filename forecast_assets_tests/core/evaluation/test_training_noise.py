"""Training noise on planted fits: its size is found, and comparisons of two seeds are no longer called."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.daily_losses import DAY, FITS, forecast_losses
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.evaluation.loss_ratio import Pair, ratio_interval
from forecast_assets.core.evaluation.training_noise import ENOUGH, TrainingNoise, fit_losses
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import AblationSpec
from forecast_assets_tests.helpers.scores import normal_quantiles

YEARS = range(2015, 2019)
SPEC = AblationSpec(bootstrap_samples=400)


def planted(model: str, *, fits: int, noise: float, rng: np.random.Generator, days: int = 40) -> pl.DataFrame:
    """Losses of single fits whose mean of a year is off by ``noise`` (relative, one standard deviation) of their model's."""
    rows = [
        {"model": model, "fit": f"{model}/{k}", "horizon": h, "date": dt.date(year, 3, 1) + dt.timedelta(day), "n": 2}
        | {"loss": 2.0 * off}
        for year in YEARS
        for k in range(fits)
        for off in [1.0 + noise * rng.standard_normal()]
        for h in HORIZONS
        for day in range(days)
    ]
    return pl.DataFrame(rows, schema=FITS)


def spread(noise: TrainingNoise, model: str, *, samples: int = 4000) -> float:
    drawn = noise.draw(model, years=[2016], horizons=[5], samples=samples, rng=np.random.default_rng(7))
    return float(drawn.std())


def test_the_planted_noise_is_found() -> None:
    noise = TrainingNoise.of(planted("a", fits=30, noise=0.01, rng=np.random.default_rng(0)))
    assert noise.own["a"].freedom == 4 * 29
    assert spread(noise, "a") == pytest.approx(0.01, rel=0.2)


def test_two_fits_a_year_do_not_understate_it() -> None:
    """The deviations of two fits from their mean are half of their difference: their variance is doubled."""
    tables = [planted(name, fits=2, noise=0.01, rng=np.random.default_rng(k)) for k, name in enumerate("abcdefgh")]
    noise = TrainingNoise.of(pl.concat(tables))
    assert noise.pooled is not None
    assert noise.pooled.freedom == 8 * 4
    assert np.sqrt((noise.pooled.values**2).mean()) == pytest.approx(0.01, rel=0.2)


def test_an_ensemble_of_five_has_the_noise_of_a_mean_of_five() -> None:
    table = planted("a", fits=40, noise=0.01, rng=np.random.default_rng(0))
    members = table.filter(pl.col("fit").is_in([f"a/{k}" for k in range(5)])).with_columns(model=pl.lit("ensemble"))
    noise = TrainingNoise.of(pl.concat([table, members]))
    assert spread(noise, "ensemble") == pytest.approx(spread(noise, "a") / 5**0.5, rel=0.1)
    assert "ensemble" not in noise.own  # its members differ from each other by more than their seeds


def test_a_model_of_few_fits_is_given_the_noise_of_all() -> None:
    rng = np.random.default_rng(0)
    few = planted("b", fits=2, noise=0.5, rng=rng).filter(pl.col("date").dt.year() == 2016)
    noise = TrainingNoise.of(pl.concat([planted("a", fits=30, noise=0.001, rng=rng), few]))
    assert noise.own["b"].freedom < ENOUGH
    assert noise.pooled is not None
    assert len(noise.pooled.values) == 4 * 30 + 2
    once = planted("c", fits=1, noise=0.0, rng=rng)
    assert TrainingNoise.of(once).pooled is None


def test_what_was_not_trained_has_none_nor_have_two_calibrations_of_the_same_fits() -> None:
    noise = TrainingNoise.of(planted("a", fits=3, noise=0.01, rng=np.random.default_rng(0)))
    assert spread(noise, "ewma") == 0.0
    assert spread(noise, "a_raw") == spread(noise, "a") > 0.0
    assert noise.concerns("a", "ewma")
    assert noise.concerns("ewma", "a_raw")
    assert not noise.concerns("a", "a_raw")
    assert not noise.concerns("ewma", "harx")


def pair_of(first: float, second: float, *, rng: np.random.Generator) -> Pair:
    """Losses of two fits with those means on common days, as noisy as days are."""
    dates = [dt.date(year, 3, 1) + dt.timedelta(day) for year in YEARS for day in range(100)]
    common = 1.0 + 0.2 * rng.standard_normal(len(dates))
    parts = [
        pl.DataFrame(
            {
                "horizon": pl.Series([h] * len(dates), dtype=pl.Int32),
                "date": dates,
                "loss": first * common + 0.0005 * rng.standard_normal(len(dates)),
                "reference": second * common + 0.0005 * rng.standard_normal(len(dates)),
            }
        )
        for h in HORIZONS
    ]
    return Pair("a", "a/other", pl.concat(parts))


def test_two_seeds_are_seldom_called_where_days_alone_call_most_of_them() -> None:
    """Fits whose yearly means are off by 1 %, over four years: no sign of skill, though it shows on every single day."""
    rng = np.random.default_rng(3)
    table = planted("a", fits=3, noise=0.01, rng=rng)
    fits = table.group_by("fit").agg(pl.col("loss").mean() / 2).sort("fit")["loss"].to_list()
    second = table.with_columns(model=pl.lit("a/other"), fit=pl.lit("a/9")).unique(["model", "fit", *DAY])
    noise, none = TrainingNoise.of(pl.concat([table, second])), TrainingNoise.of(table.clear())
    called = {"days": 0, "days and fits": 0}
    for k, j in ((0, 1), (0, 2), (1, 2)):
        pair = pair_of(fits[k], fits[j], rng=rng)
        for name, source in (("days", none), ("days and fits", noise)):
            found = ratio_interval(pair, horizons=HORIZONS, noise=source, spec=SPEC)
            assert found.low < found.estimate < found.high
            called[name] += not found.low <= 1.0 <= found.high
    assert called == {"days": 3, "days and fits": 0}


def test_a_difference_beyond_what_seeds_make_is_still_called() -> None:
    rng = np.random.default_rng(5)
    noise = TrainingNoise.of(planted("a", fits=3, noise=0.002, rng=rng))
    better = Pair("a", "harx", pair_of(0.98, 1.0, rng=rng).losses)
    found = ratio_interval(better, horizons=HORIZONS, noise=noise, spec=SPEC)
    days = ratio_interval(better, horizons=HORIZONS, noise=TrainingNoise.of(pl.DataFrame(schema=FITS)), spec=SPEC)
    assert found.estimate == days.estimate
    assert found.low < days.low < days.high < found.high < 0.99


def test_without_noise_the_interval_is_that_of_the_days_alone() -> None:
    pair = pair_of(1.0, 1.001, rng=np.random.default_rng(0))
    none = TrainingNoise.of(pl.DataFrame(schema=FITS))
    other = TrainingNoise.of(planted("b", fits=3, noise=0.5, rng=np.random.default_rng(0)))
    days, unconcerned = (ratio_interval(pair, horizons=[1, 20], noise=n, spec=SPEC) for n in (none, other))
    assert days == unconcerned
    sums = pair.losses.filter(pl.col("horizon") != 5).group_by("horizon").agg(pl.col("loss", "reference").sum())
    assert days.estimate == pytest.approx((sums["loss"] / sums["reference"]).mean())


def test_losses_of_fits_are_daily_sums_and_stand_under_what_is_made_of_them_too() -> None:
    days = np.repeat(np.arange(10) + np.datetime64("2021-03-01"), 2)
    y = np.random.default_rng(0).normal(0, 0.02, (20, 3))
    y[-2:] = np.nan
    tables = [
        forecast_table(
            date=days,
            ticker=["X", "Y"] * 10,
            quantiles=normal_quantiles(np.zeros(y.shape), np.full(y.shape, sigma)),
            y=y,
            split=np.where(days < np.datetime64("2021-03-03"), "validation", "test"),
            model=fit,
        )
        for fit, sigma in (("a/0", 0.01), ("a/1", 0.02), ("b_x/0", 0.03))
    ]
    found = fit_losses([pl.concat(tables[:2]), tables[2]], combined={"ensemble": ["a/1", "b_x/0"]})
    assert found.columns == list(FITS)
    assert set(found.select("model", "fit").unique().rows()) == {
        ("a", "a/0"), ("a", "a/1"), ("b_x", "b_x/0"), ("ensemble", "a/1"), ("ensemble", "b_x/0")
    }  # fmt: skip
    own = found.filter(pl.col("model") == "a", pl.col("fit") == "a/1")
    assert own.height == 7 * 3  # of ten days two are validation, and one has not matured
    assert set(own["n"]) == {2}
    assert own["loss"].sum() == pytest.approx(forecast_losses(tables[1])["pinball"].sum())
    assert found.filter(pl.col("model") == "ensemble", pl.col("fit") == "a/1")["loss"].equals(own["loss"])
    assert fit_losses([], combined={}).is_empty()
