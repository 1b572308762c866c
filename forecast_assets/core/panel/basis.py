"""Refuse files whose open and close are on two bases: one adjusted for splits and dividends, the other as traded."""

from collections.abc import Collection, Sequence

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.layouts import OPTIONS

FIRST_ROWS = 60  # of a ticker that are judged: the oldest, where adjustments are largest
FEWEST = {True: 3, False: 20}  # rows from which a ticker is judged, by whether names say that bases are mixed
VARIED = 5  # fewest different opens and closes of a ticker that is judged where names do not say so
SMALLEST = 0.01  # |median log close/open| that no market shows day after day
STEADY = 0.3  # largest spread of log close/open around its median, as a share of it
SHARE = 0.1  # of a file's tickers that have to look so, where its column names do not say that bases are mixed


def check_basis(rows: pl.LazyFrame, *, files: Sequence[str], lone: Collection[int]) -> pl.DataFrame:
    """Raise BadInput for a file whose closes lie a constant factor from its opens, which jump back overnight.

    Returns (ticker, date, flag, detail) of single tickers of which that is true in a file of which it is not.

    ``rows``: file_no, ticker, date, open, close, by date in each file. ``lone``: the files whose column names say that one
    of the two is adjusted: a single ticker tells there.
    """
    logs = {
        "day": (pl.col("close") / pl.col("open")).log(),
        "night": (pl.col("open") / pl.col("close").shift(1)).log(),
    }
    first = rows.group_by("file_no", "ticker", maintain_order=False).agg(
        pl.col("open", "close").sort_by("date").head(FIRST_ROWS)
    )
    judged = (
        first.with_columns(lone=pl.col("file_no").is_in(list(lone)), rows=pl.col("open").list.len())
        .filter(pl.col("rows") >= pl.when("lone").then(FEWEST[True]).otherwise(FEWEST[False]))
        .filter(pl.col("lone") | pl.all_horizontal(pl.col("open", "close").list.n_unique() >= VARIED))
        .explode("open", "close")
        .group_by("file_no", "ticker", maintain_order=True)
        .agg(
            factor=logs["day"].median(),
            spread=(logs["day"] - logs["day"].median()).abs().median(),
            back=logs["night"].median(),
        )
        .with_columns(
            mixed=(pl.col("factor").abs() > SMALLEST)
            & (pl.col("spread") < STEADY * pl.col("factor").abs())
            & ((pl.col("back") + pl.col("factor")).abs() < STEADY * pl.col("factor").abs())
        )
        .collect(engine="streaming")
        .sort("file_no", "ticker")
    )
    odd = []
    for (number,), tickers in judged.group_by("file_no", maintain_order=True):
        mixed = tickers.filter("mixed")
        if mixed.height > (0 if number in lone else SHARE * tickers.height):
            worst = mixed.sort(pl.col("factor").abs(), descending=True).row(0, named=True)
            ratio = f"{pl.Series([worst['factor']]).exp()[0]:.4g}"
            raise BadInput(
                f"{files[int(str(number))]}: open and close are on two bases ({worst['ticker']}: the close is about {ratio} "
                "of its day's open, day after day, and the next open jumps back): one is adjusted for splits and dividends, "
                "the other not. Give both alike; or Close beside Adj Close, so that opens are adjusted by their ratio; or "
                f"say which column is the unadjusted close in {OPTIONS}: columns: {{close: NAME}}"
            )
        odd.append(mixed.with_columns(file=pl.lit(files[int(str(number))])))
    detail = pl.format(
        "in {} the close is about {} of its day's open, day after day", "file", pl.col("factor").exp().round(3)
    )
    flagged = pl.concat(odd) if odd else judged.clear().with_columns(file=pl.lit(""))
    return flagged.select(
        "ticker", pl.lit(None, dtype=pl.Date).alias("date"), flag=pl.lit("mixed_basis"), detail=detail
    )
