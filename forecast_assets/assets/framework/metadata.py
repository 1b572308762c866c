"""Metadata of a version for the Dagster UI: facts, a preview of the table, plots, checks."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from forecast_assets.assets.framework.output import Check, Column
from forecast_assets.assets.framework.table_columns import described
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import FIRST, PanelNames
from forecast_assets.store.artefact_files import (
    ABLATION_METRICS,
    ABLATION_PAGE,
    BACKTEST_METRICS,
    BACKTEST_PAGE,
    LATEST,
    LATEST_REPORTS,
    PLOT_PREFIX,
    READING,
    TABLE,
)
from forecast_assets.store.versions import Version

PREVIEW_ROWS = 5


REPORTS = {BACKTEST_METRICS: BACKTEST_PAGE, ABLATION_METRICS: ABLATION_PAGE}  # numbers -> the page that shows them
SHOWN = (TABLE, LATEST, READING, *REPORTS)


def version_metadata(
    asset: str,
    source: Version | Path,
    *,
    data_root: str,
    facts: Mapping[str, Any] | None = None,
    columns: Mapping[str, Column] | None = None,
    names: PanelNames = FIRST,
) -> dict[str, Any]:
    """Metadata of a version, or of a folder about to become one (then with its ``facts`` and ``columns``).

    ``data_root``: below it lie the latest reports, which a report's page opens from.
    """
    if isinstance(source, Version):
        files = sorted(source.manifest.files)
        shown_files = (name for name in files if name in SHOWN or name.startswith(PLOT_PREFIX))
        paths = {name: source.path(name) for name in shown_files}
        facts = {k: v for k, v in source.manifest.facts.items() if k not in ("checks", "columns")}
        columns = {name: Column(**content) for name, content in source.manifest.facts.get("columns", {}).items()}
    else:
        paths = {path.name: path for path in sorted(source.iterdir())}
    shown: dict[str, Any] = dict(facts or {})
    if TABLE in paths:
        shown |= _table_metadata(
            asset, [paths[name] for name in (TABLE, LATEST) if name in paths], columns or {}, names
        )
    for metrics, page in REPORTS.items():
        if metrics in paths:
            shown["report"] = _report(page, data_root=data_root, names=names)
            shown["verdicts"] = _verdicts(json.loads(paths[metrics].read_text(encoding="utf-8"))["verdicts"])
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


def _table_metadata(
    asset: str, files: list[Path], published: Mapping[str, Column], names: PanelNames
) -> dict[str, Any]:
    """Return rows, columns with their descriptions and lineage, and a preview of a table in one or two files."""
    table = pl.scan_parquet(files)
    schema = table.collect_schema()
    columns = described(asset, schema, published)
    shown: dict[str, Any] = {
        "dagster/row_count": table.select(pl.len()).collect().item(),
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(name, str(dtype), columns[name].description if name in columns else None)
                for name, dtype in schema.items()
            ]
        ),
    }
    if published:
        reads = {name: columns[name].reads for name in schema if name in columns}
        shown["dagster/column_lineage"] = dg.TableColumnLineage(
            {k: [dg.TableColumnDep(names.key(asset), of) for asset, of in read] for k, read in reads.items()}
        )
    return {**shown, "preview": dg.MetadataValue.md(_markdown(table.head(PREVIEW_ROWS).collect()))}


def _report(page: str, *, data_root: str, names: PanelNames) -> dg.UrlMetadataValue | dg.PathMetadataValue:
    """Return the link to a report where its folder is served, else where it lies: no browser opens a file from a page."""
    if served := environment.reports_url():
        return dg.MetadataValue.url("/".join(part for part in (served, names.prefix, page) if part))
    return dg.MetadataValue.path(f"{data_root.rstrip('/')}/{LATEST_REPORTS}/{page}")


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Return a report's verdicts as a table: what was claimed, how it was decided, by which numbers."""
    names = ("claim", "verdict", "sentence")
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: str(verdict[name]) for name in names}) for verdict in verdicts],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names]),
    )


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
