"""Metadata of a version for the Dagster UI: facts, a preview of the table, plots, checks."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from forecast_assets.assets.framework.output import Check, Column
from forecast_assets.store.artefact_files import LATEST, PLOT_PREFIX, READING, TABLE
from forecast_assets.store.versions import Version

PREVIEW_ROWS = 5


def version_metadata(
    source: Version | Path, *, facts: Mapping[str, Any] | None = None, columns: Mapping[str, Column] | None = None
) -> dict[str, Any]:
    """Metadata of a version, or of a folder about to become one (then with its ``facts`` and ``columns``)."""
    if isinstance(source, Version):
        files = sorted(source.manifest.files)
        shown_files = (name for name in files if name in (TABLE, LATEST, READING) or name.startswith(PLOT_PREFIX))
        paths = {name: source.path(name) for name in shown_files}
        facts = {k: v for k, v in source.manifest.facts.items() if k not in ("checks", "columns")}
        columns = {name: Column(**content) for name, content in source.manifest.facts.get("columns", {}).items()}
    else:
        paths = {path.name: path for path in sorted(source.iterdir())}
    shown: dict[str, Any] = dict(facts or {})
    if TABLE in paths:
        table = pl.scan_parquet([paths[name] for name in (TABLE, LATEST) if name in paths])
        schema = table.collect_schema()
        shown["dagster/row_count"] = table.select(pl.len()).collect().item()
        shown["dagster/column_schema"] = dg.TableSchema(
            columns=[
                dg.TableColumn(name, str(dtype), columns[name].description if columns and name in columns else None)
                for name, dtype in schema.items()
            ]
        )
        if columns:
            reads = {name: columns[name].reads for name in schema if name in columns}
            shown["dagster/column_lineage"] = dg.TableColumnLineage(
                {k: [dg.TableColumnDep(dg.AssetKey(asset), of) for asset, of in read] for k, read in reads.items()}
            )
        shown["preview"] = dg.MetadataValue.md(_markdown(table.head(PREVIEW_ROWS).collect()))
    if READING in paths:
        from forecast_assets.core.panel.summary import summary_rows

        rows = summary_rows(json.loads(paths[READING].read_text(encoding="utf-8")))
        lines = (f"- **{what}** {text}" if what else f"  - {text}" for what, text in rows)
        shown["reading"] = dg.MetadataValue.md("\n".join(lines))
    for name, path in paths.items():
        if name.startswith(PLOT_PREFIX):
            image = base64.b64encode(path.read_bytes()).decode()
            shown[name.removesuffix(".png")] = dg.MetadataValue.md(f"![{name}](data:image/png;base64,{image})")
    return shown


def check_results(source: Version | Mapping[str, Check]) -> list[dg.AssetCheckResult]:
    """Return the checks of a stage output, or those that a version was published with."""
    if isinstance(source, Version):
        source = {name: Check(**content) for name, content in source.manifest.facts.get("checks", {}).items()}
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=check.passed,
            description=check.description,
            metadata=dict(check.metadata),
            severity=dg.AssetCheckSeverity.WARN if check.warns else dg.AssetCheckSeverity.ERROR,
        )
        for name, check in source.items()
    ]


_AS_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "[": "&#91;", "|": "&#124;", "`": "&#96;"}
"""Characters of a sector or a rejected row that Markdown or HTML would read as more than text."""


def _markdown(frame: pl.DataFrame) -> str:
    frame = frame.with_columns(pl.col(pl.String).str.replace_many(_AS_TEXT))
    with pl.Config(
        tbl_formatting="ASCII_MARKDOWN",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_cols=-1,
        tbl_width_chars=10_000,  # a wrapped cell is no Markdown table any more
        fmt_str_lengths=80,
    ):
        return str(frame)
