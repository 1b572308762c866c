"""Write where a run was cut, and read it again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import load, save

from forecast_assets.core.panel.announcements.build import Cut
from forecast_assets.core.panel.announcements.filtering import Schedule
from forecast_assets.core.panel.announcements.model import Parameters
from forecast_assets.core.panel.announcements.state import State


def parameters_record(cut: Cut) -> dict[str, Any]:
    """Return the parameters by year and the place of the cut, as JSON."""
    return {
        "weekday": cut.weekday,
        "first": cut.first,
        "year": cut.year,
        "tickers": list(cut.state.tickers),
        "years": {
            str(year): {
                "score": parameters.score.tolist(),
                "weights": {region: weights.tolist() for region, weights in parameters.weights.items()},
            }
            for year, parameters in sorted(cut.schedule.items())
        },
    }


def state_bytes(cut: Cut) -> bytes:
    """Return the state at the cut as safetensors."""
    return save({name: np.ascontiguousarray(values) for name, values in cut.state.items()})


def read_cut(record: Mapping[str, Any], state: bytes, *, tail: pl.DataFrame, recent: pl.DataFrame) -> Cut:
    """Return the cut that was written."""
    schedule: Schedule = {
        int(year): Parameters({region: np.array(w) for region, w in entry["weights"].items()}, np.array(entry["score"]))
        for year, entry in record["years"].items()
    }
    state_at = State(record["tickers"], load(state))
    return Cut(record["weekday"], record["first"], record["year"], schedule, state_at, tail, recent)
