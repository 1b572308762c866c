"""Write what alphalens makes of a factor, as one long table; run where alphalens-reloaded is installed.

    python alphalens_statistics.py ROWS.csv OUT.csv

ROWS: date, asset, group, factor and a column per period ("1D"). OUT: statistic, period or quantile, group, date, value.
"""

import sys

import pandas as pd
from alphalens.performance import (
    factor_information_coefficient,
    factor_rank_autocorrelation,
    mean_information_coefficient,
    mean_return_by_quantile,
    quantile_turnover,
)
from alphalens.utils import get_clean_factor

QUANTILES = 5


def statistics(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the long table of all statistics of ``rows``, whose index is (date, asset)."""
    periods = [name for name in rows.columns if name not in ("factor", "group")]
    data = get_clean_factor(rows["factor"], rows[periods], groupby=rows["group"], quantiles=QUANTILES, max_loss=1.0)
    parts = []

    def add(statistic: str, table: pd.DataFrame, **columns: str | int) -> None:
        parts.append(table.reset_index().assign(statistic=statistic, **columns))

    ic, ic_in_groups = factor_information_coefficient(data), factor_information_coefficient(data, by_group=True)
    mean_ic = mean_information_coefficient(data)
    by_date, _ = mean_return_by_quantile(data, by_date=True, demeaned=False)
    means, _ = mean_return_by_quantile(data, demeaned=False)
    for period in periods:
        add("ic", ic[[period]].set_axis(["value"], axis=1), period=period)
        add("ic_in_group", ic_in_groups[[period]].set_axis(["value"], axis=1), period=period)
        add("mean_ic", pd.DataFrame({"value": [mean_ic[period]]}), period=period)
        add("return", by_date[[period]].set_axis(["value"], axis=1), period=period)
        add("mean_return", means[[period]].set_axis(["value"], axis=1), period=period)
    for quantile in (1, QUANTILES):
        turnover = quantile_turnover(data["factor_quantile"], quantile)
        add("turnover", turnover.to_frame("value"), factor_quantile=quantile)
    add("autocorrelation", factor_rank_autocorrelation(data).to_frame("value"))
    table = pd.concat(parts)[["statistic", "period", "factor_quantile", "group", "date", "value"]]
    return table.dropna(subset="value")


if __name__ == "__main__":
    source, out = sys.argv[1:]
    given = pd.read_csv(source, parse_dates=["date"], float_precision="round_trip").set_index(["date", "asset"])
    statistics(given).to_csv(out, index=False)
