"""Differences between a stored and a recomputed summary or table, for ``verify``."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

RELATIVE = 1e-9
ABSOLUTE = 1e-12
"""Sums over the same rows in another order differ by less."""


def first_difference(stored: Any, derived: Any, *, path: str = "") -> str | None:
    """Return the first difference of two JSON values in alphabetical order of the keys; None where they agree.

    Numbers agree within ``RELATIVE`` (or ``ABSOLUTE``); everything else exactly. A sentence such as
    ``strategies[0].sharpe is 1.5, derived 0.5``.
    """
    if isinstance(stored, Mapping) and isinstance(derived, Mapping):
        for key in sorted({*stored, *derived}):
            where = f"{path}.{key}".lstrip(".")
            if key not in stored or key not in derived:
                return f"{where} is {'missing' if key not in stored else 'not derived from anything'}"
            if found := first_difference(stored[key], derived[key], path=where):
                return found
        return None
    if isinstance(stored, list) and isinstance(derived, list):
        if len(stored) != len(derived):
            return f"{path} has {len(stored)} entries, derived {len(derived)}"
        pairs = enumerate(zip(stored, derived, strict=True))
        return next((d for k, (a, b) in pairs if (d := first_difference(a, b, path=f"{path}[{k}]"))), None)
    if _is_number(stored) and _is_number(derived):
        same = math.isclose(stored, derived, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = type(stored) is type(derived) and stored == derived
    return None if same else f"{path} is {stored!r}, derived {derived!r}"


def same_numbers(stored: pl.DataFrame, derived: pl.DataFrame) -> bool:
    """Return whether two tables agree: floats within the same tolerances, null with null; everything else exactly."""

    def same(one: pl.Series, other: pl.Series) -> bool:
        if not one.dtype.is_float():
            return one.equals(other)
        close = np.isclose(one.to_numpy(), other.to_numpy(), rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
        return one.is_null().equals(other.is_null()) and bool(close.all())

    alike = stored.schema == derived.schema and stored.height == derived.height
    return alike and all(map(same, stored.iter_columns(), derived.iter_columns()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
