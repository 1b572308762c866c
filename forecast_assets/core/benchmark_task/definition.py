"""Write a benchmark's files: Parquet per horizon, ``benchmark.yaml`` for fev, the origins of its labels and a README."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from forecast_assets.core.benchmark_task.cutoffs import Days
from forecast_assets.core.benchmark_task.observations import KNOWN, PAST, STATIC, TARGET, Observations
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import QUANTILES, horizons_text

BENCHMARK, ORIGINS, DATA = "benchmark.yaml", "origins.csv", "data.parquet"
ID, TIMESTAMP, SESSION = "id", "timestamp", "session"
SHORTEST = 8
"""Observations of the shortest series: with fewer weekdays, pandas may take them for days and fev cuts elsewhere."""

OWN_LICENCE = "The prices are random numbers of this project's demo panel and come under its licence, Apache-2.0."
OTHER_LICENCE = (
    "The returns were made from the prices of the panel named above. Whoever passes this folder on needs the right to pass\n"
    "on what is derived from them: replace this sentence by the licence of your data, or keep the folder to yourself."
)


@dataclass(frozen=True)
class Benchmark:
    """All that is written."""

    name: str
    source: str  # what the panel is, in words
    licence: str
    cutoffs: Days
    origins: pl.DataFrame  # of ``observations.label_origins``
    series: Sequence[Observations]
    context: int  # sessions of history that a series needs at a cutoff


def table_of(observed: Observations) -> pl.DataFrame:
    """Return a row per ticker with list columns, by ticker, as fev reads it; series below ``SHORTEST`` are left out."""
    rows = observed.rows.rename({"ticker": ID}).with_columns(pl.col(*KNOWN, *PAST).cast(pl.Float32))
    lists = rows.group_by(ID, *STATIC, maintain_order=True).agg(TIMESTAMP, SESSION, TARGET, *KNOWN, *PAST)
    return lists.filter(pl.col(TIMESTAMP).list.len() >= SHORTEST).sort(ID)


def task_of(benchmark: Benchmark, observed: Observations) -> dict[str, Any]:
    """Return what defines the task of a horizon, as ``fev.Task`` takes it; the path is relative to the folder."""
    return {
        "task_name": f"{benchmark.name}_{observed.horizon}d",
        "dataset_path": f"{folder_of(observed)}/{DATA}",
        "horizon": 1,
        "num_windows": len(benchmark.cutoffs),
        "initial_cutoff": f"{observed.cutoff}T00:00:00",
        "window_step_size": observed.window_step,
        "min_context_length": max(SHORTEST, -(-benchmark.context // observed.horizon)),
        "seasonality": 1,
        "eval_metric": "SQL",
        "extra_metrics": ["MQL", "MAE", "RMSE"],
        "quantile_levels": list(QUANTILES),
        "id_column": ID,
        "timestamp_column": TIMESTAMP,
        "target": TARGET,
        "known_dynamic_columns": list(KNOWN),
        "past_dynamic_columns": list(PAST),
        "static_columns": list(STATIC),
    }


def folder_of(observed: Observations) -> str:
    """Return the folder of a horizon's series."""
    return f"returns_{observed.horizon}d"


def write_benchmark(benchmark: Benchmark, folder: Path) -> dict[str, int]:
    """Write everything to ``folder``, which is there and empty, and return the number of series of each task.

    Raises BadInput where a horizon has no series that is long enough.
    """
    counts = {}
    for observed in benchmark.series:
        table, place = table_of(observed), folder_of(observed)
        if table.is_empty():
            raise BadInput(
                f"{benchmark.source}: no ticker has {SHORTEST} returns over {observed.horizon} sessions; give a longer "
                "panel"
            )
        (folder / place).mkdir()
        write_lists(table, folder / place / DATA)
        counts[place] = table.height
    tasks = [task_of(benchmark, observed) for observed in benchmark.series]
    (folder / BENCHMARK).write_text(yaml.safe_dump({"tasks": tasks}, sort_keys=False), encoding="utf-8")
    benchmark.origins.write_csv(folder / ORIGINS)
    (folder / "README.md").write_text(readme(benchmark, counts), encoding="utf-8")
    return counts


def write_lists(table: pl.DataFrame, path: Path) -> None:
    """Write a table of list columns with Parquet's ordinary lists: fev takes polars' own, of 64-bit offsets, for no list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_large_list(kind):
            return pa.list_(plain(kind.value_type))
        return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind

    arrow = table.to_arrow()
    schema = pa.schema([(field.name, plain(field.type)) for field in arrow.schema])
    pq.write_table(arrow.cast(schema), path, compression="zstd")


README = """# {name}: equity returns as a forecasting benchmark

Returns of {tickers} tickers over {horizons} sessions of each ticker's own exchange, as tasks of
[fev](https://github.com/autogluon/fev): {windows} cutoffs from {first} to {last}, {levels} quantile levels.
Source: {source}. Written by `forecast-assets benchmark-task`.

## How to score

```python
import os
import fev

os.chdir("{folder}")  # paths in {yaml} are relative to this folder
for task in fev.Benchmark.from_yaml("{yaml}").tasks:
    forecasts = []
    for window in task.iter_windows():
        past, future = window.get_input_data()
        forecasts.append([{{"predictions": [0.0], **{{str(q): [0.0] for q in task.quantile_levels}}}} for _ in past])
    print(task.task_name, task.evaluation_summary(forecasts, model_name="zero")["test_error"])
```

A forecast is one step ahead. The metric is SQL: the quantile loss over each series' own mean absolute change, so that quiet
tickers count as much as wild ones. MQL, the plain one, is twice the mean pinball loss.

## What is in it

| folder | an observation | places between two cutoffs | time between timestamps | series |
|---|---|---|---|---|
{table}

- `target`: log return over the h sessions that end on `session`, from adjusted closes, in the ticker's own currency. Null
  where the close before them or the last of them had no quote, or where a place has no observation; nulls are not scored.
- `timestamp`: **a count, no date.** fev cuts all series at one timestamp and needs a constant step, but exchanges are
  closed on different days. The true day on which an observation ended is `session`, which no task hands to a model. Join
  other data by `session`, never by `timestamp`.
- Around a cutoff: all sessions up to its day have closed and are in the past, on every exchange. The observation after it
  holds the label, the return over the next h sessions. Further ones lie back to back so that the last of them ends with
  the last session by the next cutoff. Between the two, where an exchange had fewer sessions than another, places are null;
  the few sessions that fill no observation of h sessions are in none.
- `day_of_week`, `month`, `quarter_end` (known): of the day on which the observation ends by the exchange's published
  calendar, as planned before the observation begins.
- `volatility_20`, `volume_z_20` (past): realised volatility and volume against its mean, of the last 20 sessions at the
  observation's end.
- `exchange`, `region`, `sector` (static): as known at the first cutoff, of a later listing at its first row.
- A series ends with the last window at whose cutoff its ticker was in the panel: what was delisted later is forecast too.
  Whether tickers delisted before are in it at all, the panel decides.
- `{origins}`: the true day of each cutoff, and the last session of each exchange by then, from which the label counts.

## Rules

- Windows do not overlap: every label of one has ended by the cutoff of the next, {every} or more sessions later on every
  exchange.
- A forecast may use what closed by the end of the cutoff's day, other tickers included: a close in New York is known
  before the next session anywhere begins. This project's own models read what had closed by each ticker's close.
- A model that was trained on prices of these days has seen the labels. Say until when its training data go.

## Licence

{licence}
"""


def readme(benchmark: Benchmark, counts: dict[str, int]) -> str:
    """Return the README: definitions, rules, licence and how to score."""
    lines = [
        f"| `{folder_of(each)}` | log return over {each.horizon} session{'s' * (each.horizon > 1)} | {each.places} | "
        f"{each.step} | {counts[folder_of(each)]} |"
        for each in benchmark.series
    ]
    return README.format(
        name=benchmark.name,
        tickers=max(counts.values()),
        horizons=horizons_text(),
        windows=len(benchmark.cutoffs),
        first=benchmark.cutoffs[0],
        last=benchmark.cutoffs[-1],
        levels=len(QUANTILES),
        source=benchmark.source,
        folder=benchmark.name,
        yaml=BENCHMARK,
        table="\n".join(lines),
        origins=ORIGINS,
        every=max(each.horizon for each in benchmark.series),
        licence=benchmark.licence,
    )
