"""Gate weights of a mixture of experts by date, and how evenly the experts are used."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


def expert_shares(
    dates: NDArray[np.int32], shares: NDArray[np.float32], *, vix: NDArray[np.float32] | None
) -> pl.DataFrame:
    """Return date, decisions, vix and ``expert_1`` to ``expert_E``: means over the forecasts of a date.

    ``dates`` (M,) days since 1970; ``shares`` (M, E), each row adding up to 1; ``vix`` (M,) at the forecast origins, NaN
    where missing, or None.
    """
    columns = {f"expert_{k + 1}": shares[:, k].astype(np.float64) for k in range(shares.shape[1])}
    index = np.full(len(dates), np.nan) if vix is None else vix.astype(np.float64)
    return (
        pl.DataFrame({"date": pl.Series(dates).cast(pl.Date), "vix": index, **columns})
        .group_by("date", maintain_order=True)
        .agg(pl.len().alias("decisions"), pl.col("vix").fill_nan(None).mean(), pl.col(list(columns)).mean())
        .sort("date")
    )


def expert_balance(shares: pl.DataFrame) -> dict[str, int | float | str]:
    """Return experts, expert_shares, ``expert_imbalance`` (squared coefficient of variation of the shares: 0 is even, E - 1
    is one expert for all) and ``gate_spread`` (mean standard deviation of a share over dates: 0 ignores the regime).
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
    """Return the experts' shares (dates, E)."""
    return shares.select(pl.col("^expert_.*$")).to_numpy()
