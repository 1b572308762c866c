"""Risk of the book and of any portfolio, and the sealed record, as the API answers them."""

import math
from collections import Counter

import numpy as np
import polars as pl

from forecast_assets.champion.record import IssuedRecord
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.joint.night import NightScenarios
from forecast_assets.core.joint.portfolio import risk
from forecast_assets.core.monitoring.book_risk import BookRisk, judge
from forecast_assets.core.monitoring.record import Evidence
from forecast_assets.serving import schemas
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.snapshot import Snapshot


def stated_answer(stated: BookRisk, record: pl.DataFrame) -> schemas.StatedRisk:
    """Return the risk of a book as stated, and the verdict on the books before it."""
    verdict = judge(record)
    return schemas.StatedRisk(
        horizons=[
            schemas.HorizonRisk(
                sessions=row.horizon,
                **_tails(row.value_at_risk, row.expected_shortfall),
                median=row.median,
                probability_of_loss=row.probability_of_loss,
            )
            for row in stated.horizons
        ],
        why=stated.why,
        without_forecast=list(stated.without_forecast),
        kept=not verdict.too_often,
        sentence=verdict.sentence,
    )


def held_weights(request: schemas.RiskRequest, snapshot: Snapshot) -> dict[str, float]:
    """Return ticker -> weight of a request, zeros left out. Raises HttpError for what can't be answered."""
    counted = Counter(one.ticker for one in request.weights)
    if twice := [ticker for ticker, count in counted.items() if count > 1]:
        raise HttpError(422, "twice", f"{twice[0]} is there twice; send one weight of it.")
    for ticker in counted:
        snapshot.check_known(ticker)
    held = {one.ticker: one.weight for one in request.weights if one.weight}
    if not held:
        raise HttpError(422, "nothing_held", "Every weight is 0, so nothing is at risk.")
    return held


def portfolio_answer(scenarios: NightScenarios, weights: dict[str, float], snapshot: Snapshot) -> schemas.RiskAnswer:
    """Return what a portfolio may lose. Raises HttpError for a ticker that the night has no forecast of."""
    night = scenarios.forecasts.night
    if lacking := [ticker for ticker in weights if ticker not in scenarios.forecasts.tickers]:
        sentence = f"{lacking[0]}: the night of {night} has no forecast of it; leave it out."
        raise HttpError(422, "no_forecast", sentence)
    drawn = scenarios.portfolio(weights)  # (H, n)
    horizons = []
    for sessions, returns, factor in zip(HORIZONS, drawn.returns, drawn.factors, strict=True):
        found = risk(returns)
        quantiles = np.quantile(returns, QUANTILES).tolist()
        horizons.append(
            schemas.PortfolioHorizon(
                sessions=sessions,
                **_tails(found.value_at_risk, found.expected_shortfall),
                median=found.median,
                probability_of_loss=found.probability_of_loss,
                quantiles=schemas.ReturnQuantiles(**dict(zip(QUANTILE_COLUMNS, quantiles, strict=True))),
                volatility_factor=factor,
            )
        )
    return schemas.RiskAnswer(
        night=night,
        tickers=len(weights),
        gross=sum(abs(weight) for weight in weights.values()),
        net=sum(weights.values()),
        scenarios=scenarios.spec.scenarios,
        past_days=scenarios.past.past_days,
        horizons=horizons,
        snapshot=snapshot.id,
    )


def sealed_answer(found: IssuedRecord, snapshot: Snapshot) -> schemas.SealedRecord:
    """Return the answer of /sealed."""
    seal = found.newest_seal
    return schemas.SealedRecord(
        nights=found.nights,
        sealed_nights=found.sealed_nights,
        newest_seal=None if seal is None else str(seal.line),
        forecasts=found.forecasts,
        matured=found.matured,
        sealed_in_time=found.sealed_in_time,
        horizons=[
            schemas.SealedHorizon(
                sessions=each.horizon_sessions,
                scored=each.scored_sessions,
                coverage_95=_evidence(each.coverage["95"]),
                coverage_90=_evidence(each.coverage["90"]),
                loss_saved=_evidence(each.gain),
            )
            for each in found.scores
        ],
        snapshot=snapshot.id,
    )


def _tails(value_at_risk: tuple[float, ...], expected_shortfall: tuple[float, ...]) -> dict[str, float]:
    (var_95, var_99), (es_95, es_99) = value_at_risk, expected_shortfall
    return {
        "value_at_risk_95": var_95,
        "value_at_risk_99": var_99,
        "expected_shortfall_95": es_95,
        "expected_shortfall_99": es_99,
    }


def _evidence(found: Evidence) -> schemas.AnytimeEvidence:
    mean, low, high = (None if math.isnan(value) else value for value in (found.mean, found.low, found.high))
    return schemas.AnytimeEvidence(mean=mean, low=low, high=high, e_value=found.e_value)
