"""A mixture of experts, looked at from outside: who speaks when, and how evenly."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass


def expert_shares(
    dates: NDArray[np.int32], shares: NDArray[np.float32], *, vix: NDArray[np.float32] | None
) -> pl.DataFrame:
    """date, decisions, vix and ``expert_1`` to ``expert_E``: means over the decisions of a date.

    ``dates`` (M,) days since 1970; ``shares`` (M, E), each row adding up to 1; ``vix`` (M,) as known at the decisions,
    NaN where it was not, or None.
    """
    columns = {f"expert_{k + 1}": shares[:, k].astype(np.float64) for k in range(shares.shape[1])}
    table = pl.DataFrame(
        {
            "date": pl.Series(dates).cast(pl.Date),
            "vix": np.full(len(dates), np.nan) if vix is None else vix.astype(np.float64),
            **columns,
        }
    )
    means = table.group_by("date", maintain_order=True).agg(
        pl.len().alias("decisions"), pl.col("vix").fill_nan(None).mean(), pl.col(list(columns)).mean()
    )
    return means.sort("date").select("date", "decisions", "vix", *columns)


def expert_balance(shares: pl.DataFrame) -> dict[str, int | float | str]:
    """experts, share of each, ``expert_imbalance`` (squared coefficient of variation of the shares: 0 is even, E - 1 is one
    expert for all) and ``gate_spread`` (standard deviation of a share over dates, averaged over experts: 0 is a gate that
    does not care for the regime).
    """
    table, weight = share_matrix(shares), shares["decisions"].to_numpy()
    use = np.average(table, axis=0, weights=weight)
    return {
        "experts": len(use),
        "expert_shares": ", ".join(f"{share:.3f}" for share in use),
        "expert_imbalance": round(float(use.var() / use.mean() ** 2), 6),
        "gate_spread": round(float(table.std(axis=0).mean()), 6),
    }


def share_matrix(shares: pl.DataFrame) -> NDArray[np.float64]:
    """(dates, E)."""
    return shares.select(pl.col("^expert_.*$")).to_numpy()
