"""The closing lines of a run: what came out, where it stands, how long it took, what comes next."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from forecast_assets.assets.backtest_report import reports_folder
from forecast_assets.core.report.formats import decimal, percent
from forecast_assets.core.report.leaderboard import leaderboard
from forecast_assets.core.report.titles import title
from forecast_assets.store.artefact_files import BACKTEST_METRICS, BACKTEST_PAGE

CALIBRATION = "Calibration:"
OPTIONS = {"--profile": "FORECAST_PROFILE", "--data-dir": "FORECAST_DATA_DIR"}


def closing_lines(root: str, *, seconds: float) -> Iterator[str]:
    """Yield the lines of the report below a data root; none without a report. ``seconds``: what the run took."""
    folder = reports_folder(root)
    path = folder / BACKTEST_METRICS
    if not path.exists():
        return
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    yield ""
    if summary["partial"]:
        yield f"PARTIAL: years missing {', '.join(map(str, summary['missing_years']))}"
    yield summary["headline"]
    if planted := summary["planted"]:
        yield f"planted:      {percent(planted['share']['estimate'])} of the signal in this synthetic panel was found"
    yield f"calibration:  {_calibration(summary)}"
    yield f"best model:   {_best(summary)}"
    yield f"report:       {folder / BACKTEST_PAGE}"
    yield f"took:         {_duration(seconds)}"
    yield f"next:         {_command('forecast --top 10')}, {_command('nightly')}, {_command('serve')}"


def _calibration(summary: Mapping[str, Any]) -> str:
    tile = next(tile for tile in summary["tiles"] if tile["label"].startswith("95 % band"))
    verdicts = [verdict for verdict in summary["verdicts"] if verdict["claim"].startswith(CALIBRATION)]
    of_years, *of_groups = (verdict["verdict"] for verdict in verdicts)
    groups = f"; by exchange and width: {of_groups[0]}" if of_groups else ""
    return f"95 % bands cover {tile['value']} ({tile['interval']}); by year and horizon: {of_years}{groups}"


def _best(summary: Mapping[str, Any]) -> str:
    best = leaderboard(summary)[0]
    ratio = f"pinball loss {decimal(best['ratio'], 4)} of that of {title(summary['baseline'])}"
    return f"{title(best['model'])}, {ratio}, rank IC {decimal(best['rank_ic'], 3)}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _command(command: str) -> str:
    """Return a command on the data that was used here: options that came by the command line are lost after it."""
    chosen = [f"{option} {os.environ[name]}" for option, name in OPTIONS.items() if os.environ.get(name)]
    return " ".join(["forecast-assets", command, *chosen])
