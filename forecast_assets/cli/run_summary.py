"""Print the report's numbers in short, and its path, at the end of a run."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from forecast_assets.assets.backtest_report import reports_folder
from forecast_assets.core.report.titles import title
from forecast_assets.store.artefact_files import BACKTEST_METRICS, BACKTEST_PAGE


def print_summary(root: str) -> None:
    """Print the verdicts, one line per strategy and per model, and the report's path; nothing without a report."""
    folder = reports_folder(root)
    path = folder / BACKTEST_METRICS
    if not path.exists():
        return
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    console = Console(width=max(Console().width, 120))
    if summary["partial"]:
        console.print(f"PARTIAL: years missing {', '.join(map(str, summary['missing_years']))}", style="bold")
    columns = ("strategy", "net return p.a.", "volatility", "Sharpe", "95 % interval", "max drawdown", "turnover/day")
    table = Table(*columns)
    for row in summary["strategies"]:
        table.add_row(
            title(row["strategy"]),
            _percent(row["annual_return"]),
            _percent(row["annual_volatility"]),
            _number(row["sharpe"]),
            f"{_number(row['sharpe_low'])} to {_number(row['sharpe_high'])}",
            _percent(row["max_drawdown"]),
            _number(row["turnover"], digits=3),
        )
    console.print(table)
    scores = Table("model", "horizon", "pinball / EWMA", "raw", "coverage of 95 %", "raw", "of 90 %", "raw")
    for row in summary["forecasts"]:
        scores.add_row(
            title(row["model"]),
            str(row["horizon"]),
            _number(row["pinball_ratio"], digits=4),
            _number(row["pinball_ratio_raw"], digits=4),
            _percent(row["coverage_95"]),
            _percent(row["coverage_95_raw"]),
            _percent(row["coverage_90"]),
            _percent(row["coverage_90_raw"]),
        )
    console.print(scores)
    for verdict in summary["verdicts"]:
        console.print(f"{verdict['verdict']:>12}: {verdict['claim']}", highlight=False)
    console.print(f"report: {folder / BACKTEST_PAGE}", highlight=False, soft_wrap=True)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
