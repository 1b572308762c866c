"""Cards of the rivals, files that a user brought and a foundation model: what they held, scores on common rows, verdicts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from forecast_assets.core.backtest.comparison import return_difference
from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX
from forecast_assets.core.evaluation.loss_ratio import Pair, ratio_interval
from forecast_assets.core.evaluation.significance import MIN_SESSIONS, Interval
from forecast_assets.core.evaluation.training_noise import TrainingNoise
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.report.formats import decimal, percent, session_count
from forecast_assets.core.report.titles import title
from forecast_assets.core.report.verdicts import difference_sentence, pinball_verdict, ratio_text, verdict
from forecast_assets.core.rivals.read import POINT_FORM, REFUSED, ZERO_SHOT_NAME
from forecast_assets.core.rivals.score import loss_pair, rival_key, rival_scores
from forecast_assets.core.specs import BacktestSpec, MattersSpec, ResamplingSpec

NO_NOISE = TrainingNoise({}, None, {})  # of squared errors, the spread between fits is not measured
TICKERS_NAMED = 5

LEFT_OUT = {
    "late": "available only after the open of the next session",
    "elsewhere": "at no forecast origin of ours",
    "unknown_ticker": "of tickers that the panel does not have",
    "unknown_horizon": "over other horizons",
}
"""Count of a record -> which rows of a file it counts."""


class RivalYears(NamedTuple):
    """What the years at hand hold of rivals."""

    records: Mapping[int, Mapping[str, Mapping[str, Any]]]  # year -> file's record, by name
    losses: pl.DataFrame  # ``score.rival_losses`` of all years
    books: pl.DataFrame  # daily table of each rival's book and of ours on its origins, with ``rival``


def rival_cards(
    found: RivalYears,
    *,
    model: str,
    noise: TrainingNoise,
    spec: ResamplingSpec,
    rules: MattersSpec,
    traded: BacktestSpec | None,
) -> list[dict[str, Any]]:
    """Return a card per rival, by name: rival, form, sentences, scores (``rival_scores``), verdicts of ``model`` against it.

    Scores are those of ``model`` first, then the rival's, then others'. ``noise``: of our fits, for the pinball losses.
    ``traded``: the rules of the books, which are then compared too. A rival that was refused or skipped in every year has
    its reason and nothing else.
    """
    cards = []
    for name in sorted({name for records in found.records.values() for name in records}):
        records = {year: of[name] for year, of in sorted(found.records.items()) if name in of}
        read = {year: record for year, record in records.items() if REFUSED not in record}
        refusals = list(dict.fromkeys(str(record[REFUSED]) for record in records.values() if REFUSED in record))
        losses = found.losses.filter(pl.col("rival") == name)
        card: dict[str, Any] = {"rival": name, "form": None, "sentences": refusals, "scores": [], "verdicts": []}
        if not read:
            card["verdicts"] = [verdict(_claim(name), "not tested", " ".join(refusals))]
        elif losses.is_empty():
            why = "None of its forecasts of these years has matured." if _placed(read) else _nothing_common(read)
            card["verdicts"] = [verdict(_claim(name), "not tested", why)]
        else:
            card["form"] = next(iter(read.values()))["form"]
            card["sentences"] = [*_sentences(read, losses), *refusals]
            shown = (model, rival_key(name), rival_key(name) + RAW_SUFFIX)
            others = losses.filter(~pl.col("model").is_in(shown))["model"].unique().sort()
            order = pl.col("model").cast(pl.Enum([*shown, *others]))
            card["scores"] = rival_scores(losses).sort(order, "horizon").to_dicts()
            card["verdicts"] = _verdicts(name, card["form"], losses, model=model, noise=noise, spec=spec, rules=rules)
            if traded is not None:
                books = found.books.filter(pl.col("rival") == name)
                card["verdicts"].append(book_verdict(books, model=model, rival=name, form=card["form"], spec=traded))
        cards.append(card)
    return cards


def _verdicts(
    name: str,
    form: str,
    losses: pl.DataFrame,
    *,
    model: str,
    noise: TrainingNoise,
    spec: ResamplingSpec,
    rules: MattersSpec,
) -> list[dict[str, Any]]:
    verdicts = [error_verdict(losses, model=model, rival=name, spec=spec, smallest=rules.smallest_difference)]
    if form != POINT_FORM and losses["date"].n_unique() >= MIN_SESSIONS:
        pair = Pair(model, rival_key(name), loss_pair(losses, model, rival_key(name), loss="pinball"))
        horizons = losses["horizon"].unique().sort().to_list()
        verdicts.append(
            pinball_verdict(pair, horizons=horizons, noise=noise, spec=spec, smallest=rules.smallest_difference)
        )
    return verdicts


def error_verdict(
    losses: pl.DataFrame, *, model: str, rival: str, spec: ResamplingSpec, smallest: float
) -> dict[str, Any]:
    """Return whether the model's RMSE is below the rival's on common rows: the ratio of both, days resampled in blocks.

    ``losses``: of one rival. The average is over the squared ratios of the horizons.
    """
    claim = f"RMSE: {title(model)} against {title(rival_key(rival))}"
    days = losses["date"].n_unique()
    if days < MIN_SESSIONS:
        return verdict(claim, "not tested", f"{days} days in common; an interval needs {MIN_SESSIONS}.")
    pair = Pair(model, rival_key(rival), loss_pair(losses, model, rival_key(rival), loss="squared_error"))
    horizons = losses["horizon"].unique().sort().to_list()
    overall, *single = (
        Interval(*(math.sqrt(value) for value in ratio_interval(pair, horizons=chosen, noise=NO_NOISE, spec=spec)))
        for chosen in (horizons, *([horizon] for horizon in horizons))
    )
    outcome = Interval(1 - overall.estimate, 1 - overall.high, 1 - overall.low).judged(smallest=smallest)
    scores = {(row["model"], row["horizon"]): row for row in rival_scores(losses).iter_rows(named=True)}
    parts = []
    for horizon, ratio in zip(horizons, single, strict=True):
        ours, theirs = scores[model, horizon], scores[rival_key(rival), horizon]
        parts.append(
            f"{session_count(horizon)} {ratio_text(ratio)}, that is {decimal(ours['rmse'], 5)} over "
            f"{decimal(theirs['rmse'], 5)}, on {decimal(ours['n'], 0)} common forecast origins"
        )
    sentence = (
        f"RMSE of log returns, ours over theirs, below 1 is better: {ratio_text(overall)} on average; {'; '.join(parts)}; "
        f"{losses['date'].min()!s} to {losses['date'].max()!s}. Days are resampled, fits of ours are not."
    )
    return verdict(claim, outcome, sentence, overall, measure="loss ratio") | {"rival": rival_key(rival)}


def book_verdict(books: pl.DataFrame, *, model: str, rival: str, form: str, spec: BacktestSpec) -> dict[str, Any]:
    """Return the annual net return of the model's book over the rival's, both on the same origins, at equal volatility.

    ``books``: of one rival.
    """
    how = ", sized by HAR-X's sigma" if form == POINT_FORM else ""
    claim = (
        f"Net return over {title(rival_key(rival))}, each at 10 % volatility: both sized alike, on the same origins "
        f"and their {books['horizon'][0]}-session forecasts{how}"
    )
    first, second = (books.filter(pl.col("strategy") == name).sort("date") for name in (model, rival_key(rival)))
    found = return_difference(first, second, samples=spec.bootstrap_samples, seed=spec.seed)
    sentence = difference_sentence(found, (model, rival_key(rival)), spec=spec)
    return verdict(claim, found.interval.verdict, sentence, found.interval, measure="annual return") | {
        "rival": rival_key(rival)
    }


def _placed(records: Mapping[int, Mapping[str, Any]]) -> int:
    return sum(int(record["placed"]) for record in records.values())


def _nothing_common(records: Mapping[int, Mapping[str, Any]]) -> str:
    return f"It has no forecast for a test origin of {', '.join(map(str, records))}."


def _sentences(records: Mapping[int, Mapping[str, Any]], losses: pl.DataFrame) -> list[str]:
    """Return what a reader has to know of a rival's file before its scores."""
    covered = {year: record for year, record in records.items() if record["rows"]}
    first = next(iter(covered.values()))
    origins = sum(record["origins"] for record in covered.values())
    placed = _placed(covered)
    scored = int(losses.filter(pl.col("model") == rival_key(losses["rival"][0]))["n"].sum())
    returns = "" if first["returns"] == "log" else ", given as simple returns and scored as log returns"
    sentences = [
        f"{first['form'].capitalize()}{returns}; {decimal(placed, 0)} forecasts, {percent(placed / origins)} of those that "
        f"ours make over the same horizons in {', '.join(map(str, covered))}, of which "
        f"{decimal(scored, 0)} have matured and are scored."
    ]
    left = {what: sum(record[count] for record in covered.values()) for count, what in LEFT_OUT.items()}
    if any(left.values()):
        rows = "; ".join(f"{decimal(count, 0)} {what}" for what, count in left.items() if count)
        sentences.append(f"Rows that are not scored: {rows}.{_unknown(first['unknown_tickers'])}")
    sentences.append(_of_zero_shot(first["zero_shot"]) if "zero_shot" in first else _of_times(covered))
    if first["form"] == POINT_FORM:
        sentences.append(
            "A point forecast has no band, so pinball loss, CRPS and coverage are not scored; to size its book it is given "
            "HAR-X's band, moved to the forecast."
        )
    if late := [year for year, record in covered.items() if not record["validated"]]:
        sentences.append(
            f"It has no validation forecasts for {', '.join(map(str, late))}: there its calibration starts from nothing, "
            "and its whole median counts as a view."
        )
    return sentences


def _of_times(records: Mapping[int, Mapping[str, Any]]) -> str:
    if all(record["timed"] for record in records.values()):
        return "Each forecast that is scored was available before its ticker's next session opened, by the file's own times."
    return "The file does not say when each forecast was available: that it came before its outcome is taken on trust."


def _of_zero_shot(made: Mapping[str, Any]) -> str:
    """Return what forecasts are made by and from, and from which day on; ``made``: the weights' record."""
    source = "as its settings declare" if made["declared"] else "since it was released then"
    lowest = min(made["levels"])
    tails = (
        f" Its quantiles end at {lowest:g} and {1 - lowest:g}; those beyond go on as a Normal's."
        if lowest > min(QUANTILES)
        else ""
    )
    return (
        f"Made here, zero-shot, by {made['weights']} from each ticker's own last "
        f"{decimal(made['context_sessions'], 0)} closes. Its training may have seen days up to {made['trained_until']}, "
        f"{source}: no earlier forecast origin is forecast, calibrated on or scored.{tails}"
    )


def _claim(name: str) -> str:
    return title(rival_key(name)) if name == ZERO_SHOT_NAME else f"Rival {name}"


def _unknown(tickers: Sequence[str]) -> str:
    if not tickers:
        return ""
    more = f" and {len(tickers) - TICKERS_NAMED} more" if len(tickers) > TICKERS_NAMED else ""
    return f" Tickers that the panel does not have: {', '.join(tickers[:TICKERS_NAMED])}{more}."
