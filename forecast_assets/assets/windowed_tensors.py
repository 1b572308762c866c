"""The panel as tensors: features, codes, window ends."""

import polars as pl

from forecast_assets.assets.framework.causality_checks import CAUSAL, causal_checks
from forecast_assets.assets.framework.inputs import OutputFolder
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import WindowSpec
from forecast_assets.store.artefact_files import ENDS, TABLE, TENSORS
from forecast_assets.store.versions import Version


@stage(group="panel", kinds={"torch"}, checks=CAUSAL)
def windowed_tensors(feature_panel: Version, windows: WindowSpec, folder: OutputFolder) -> StageOutput:
    """One contiguous, unscaled feature tensor, static codes and the index of valid window ends; no window is copied."""
    import torch
    from safetensors.torch import save_file

    from forecast_assets.core.panel.features import feature_names
    from forecast_assets.core.panel.parts import part_sizes, ticker_parts
    from forecast_assets.core.windows.build import Vocabulary, longest_history, no_complete_row, part_tensors
    from forecast_assets.core.windows.leakage_checks import window_leakage
    from forecast_assets.core.windows.writer import TensorFile

    table = pl.scan_parquet(feature_panel.path(TABLE))
    columns = feature_names(table.head(0).collect())
    vocabulary, rows = Vocabulary.of(table), sum(part_sizes(table))
    empty = part_tensors(table.head(0).collect(), feature_names=columns, vocabulary=vocabulary)
    ends, written, complete = [], 0, False
    with TensorFile(folder / TENSORS, empty, rows=rows) as file:
        for part in ticker_parts(table):
            tensors = part_tensors(part, feature_names=columns, vocabulary=vocabulary)
            file.append(tensors.tensors())
            ends.append(tensors.ends(windows.lookback) + written)
            written += tensors.rows
            complete |= bool((tensors.run_length > 0).any())
    if not complete:
        raise no_complete_row(longest_history(table))
    save_file({"ends": torch.cat(ends)}, folder / ENDS)
    return StageOutput(
        facts={"rows": rows, "features": len(columns), "windows": sum(map(len, ends))},
        checks=causal_checks(window_leakage(table, lookback=windows.lookback)),
        slices=feature_panel.manifest.slices,
    )
